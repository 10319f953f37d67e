/**
 * The routes that Olla answers itself, as data: dispatch, docs/openapi.yaml and the crawl of the tests read this one table
 * (http-api.md 3.1, 3.2).
 */

import { HealthDocument, ProcessDocument, ReadyDocument, VersionDocument } from "./documents/DaemonDocuments.ts"
import type { DocumentSchema } from "./documents/Encoding.ts"
import { InventoryDocument } from "./documents/ModelsDocument.ts"
import { ModelStatsDocument, StickyStatsDocument, TranslatorStatsDocument } from "./documents/StatisticsDocuments.ts"
import { EndpointsDocument, StatusDocument } from "./documents/StatusDocument.ts"

export interface QueryParameter {
  readonly name: string
  readonly description: string
  readonly values?: ReadonlyArray<string>
}

export interface LocalRoute {
  readonly path: string
  readonly summary: string
  readonly query?: ReadonlyArray<QueryParameter>
  /** Absent: text, as `contentType` says. */
  readonly document?: DocumentSchema
  readonly contentType?: string
  /** Any method is as good as GET (http-api.md 17.4). */
  readonly anyMethod?: boolean
  /** With entity tag, and compressed where the client takes it (http-api.md 7). */
  readonly conditional?: boolean
}

const flag = (name: string, description: string): QueryParameter => ({ name, description, values: ["true"] })

export const localRoutes = {
  health: {
    path: "/internal/health",
    summary: "Liveness: the daemon answers, whatever its backends do",
    document: HealthDocument,
    anyMethod: true
  },
  ready: {
    path: "/internal/ready",
    summary: "Readiness: 503 while no endpoint is routable or the daemon is stopping",
    document: ReadyDocument
  },
  status: {
    path: "/internal/status",
    summary: "The whole at a glance: totals, security, each endpoint",
    document: StatusDocument,
    conditional: true
  },
  endpoints: {
    path: "/internal/status/endpoints",
    summary: "Each endpoint in detail",
    document: EndpointsDocument,
    conditional: true
  },
  inventory: {
    path: "/internal/status/models",
    summary: "What models the endpoints have listed",
    document: InventoryDocument,
    conditional: true,
    query: [
      flag("detailed", "With `group=family`: adds `model_groups`"),
      { name: "group", description: "With `detailed=true`: adds `model_groups`", values: ["family"] }
    ]
  },
  modelStats: {
    path: "/internal/stats/models",
    summary: "Usage of each model",
    document: ModelStatsDocument,
    query: [flag("include_endpoints", "Adds `endpoint_breakdown` to each model"), flag("include_summary", "Fills `endpoints`")]
  },
  translatorStats: {
    path: "/internal/stats/translators",
    summary: "Usage of each translator",
    document: TranslatorStatsDocument
  },
  stickyStats: {
    path: "/internal/stats/sticky",
    summary: "Sticky sessions",
    document: StickyStatsDocument
  },
  process: {
    path: "/internal/process",
    summary: "Memory, collections and handles of the daemon's process",
    document: ProcessDocument
  },
  metrics: {
    path: "/internal/metrics",
    summary: "Everything that is counted, for Prometheus",
    contentType: "text/plain; version=0.0.4; charset=utf-8"
  },
  openapi: {
    path: "/internal/openapi.json",
    summary: "This description",
    contentType: "application/json"
  },
  version: {
    path: "/version",
    summary: "Version, build and capabilities",
    document: VersionDocument
  }
} as const satisfies Readonly<Record<string, LocalRoute>>

export type LocalRouteName = keyof typeof localRoutes
export type LocalDocument<Name extends LocalRouteName> = (typeof localRoutes)[Name] extends {
  readonly document: infer S extends DocumentSchema
}
  ? S["Type"]
  : never

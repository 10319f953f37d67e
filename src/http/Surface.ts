/**
 * The routes that Olla answers itself, as data: dispatch, docs/openapi.yaml and the crawl of the tests read this one table.
 */
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Profile } from "../profile/Profile.ts"
import { contentTypes } from "../telemetry/OpenMetrics.ts"
import { type BackendRoute, backendRoutes, type QueryParameter } from "./BackendRoutes.ts"
import { ReloadedDocument } from "./documents/ActionDocuments.ts"
import { HealthDocument, ProcessDocument, ReadyDocument, VersionDocument } from "./documents/DaemonDocuments.ts"
import type { DocumentSchema } from "./documents/Encoding.ts"
import { KeysDocument } from "./documents/KeysDocument.ts"
import { InventoryDocument } from "./documents/ModelsDocument.ts"
import { ModelStatsDocument, StickyStatsDocument, TranslatorStatsDocument } from "./documents/StatisticsDocuments.ts"
import { EndpointsDocument, StatusDocument } from "./documents/StatusDocument.ts"
import { TrafficDocument } from "./documents/TrafficDocument.ts"
import { shortRoutes } from "./ShortRoutes.ts"

export interface LocalRoute {
  readonly path: string
  readonly summary: string
  readonly query?: ReadonlyArray<QueryParameter>
  /** Absent: text, as `contentType` says. */
  readonly document?: DocumentSchema
  readonly contentType?: string
  /** What `Accept` may ask for instead. */
  readonly otherContentTypes?: ReadonlyArray<string>
  /** Any method is as good as GET. */
  readonly anyMethod?: boolean
  /** 404 while `access` has no keys. */
  readonly whileKeys?: boolean
  /** With entity tag, and compressed where the client takes it. */
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
  traffic: {
    path: "/internal/status/traffic",
    summary: "Who waits, what failover may still do, and each model on each endpoint",
    document: TrafficDocument
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
  keyStats: {
    path: "/internal/stats/keys",
    summary: "Clients by their keys: requests, tokens, what is left of their limits. 404 while nobody is asked for a key",
    document: KeysDocument,
    whileKeys: true
  },
  process: {
    path: "/internal/process",
    summary: "Memory, collections and handles of the daemon's process",
    document: ProcessDocument
  },
  metrics: {
    path: "/internal/metrics",
    summary: "Everything that is counted, for Prometheus; OpenMetrics where `Accept` wants that more",
    contentType: contentTypes.prometheus,
    otherContentTypes: [contentTypes.openMetrics]
  },
  openapi: {
    path: "/internal/openapi.json",
    summary: "All routes and documents, as OpenAPI 3.1",
    contentType: "application/json"
  },
  version: {
    path: "/version",
    summary: "Version, build and capabilities",
    document: VersionDocument
  }
} as const satisfies Readonly<Record<string, LocalRoute>>

/** What operators do; `ActionRoutes.ts` answers them. All are POST. */
export interface ActionRoute {
  readonly path: string
  readonly summary: string
  /** Absent: 204. */
  readonly document?: DocumentSchema
  /** Statuses of refusals beyond those that any action can have. */
  readonly errors: ReadonlyArray<number>
}

export const actionRoutes = {
  drain: {
    path: "/internal/endpoints/{name}/drain",
    summary: "Give an endpoint no further request; those that run end. 409 when a model is lost by it, unless `force`",
    errors: [404, 409]
  },
  resume: { path: "/internal/endpoints/{name}/resume", summary: "Take a drained endpoint back into service", errors: [404, 409] },
  probe: {
    path: "/internal/endpoints/{name}/probe",
    summary: "Check an endpoint and read its models now; answers when that has ended, after 10 s at most",
    errors: [404, 409]
  },
  reload: {
    path: "/internal/reload",
    summary: "Go over to what the configuration's files say now; answers when it is in force. 422 when something in them is wrong",
    document: ReloadedDocument,
    errors: [422]
  }
} as const satisfies Readonly<Record<string, ActionRoute>>

export type LocalRouteName = keyof typeof localRoutes
export type LocalDocument<Name extends LocalRouteName> = (typeof localRoutes)[Name] extends {
  readonly document: infer S extends DocumentSchema
}
  ? S["Type"]
  : never

/** What a text console is shown at the start: the table above and the prefixes of the profiles. `config`: absent, everything is on. */
export const routeTable = (
  profiles: ReadonlyArray<Profile>,
  config: Pick<OllaConfig, "server" | "translators"> | undefined
): ReadonlyArray<ReadonlyArray<string>> => {
  const isThere = ({ translator, dialect }: BackendRoute): boolean => {
    const name = translator ?? dialect
    return name === undefined || config?.translators[name].enabled !== false
  }
  return [
    ["ROUTE", "METHOD", "DESCRIPTION"],
    // Below `/olla` they are always.
    ...Object.values<BackendRoute>(shortRoutes)
      .filter(isThere)
      .map(({ path, methods, summary }) => [
        config?.server.root_routes !== false ? path : `/olla${path}`,
        methods.join(", ").toUpperCase(),
        summary
      ]),
    ...Object.values<LocalRoute>(localRoutes).map(({ path, anyMethod, summary }) => [path, anyMethod === true ? "ANY" : "GET", summary]),
    ...Object.values<ActionRoute>(actionRoutes).map(({ path, summary }) => [path, "POST", summary]),
    ...Object.values<BackendRoute>(backendRoutes)
      .filter((route) => !route.path.includes("{provider}") && isThere(route))
      .map(({ path, methods, summary }) => [path, path.endsWith("{path}") ? "ANY" : methods.join(", ").toUpperCase(), summary]),
    ...profiles.flatMap(({ prefixes, displayName }) => prefixes.map((prefix) => [`/olla/${prefix}/`, "ANY", `${displayName} endpoints`]))
  ]
}

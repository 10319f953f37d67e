/** Olla's own documents: health, readiness, status, statistics, process, version, metrics (http-api.md 3.1, 11). */
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Profiles } from "../profile/Profiles.ts"
import { prometheusText } from "../telemetry/PrometheusText.ts"
import { build } from "../version.ts"
import { acceptsGzip, entityTag, gzip, matchesTag, minGzip } from "./Conditional.ts"
import type { ListingServices } from "./ListingRoutes.ts"
import { metricFamilies } from "./Metrics.ts"
import { modelStatsDocument, modelsDocument, translatorStatsDocument } from "./ModelDocuments.ts"
import { processDocument } from "./ProcessDocument.ts"
import type { ProxyServices } from "./ProxyRoutes.ts"
import type { RequestContext } from "./RequestContext.ts"
import { endpointsDocument, type StatusView, statusDocument } from "./StatusDocuments.ts"

export interface SystemServices extends ProxyServices, ListingServices {
  readonly profiles: Profiles["Service"]
  readonly isStopping: () => boolean
}

type Handler = (services: SystemServices, context: RequestContext) => void

const viewOf = (services: SystemServices): StatusView => ({
  now: Date.now(),
  config: services.settings.current(),
  endpoints: services.fleet.endpoints,
  totals: services.statistics.endpoint,
  global: services.statistics.global(),
  security: services.statistics.security(),
  startedAt: services.statistics.startedAt,
  breakerOf: services.carrier.breakerOf
})

/** With entity tag, and compressed where the client takes it (http-api.md 7). */
const conditional = (context: RequestContext, document: Record<string, unknown>): void => {
  const tag = entityTag(document)
  const headers = ["ETag", tag, "Cache-Control", "private, no-cache", "Vary", "Accept-Encoding"]
  if (matchesTag(context.header("if-none-match"), tag)) {
    context.answer(304, "application/json", "", headers)
    return
  }
  const body = JSON.stringify(document)
  if (Buffer.byteLength(body) >= minGzip && acceptsGzip(context.header("accept-encoding")))
    context.answer(200, "application/json", gzip(body), [...headers, "Content-Encoding", "gzip"])
  else context.answer(200, "application/json", body, headers)
}

const health: Handler = (services, context) => {
  const admission = services.guard.admitHealth(context.exchange)
  for (const part of admission.headers) context.extra.push(part)
  if (admission.allowed) context.json({ status: "healthy" })
  else context.error("rateLimited")
}

const ready: Handler = (services, context) => {
  const reason = services.isStopping()
    ? "stopping"
    : services.fleet.endpoints.some((endpoint) => isRoutable(endpoint.state.status))
      ? undefined
      : "no_routable_endpoint"
  if (reason === undefined) context.json({ status: "ready" })
  else context.answer(503, "application/json", JSON.stringify({ status: "not_ready", reason }))
}

/** Go's words for what the machine is. */
const goArch: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" }

const versionDocument = (services: SystemServices): Record<string, unknown> => {
  const anthropic = services.settings.current().translators.anthropic.enabled
  const backends = services.profiles.all.map((profile) =>
    profile.name === "lm-studio" ? "lm_studio" : profile.name === "openai-compatible" ? "openai_compatible" : profile.name
  )
  return {
    api: {
      endpoints: {
        health: "/internal/health",
        metrics: "/internal/metrics",
        process: "/internal/process",
        status: "/internal/status",
        version: "/version"
      },
      version: "v1"
    },
    links: {
      homepage: "https://github.com/thushan/olla",
      documentation: "https://github.com/thushan/olla#readme",
      releases: "https://github.com/thushan/olla/releases/latest"
    },
    build: {
      commit: build.commit,
      date: build.date,
      go_version: `node${process.version}`,
      platform: `${process.platform === "win32" ? "windows" : process.platform}/${goArch[process.arch] ?? process.arch}`
    },
    name: build.name,
    version: build.version,
    edition: "Community",
    description: "The AI Proxy for your LLMs",
    capabilities: [
      "load_balancing",
      "health_checking",
      "rate_limiting",
      "model_unification",
      "endpoint_discovery",
      ...(anthropic ? ["message_translation", "translation_anthropic", "passthrough_anthropic"] : [])
    ],
    capabilities_experimental: anthropic ? ["translation_anthropic", "passthrough_anthropic"] : [],
    supported_backends: backends
  }
}

/** Exact paths; all but health know GET and HEAD only. */
export const systemRoutes: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ["/internal/health", health],
  ["/internal/ready", ready],
  ["/internal/status", (services, context) => conditional(context, statusDocument(viewOf(services)))],
  ["/internal/status/endpoints", (services, context) => conditional(context, endpointsDocument(viewOf(services)))],
  [
    "/internal/status/models",
    (services, context) => {
      const query = new URLSearchParams(context.exchange.query)
      const grouped = query.get("detailed") === "true" && query.get("group") === "family"
      conditional(context, modelsDocument(services.fleet.endpoints, services.catalogue.snapshot(), Date.now(), grouped))
    }
  ],
  [
    "/internal/stats/models",
    (services, context) => {
      const query = new URLSearchParams(context.exchange.query)
      context.json(
        modelStatsDocument(
          services.statistics.models(),
          Date.now(),
          query.get("include_endpoints") === "true",
          query.get("include_summary") === "true"
        )
      )
    }
  ],
  [
    "/internal/stats/translators",
    (services, context) => context.json(translatorStatsDocument(services.statistics.translators(), Date.now()))
  ],
  [
    "/internal/stats/sticky",
    (services, context) => {
      const stats = services.balancer.stickyStats()
      context.json(stats === undefined ? { enabled: false } : { enabled: true, ...stats })
    }
  ],
  ["/internal/process", (_services, context) => context.json(processDocument(Date.now()))],
  [
    "/internal/metrics",
    (services, context) =>
      context.answer(
        200,
        "text/plain; version=0.0.4; charset=utf-8",
        prometheusText(metricFamilies(viewOf(services), services.statistics.models()))
      )
  ],
  ["/version", (services, context) => context.json(versionDocument(services))]
])

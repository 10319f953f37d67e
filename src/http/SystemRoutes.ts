/** Olla's own documents: health, readiness, status, statistics, process, version, metrics. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { inSlices } from "../endpoint/TimeSlices.ts"
import { contentTypes, formOf } from "../telemetry/OpenMetrics.ts"
import { prometheusText } from "../telemetry/PrometheusText.ts"
import { build, runtime } from "../version.ts"
import { answerConditional, answerDocument, varying } from "./DocumentAnswer.ts"
import { HealthDocument, NotReadyDocument, ReadyDocument, type VersionDocument } from "./documents/DaemonDocuments.ts"
import { accessStatus, keysDocument, tlsStatus } from "./KeysDocuments.ts"
import { metricFamilies } from "./Metrics.ts"
import { modelsDocument } from "./ModelDocuments.ts"
import { openApiJson } from "./OpenApi.ts"
import { processDocument } from "./ProcessDocument.ts"
import { refuseRate } from "./RateRefusal.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { Services } from "./Services.ts"
import { answerInSteps, conditionalAnswer } from "./SlicedAnswer.ts"
import { endpointsDocument, type StatusView, statusDocument } from "./StatusDocuments.ts"
import { type LocalDocument, type LocalRoute, type LocalRouteName, localRoutes } from "./Surface.ts"
import { trafficDocument } from "./TrafficStatus.ts"
import { modelStatsDocument, translatorStatsDocument } from "./UsageDocuments.ts"

type Handler = (services: Services, context: RequestContext) => void

/** Answers the same question once: figures of an endpoint are worked out anew each time, and stand in many places of a document. */
const once = <A>(read: (endpoint: Endpoint) => A): ((endpoint: Endpoint) => A) => {
  const known = new Map<Endpoint, A>()
  return (endpoint) => {
    const before = known.get(endpoint)
    if (before !== undefined) return before
    const value = read(endpoint)
    known.set(endpoint, value)
    return value
  }
}

const viewOf = (services: Services): StatusView => ({
  now: Date.now(),
  monotonic: services.fleet.now(),
  uptime: process.uptime() * 1000,
  config: services.settings.current(),
  configStatus: services.reload.status(),
  discovery: services.dnsStatuses(),
  endpoints: services.fleet.endpoints,
  underWay: [...services.fleet.endpoints, ...services.fleet.leaving].reduce((sum, { inFlight }) => sum + inFlight, 0),
  totals: once(services.statistics.endpoint),
  global: services.statistics.global(),
  security: services.statistics.security(),
  startedAt: services.statistics.startedAt,
  bodies: services.guard.bodies,
  rejections: services.statistics.rejections(),
  access: accessStatus(services.access),
  tls: tlsStatus(services.certificates, services.settings.current().server.tls.min_version)
})

const health: Handler = (services, context) => {
  const admission = services.guard.admitHealth(context.exchange)
  for (const part of admission.headers) context.extra.push(part)
  if (admission.allowed) answerDocument(context, HealthDocument, { status: "healthy" })
  else refuseRate(context, admission)
}

const ready: Handler = (services, context) => {
  const reason = services.isStopping()
    ? "stopping"
    : services.fleet.endpoints.some((endpoint) => accepts(endpoint) && endpoint.breaker.wouldAdmit)
      ? undefined
      : "no_routable_endpoint"
  if (reason === undefined) answerDocument(context, ReadyDocument, { status: "ready" })
  else answerDocument(context, NotReadyDocument, { status: "not_ready", reason }, 503)
}

/** Platform and architecture in Go's words, which clients of `/version` know. */
const goArch: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" }

/** A build without a homepage knows of no releases; its routes are described by the daemon itself. */
const projectLinks = (homepage: string): typeof VersionDocument.Type.links =>
  homepage === ""
    ? { homepage: "", documentation: "/internal/openapi.json", releases: "" }
    : { homepage, documentation: `${homepage}#readme`, releases: `${homepage}/releases/latest` }

const versionDocument = (services: Services): typeof VersionDocument.Type => {
  const anthropic = services.settings.current().translators.anthropic.enabled
  const backends = services.profiles.all.map(({ listedAs }) => listedAs).sort((a, b) => a.place - b.place || 0)
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
    links: projectLinks(build.homepage),
    build: {
      commit: build.commit,
      date: build.date,
      go_version: runtime,
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
    supported_backends: [...new Set(backends.map(({ name }) => name))]
  }
}

type Builders = {
  readonly [Name in Exclude<LocalRouteName, "keyStats" | "inventory" | "health" | "ready" | "metrics" | "openapi">]: (
    services: Services,
    query: URLSearchParams
  ) => LocalDocument<Name>
}

const builders: Builders = {
  status: (services) => statusDocument(viewOf(services)),
  endpoints: (services) => endpointsDocument(viewOf(services)),
  traffic: ({ settings, fleet, carrier }) =>
    trafficDocument({
      config: settings.current(),
      endpoints: fleet.endpoints,
      retries: carrier.retries,
      queue: carrier.queue.view(),
      now: Date.now(),
      monotonic: fleet.now()
    }),
  modelStats: (services, query) =>
    modelStatsDocument(
      services.statistics.models(),
      services.statistics.modelsOverall(),
      { wall: Date.now(), monotonic: services.fleet.now() },
      query.get("include_endpoints") === "true",
      query.get("include_summary") === "true"
    ),
  translatorStats: (services) => translatorStatsDocument(services.statistics.translators(), Date.now()),
  stickyStats: (services) => {
    const stats = services.balancer.stickyStats()
    return stats === undefined ? { enabled: false } : { enabled: true, ...stats }
  },
  process: (services) => processDocument(Date.now(), services.guard.bodies),
  version: versionDocument
}

const handlerOf = (name: keyof Builders): Handler => {
  const route: LocalRoute = localRoutes[name]
  const schema = localRoutes[name].document
  const answer: typeof answerDocument = route.conditional === true ? answerConditional : answerDocument
  return (services, context) => answer(context, schema, builders[name](services, new URLSearchParams(context.exchange.query)))
}

const inventory: Handler = (services, context) => {
  const query = new URLSearchParams(context.exchange.query)
  const grouped = query.get("detailed") === "true" && query.get("group") === "family"
  const building = modelsDocument(services.fleet.endpoints, services.catalogue.snapshot(), Date.now(), grouped)
  answerInSteps(context, conditionalAnswer(context, localRoutes.inventory.document, building))
}

const keyStats: Handler = (services, context) => {
  const { access, statistics } = services
  const { current } = access
  if (current === undefined) context.error("unrouted")
  else {
    const times = { wall: Date.now(), now: performance.now(), since: statistics.startedAt }
    answerDocument(context, localRoutes.keyStats.document, keysDocument(access, current, services.keyStatistics, times))
  }
}

/** The figures are of one moment; a long text of them is written while tokens flow. */
const metrics: Handler = (services, context) => {
  const families = metricFamilies({
    ...viewOf(services),
    phases: services.statistics.phases,
    traffic: services.statistics.traffic,
    retries: services.carrier.retries,
    queue: services.carrier.queue.view(),
    models: services.statistics.models(),
    labelledModels: services.statistics.labelledModels(),
    modelsOverall: services.statistics.modelsOverall(),
    series: services.statistics.series(),
    translators: services.statistics.translators(),
    rejections: services.statistics.rejections(),
    traces: services.traceCounts?.(),
    sticky: services.balancer.stickyStats(),
    keys: services.access,
    keyStatistics: services.keyStatistics,
    certificates: services.certificates
  })
  const form = formOf(context.headers("accept"))
  services.fork(
    Effect.matchCause(inSlices(prometheusText(families, form)), {
      onFailure: (cause) => context.fault(Cause.squash(cause)),
      onSuccess: (text) => context.answer(200, contentTypes[form], text, varying(context, "Accept"))
    })
  )
}

const handlers: Readonly<Record<LocalRouteName, Handler>> = {
  ...(Object.fromEntries(Object.keys(builders).map((name) => [name, handlerOf(name as keyof Builders)])) as Record<
    keyof Builders,
    Handler
  >),
  health,
  ready,
  keyStats,
  inventory,
  metrics,
  openapi: (_services, context) => context.answer(200, localRoutes.openapi.contentType, openApiJson())
}

/** Exact paths; all but health know GET and HEAD only. */
export const systemRoutes: ReadonlyMap<string, { readonly handle: Handler; readonly anyMethod: boolean }> = new Map(
  (Object.keys(localRoutes) as ReadonlyArray<LocalRouteName>).map((name) => {
    const route: LocalRoute = localRoutes[name]
    const handle: Handler = (services, context) => {
      services.observer.settle?.()
      handlers[name](services, context)
    }
    return [route.path, { handle, anyMethod: route.anyMethod === true }]
  })
)

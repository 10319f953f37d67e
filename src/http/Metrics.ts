/**
 * The figures behind /internal/metrics, as families (observability.md 3.11, http-api.md 11.9, 17.45). The same totals as in
 * the status and statistics documents, read once per scrape; a rate without traffic has no sample rather than a false 0.
 */
import type { StickyStats } from "../balancing/Balancer.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Family, HistogramSample, Labels, Sample } from "../telemetry/PrometheusText.ts"
import type {
  EndpointTotals,
  ModelEndpointTotals,
  ModelsOverall,
  ModelTotals,
  SeriesTotals,
  TranslatorTotals
} from "../telemetry/Statistics.ts"
import { build } from "../version.ts"
import { endpointIds, plainId } from "./EndpointIds.ts"
import { type StatusView, securityStatus, systemStatus } from "./StatusDocuments.ts"

export interface MetricsView extends StatusView {
  readonly models: ReadonlyArray<ModelTotals>
  readonly modelsOverall: ModelsOverall
  readonly series: ReadonlyArray<SeriesTotals>
  readonly translators: ReadonlyArray<TranslatorTotals>
  /** By status. */
  readonly rejections: Readonly<Record<string, number>>
  /** `undefined` while sticky sessions are off. */
  readonly sticky: StickyStats | undefined
}

type Single = "gauge" | "counter"

const hour = 3_600_000
const breakerValues = { closed: 0, "half-open": 1, open: 2 } as const

const rate = (good: number, total: number): number | undefined => (total === 0 ? undefined : (good / total) * 100)

/**
 * Labels by endpoint URL. Two endpoints with one name are told apart by a further label, and so is one that has left the
 * configuration while another bears its name.
 */
const labelling = (endpoints: ReadonlyArray<Endpoint>): ((url: string, name: string) => Labels) => {
  const ids = endpointIds(endpoints)
  const bearers = Map.groupBy(endpoints, ({ name }) => name)
  const known = new Map(
    endpoints.map((endpoint) => [
      endpoint.url,
      (bearers.get(endpoint.name)?.length ?? 0) > 1
        ? { endpoint: endpoint.name, endpoint_id: ids.get(endpoint) ?? "" }
        : { endpoint: endpoint.name }
    ])
  )
  return (url, name) => known.get(url) ?? (bearers.has(name) ? { endpoint: name, endpoint_id: plainId(url) } : { endpoint: name })
}

const single = (type: Single, name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  name: `olla_${name}`,
  type,
  help,
  samples
})

const one = (value: number | undefined, labels: Labels = {}): ReadonlyArray<Sample> => (value === undefined ? [] : [{ labels, value }])

const overall = (view: MetricsView): ReadonlyArray<Family> => {
  const { config, global, security, endpoints, modelsOverall, models } = view
  const info = {
    version: build.version,
    commit: build.commit,
    engine: config.proxy.engine,
    profile: config.proxy.profile,
    balancer: config.proxy.load_balancer
  }
  const healthy = endpoints.filter(({ state }) => state.status === "healthy").length
  const traffic = endpoints.reduce((sum, { url }) => sum + (view.totals(url)?.totalBytes ?? 0), 0)
  const connections = endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0)
  const violations = security.rateLimitViolations + security.sizeLimitViolations
  const active = models.filter(({ lastRequested }) => view.now - lastRequested < hour).length
  const plain: ReadonlyArray<readonly [Single, string, string, number | undefined]> = [
    ["gauge", "system_status", "2 healthy, 1 degraded, 0 critical.", { healthy: 2, degraded: 1, critical: 0 }[systemStatus(view)]],
    ["gauge", "endpoints_total", "Configured endpoints.", endpoints.length],
    ["gauge", "endpoints_healthy", "Endpoints whose status is healthy.", healthy],
    [
      "gauge",
      "success_rate_percent",
      "Share of dispatched client requests that succeeded.",
      rate(global.successfulRequests, global.totalRequests)
    ],
    ["gauge", "avg_latency_ms", "Average latency of successful client requests in milliseconds.", global.averageLatency],
    ["gauge", "total_traffic_bytes", "Body bytes relayed to clients.", traffic],
    ["gauge", "uptime_seconds", "Seconds since the start.", Math.max(0, view.now - view.startedAt) / 1000],
    ["gauge", "active_connections", "Attempts under way.", connections],
    ["counter", "requests_total", "Client requests that were dispatched to an endpoint.", global.totalRequests],
    ["counter", "failures_total", "Dispatched client requests that failed.", global.failedRequests],
    ["counter", "security_violations_total", "Requests refused by rate and size limits.", violations],
    ["counter", "security_rate_limit_violations_total", "Requests refused by rate limits.", security.rateLimitViolations],
    ["counter", "security_size_limit_violations_total", "Requests refused by size limits.", security.sizeLimitViolations],
    ["gauge", "security_blocked_ips", "Client addresses that were rate limited within the last hour.", security.uniqueRateLimitedIps],
    ["gauge", "security_status", "1 normal, 0 elevated.", securityStatus(security) === "normal" ? 1 : 0],
    ["gauge", "models_total", "Models with statistics.", models.length],
    ["gauge", "models_active", "Models that were requested within the last hour.", active],
    [
      "gauge",
      "models_success_rate_percent",
      "Share of attempts with a model that succeeded.",
      rate(modelsOverall.successfulRequests, modelsOverall.totalRequests)
    ],
    ["counter", "models_requests_total", "Attempts with a model.", modelsOverall.totalRequests],
    ["counter", "models_traffic_bytes", "Body bytes of attempts with a model.", modelsOverall.totalBytes]
  ]
  return [
    single("gauge", "info", "Build and configuration.", one(1, info)),
    ...plain.map(([type, name, help, value]) => single(type, name, help, one(value)))
  ]
}

type EndpointRow = readonly [Single, string, string, (endpoint: Endpoint, totals: EndpointTotals | undefined) => number | undefined]

const endpointRows: ReadonlyArray<EndpointRow> = [
  ["counter", "endpoint_requests_total", "Attempts on the endpoint.", (_, totals) => totals?.totalRequests ?? 0],
  ["counter", "endpoint_traffic_bytes", "Body bytes relayed from the endpoint.", (_, totals) => totals?.totalBytes ?? 0],
  ["gauge", "endpoint_connections", "Attempts under way on the endpoint.", ({ inFlight }) => inFlight],
  [
    "gauge",
    "endpoint_success_rate_percent",
    "Share of the endpoint's attempts that succeeded.",
    (_, totals) => rate(totals?.successfulRequests ?? 0, totals?.totalRequests ?? 0)
  ],
  [
    "gauge",
    "endpoint_avg_latency_ms",
    "Average latency of the endpoint's successful attempts in milliseconds.",
    (_, totals) => totals?.averageLatency ?? 0
  ],
  ["gauge", "endpoint_priority", "Configured priority.", ({ priority }) => priority],
  ["gauge", "endpoint_models_count", "Models that the endpoint lists.", ({ models }) => models.length]
]

const perEndpoint = (view: MetricsView, labelsOf: (url: string, name: string) => Labels): ReadonlyArray<Family> => {
  const all = view.endpoints.map((endpoint) => ({
    endpoint,
    totals: view.totals(endpoint.url),
    labels: labelsOf(endpoint.url, endpoint.name)
  }))
  return [
    single(
      "gauge",
      "endpoint_up",
      "1 when the endpoint is healthy, else 0.",
      all.map(({ endpoint, labels }) => ({
        labels: { ...labels, status: endpoint.state.status },
        value: endpoint.state.status === "healthy" ? 1 : 0
      }))
    ),
    ...endpointRows.map(([type, name, help, read]) =>
      single(
        type,
        name,
        help,
        all.flatMap(({ endpoint, totals, labels }) => one(read(endpoint, totals), labels))
      )
    ),
    single(
      "counter",
      "endpoint_responses_total",
      "Attempts by class of their answer; transport: no answer, cancelled: the client left.",
      all.flatMap(({ totals, labels }) =>
        Object.entries(totals?.statusClasses ?? {}).map(([key, value]) => ({ labels: { ...labels, class: key }, value }))
      )
    ),
    single(
      "gauge",
      "circuit_breaker_state",
      "0 closed, 1 half-open, 2 open.",
      all.flatMap(({ endpoint, labels }) => one(breakerValues[endpoint.breaker.phase], labels))
    ),
    single(
      "counter",
      "health_checks_total",
      "Health checks by result.",
      all.flatMap(({ endpoint, labels }) => {
        const { success, failure } = endpoint.probeCounts ?? { success: 0, failure: 0 }
        return [...one(success, { ...labels, result: "success" }), ...one(failure, { ...labels, result: "failure" })]
      })
    )
  ]
}

type ModelRow = readonly [Single, string, string, (model: ModelTotals) => number | undefined]

const modelRows: ReadonlyArray<ModelRow> = [
  ["counter", "model_requests_total", "Attempts with the model.", (model) => model.totalRequests],
  ["counter", "model_successful_requests_total", "Attempts with the model that succeeded.", (model) => model.successfulRequests],
  ["counter", "model_failed_requests_total", "Attempts with the model that failed.", (model) => model.failedRequests],
  ["counter", "model_traffic_bytes", "Body bytes of attempts with the model.", (model) => model.totalBytes],
  ["counter", "model_routing_hits_total", "Client requests that their first endpoint answered.", (model) => model.routingHits],
  ["counter", "model_routing_misses_total", "Client requests that needed a retry.", (model) => model.routingMisses],
  [
    "counter",
    "model_routing_fallbacks_total",
    "Client requests that routing let through as a fallback.",
    (model) => model.routingFallbacks
  ],
  [
    "gauge",
    "model_success_rate_percent",
    "Share of attempts with the model that succeeded.",
    (model) => rate(model.successfulRequests, model.totalRequests)
  ],
  ["gauge", "model_avg_latency_ms", "Average latency of successful attempts in milliseconds.", (model) => model.averageLatency],
  ["gauge", "model_p95_latency_ms", "95th percentile of latency since the start in milliseconds.", (model) => model.p95Latency],
  ["gauge", "model_p99_latency_ms", "99th percentile of latency since the start in milliseconds.", (model) => model.p99Latency],
  ["gauge", "model_unique_clients", "Client addresses within the last hour, at most 100.", (model) => model.uniqueClients]
]

type PairRow = readonly [Single, string, string, (pair: ModelEndpointTotals) => number | undefined]

const pairRows: ReadonlyArray<PairRow> = [
  ["counter", "model_endpoint_requests_total", "Attempts with the model on the endpoint.", (pair) => pair.requestCount],
  [
    "gauge",
    "model_endpoint_success_rate_percent",
    "Share of attempts that succeeded.",
    (pair) => rate(pair.successfulRequests, pair.requestCount)
  ],
  ["gauge", "model_endpoint_avg_latency_ms", "Average latency of successful attempts in milliseconds.", (pair) => pair.averageLatency],
  ["gauge", "model_endpoint_consecutive_errors", "Failures in a row.", (pair) => pair.consecutiveErrors],
  ["counter", "prompt_tokens_total", "Prompt tokens that backends told.", (pair) => pair.usage?.promptTokens],
  ["counter", "completion_tokens_total", "Completion tokens that backends told.", (pair) => pair.usage?.completionTokens],
  [
    "gauge",
    "tokens_per_second",
    "Average speed of generation.",
    (pair) => (pair.usage === undefined || pair.usage.averageTokensPerSecond === 0 ? undefined : pair.usage.averageTokensPerSecond)
  ]
]

const perModel = (view: MetricsView, labelsOf: (url: string, name: string) => Labels): ReadonlyArray<Family> => {
  const pairs = view.models.flatMap((model) =>
    model.endpoints.map((pair) => ({ pair, labels: { model: model.name, ...labelsOf(pair.endpointUrl, pair.endpointName) } }))
  )
  const histogram = (name: string, help: string, read: (series: SeriesTotals) => SeriesTotals["duration"]): Family => ({
    name: `olla_${name}`,
    type: "histogram",
    help,
    samples: view.series.flatMap((series): ReadonlyArray<HistogramSample> => {
      const totals = read(series)
      const labels = { ...labelsOf(series.endpointUrl, series.endpointName), model: series.model }
      return totals.count === 0 ? [] : [{ labels, histogram: totals }]
    })
  })
  return [
    ...modelRows.map(([type, name, help, read]) =>
      single(
        type,
        name,
        help,
        view.models.flatMap((model) => one(read(model), { model: model.name }))
      )
    ),
    ...pairRows.map(([type, name, help, read]) =>
      single(
        type,
        name,
        help,
        pairs.flatMap(({ pair, labels }) => one(read(pair), labels))
      )
    ),
    histogram("request_duration_seconds", "Duration of successful attempts.", (series) => series.duration),
    histogram("time_to_first_token_seconds", "Request start to the first body byte of successful attempts.", (series) => series.firstToken)
  ]
}

const surfaces = (view: MetricsView): ReadonlyArray<Family> => {
  const { sticky } = view
  return [
    single(
      "counter",
      "rejections_total",
      "Requests that Olla refused itself, by status.",
      Object.entries(view.rejections).map(([status, value]) => ({ labels: { status }, value }))
    ),
    single(
      "counter",
      "translator_requests_total",
      "Requests to a translator by mode and result.",
      view.translators.flatMap(({ name: translator, byMode }) =>
        Object.entries(byMode ?? {}).flatMap(([mode, results]) =>
          Object.entries(results).map(([result, value]) => ({ labels: { translator, mode, result }, value }))
        )
      )
    ),
    single("gauge", "sticky_sessions_active", "Sessions that are pinned to an endpoint.", one(sticky?.active_sessions)),
    single("counter", "sticky_session_hits_total", "Requests whose session was known.", one(sticky?.hits)),
    single("counter", "sticky_session_misses_total", "Requests whose session was not known.", one(sticky?.misses)),
    single("counter", "sticky_session_evictions_total", "Sessions that expired or were pushed out.", one(sticky?.evictions))
  ]
}

export const metricFamilies = (view: MetricsView): ReadonlyArray<Family> => {
  const labelsOf = labelling(view.endpoints)
  return [...overall(view), ...perEndpoint(view, labelsOf), ...perModel(view, labelsOf), ...surfaces(view)]
}

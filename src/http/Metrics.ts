/** The figures behind /internal/metrics, as families (http-api.md 11.9, 17.45). */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Family, Sample } from "../telemetry/PrometheusText.ts"
import type { ModelTotals } from "../telemetry/Statistics.ts"
import { build } from "../version.ts"
import { endpointIds } from "./EndpointIds.ts"
import { type StatusView, securityStatus, systemStatus } from "./StatusDocuments.ts"

const rate = (good: number, total: number): number => (total === 0 ? 0 : (good / total) * 100)

/** Two endpoints with one name are told apart by a further label. */
const endpointLabels = (endpoints: ReadonlyArray<Endpoint>): ReadonlyMap<Endpoint, Readonly<Record<string, string>>> => {
  const ids = endpointIds(endpoints)
  const count = new Map<string, number>()
  for (const { name } of endpoints) count.set(name, (count.get(name) ?? 0) + 1)
  return new Map(
    endpoints.map((endpoint) => [
      endpoint,
      (count.get(endpoint.name) ?? 0) > 1 ? { endpoint: endpoint.name, endpoint_id: ids.get(endpoint) ?? "" } : { endpoint: endpoint.name }
    ])
  )
}

export const metricFamilies = (view: StatusView, models: ReadonlyArray<ModelTotals>): ReadonlyArray<Family> => {
  const { config, global, security, endpoints } = view
  const labels = endpointLabels(endpoints)
  const one = (value: number, own: Readonly<Record<string, string>> = {}): ReadonlyArray<Sample> => [{ labels: own, value }]
  const gauge = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
    name: `olla_${name}`,
    type: "gauge",
    help,
    samples
  })
  const counter = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
    name: `olla_${name}`,
    type: "counter",
    help,
    samples
  })
  const each = (read: (endpoint: Endpoint) => number | undefined): ReadonlyArray<Sample> =>
    endpoints.flatMap((endpoint) => {
      const value = read(endpoint)
      return value === undefined ? [] : [{ labels: labels.get(endpoint) ?? {}, value }]
    })
  const perModel = (read: (model: ModelTotals) => number): ReadonlyArray<Sample> =>
    models.map((model) => ({ labels: { model: model.name }, value: read(model) }))
  const byUrl = new Map(endpoints.map((endpoint) => [endpoint.url, labels.get(endpoint) ?? {}]))
  const perPair = (read: (pair: ModelTotals["endpoints"][number]) => number): ReadonlyArray<Sample> =>
    models.flatMap((model) =>
      model.endpoints.map((pair) => ({
        labels: { model: model.name, ...(byUrl.get(pair.endpointUrl) ?? { endpoint: pair.endpointName }) },
        value: read(pair)
      }))
    )
  const totals = (endpoint: Endpoint) => view.totals(endpoint.url)
  const status = { healthy: 2, degraded: 1, critical: 0 }[systemStatus(view)]
  const modelRequests = models.reduce((sum, model) => sum + model.totalRequests, 0)
  const modelGood = models.reduce((sum, model) => sum + model.successfulRequests, 0)
  const withTraffic = (count: number, value: number) => (count === 0 ? [] : one(value))
  return [
    gauge(
      "info",
      "Build and configuration.",
      one(1, {
        version: build.version,
        commit: build.commit,
        engine: config.proxy.engine,
        profile: config.proxy.profile,
        balancer: config.proxy.load_balancer
      })
    ),
    gauge("system_status", "2 healthy, 1 degraded, 0 critical.", one(status)),
    gauge("endpoints_total", "Configured endpoints.", one(endpoints.length)),
    gauge(
      "endpoints_healthy",
      "Endpoints whose last probe was good.",
      one(endpoints.filter((endpoint) => endpoint.state.status === "healthy").length)
    ),
    gauge(
      "success_rate_percent",
      "Dispatched requests that succeeded.",
      withTraffic(global.totalRequests, rate(global.successfulRequests, global.totalRequests))
    ),
    gauge("avg_latency_ms", "Average latency of successful requests.", one(Math.round(global.averageLatency))),
    gauge(
      "total_traffic_bytes",
      "Body bytes sent to clients.",
      one(endpoints.reduce((sum, endpoint) => sum + (totals(endpoint)?.totalBytes ?? 0), 0))
    ),
    gauge("uptime_seconds", "Seconds since start.", one((view.now - view.startedAt) / 1000)),
    gauge("active_connections", "Attempts under way.", one(endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0))),
    counter("requests_total", "Dispatched requests.", one(global.totalRequests)),
    counter("failures_total", "Dispatched requests that failed.", one(global.failedRequests)),
    counter(
      "security_violations_total",
      "Refusals by rate and size limits.",
      one(security.rateLimitViolations + security.sizeLimitViolations)
    ),
    counter("security_rate_limit_violations_total", "Refusals by rate limits.", one(security.rateLimitViolations)),
    counter("security_size_limit_violations_total", "Refusals by size limits.", one(security.sizeLimitViolations)),
    gauge("security_blocked_ips", "Clients that were rate limited in the last hour.", one(security.uniqueRateLimitedIps)),
    gauge("security_status", "1 normal, 0 elevated.", one(securityStatus(security) === "normal" ? 1 : 0)),
    gauge(
      "endpoint_up",
      "1 only when healthy.",
      endpoints.map((endpoint) => ({
        labels: { ...(labels.get(endpoint) ?? {}), status: endpoint.state.status },
        value: endpoint.state.status === "healthy" ? 1 : 0
      }))
    ),
    counter(
      "endpoint_requests_total",
      "Attempts.",
      each((endpoint) => totals(endpoint)?.totalRequests ?? 0)
    ),
    counter(
      "endpoint_traffic_bytes",
      "Body bytes relayed.",
      each((endpoint) => totals(endpoint)?.totalBytes ?? 0)
    ),
    gauge(
      "endpoint_connections",
      "Attempts under way.",
      each((endpoint) => endpoint.inFlight)
    ),
    gauge(
      "endpoint_success_rate_percent",
      "Attempts that succeeded.",
      each((endpoint) => {
        const own = totals(endpoint)
        return own === undefined || own.totalRequests === 0 ? undefined : rate(own.successfulRequests, own.totalRequests)
      })
    ),
    gauge(
      "endpoint_avg_latency_ms",
      "Average latency of successful attempts.",
      each((endpoint) => Math.round(totals(endpoint)?.averageLatency ?? 0))
    ),
    gauge(
      "endpoint_priority",
      "Configured priority.",
      each((endpoint) => endpoint.priority)
    ),
    gauge(
      "endpoint_models_count",
      "Models listed.",
      each((endpoint) => endpoint.models.length)
    ),
    gauge("models_total", "Models with statistics.", one(models.length)),
    gauge(
      "models_active",
      "Models requested within the last hour.",
      one(models.filter((model) => view.now - model.lastRequested < 3_600_000).length)
    ),
    gauge(
      "models_success_rate_percent",
      "Attempts with a model that succeeded.",
      withTraffic(modelRequests, rate(modelGood, modelRequests))
    ),
    counter("models_requests_total", "Attempts with a model.", one(modelRequests)),
    counter("models_traffic_bytes", "Body bytes of attempts with a model.", one(models.reduce((sum, model) => sum + model.totalBytes, 0))),
    counter(
      "model_requests_total",
      "Attempts.",
      perModel((model) => model.totalRequests)
    ),
    counter(
      "model_successful_requests_total",
      "Attempts that succeeded.",
      perModel((model) => model.successfulRequests)
    ),
    counter(
      "model_failed_requests_total",
      "Attempts that failed.",
      perModel((model) => model.failedRequests)
    ),
    counter(
      "model_traffic_bytes",
      "Body bytes.",
      perModel((model) => model.totalBytes)
    ),
    counter(
      "model_routing_hits_total",
      "Served by the first endpoint tried.",
      perModel((model) => model.routingHits)
    ),
    counter(
      "model_routing_misses_total",
      "Served after a retry.",
      perModel((model) => model.routingMisses)
    ),
    counter(
      "model_routing_fallbacks_total",
      "Served by a fallback.",
      perModel((model) => model.routingFallbacks)
    ),
    gauge(
      "model_success_rate_percent",
      "Attempts that succeeded.",
      perModel((model) => rate(model.successfulRequests, model.totalRequests))
    ),
    gauge(
      "model_avg_latency_ms",
      "Average latency.",
      perModel((model) => Math.round(model.averageLatency))
    ),
    gauge(
      "model_p95_latency_ms",
      "95th percentile of latency.",
      perModel((model) => Math.round(model.p95Latency))
    ),
    gauge(
      "model_p99_latency_ms",
      "99th percentile of latency.",
      perModel((model) => Math.round(model.p99Latency))
    ),
    gauge(
      "model_unique_clients",
      "Clients within the last hour.",
      perModel((model) => model.uniqueClients)
    ),
    counter(
      "model_endpoint_requests_total",
      "Attempts.",
      perPair((pair) => pair.requestCount)
    ),
    gauge(
      "model_endpoint_success_rate_percent",
      "Attempts that succeeded.",
      perPair((pair) => rate(pair.successfulRequests, pair.requestCount))
    ),
    gauge(
      "model_endpoint_avg_latency_ms",
      "Average latency.",
      perPair((pair) => Math.round(pair.averageLatency))
    ),
    gauge(
      "model_endpoint_consecutive_errors",
      "Failures in a row.",
      perPair((pair) => pair.consecutiveErrors)
    )
  ]
}

/** Families with a sample for each model, and for each model on each endpoint. */

import type { Family, HistogramSample } from "../../telemetry/PrometheusText.ts"
import type { ModelEndpointTotals, ModelTotals, SeriesTotals } from "../../telemetry/Statistics.ts"
import { type LabelsOf, one, rate, type Single, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

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
    (pair) => (pair.usage === undefined || pair.usage.speeds === 0 ? undefined : pair.usage.averageTokensPerSecond)
  ]
]

export const modelFamilies = (view: MetricsView, labelsOf: LabelsOf): ReadonlyArray<Family> => {
  const models = view.labelledModels
  const pairs = models.flatMap((model) =>
    model.endpoints.map((pair) => ({ pair, labels: { model: model.name, ...labelsOf(pair.endpoint) } }))
  )
  const histogram = (name: string, help: string, read: (series: SeriesTotals) => SeriesTotals["duration"]): Family => ({
    name: `olla_${name}`,
    type: "histogram",
    help,
    samples: view.series.flatMap((series): ReadonlyArray<HistogramSample> => {
      const totals = read(series)
      const labels = { ...labelsOf(series.endpoint), model: series.model }
      return totals.count === 0 ? [] : [{ labels, histogram: totals }]
    })
  })
  return [
    ...modelRows.map(([type, name, help, read]) =>
      single(
        type,
        name,
        help,
        models.flatMap((model) => one(read(model), { model: model.name }))
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

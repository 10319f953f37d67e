/** Families with a sample for each endpoint. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Family } from "../../telemetry/PrometheusText.ts"
import type { EndpointTotals } from "../../telemetry/Statistics.ts"
import { spokenBy } from "../../translation/BackendDialects.ts"
import { type LabelsOf, one, rate, type Single, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

const breakerValues = { closed: 0, "half-open": 1, open: 2 } as const

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

export const endpointFamilies = (view: MetricsView, labelsOf: LabelsOf): ReadonlyArray<Family> => {
  const all = view.endpoints.map((endpoint) => ({
    endpoint,
    totals: view.totals(endpoint),
    labels: labelsOf(endpoint)
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
      "gauge",
      "dialect_refusals",
      "1 for each API that the endpoint's kind has and it has refused: requests are translated for a while.",
      all.flatMap(({ endpoint, labels }) =>
        spokenBy(endpoint.profile).flatMap(({ name, target }) =>
          endpoint.unserved.has("POST", target(endpoint.profile), "") ? one(1, { ...labels, dialect: name }) : []
        )
      )
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

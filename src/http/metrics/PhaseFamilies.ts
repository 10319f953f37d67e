/** Families about whose time it was and what broke; nothing of them is renamed ever, boards and alerts stand on them. */

import { accepts } from "../../endpoint/Endpoint.ts"
import { causesByOutcome, type OutcomeWord } from "../../exchange/Cause.ts"
import type { HistogramTotals } from "../../telemetry/metrics/Histogram.ts"
import { attemptResults, type EndpointSeries } from "../../telemetry/metrics/PhaseMetrics.ts"
import type { Family, HistogramSample, Labels } from "../../telemetry/PrometheusText.ts"
import { type LabelsOf, one, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

const histogram = (name: string, help: string, samples: ReadonlyArray<HistogramSample>): Family => ({
  name: `olla_${name}`,
  type: "histogram",
  help,
  samples: samples.filter((sample) => sample.histogram.count > 0)
})

interface Row {
  readonly labels: Labels
  readonly series: EndpointSeries
}

type ByResult = EndpointSeries["headers"]

const byResult = (rows: ReadonlyArray<Row>, read: (series: EndpointSeries) => ByResult | undefined): ReadonlyArray<HistogramSample> =>
  rows.flatMap(({ labels, series }) => {
    const histograms = read(series)
    return histograms === undefined
      ? []
      : attemptResults.map((result) => ({ labels: { ...labels, result }, histogram: histograms[result].totals() }))
  })

const byModel = (
  rows: ReadonlyArray<Row>,
  read: (pair: EndpointSeries["models"] extends Map<string, infer P> ? P : never) => { readonly totals: () => HistogramTotals }
): ReadonlyArray<HistogramSample> =>
  rows.flatMap(({ labels, series }) =>
    [...series.models].map(([model, pair]) => ({ labels: { ...labels, model }, histogram: read(pair).totals() }))
  )

const words = Object.keys(causesByOutcome) as ReadonlyArray<OutcomeWord>

export const phaseFamilies = ({ phases, endpoints }: MetricsView, labelsOf: LabelsOf): ReadonlyArray<Family> => {
  const rows = endpoints.flatMap((endpoint): ReadonlyArray<Row> => {
    const series = phases.seriesOf(endpoint)
    return series === undefined ? [] : [{ labels: labelsOf(endpoint), series }]
  })
  return [
    single(
      "counter",
      "request_outcomes_total",
      "Proxied and translated requests by how they ended, refused ones included.",
      phases.outcomes.map(({ outcome, cause, value }) => ({ labels: { outcome, cause }, value }))
    ),
    single(
      "counter",
      "attempt_failures_total",
      "Attempts that failed, or were answered with 500 and above or 429, by cause.",
      rows.flatMap(({ labels, series }) => [...series.failures].map(([cause, value]) => ({ labels: { ...labels, cause }, value })))
    ),
    histogram(
      "request_seconds",
      "Accepted until the client had the last byte, or was gone.",
      words.map((outcome) => ({ labels: { outcome }, histogram: phases.requestTotals(outcome) }))
    ),
    histogram("overhead_seconds", "What Olla itself made the client of a dispatched request wait.", [
      { labels: {}, histogram: phases.overheadTotals() }
    ]),
    histogram(
      "connect_seconds",
      "New connections to an endpoint, TLS included.",
      byResult(rows, (series) => (series.hasConnects ? series.connects : undefined))
    ),
    histogram(
      "time_to_headers_seconds",
      "Request sent until the answer's headers were in; without headers, until the attempt's end.",
      byResult(rows, (series) => series.headers)
    ),
    histogram(
      "attempt_seconds",
      "Attempts that were sent out, from lease to end.",
      byResult(rows, (series) => series.attempts)
    ),
    histogram(
      "stream_first_token_seconds",
      "Accepted until the first byte of a streamed answer.",
      byModel(rows, (pair) => pair.firstToken)
    ),
    histogram(
      "time_per_output_token_seconds",
      "Time between tokens of streamed answers whose backend told how many there were.",
      byModel(rows, (pair) => pair.perToken)
    )
  ]
}

/** Proper names for what older families call by names that OpenMetrics does not know. */
export const twinFamilies = (view: MetricsView, labelsOf: LabelsOf): ReadonlyArray<Family> => {
  const { endpoints, models, labelledModels } = view
  const bytes = endpoints.map((endpoint) => ({ labels: labelsOf(endpoint), value: view.totals(endpoint)?.totalBytes ?? 0 }))
  const perEndpoint = (name: string, help: string, read: (endpoint: (typeof endpoints)[number]) => boolean): Family =>
    single(
      "gauge",
      name,
      help,
      endpoints.map((endpoint) => ({ labels: labelsOf(endpoint), value: read(endpoint) ? 1 : 0 }))
    )
  return [
    single("counter", "response_bytes_total", "Body bytes relayed to clients.", one(view.global.attemptBytes)),
    single("counter", "endpoint_response_bytes_total", "Body bytes relayed from the endpoint.", bytes),
    single(
      "counter",
      "model_response_bytes_total",
      "Body bytes of attempts with the model.",
      labelledModels.map(({ name: model, totalBytes }) => ({ labels: { model }, value: totalBytes }))
    ),
    single("gauge", "endpoints", "Configured endpoints.", one(endpoints.length)),
    single("gauge", "models", "Models with statistics.", one(models.length)),
    perEndpoint("endpoint_healthy", "1 when the endpoint is healthy, else 0.", ({ state }) => state.status === "healthy"),
    perEndpoint("endpoint_routable", "1 when requests may be sent to the endpoint, else 0.", accepts)
  ]
}

/** Families about who is asked: choices, models taken out of use, attempts elsewhere, loads, clients that left. */
import type { Lane } from "../../endpoint/lane/Lane.ts"
import { leavingPhases, type ModelCounts, queueCodes } from "../../telemetry/metrics/TrafficMetrics.ts"
import type { Family, Labels, Sample } from "../../telemetry/PrometheusText.ts"
import { lanesOf, paceOf } from "../TrafficStatus.ts"
import { type LabelsOf, one, type Single, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

const stateValues = { open: 0, slow_start: 1, trial: 2, paused: 3, ejected: 4, missing: 5 } as const

/** Lanes that are shown at most; those of the endpoints that were configured first. */
const mostLanes = 1000

type LaneRow = readonly [Single, string, string, (lane: Lane) => number | undefined]

const laneRows: ReadonlyArray<LaneRow> = [
  [
    "gauge",
    "lane_state",
    "Condition of a model on an endpoint: 0 open, 1 slow start, 2 trial, 3 paused, 4 ejected, 5 missing.",
    ({ state }) => stateValues[state]
  ],
  ["gauge", "lane_in_flight", "Attempts under way with the model on the endpoint.", ({ inFlight }) => inFlight],
  ["gauge", "lane_pace_ms", "Milliseconds per 1,000 prompt tokens to the first byte, without stalls.", paceOf],
  [
    "counter",
    "model_loads_total",
    "Loads of the model by the endpoint, as attempts have seen them.",
    ({ work }) => (work.loads > 0 ? work.loads : undefined)
  ]
]

/** Names that nobody offers are one. */
const waiting = ({ queue, traffic }: MetricsView): ReadonlyArray<Sample> => {
  const sums = new Map<string, Record<string, number>>()
  for (const [model, classes] of queue.byModelAndClass) {
    const sum = sums.get(traffic.labelOf(model)) ?? {}
    for (const [urgency, value] of Object.entries(classes)) sum[urgency] = (sum[urgency] ?? 0) + value
    sums.set(traffic.labelOf(model), sum)
  }
  return [...sums].flatMap(([model, sum]) => Object.entries(sum).map(([urgency, value]) => ({ labels: { model, class: urgency }, value })))
}

export const trafficFamilies = (view: MetricsView, labelsOf: LabelsOf): ReadonlyArray<Family> => {
  const { endpoints, traffic, retries, monotonic } = view
  const lanes = endpoints
    .flatMap((endpoint) => lanesOf(endpoint).map((lane) => ({ lane, labels: { ...labelsOf(endpoint), model: lane.model } })))
    .slice(0, mostLanes)
  const counted = endpoints.flatMap((endpoint) => {
    const counts = traffic.of(endpoint)
    return counts === undefined ? [] : [{ labels: labelsOf(endpoint), counts }]
  })
  const byModel = (read: (counts: ModelCounts) => ReadonlyMap<string, number>): ReadonlyArray<Sample> =>
    counted.flatMap(({ labels, counts }) =>
      [...counts.models].flatMap(([model, one]) =>
        [...read(one)].map(([reason, value]) => ({ labels: { ...labels, model, reason }, value }))
      )
    )
  const signals = endpoints.flatMap((endpoint): ReadonlyArray<{ readonly labels: Labels; readonly value: number }> => {
    const ages = [...endpoint.lanes].flatMap(({ work }) => (work.report === undefined ? [] : [monotonic - work.report.at]))
    return ages.length === 0 ? [] : [{ labels: labelsOf(endpoint), value: Math.max(0, Math.min(...ages)) / 1000 }]
  })
  return [
    ...laneRows.map(([type, name, help, read]) =>
      single(
        type,
        name,
        help,
        lanes.flatMap(({ lane, labels }) => one(read(lane), labels))
      )
    ),
    single(
      "counter",
      "ejections_total",
      "Times that a model was taken out of use on an endpoint, by reason.",
      byModel(({ ejections }) => ejections)
    ),
    single(
      "counter",
      "failovers_total",
      "Attempts after which somebody else was asked, by what they came to.",
      byModel(({ failovers }) => failovers)
    ),
    single(
      "counter",
      "failover_denied_total",
      "Further attempts that were not made since too many requests needed one.",
      one(retries.denied)
    ),
    single("counter", "panic_total", "Attempts with a model that was out of use, since nobody else was left.", one(traffic.panics)),
    single(
      "counter",
      "picks_total",
      "Attempts by why their endpoint was chosen.",
      counted.flatMap(({ labels, counts }) => [...counts.picks].map(([reason, value]) => ({ labels: { ...labels, reason }, value })))
    ),
    single(
      "counter",
      "prefix_tokens_total",
      "Prompt tokens that the endpoint had probably kept from before (hit), and the others (miss).",
      counted.flatMap(({ labels, counts: { prefix } }) =>
        prefix === undefined ? [] : (["hit", "miss"] as const).map((result) => ({ labels: { ...labels, result }, value: prefix[result] }))
      )
    ),
    single(
      "counter",
      "model_fallbacks_total",
      "Requests that an alias led on to another of its models, by why.",
      [...traffic.moves.values()].map(({ move: { from, to, reason }, count }) => ({ labels: { from, to, reason }, value: count }))
    ),
    single("gauge", "queue_waiting", "Requests that wait for somebody who can take them, by model and class.", waiting(view)),
    {
      name: "olla_queue_wait_seconds",
      type: "histogram",
      help: "How long requests waited that had to.",
      samples: [...traffic.waits].flatMap(([model, waits]) =>
        Object.entries(waits).map(([urgency, histogram]) => ({ labels: { model, class: urgency }, histogram: histogram.totals() }))
      )
    },
    single(
      "counter",
      "queue_refused_total",
      "Requests that could not wait, or no longer, by code.",
      queueCodes.map((code) => ({ labels: { code }, value: traffic.refused[code] }))
    ),
    single(
      "counter",
      "cancelled_total",
      "Requests whose client left, by where they were: queued, waiting for the first byte, streaming.",
      leavingPhases.map((phase) => ({ labels: { phase }, value: traffic.left[phase] }))
    ),
    single("gauge", "signal_age_seconds", "Age of what the endpoint said last of its load.", signals)
  ]
}

/**
 * The figures behind /internal/metrics, as families: the same totals as in the status and statistics documents, read once per
 * scrape.
 */
import { processFamilies } from "../telemetry/metrics/ProcessMetrics.ts"
import type { Family } from "../telemetry/PrometheusText.ts"
import { accessFamilies, certificateFamilies } from "./metrics/AccessFamilies.ts"
import { endpointFamilies } from "./metrics/EndpointFamilies.ts"
import { labelling, one, single } from "./metrics/Families.ts"
import type { MetricsView } from "./metrics/MetricsView.ts"
import { modelFamilies } from "./metrics/ModelFamilies.ts"
import { overallFamilies } from "./metrics/OverallFamilies.ts"
import { phaseFamilies, twinFamilies } from "./metrics/PhaseFamilies.ts"
import { traceFamilies } from "./metrics/TraceFamilies.ts"
import { trafficFamilies } from "./metrics/TrafficFamilies.ts"

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
    single(
      "counter",
      "translation_dropped_total",
      "Translated requests of which something had to be left out.",
      view.translators.map(({ name: translator, dropped = 0 }) => ({ labels: { translator }, value: dropped }))
    ),
    single("gauge", "sticky_sessions_active", "Sessions that are pinned to an endpoint.", one(sticky?.active_sessions)),
    single("counter", "sticky_session_hits_total", "Requests whose session was known.", one(sticky?.hits)),
    single("counter", "sticky_session_misses_total", "Requests whose session was not known.", one(sticky?.misses)),
    single("counter", "sticky_session_evictions_total", "Sessions that expired or were pushed out.", one(sticky?.evictions))
  ]
}

export const metricFamilies = (view: MetricsView): ReadonlyArray<Family> => {
  const labelsOf = labelling(view.endpoints)
  return [
    ...overallFamilies(view),
    ...endpointFamilies(view, labelsOf),
    ...modelFamilies(view, labelsOf),
    ...phaseFamilies(view, labelsOf),
    ...twinFamilies(view, labelsOf),
    ...trafficFamilies(view, labelsOf),
    ...traceFamilies(view),
    ...processFamilies(),
    ...certificateFamilies(view.certificates),
    ...(view.keys === undefined ? [] : accessFamilies(view.keys, view.keyStatistics, view.now)),
    ...surfaces(view)
  ]
}

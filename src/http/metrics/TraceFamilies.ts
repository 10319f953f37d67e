/** What became of spans. */
import type { Family } from "../../telemetry/PrometheusText.ts"
import { one, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

export const traceFamilies = ({ traces }: MetricsView): ReadonlyArray<Family> => [
  single("counter", "trace_spans_exported_total", "Spans that a collector has taken.", one(traces?.exported)),
  single(
    "counter",
    "trace_spans_dropped_total",
    "Spans that were not sent, by reason: queue_full, failed, rejected, shutdown.",
    Object.entries(traces?.dropped ?? {}).map(([reason, value]) => ({ labels: { reason }, value }))
  ),
  single("gauge", "trace_queue_spans", "Spans that wait to be sent.", one(traces?.queued))
]

/** Everything that a scrape reads, at one moment. */
import type { StickyStats } from "../../balancing/Balancer.ts"
import type { QueueView } from "../../balancing/Queue.ts"
import type { RetryBudget } from "../../balancing/RetryBudget.ts"
import type { Access } from "../../guard/keys/Access.ts"
import type { KeyStatistics } from "../../telemetry/KeyStatistics.ts"
import type { PhaseMetrics } from "../../telemetry/metrics/PhaseMetrics.ts"
import type { TrafficMetrics } from "../../telemetry/metrics/TrafficMetrics.ts"
import type { ModelsOverall, ModelTotals, SeriesTotals, TranslatorTotals } from "../../telemetry/Statistics.ts"
import type { SpanCounts } from "../../telemetry/tracing/SpanQueue.ts"
import type { CertificateStore } from "../listener/CertificateStore.ts"
import type { StatusView } from "../StatusDocuments.ts"

export interface MetricsView extends StatusView {
  readonly phases: PhaseMetrics
  readonly traffic: TrafficMetrics
  readonly retries: RetryBudget
  readonly queue: QueueView
  readonly models: ReadonlyArray<ModelTotals>
  /** Under labels that clients cannot make up. */
  readonly labelledModels: ReadonlyArray<ModelTotals>
  readonly modelsOverall: ModelsOverall
  readonly series: ReadonlyArray<SeriesTotals>
  readonly translators: ReadonlyArray<TranslatorTotals>
  /** By status. */
  readonly rejections: Readonly<Record<string, number>>
  /** `undefined`: no traces are sent. */
  readonly traces: SpanCounts | undefined
  /** Absent: nothing is told of keys. */
  readonly keys?: Access
  readonly certificates?: CertificateStore | undefined
  readonly keyStatistics?: KeyStatistics | undefined
  /** `undefined` while sticky sessions are off. */
  readonly sticky: StickyStats | undefined
}

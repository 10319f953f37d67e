/**
 * What happened, counted once: per attempt for endpoints and models, per exchange for the whole.
 * Latencies are whole milliseconds, times milliseconds of the monotonic clock. Everything is in memory and bounded.
 */
import * as Context from "effect/Context"
import type { AttemptedEndpoint } from "../exchange/Exchange.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { HistogramTotals } from "./metrics/Histogram.ts"
import type { PhaseMetrics } from "./metrics/PhaseMetrics.ts"
import type { TrafficMetrics } from "./metrics/TrafficMetrics.ts"
import type { LastRequestError } from "./requests/LastRequestError.ts"

/** `transport`: a failure without an HTTP answer. `cancelled`: the client left before the end. */
export const statusClasses = ["2xx", "3xx", "4xx", "5xx", "transport", "cancelled"] as const
export type StatusClass = (typeof statusClasses)[number]

/** Over the last ten minutes. */
export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** Figures that backends told about their answers. */
export interface UsageTotals {
  /** Answers with token figures. */
  readonly answers: number
  readonly promptTokens: number
  readonly completionTokens: number
  /** Of those answers; 0 without any. */
  readonly averageLatency: number
  /** How many of them had a speed. */
  readonly speeds: number
  /** Over those; 0 without any. */
  readonly averageTokensPerSecond: number
}

export interface EndpointTotals {
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly failedRequests: number
  readonly totalBytes: number
  /** Successes only, truncated; 0 without any. */
  readonly averageLatency: number
  readonly minLatency: number
  readonly maxLatency: number
  /** 0: never. */
  readonly lastUsed: number
  /** One entry per `StatusClass`. */
  readonly statusClasses: Readonly<Record<string, number>>
  /** Absent without samples. */
  readonly latencyPercentiles?: Percentiles
  /** Request start to the first body byte sent to the client; absent without samples. */
  readonly firstTokenPercentiles?: Percentiles
  readonly usage?: UsageTotals
  /** Absent: nothing failed there yet. */
  readonly lastError?: LastRequestError
}

export interface GlobalTotals extends EndpointTotals {
  readonly totalAttempts: number
  /** Body bytes of all attempts, those on endpoints that are gone included. */
  readonly attemptBytes: number
  readonly totalRetries: number
}

export interface ModelTotals {
  readonly name: string
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly failedRequests: number
  readonly totalBytes: number
  readonly averageLatency: number
  /** Lifetime, from a sample. */
  readonly p95Latency: number
  readonly p99Latency: number
  readonly uniqueClients: number
  readonly lastRequested: number
  readonly routingHits: number
  readonly routingMisses: number
  readonly routingFallbacks: number
  readonly endpoints: ReadonlyArray<ModelEndpointTotals>
  readonly statusClasses?: Readonly<Record<string, number>>
  readonly latencyPercentiles?: Percentiles
  readonly firstTokenPercentiles?: Percentiles
  readonly usage?: UsageTotals
}

/** Attempts with a model since the start, forgotten models included. */
export interface ModelsOverall {
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly totalBytes: number
}

export interface ModelEndpointTotals {
  readonly endpoint: AttemptedEndpoint
  readonly requestCount: number
  readonly successfulRequests: number
  readonly averageLatency: number
  readonly lastUsed: number
  readonly consecutiveErrors: number
  readonly usage?: UsageTotals
}

/** Histograms of successful attempts for one model (its label; `""`: none was named) on one endpoint. */
export interface SeriesTotals {
  readonly model: string
  readonly endpoint: AttemptedEndpoint
  readonly duration: HistogramTotals
  readonly firstToken: HistogramTotals
}

export interface TranslatorTotals {
  readonly name: string
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly failedRequests: number
  readonly passthroughRequests: number
  readonly translationRequests: number
  readonly streamingRequests: number
  readonly nonStreamingRequests: number
  readonly fallbackNoCompatibleEndpoints: number
  readonly fallbackTranslatorDoesNotSupportPassthrough: number
  readonly fallbackCannotPassthrough: number
  /** Requests that a backend answered with 400 and above in the end. */
  readonly backendErrors: number
  readonly averageLatency: number
  /** By mode and result, for `olla_translator_requests_total`. */
  /** Requests of which something had to be left out. */
  readonly dropped?: number
  readonly byMode?: Readonly<Record<"passthrough" | "translation", { readonly success: number; readonly failure: number }>>
}

export interface SecurityTotals {
  readonly rateLimitViolations: number
  readonly sizeLimitViolations: number
  /** Within the last hour. */
  readonly uniqueRateLimitedIps: number
  /** Both kinds within the last hour: what `elevated` is judged by. */
  readonly recentViolations?: number
}

/** Requests that the proxy refused itself. */
export const rejectionStatuses = ["404", "413", "429", "431", "503"] as const

export class Statistics extends Context.Service<
  Statistics,
  {
    readonly observer: ExchangeObserver
    readonly rateLimited: (clientIp: string) => void
    readonly sizeLimited: () => void
    /**
     * A refusal of Olla's own that no exchange with the outcome `rejected` reports: unmatched paths, size limits on local
     * routes. Other statuses than those of `rejectionStatuses` are ignored.
     */
    readonly rejected: (status: number) => void
    /** One entry per status of `rejectionStatuses`. */
    readonly rejections: () => Readonly<Record<string, number>>
    readonly global: () => GlobalTotals
    /** `undefined`: nothing was tried there yet. */
    readonly endpoint: (endpoint: AttemptedEndpoint) => EndpointTotals | undefined
    /** Most requested first, then by name. */
    readonly models: () => ReadonlyArray<ModelTotals>
    /** The same for metrics: names that the fleet offers, and one that stands for all others. */
    readonly labelledModels: () => ReadonlyArray<ModelTotals>
    readonly modelsOverall: () => ModelsOverall
    /** By the label of the model, then endpoint name. */
    readonly series: () => ReadonlyArray<SeriesTotals>
    readonly translators: () => ReadonlyArray<TranslatorTotals>
    readonly security: () => SecurityTotals
    /** Epoch milliseconds. */
    readonly startedAt: number
    /** Phases and causes, for metrics alone. */
    readonly phases: PhaseMetrics
    readonly traffic: TrafficMetrics
  }
>()("olla/telemetry/Statistics") {}

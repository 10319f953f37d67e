/** What happened, counted once: per attempt for endpoints and models, per exchange for the whole (observability.md 2). */
import { Context } from "effect"
import type { ExchangeObserver } from "../exchange/Observer.ts"

export interface EndpointTotals {
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly failedRequests: number
  readonly totalBytes: number
  /** Milliseconds, successes only; 0 without any. */
  readonly averageLatency: number
  readonly minLatency: number
  readonly maxLatency: number
  /** Epoch milliseconds; 0: never. */
  readonly lastUsed: number
  /** Answers by status class, `2xx` ... `5xx`. */
  readonly statusClasses: Readonly<Record<string, number>>
}

export interface GlobalTotals extends EndpointTotals {
  readonly totalAttempts: number
  readonly totalRetries: number
}

export interface ModelTotals {
  readonly name: string
  readonly totalRequests: number
  readonly successfulRequests: number
  readonly failedRequests: number
  readonly totalBytes: number
  readonly averageLatency: number
  readonly p95Latency: number
  readonly p99Latency: number
  readonly uniqueClients: number
  /** Epoch milliseconds. */
  readonly lastRequested: number
  readonly routingHits: number
  readonly routingMisses: number
  readonly routingFallbacks: number
  readonly endpoints: ReadonlyArray<ModelEndpointTotals>
}

export interface ModelEndpointTotals {
  readonly endpointUrl: string
  readonly endpointName: string
  readonly requestCount: number
  readonly successfulRequests: number
  readonly averageLatency: number
  readonly lastUsed: number
  readonly consecutiveErrors: number
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
  readonly averageLatency: number
}

export interface SecurityTotals {
  readonly rateLimitViolations: number
  readonly sizeLimitViolations: number
  readonly uniqueRateLimitedIps: number
}

export class Statistics extends Context.Service<
  Statistics,
  {
    readonly observer: ExchangeObserver
    readonly rateLimited: (clientIp: string) => void
    readonly sizeLimited: () => void
    readonly global: () => GlobalTotals
    /** By endpoint URL. */
    readonly endpoint: (url: string) => EndpointTotals | undefined
    /** Most requested first, then by name. */
    readonly models: () => ReadonlyArray<ModelTotals>
    readonly translators: () => ReadonlyArray<TranslatorTotals>
    readonly security: () => SecurityTotals
    /** Epoch milliseconds. */
    readonly startedAt: number
  }
>()("olla/telemetry/Statistics") {}

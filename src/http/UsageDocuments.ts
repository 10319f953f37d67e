/** What models and translators were used for: the documents of `/internal/stats/`. */
import type { ModelEndpointTotals, ModelsOverall, ModelTotals, TranslatorTotals } from "../telemetry/Statistics.ts"
import type { ModelEndpointStats, ModelStats, ModelStatsDocument, TranslatorStatsDocument } from "./documents/StatisticsDocuments.ts"
import { present } from "./documents/Values.ts"
import { ago, bytes, latency, percent, timestamp } from "./Formats.ts"

const rate = (good: number, total: number): number => (total === 0 ? 0 : (good / total) * 100)

/** One moment in both clocks: times are shown by the wall's, ages measured by the one that nobody sets. */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

const breakdown = (entry: ModelEndpointTotals, now: number): typeof ModelEndpointStats.Type => ({
  endpoint_name: entry.endpoint.name,
  average_latency: latency(entry.averageLatency),
  last_used: ago(entry.lastUsed, now),
  request_count: entry.requestCount,
  success_rate: rate(entry.successfulRequests, entry.requestCount),
  consecutive_errors: entry.consecutiveErrors
})

/** By name: what several have in common, because they bear one name or for several models, is summed up. */
const breakdowns = (
  entries: ReadonlyArray<ModelEndpointTotals>,
  now: number,
  errors: (a: number, b: number) => number
): Record<string, typeof ModelEndpointStats.Type> => {
  const byName = new Map<string, ModelEndpointTotals>()
  for (const entry of entries) {
    const known = byName.get(entry.endpoint.name)
    const successes = (known?.successfulRequests ?? 0) + entry.successfulRequests
    const latencies = (known?.averageLatency ?? 0) * (known?.successfulRequests ?? 0) + entry.averageLatency * entry.successfulRequests
    byName.set(entry.endpoint.name, {
      ...entry,
      requestCount: (known?.requestCount ?? 0) + entry.requestCount,
      successfulRequests: successes,
      averageLatency: successes === 0 ? 0 : Math.trunc(latencies / successes),
      lastUsed: Math.max(known?.lastUsed ?? 0, entry.lastUsed),
      consecutiveErrors: errors(known?.consecutiveErrors ?? 0, entry.consecutiveErrors)
    })
  }
  return Object.fromEntries([...byName].map(([name, entry]) => [name, breakdown(entry, now)]))
}

/** `overall`: what was counted since the start, models that have been forgotten included. */
export const modelStatsDocument = (
  models: ReadonlyArray<ModelTotals>,
  overall: ModelsOverall,
  { wall, monotonic: now }: Moment,
  withEndpoints: boolean,
  withSummary: boolean
): typeof ModelStatsDocument.Type => {
  const used = models.filter((model) => model.totalRequests > 0)
  return {
    timestamp: timestamp(wall),
    // In a row makes no sense over several models.
    endpoints: withSummary
      ? breakdowns(
          models.flatMap((model) => model.endpoints),
          now,
          () => 0
        )
      : {},
    models: models.map((model) =>
      present<typeof ModelStats.Type>({
        endpoint_breakdown: withEndpoints && model.endpoints.length > 0 ? breakdowns(model.endpoints, now, Math.max) : undefined,
        name: model.name,
        success_rate: percent(rate(model.successfulRequests, model.totalRequests)),
        total_traffic: bytes(model.totalBytes),
        average_latency: latency(model.averageLatency),
        p95_latency: latency(model.p95Latency),
        p99_latency: latency(model.p99Latency),
        last_requested: ago(model.lastRequested, now),
        total_requests: model.totalRequests,
        successful_requests: model.successfulRequests,
        failed_requests: model.failedRequests,
        unique_clients: model.uniqueClients,
        routing_hits: model.routingHits,
        routing_misses: model.routingMisses,
        routing_fallbacks: model.routingFallbacks,
        requests_by_class: { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, transport: 0, cancelled: 0, ...model.statusClasses },
        latency_ms: model.latencyPercentiles,
        ttft_ms: model.firstTokenPercentiles,
        prompt_tokens: model.usage?.promptTokens,
        completion_tokens: model.usage?.completionTokens,
        avg_tokens_per_second:
          model.usage === undefined || model.usage.speeds === 0 ? undefined : Math.round(model.usage.averageTokensPerSecond * 10) / 10
      })
    ),
    summary: {
      overall_success_rate: percent(rate(overall.successfulRequests, overall.totalRequests)),
      total_traffic: bytes(overall.totalBytes),
      most_popular_model: used[0]?.name ?? "",
      least_popular_model: used.at(-1)?.name ?? "",
      total_models: models.length,
      active_models: models.filter((model) => now - model.lastRequested < 3_600_000).length,
      total_requests: overall.totalRequests
    }
  }
}

export const translatorStatsDocument = (translators: ReadonlyArray<TranslatorTotals>, now: number): typeof TranslatorStatsDocument.Type => {
  const sum = (read: (one: TranslatorTotals) => number) => translators.reduce((total, one) => total + read(one), 0)
  const total = sum((one) => one.totalRequests)
  return {
    timestamp: timestamp(now),
    translators: translators.map((one) => ({
      translator_name: one.name,
      success_rate: percent(rate(one.successfulRequests, one.totalRequests)),
      passthrough_rate: percent(rate(one.passthroughRequests, one.totalRequests)),
      average_latency: latency(one.averageLatency),
      total_requests: one.totalRequests,
      successful_requests: one.successfulRequests,
      failed_requests: one.failedRequests,
      passthrough_requests: one.passthroughRequests,
      translation_requests: one.translationRequests,
      streaming_requests: one.streamingRequests,
      non_streaming_requests: one.nonStreamingRequests,
      fallback_no_compatible_endpoints: one.fallbackNoCompatibleEndpoints,
      fallback_translator_does_not_support_passthrough: one.fallbackTranslatorDoesNotSupportPassthrough,
      fallback_cannot_passthrough: one.fallbackCannotPassthrough,
      backend_errors: one.backendErrors
    })),
    summary: {
      overall_success_rate: percent(
        rate(
          sum((one) => one.successfulRequests),
          total
        )
      ),
      overall_passthrough_rate: percent(
        rate(
          sum((one) => one.passthroughRequests),
          total
        )
      ),
      total_translators: translators.length,
      active_translators: translators.filter((one) => one.totalRequests > 0).length,
      total_requests: total,
      total_passthrough: sum((one) => one.passthroughRequests),
      total_translations: sum((one) => one.translationRequests),
      total_streaming: sum((one) => one.streamingRequests),
      total_non_streaming: sum((one) => one.nonStreamingRequests)
    }
  }
}

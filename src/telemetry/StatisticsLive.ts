/** Counts what happened, in memory, bounded; the counting of one request is a few additions (observability.md 2). */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { Counters } from "./Counters.ts"
import { Reservoir } from "./Reservoir.ts"
import { type ModelTotals, Statistics, type TranslatorTotals } from "./Statistics.ts"

/** observability.md 2.9. */
const maxModels = 50
const modelIdle = 6 * 3_600_000
const cleanEvery = 30 * 60_000
const maxClients = 100
const clientIdle = 3_600_000
const maxLimitedIps = 10_000

class ModelRecord {
  readonly counters = new Counters()
  readonly latencies = new Reservoir()
  readonly clients = new Map<string, number>()
  readonly endpoints = new Map<string, { readonly name: string; readonly counters: Counters; errors: number }>()
  hits = 0
  misses = 0
  fallbacks = 0
}

class TranslatorRecord {
  total = 0
  failed = 0
  passthrough = 0
  streaming = 0
  latency = 0
  readonly fallbacks = new Map<string, number>()
}

/** A backend's 5xx is a failure, a 4xx its right answer; a client that leaves mid-answer takes nothing from a success. */
const succeeded = (attempt: Attempt): boolean => attempt.status > 0 && attempt.status < 500 && attempt.failure === undefined

export const layer: Layer.Layer<Statistics> = Layer.effect(
  Statistics,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const startedAt = now()
    const global = new Counters()
    let attempts = 0
    let dispatched = 0
    const endpoints = new Map<string, Counters>()
    const models = new Map<string, ModelRecord>()
    const translators = new Map<string, TranslatorRecord>()
    const limitedIps = new Map<string, number>()
    let rateLimits = 0
    let sizeLimits = 0
    let cleaned = startedAt

    const clean = (at: number) => {
      if (at - cleaned < cleanEvery && models.size <= maxModels) return
      cleaned = at
      for (const [name, record] of models) if (at - record.counters.lastUsed > modelIdle) models.delete(name)
      if (models.size > maxModels) {
        const oldest = [...models].sort((a, b) => a[1].counters.lastUsed - b[1].counters.lastUsed)
        for (const [name] of oldest.slice(0, models.size - maxModels)) models.delete(name)
      }
    }

    const noteClient = (record: ModelRecord, ip: string, at: number) => {
      record.clients.delete(ip)
      record.clients.set(ip, at)
      if (record.clients.size <= maxClients) return
      const oldest = record.clients.keys().next().value
      if (oldest !== undefined) record.clients.delete(oldest)
    }

    const attemptEnded = (exchange: Exchange, attempt: Attempt) => {
      const at = now()
      attempts++
      const good = succeeded(attempt)
      const latency = attempt.ended - exchange.timings.accepted
      let counters = endpoints.get(attempt.endpointUrl)
      if (counters === undefined) {
        counters = new Counters()
        endpoints.set(attempt.endpointUrl, counters)
      }
      counters.add(good, latency, attempt.failure === undefined ? attempt.bytes : 0, attempt.status, at)
      const name = attempt.model !== "" ? attempt.model : exchange.model
      if (name === "") return
      let record = models.get(name)
      if (record === undefined) {
        record = new ModelRecord()
        models.set(name, record)
      }
      record.counters.add(good, latency, attempt.failure === undefined ? attempt.bytes : 0, attempt.status, at)
      if (good) {
        record.latencies.add(latency)
        if (exchange.verdict?.action === "fallback") record.fallbacks++
        else if (exchange.attempts.length > 1) record.misses++
        else record.hits++
      }
      noteClient(record, exchange.clientIp, at)
      let pair = record.endpoints.get(attempt.endpointUrl)
      if (pair === undefined) {
        pair = { name: attempt.endpointName, counters: new Counters(), errors: 0 }
        record.endpoints.set(attempt.endpointUrl, pair)
      }
      pair.counters.add(good, latency, attempt.bytes, attempt.status, at)
      pair.errors = good ? 0 : pair.errors + 1
      clean(at)
    }

    const ended = (exchange: Exchange) => {
      const last = exchange.lastAttempt
      const outcome = exchange.outcome
      const latency = performance.now() - exchange.timings.accepted
      if (last !== undefined) {
        dispatched++
        const good = outcome?._tag === "cancelled" ? last.failure === undefined : outcome?._tag === "completed" && succeeded(last)
        global.add(good, latency, last.failure === undefined ? last.bytes : 0, last.status, now())
      }
      const translator = exchange.translator
      if (translator === undefined) return
      let record = translators.get(translator.name)
      if (record === undefined) {
        record = new TranslatorRecord()
        translators.set(translator.name, record)
      }
      record.total++
      const good = outcome?._tag === "cancelled" || (outcome?._tag === "completed" && outcome.status < 500)
      if (good) record.latency += latency
      else record.failed++
      if (translator.mode === "passthrough") record.passthrough++
      if (exchange.stream === true) record.streaming++
      if (translator.fallbackReason !== "")
        record.fallbacks.set(translator.fallbackReason, (record.fallbacks.get(translator.fallbackReason) ?? 0) + 1)
    }

    const modelTotals = ([name, record]: [string, ModelRecord]): ModelTotals => {
      const { averageLatency, totalRequests, successfulRequests, failedRequests, totalBytes, lastUsed } = record.counters.totals()
      const since = now() - clientIdle
      return {
        name,
        totalRequests,
        successfulRequests,
        failedRequests,
        totalBytes,
        averageLatency,
        p95Latency: record.latencies.percentile(95),
        p99Latency: record.latencies.percentile(99),
        uniqueClients: [...record.clients.values()].filter((at) => at >= since).length,
        lastRequested: lastUsed,
        routingHits: record.hits,
        routingMisses: record.misses,
        routingFallbacks: record.fallbacks,
        endpoints: [...record.endpoints].map(([endpointUrl, pair]) => {
          const totals = pair.counters.totals()
          return {
            endpointUrl,
            endpointName: pair.name,
            requestCount: totals.totalRequests,
            successfulRequests: totals.successfulRequests,
            averageLatency: totals.averageLatency,
            lastUsed: totals.lastUsed,
            consecutiveErrors: pair.errors
          }
        })
      }
    }

    const translatorTotals = ([name, record]: [string, TranslatorRecord]): TranslatorTotals => ({
      name,
      totalRequests: record.total,
      successfulRequests: record.total - record.failed,
      failedRequests: record.failed,
      passthroughRequests: record.passthrough,
      translationRequests: record.total - record.passthrough,
      streamingRequests: record.streaming,
      nonStreamingRequests: record.total - record.streaming,
      fallbackNoCompatibleEndpoints: record.fallbacks.get("no_compatible_endpoints") ?? 0,
      fallbackTranslatorDoesNotSupportPassthrough: record.fallbacks.get("translator_does_not_support_passthrough") ?? 0,
      fallbackCannotPassthrough: record.fallbacks.get("cannot_passthrough") ?? 0,
      averageLatency: record.total === record.failed ? 0 : record.latency / (record.total - record.failed)
    })

    return Statistics.of({
      startedAt,
      observer: { dispatched: () => {}, attemptEnded, ended },
      rateLimited: (ip) => {
        rateLimits++
        if (limitedIps.has(ip) || limitedIps.size < maxLimitedIps) limitedIps.set(ip, now())
      },
      sizeLimited: () => {
        sizeLimits++
      },
      global: () => ({ ...global.totals(), totalAttempts: attempts, totalRetries: Math.max(0, attempts - dispatched) }),
      endpoint: (url) => endpoints.get(url)?.totals(),
      models: () => [...models].map(modelTotals).sort((a, b) => b.totalRequests - a.totalRequests || (a.name < b.name ? -1 : 1)),
      translators: () =>
        [...translators].map(translatorTotals).sort((a, b) => b.totalRequests - a.totalRequests || (a.name < b.name ? -1 : 1)),
      security: () => {
        const since = now() - 3_600_000
        for (const [ip, at] of limitedIps) if (at < since) limitedIps.delete(ip)
        return { rateLimitViolations: rateLimits, sizeLimitViolations: sizeLimits, uniqueRateLimitedIps: limitedIps.size }
      }
    })
  })
)

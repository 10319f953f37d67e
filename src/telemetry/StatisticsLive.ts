/**
 * Counts what happened. The counting of one request is a few map look-ups and additions on the request's own turn; what
 * is derived (percentiles, averages, orders) is worked out when somebody asks.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Catalogue } from "../catalogue/Catalogue.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { monotonicOf } from "../endpoint/Monotonic.ts"
import type { Attempt, AttemptedEndpoint, Exchange } from "../exchange/Exchange.ts"
import { Counters, classOf, type Result, UsageCounters } from "./Counters.ts"
import { speedOf } from "./MeasuredSpeed.ts"
import { ModelStatistics } from "./ModelStatistics.ts"
import { PhaseMetrics, type PhaseMetricsOptions } from "./metrics/PhaseMetrics.ts"
import { TrafficMetrics } from "./metrics/TrafficMetrics.ts"
import { type LastRequestError, lastRequestError } from "./requests/LastRequestError.ts"
import { SecurityStatistics } from "./SecurityStatistics.ts"
import { type EndpointTotals, rejectionStatuses, Statistics, type StatusClass } from "./Statistics.ts"
import { TranslatorStatistics } from "./TranslatorStatistics.ts"
import { noUsage, type ReadUsage } from "./Usage.ts"

class EndpointRecord {
  readonly counters = new Counters()
  readonly usage = new UsageCounters()
  lastError: LastRequestError | undefined = undefined

  totals(now: number): EndpointTotals {
    const usage = this.usage.totals()
    const { lastError } = this
    return {
      ...this.counters.totals(now),
      ...(usage === undefined ? {} : { usage }),
      ...(lastError === undefined ? {} : { lastError })
    }
  }
}

/** A backend's 5xx is a failure and a 4xx its right answer; a client that leaves in the middle takes nothing from a success. */
const succeeded = (attempt: Attempt): boolean => {
  if (attempt.status === 0 || attempt.status >= 500) return false
  return attempt.failure === undefined || attempt.failure.kind === "client_gone" || attempt.failure.kind === "path_unknown"
}

const attemptClass = (attempt: Attempt): StatusClass => (attempt.failure?.kind === "client_gone" ? "cancelled" : classOf(attempt.status))

const whole = (millis: number): number => (millis > 0 ? Math.trunc(millis) : 0)

const attemptResult = (exchange: Exchange, attempt: Attempt): Result => {
  const { accepted } = exchange.timings
  const { firstByte } = attempt.timings
  const success = succeeded(attempt)
  return {
    success,
    statusClass: attemptClass(attempt),
    latency: whole(attempt.ended - accepted),
    firstToken: success && firstByte > 0 ? whole(firstByte - accepted) : undefined,
    // An attempt that broke off counts no traffic; a complete 5xx does.
    bytes: success || attempt.failure === undefined ? attempt.bytes : 0
  }
}

/** The whole of a dispatched request, by its last word. */
const exchangeResult = (exchange: Exchange, last: Attempt): Result => {
  const { outcome } = exchange
  const { accepted } = exchange.timings
  const { firstByte, lastByte } = last.timings
  const whenDone = Math.max(lastByte, last.ended)
  const success =
    (outcome?._tag === "completed" && outcome.status < 500) ||
    (outcome?._tag === "cancelled" &&
      last.status > 0 &&
      last.status < 500 &&
      (last.failure === undefined || last.failure.kind === "client_gone"))
  return {
    success,
    statusClass: outcome?._tag === "cancelled" ? "cancelled" : classOf(outcome?._tag === "completed" ? outcome.status : last.status),
    latency: whole(whenDone - accepted),
    firstToken: success && firstByte > 0 ? whole(firstByte - accepted) : undefined,
    bytes: success || last.failure === undefined ? last.bytes : 0
  }
}

/** The trace that a figure belongs to, where it can be looked at, and epoch seconds of its end. */
const exported = ({ isExported, traceId, startedAt, timings }: Exchange) =>
  isExported ? { traceId, at: (startedAt + timings.ended - timings.accepted) / 1000 } : undefined

/** An alias counts for the model that it led to on this endpoint; any other name as it was asked for. */
const modelOf = (exchange: Exchange, attempt: Attempt): string =>
  exchange.verdict?.strategy === "alias" && attempt.model !== "" ? attempt.model : exchange.model

/** With token figures from `usage`, which is asked once per completed exchange whose answer was kept. */
export const layerOver = (usage: ReadUsage, quotes: () => boolean): Layer.Layer<Statistics, never, Catalogue | Fleet> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const catalogue = yield* Catalogue
      const { onEvent } = yield* Fleet
      const offered = (model: string) => {
        const snapshot = catalogue.snapshot()
        return snapshot.alias(model)?.name ?? snapshot.offer(model)?.holders[0]?.nativeName
      }
      return layerWith(usage, offered, quotes, onEvent)
    })
  )

/**
 * `offered`: a name or alias that the catalogue offers now, in its own spelling. `quotes`: may backends' own words be told?
 * `onEvent`: of a fleet whose endpoints come and go.
 */
export const layerWith = (
  usage: ReadUsage,
  offered: PhaseMetricsOptions["offered"] = () => undefined,
  quotes: () => boolean = () => true,
  onEvent: Fleet["Service"]["onEvent"] = () => () => {}
): Layer.Layer<Statistics> =>
  Layer.effect(
    Statistics,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => monotonicOf(clock)
      const phases = new PhaseMetrics({ offered, usage, exported })
      const traffic = new TrafficMetrics(offered)
      const overall = new Counters()
      const overallUsage = new UsageCounters()
      let attempts = 0
      let attemptBytes = 0
      /** Goes with its endpoint. */
      const endpoints = new WeakMap<AttemptedEndpoint, EndpointRecord>()
      const models = new ModelStatistics(now(), offered)
      const translators = new TranslatorStatistics()
      const security = new SecurityStatistics()
      const rejections: Record<string, number> = Object.fromEntries(rejectionStatuses.map((status) => [status, 0]))

      /** Configured no longer, while their last attempts run: counted, and told of nowhere. */
      const leaving = new Set<AttemptedEndpoint>()
      const off = onEvent((event) => {
        const { _tag, endpoint } = event
        traffic.heard(event)
        if (_tag === "EndpointRemoved") leaving.add(endpoint)
        else if (_tag === "EndpointAdded") leaving.delete(endpoint)
        else if (_tag === "EndpointGone") {
          leaving.delete(endpoint)
          endpoints.delete(endpoint)
          models.forget(endpoint)
          phases.forget(endpoint)
        }
      })
      yield* Effect.addFinalizer(() => Effect.sync(off))
      const stays = ({ endpoint }: { readonly endpoint: AttemptedEndpoint }): boolean => !leaving.has(endpoint)

      const recordOf = (endpoint: AttemptedEndpoint): EndpointRecord => {
        let record = endpoints.get(endpoint)
        if (record === undefined) {
          record = new EndpointRecord()
          endpoints.set(endpoint, record)
        }
        return record
      }

      const rejected = (status: number) => {
        const key = String(status)
        if (key in rejections) rejections[key] = (rejections[key] ?? 0) + 1
      }

      const attemptEnded = (exchange: Exchange, attempt: Attempt) => {
        const at = now()
        attempts++
        const result = attemptResult(exchange, attempt)
        attemptBytes += result.bytes
        const record = recordOf(attempt.endpoint)
        record.counters.add(result, at)
        // Of answers below 400 there is nothing to tell.
        if (!result.success || attempt.status === 429)
          record.lastError = lastRequestError(exchange, attempt, clock.currentTimeMillisUnsafe(), quotes()) ?? record.lastError
        models.attempt(modelOf(exchange, attempt), attempt, result, exchange.clientIp, at)
        phases.observer.attemptEnded(exchange, attempt)
      }

      const ended = (exchange: Exchange) => {
        const { outcome } = exchange
        const last = exchange.lastAttempt
        if (outcome?._tag === "rejected") rejected(outcome.status)
        let success = false
        let latency = 0
        if (last !== undefined) {
          const at = now()
          const result = exchangeResult(exchange, last)
          success = result.success
          latency = result.latency
          overall.add(result, at)
          const model = modelOf(exchange, last)
          models.routed(model, {
            answered: last.status > 0,
            attempts: exchange.attempts.length,
            fallback: exchange.verdict?.action === "fallback"
          })
          // The attempt was counted by its status before anybody knew that the client had left.
          if (outcome?._tag === "cancelled" && attemptClass(last) !== "cancelled") {
            const was = attemptClass(last)
            endpoints.get(last.endpoint)?.counters.cancelled(was)
            models.cancelled(model, was)
          }
          const told = success ? usage(exchange, last) : undefined
          if (told !== undefined) {
            const speed = speedOf(exchange, told)
            const figures = speed === undefined ? told : { ...told, tokensPerSecond: speed }
            overallUsage.add(figures, latency)
            recordOf(last.endpoint).usage.add(figures, latency)
            models.used(model, last, figures, latency)
            if (told.outputTokens !== undefined && told.outputTokens > 0) last.listener?.wrote(told.outputTokens)
          }
        } else if (outcome?._tag === "completed") success = outcome.status < 500
        translators.ended(exchange, success, latency)
        phases.observer.ended(exchange)
        traffic.observer.ended(exchange)
      }

      return {
        startedAt: clock.currentTimeMillisUnsafe(),
        phases,
        traffic,
        observer: {
          dispatched: traffic.observer.dispatched,
          movedOn: traffic.observer.movedOn,
          attemptEnded,
          ended
        },
        rateLimited: (ip) => security.rateLimited(ip, now()),
        sizeLimited: () => security.sizeLimited(now()),
        rejected,
        rejections: () => ({ ...rejections }),
        global: () => {
          const usageTotals = overallUsage.totals()
          return {
            ...overall.totals(now()),
            ...(usageTotals === undefined ? {} : { usage: usageTotals }),
            totalAttempts: attempts,
            attemptBytes,
            totalRetries: Math.max(0, attempts - overall.total)
          }
        },
        endpoint: (endpoint) => {
          const record = endpoints.get(endpoint)
          return record === undefined || record.counters.total === 0 ? undefined : record.totals(now())
        },
        models: () => {
          const totals = models.totals(now())
          return leaving.size === 0 ? totals : totals.map((model) => ({ ...model, endpoints: model.endpoints.filter(stays) }))
        },
        labelledModels: () => models.labelled(now()),
        modelsOverall: () => models.overall(),
        series: () => (leaving.size === 0 ? models.series() : models.series().filter(stays)),
        translators: () => translators.totals(),
        security: () => security.totals(now())
      }
    })
  )

export const layer: Layer.Layer<Statistics> = layerWith(noUsage)

/**
 * The spans of one exchange, made from its marks when it has ended: the request, below it what took long inside of Olla, and each
 * attempt. Their names are bounded, and nothing that a client or a backend said goes into them but names and figures.
 */
import type { Attributes, Link } from "@opentelemetry/api"
import type { TimedEvent } from "@opentelemetry/sdk-trace-base"
import { attemptCause, type Cause, type Ending, endingOf } from "../../exchange/Cause.ts"
import type { Attempt, Exchange } from "../../exchange/Exchange.ts"
import { attemptPhases, phasesOf } from "../../exchange/Phases.ts"
import { newSpanId, readTraceparent } from "../../exchange/TraceContext.ts"
import { redactKeys } from "../../guard/Redaction.ts"
import { failureText } from "../../proxy/FailureText.ts"
import { operationOf } from "../Operation.ts"
import type { ReadUsage } from "../Usage.ts"
import { dialectOf, type Place, placeOf } from "./AttemptPlace.ts"
import { methodOf } from "./RouteNames.ts"
import type { Kept } from "./Sampling.ts"
import { contextOf, FinishedSpan, hrTime, noStatus, type SpanOrigin, spanKind, statusCode } from "./Span.ts"

/** What of it is not the exchange's own. */
export interface SpanSources {
  readonly origin: SpanOrigin
  readonly usage: ReadUsage
  readonly routeOf: (path: string) => string
  /** A model's name where it is one of those that are offered; `undefined`: nobody offers it. */
  readonly offered: (model: string) => string | undefined
  /** The backend's own words about an error, where they may be told. */
  readonly words: (exchange: Exchange) => string | undefined
}

/** Characters of one attribute. */
const longest = 256
/** What took less than this inside of Olla has no span of its own, in milliseconds. */
const worthASpan = 5
/** Of a client that left first. */
const clientClosed = 499

/** Before it is cut, so that no key is cut where it would not be known as one. */
const short = (text: string): string => redactKeys(text).slice(0, longest)
const tenth = (millis: number): number => Math.round(millis * 1000) / 1000

/** Tells a span's name of a model that anybody may make up. */
const anyModel = "other"

class Building {
  readonly #exchange: Exchange
  readonly #sources: SpanSources
  readonly #ending: Ending
  /** Epoch milliseconds of the process clock's zero, by the exchange's own beginning. */
  readonly #epoch: number
  readonly spans: Array<FinishedSpan> = []

  constructor(exchange: Exchange, sources: SpanSources) {
    this.#exchange = exchange
    this.#sources = sources
    this.#ending = endingOf(exchange)
    this.#epoch = exchange.startedAt - exchange.timings.accepted
  }

  #event(name: string, mark: number, into: Array<TimedEvent>): void {
    if (mark > 0) into.push({ name, time: hrTime(this.#epoch + mark) })
  }

  server(kept: Kept | undefined): void {
    const exchange = this.#exchange
    const { outcome, cause } = this.#ending
    const { accepted, received, routed, ended, settled } = exchange.timings
    const end = ended > 0 ? ended : settled
    const client = exchange.traceparent === "" ? undefined : readTraceparent(exchange.traceparent)
    const status = exchange.outcome?.status ?? 0
    const isError = outcome === "failed" || (status >= 500 && outcome !== "cancelled")
    const events: Array<TimedEvent> = []
    this.#event("received", received, events)
    this.#event("routed", routed, events)
    if (outcome === "cancelled") this.#event("cancelled", end, events)
    this.spans.push(
      new FinishedSpan(
        {
          name: `${methodOf(exchange.method)} ${this.#sources.routeOf(exchange.path)}`,
          kind: spanKind.server,
          traceId: exchange.traceId,
          spanId: exchange.spanId,
          parent: client === undefined ? undefined : contextOf(client.traceId, client.spanId, true),
          start: this.#epoch + accepted,
          end: this.#epoch + end,
          attributes: this.#serverAttributes(outcome === "cancelled" ? clientClosed : status, kept),
          events,
          status: isError ? { code: statusCode.error, message: short(this.#sentence()) } : noStatus,
          links: this.#links()
        },
        this.#sources.origin
      )
    )
    this.#internal("receive", accepted, received > 0 ? received : exchange.attempts.length === 0 && routed === 0 ? end : 0)
    this.#internal("decide", received, routed > 0 ? routed : 0)
    for (const { from, to } of exchange.waits) this.#internal("queue", from, to > 0 ? to : end)
    if (cause === "breaker_open" || exchange.attempts.length > 0)
      for (const [index, attempt] of exchange.attempts.entries()) this.#client(attempt, index)
  }

  #links(): Array<Link> {
    const linked = readTraceparent(this.#exchange.linked)
    return linked === undefined ? [] : [{ context: contextOf(linked.traceId, linked.spanId, true), attributes: {} }]
  }

  #sentence(): string {
    const { outcome, lastAttempt, timings } = this.#exchange
    if (outcome?._tag === "failed")
      return failureText(outcome.failure, lastAttempt?.endpointName ?? "", (timings.ended || timings.settled) - timings.accepted)
    if (outcome?._tag === "rejected") return outcome.reason
    return this.#sources.words(this.#exchange) ?? this.#ending.cause
  }

  #internal(name: string, from: number, to: number): void {
    if (from === 0 || to - from < worthASpan) return
    const { traceId, spanId } = this.#exchange
    this.spans.push(
      new FinishedSpan(
        {
          name,
          kind: spanKind.internal,
          traceId,
          spanId: newSpanId(),
          parent: contextOf(traceId, spanId),
          start: this.#epoch + from,
          end: this.#epoch + to,
          attributes: {},
          events: [],
          status: noStatus,
          links: []
        },
        this.#sources.origin
      )
    )
  }

  #serverAttributes(status: number, kept: Kept | undefined): Attributes {
    const exchange = this.#exchange
    const { outcome, cause, phase } = this.#ending
    const { attempts, lastAttempt: last, sticky, translator, verdict } = exchange
    const phases = phasesOf(exchange)
    const all: Attributes = {
      "http.request.method": methodOf(exchange.method),
      "http.route": this.#sources.routeOf(exchange.path),
      "url.path": short(exchange.path),
      "url.scheme": "http",
      "http.response.status_code": status,
      "http.request.body.size": exchange.requestBytes,
      "client.address": exchange.clientIp,
      "olla.request_id": short(exchange.id),
      "olla.outcome": outcome,
      "olla.cause": cause,
      "olla.phase": phase,
      "olla.attempts": attempts.length,
      "olla.overhead_ms": tenth(phases.overhead),
      "olla.queue_ms": tenth(phases.queue)
    }
    if (exchange.userAgent !== "") all["user_agent.original"] = short(exchange.userAgent)
    if (exchange.client !== undefined) all["olla.key"] = exchange.client.name
    if (exchange.model !== "") all["olla.model"] = short(exchange.model)
    if (exchange.stream !== undefined) all["olla.stream"] = exchange.stream
    if (outcome === "failed") all["error.type"] = cause
    if (kept !== undefined) all["olla.kept"] = kept
    if (last !== undefined) {
      all["http.response.body.size"] = last.bytes
      if (last.status > 0) all["olla.endpoint"] = short(last.endpointName)
    }
    if (verdict !== undefined) {
      all["olla.routing.strategy"] = verdict.strategy
      all["olla.routing.action"] = verdict.action
      if (verdict.reason !== "") all["olla.routing.reason"] = verdict.reason
      all["olla.candidates"] = exchange.candidates
    }
    if (exchange.urgency !== "") all["olla.class"] = exchange.urgency
    if (exchange.servedModel !== "") all["olla.served_model"] = short(exchange.servedModel)
    if (exchange.moved !== undefined) all["olla.fallback"] = exchange.moved.reason
    if (sticky !== undefined && sticky.outcome !== "disabled") all["olla.sticky.outcome"] = sticky.outcome
    if (translator !== undefined) {
      all["olla.translator"] = translator.name
      all["olla.translator.mode"] = translator.mode
      if (translator.fallbackReason !== "") all["olla.fallback_reason"] = translator.fallbackReason
    }
    const translating = attempts.reduce((sum, attempt) => sum + attempt.translating, 0)
    if (translating > 0) all["olla.translate_ms"] = tenth(translating)
    return all
  }

  #client(attempt: Attempt, index: number): void {
    const exchange = this.#exchange
    const { timings, reconnected, isReused } = attempt
    const isLeft = this.#ending.outcome === "cancelled" && attempt === exchange.lastAttempt && attempt.failure === undefined
    const cause = isLeft ? this.#ending.cause : attemptCause(attempt)
    const place = placeOf(attempt)
    const operation = operationOf(place.path)
    const model = attempt.model === "" ? "" : this.#sources.offered(attempt.model) === undefined ? anyModel : attempt.model
    if (attempt.spanId === "") attempt.spanId = newSpanId()
    const events: Array<TimedEvent> = []
    this.#event("reconnected", reconnected, events)
    if (!isReused) this.#event("connected", timings.connected, events)
    this.#event("sent", timings.sent, events)
    this.#event("headers", timings.headers, events)
    this.#event("first_byte", timings.firstByte, events)
    if (timings.firstByte > 0) this.#event("last_byte", timings.lastByte > 0 ? timings.lastByte : attempt.ended, events)
    const isCancelled = cause === "cancelled_waiting" || cause === "cancelled_streaming"
    const isError = !isCancelled && (attempt.failure !== undefined || attempt.status >= 400)
    this.spans.push(
      new FinishedSpan(
        {
          name: operation === undefined ? methodOf(exchange.method) : model === "" ? operation : `${operation} ${short(model)}`,
          kind: spanKind.client,
          traceId: exchange.traceId,
          spanId: attempt.spanId,
          parent: contextOf(exchange.traceId, exchange.spanId),
          start: this.#epoch + timings.leased,
          end: this.#epoch + attempt.ended,
          attributes: this.#clientAttributes(attempt, index, cause, place, operation, isError),
          events,
          status: isError ? { code: statusCode.error, message: short(this.#words(attempt, cause)) } : noStatus,
          links: []
        },
        this.#sources.origin
      )
    )
  }

  #words(attempt: Attempt, cause: Cause): string {
    const { failure } = attempt
    if (failure !== undefined) return failureText(failure, attempt.endpointName, attempt.ended - this.#exchange.timings.accepted)
    return (attempt === this.#exchange.lastAttempt ? this.#sources.words(this.#exchange) : undefined) ?? cause
  }

  #clientAttributes(
    attempt: Attempt,
    index: number,
    cause: Cause,
    place: Place,
    operation: string | undefined,
    isError: boolean
  ): Attributes {
    const exchange = this.#exchange
    const { timings } = attempt
    const phases = attemptPhases(attempt)
    const all: Attributes = {
      "olla.attempt": index + 1,
      "olla.endpoint": short(attempt.endpointName),
      "olla.endpoint.type": attempt.endpointType,
      "http.request.method": methodOf(exchange.method),
      "url.full": short(place.url),
      "server.address": place.address,
      "server.port": place.port,
      "olla.cause": cause
    }
    if (index > 0) all["http.request.resend_count"] = index
    if (attempt.status > 0) all["http.response.status_code"] = attempt.status
    if (isError) all["error.type"] = attempt.failure === undefined ? String(attempt.status) : cause
    if (timings.connected > 0) {
      all["olla.connection"] = attempt.isReused ? "reused" : "new"
      all["olla.connect_ms"] = tenth(phases.connect)
    }
    if (timings.sent > 0) all["olla.wait_ms"] = tenth(phases.wait)
    if (timings.headers > 0) all["olla.first_ms"] = tenth(phases.first)
    if (timings.firstByte > 0) all["olla.stream_ms"] = tenth(phases.stream)
    if (cause === "breaker_open") all["olla.breaker"] = "open"
    else if (attempt.isTrial) all["olla.breaker"] = "half-open"
    if (attempt === exchange.lastAttempt && attempt.failure === undefined) {
      if (attempt.status >= 400) {
        const words = this.#sources.words(exchange)
        if (words !== undefined) all["olla.error"] = words
      }
      if (operation !== undefined) this.#usage(attempt, all)
    }
    if (attempt.pick !== "") {
      all["olla.pick"] = attempt.pick
      all["olla.lane_state"] = attempt.laneState
      all["olla.residency"] = attempt.residency
      if (attempt.cost > 0) all["olla.cost_ms"] = tenth(attempt.cost)
      if (attempt.promptTokens > 0) all["olla.cached_tokens"] = attempt.cachedTokens
    }
    if (operation === undefined) return all
    all["gen_ai.operation.name"] = operation
    all["gen_ai.provider.name"] = dialectOf(place.path)
    if (attempt.model !== "") all["gen_ai.request.model"] = short(attempt.model)
    if (exchange.stream !== undefined) all["gen_ai.request.stream"] = exchange.stream
    if (exchange.stream === true && timings.firstByte > 0)
      all["gen_ai.response.time_to_first_chunk"] = tenth(timings.firstByte - timings.started) / 1000
    return all
  }

  /** Stands on the attempt that answered and nowhere else, or whoever sums it up counts it twice. */
  #usage(attempt: Attempt, all: Attributes): void {
    const usage = this.#sources.usage(this.#exchange, attempt)
    if (usage === undefined) return
    if (usage.model !== undefined && usage.model !== "") all["gen_ai.response.model"] = short(usage.model)
    if (usage.finishReason !== undefined && usage.finishReason !== "") all["gen_ai.response.finish_reasons"] = [short(usage.finishReason)]
    if (usage.inputTokens !== undefined) all["gen_ai.usage.input_tokens"] = usage.inputTokens
    if (usage.outputTokens !== undefined) all["gen_ai.usage.output_tokens"] = usage.outputTokens
  }
}

/** The exchange has ended, and has its ids. */
export const exchangeSpans = (exchange: Exchange, kept: Kept | undefined, sources: SpanSources): ReadonlyArray<FinishedSpan> => {
  const building = new Building(exchange, sources)
  building.server(kept)
  return building.spans
}

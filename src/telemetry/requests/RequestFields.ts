/** The fields of request records. Pure; `undefined` is left out of a record. */
import type { Ending } from "../../exchange/Cause.ts"
import type { AttemptTimings, Exchange } from "../../exchange/Exchange.ts"
import type { Phases } from "../../exchange/Phases.ts"
import { redactKeys } from "../../guard/Redaction.ts"
import type { Fields } from "../LogRecord.ts"
import type { Usage } from "../Usage.ts"

/** Whole milliseconds, never negative. */
export const wholeMillis = (millis: number): number => Math.max(0, Math.round(millis))

const some = (text: string): string | undefined => (text === "" ? undefined : text)
const positive = (n: number | undefined): number | undefined => (n !== undefined && n > 0 ? n : undefined)

/** `900B`, `1.2KB`. */
export const compactBytes = (bytes: number): string => {
  if (bytes < 1024) return `${bytes}B`
  let [value, unit] = [bytes / 1024, 0]
  while (value >= 1024 && unit < 5) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(1)}${"KMGTPE"[unit]}B`
}

/** What every record about a request starts with. */
export const identity = (
  exchange: Pick<Exchange, "id" | "traceId" | "spanId">
): { request_id: string; trace_id: string | undefined; span_id: string | undefined } => ({
  request_id: exchange.id,
  trace_id: some(exchange.traceId),
  span_id: some(exchange.spanId)
})

export const routingFields = ({ verdict }: Exchange): Fields =>
  verdict === undefined ? {} : { routing_strategy: verdict.strategy, routing_action: verdict.action, routing_reason: some(verdict.reason) }

const usageDetail = (usage: Usage | undefined): Fields =>
  usage === undefined
    ? {}
    : {
        input_tokens: positive(usage.inputTokens),
        output_tokens: positive(usage.outputTokens),
        total_tokens: positive(usage.totalTokens),
        tokens_per_sec: usage.tokensPerSecond !== undefined && usage.tokensPerSecond > 0 ? usage.tokensPerSecond.toFixed(1) : undefined,
        ttft_ms: positive(usage.ttftMs),
        provider_total_ms: positive(usage.totalMs),
        model_load_ms: positive(usage.modelLoadMs),
        prompt_ms: positive(usage.promptMs),
        generation_ms: positive(usage.generationMs),
        provider_model: usage.model === undefined ? undefined : some(usage.model),
        finish_reason: usage.finishReason === undefined ? undefined : some(usage.finishReason)
      }

/** Whose request it was, where keys say that. */
export const clientFields = ({ client, user }: Pick<Exchange, "client" | "user">): Fields =>
  client === undefined ? {} : { key: client.name, user: some(user) }

const longestAgent = 128
const tenths = (millis: number): number => Math.round(millis * 10) / 10

/** How a proxied request ended, for the record that tells it. */
export interface Completion {
  /** `completed` or `cancelled`. */
  readonly word: string
  readonly status: number
  /** Milliseconds. */
  readonly duration: number
  readonly ending: Ending
  readonly usage: Usage | undefined
  /** The backend's own words; `undefined`: none may be told. */
  readonly words: string | undefined
  /** `undefined` in full form, where other records tell what the brief one adds. */
  readonly phases: Phases | undefined
}

/** `Request completed`, proxied. One object with all fields in their places, since one is made of each request. */
export const completedFields = (exchange: Exchange, { word, status, duration, ending, usage, words, phases }: Completion): Fields => {
  const { translator, verdict, sticky, attempts, timings, traceId, spanId } = exchange
  const last = exchange.lastAttempt
  const brief = phases !== undefined
  const speed = usage?.tokensPerSecond
  return {
    request_id: exchange.id,
    trace_id: some(traceId),
    span_id: some(spanId),
    key: exchange.client?.name,
    user: some(exchange.user),
    endpoint: last?.endpointName ?? "",
    duration_ms: duration,
    status: word,
    http_status: status,
    model: some(exchange.model),
    total_bytes: positive(last?.bytes),
    translator_mode: translator?.mode,
    client_dialect: some(translator?.client ?? ""),
    backend_dialect: some(translator?.backend ?? ""),
    dropped: some(translator?.dropped ?? ""),
    input_tokens: positive(usage?.inputTokens),
    output_tokens: positive(usage?.outputTokens),
    total_tokens: positive(usage?.totalTokens),
    tokens_per_sec: speed !== undefined && speed > 0 ? speed.toFixed(1) : undefined,
    ttft_ms: positive(usage?.ttftMs),
    provider_model: some(usage?.model ?? ""),
    routing_strategy: verdict?.strategy,
    routing_action: verdict?.action,
    routing_reason: some(verdict?.reason ?? ""),
    sticky_outcome: sticky === undefined || sticky.outcome === "disabled" ? undefined : sticky.outcome,
    session_id: some(exchange.sessionId),
    fallback_reason: some(translator?.fallbackReason ?? ""),
    outcome: brief ? ending.outcome : undefined,
    reason: exchange.outcome?._tag === "cancelled" ? exchange.outcome.reason : undefined,
    cause: ending.cause === "none" ? undefined : ending.cause,
    phase: brief && ending.outcome !== "ok" ? ending.phase : undefined,
    attempts: brief && attempts.length > 1 ? attempts.length : undefined,
    pick: brief ? some(last?.pick ?? "") : undefined,
    served_model: brief ? some(exchange.servedModel) : undefined,
    queue_ms: brief && phases.queue > 0 ? wholeMillis(phases.queue) : undefined,
    overhead_ms: brief ? tenths(phases.overhead) : undefined,
    first_ms:
      brief && last !== undefined && last.timings.firstByte > 0 ? wholeMillis(last.timings.firstByte - timings.accepted) : undefined,
    client_ip: brief ? exchange.clientIp : undefined,
    method: brief ? exchange.method : undefined,
    path: brief ? exchange.path : undefined,
    request_bytes: brief ? positive(exchange.requestBytes) : undefined,
    user_agent: brief ? some(redactKeys(exchange.userAgent).slice(0, longestAgent)) : undefined,
    backend_error: words
  }
}

const between = (from: number, to: number): number => (from === 0 || to === 0 ? 0 : wholeMillis(to - from))

const noTimings: AttemptTimings = { leased: 0, started: 0, connected: 0, sent: 0, headers: 0, firstByte: 0, lastByte: 0 }

/** The engine's own view of an exchange: `Proxy metrics`. */
export const engineFields = (exchange: Exchange, status: number, usage: Usage | undefined): Fields => {
  const { accepted, routed } = exchange.timings
  const last = exchange.lastAttempt
  const { leased, started, headers, firstByte, lastByte } = last?.timings ?? noTimings
  const bytes = last?.bytes ?? 0
  return {
    endpoint: last?.endpointName ?? "",
    latency_ms: last === undefined ? 0 : wholeMillis(last.ended - accepted),
    processing_ms: between(accepted, started),
    backend_ms: between(started, headers),
    first_data_ms: between(accepted, firstByte),
    streaming_ms: between(firstByte, lastByte),
    selection_ms: between(routed, leased),
    header_ms: between(leased, started),
    total_bytes: bytes,
    bytes_formatted: compactBytes(bytes),
    status,
    ...usageDetail(usage)
  }
}

/** `Request metrics` and the tail of `Request failed`: what every phase took. */
export const metricsFields = (exchange: Exchange, duration: number, usage: Usage | undefined): Fields => {
  const { accepted, received, routed } = exchange.timings
  const last = exchange.lastAttempt
  const { leased, started, headers, firstByte, lastByte } = last?.timings ?? noTimings
  return {
    endpoint: last?.endpointName ?? "",
    model: exchange.model,
    client_ip: exchange.clientIp,
    total_bytes: last?.bytes ?? 0,
    duration_ms: duration,
    latency_ms: last === undefined ? duration : wholeMillis(last.ended - accepted),
    request_processing_ms: between(accepted, started),
    backend_response_ms: between(started, headers),
    first_data_ms: between(accepted, firstByte),
    streaming_ms: between(firstByte, lastByte),
    header_processing_ms: between(leased, started),
    path_resolution_ms: between(received, routed),
    selection_ms: between(routed, leased),
    target_path: last === undefined ? exchange.path : undefined,
    sticky_source: exchange.sticky === undefined || exchange.sticky.source === "none" ? undefined : exchange.sticky.source,
    session_id: some(exchange.sessionId),
    ...usageDetail(usage)
  }
}

/**
 * The records of a request's end: in brief form one at info, or at warn and error for what failed, with everything that an
 * operator asks first; in full form with the ones that tell each phase.
 */
import { performance } from "node:perf_hooks"
import { formatDuration } from "../../config/Duration.ts"
import { attemptCause, attemptFailed, type Ending, endingOf } from "../../exchange/Cause.ts"
import type { Exchange, Outcome } from "../../exchange/Exchange.ts"
import type { Failure } from "../../exchange/Failure.ts"
import { phasesOf } from "../../exchange/Phases.ts"
import { failureText, failureWords, limitKeys } from "../../proxy/FailureText.ts"
import type { Fields, Level } from "../LogRecord.ts"
import type { LogSink } from "../LogSink.ts"
import { isStreamed, speedOf } from "../MeasuredSpeed.ts"
import { operationOf } from "../Operation.ts"
import type { Usage } from "../Usage.ts"
import { backendError } from "./BackendError.ts"
import { clientFields, completedFields, engineFields, identity, metricsFields, routingFields, wholeMillis } from "./RequestFields.ts"
import type { RequestLogOptions } from "./RequestLogOptions.ts"
import type { RequestSummary } from "./TerminalLine.ts"

/** Refusals that the guard reports itself. */
const limitStatuses: ReadonlySet<number> = new Set([413, 429, 431])

/** Relayed answers that nobody should overlook. */
const alarming = (status: number): boolean => status >= 500 || status === 401 || status === 403 || status === 429

const limitFields = ({ kind, limitMs }: Failure): Fields =>
  limitMs === undefined || limitKeys[kind] === undefined ? {} : { limit: formatDuration(limitMs), limit_key: limitKeys[kind] }

/** Who failed before, and why: `2 attempts (gpu-1 closed_early)`. */
const earlier = (exchange: Exchange): string => {
  const failed = exchange.attempts.slice(0, -1).filter(attemptFailed)
  if (exchange.attempts.length < 2) return ""
  const why = failed.map((attempt) => `${attempt.endpointName} ${attemptCause(attempt)}`).join(", ")
  return `${exchange.attempts.length} attempts${why === "" ? "" : ` (${why})`}`
}

const summaryOf = (
  exchange: Exchange,
  status: number,
  { cause, phase, outcome }: Ending,
  total: number,
  words: string,
  usage: Usage | undefined
): RequestSummary => {
  const last = exchange.lastAttempt
  const left = outcome === "cancelled" ? `client left while ${phase === "stream" ? "streaming" : `in ${phase}`}` : ""
  const why = cause === "none" ? "" : left !== "" ? left : words === "" ? cause : `${cause}: ${words}`
  const streamed = last !== undefined && last.timings.firstByte > 0 && isStreamed(exchange)
  return {
    id: exchange.id,
    status,
    what: operationOf(exchange.path) ?? `${exchange.method} ${exchange.path}`,
    model: exchange.model,
    endpoint: last?.endpointName ?? "",
    total,
    first: streamed ? last.timings.firstByte - exchange.timings.accepted : undefined,
    inputTokens: usage?.inputTokens,
    outputTokens: usage?.outputTokens,
    tokensPerSecond: speedOf(exchange, usage),
    trouble: [why, earlier(exchange)].filter((text) => text !== "").join(", ")
  }
}

/** Whoever reads it wants to know why nobody else was asked. */
const triedAlone = ({ candidates, model }: Exchange, words: string): string =>
  candidates === 1 ? `${words}; the only reachable endpoint ${model === "" ? "for this request" : "with this model"}` : words

export const endRecords = (sink: LogSink, options: RequestLogOptions): ((exchange: Exchange) => void) => {
  const { quiet, slow, usage, engine } = options

  const rejected = (exchange: Exchange, outcome: Outcome & { readonly _tag: "rejected" }, duration: number, ending: Ending) => {
    if (limitStatuses.has(outcome.status) || !sink.enabled("warn")) return
    sink.write(
      "warn",
      "Request rejected",
      {
        ...identity(exchange),
        ...clientFields(exchange),
        client_ip: exchange.clientIp,
        path: exchange.path,
        status: outcome.status,
        duration_ms: duration,
        reason: outcome.reason,
        detail: outcome.detail === "" ? undefined : outcome.detail,
        cause: ending.cause,
        model: exchange.model === "" ? undefined : exchange.model,
        ...routingFields(exchange)
      },
      false,
      () => summaryOf(exchange, outcome.status, ending, duration, outcome.detail ?? "", undefined)
    )
  }

  const failed = (exchange: Exchange, outcome: Outcome & { readonly _tag: "failed" }, duration: number, ending: Ending) => {
    if (!sink.enabled("error")) return
    const { failure, status } = outcome
    const sentence = failureText(failure, exchange.lastAttempt?.endpointName ?? "", duration)
    sink.write(
      "error",
      "Request failed",
      {
        ...identity(exchange),
        ...clientFields(exchange),
        error: `${failure.kind}: ${failure.detail}`,
        reason: sentence,
        status,
        cause: ending.cause,
        phase: ending.phase,
        attempts: exchange.attempts.length,
        ...limitFields(failure),
        ...metricsFields(exchange, duration, undefined)
      },
      false,
      () => summaryOf(exchange, status, ending, duration, triedAlone(exchange, failureWords(failure)), undefined)
    )
  }

  const finished = (
    exchange: Exchange,
    outcome: Outcome & { readonly _tag: "completed" | "cancelled" },
    duration: number,
    ending: Ending
  ) => {
    const isCancelled = outcome._tag === "cancelled"
    const level: Level = !isCancelled && alarming(outcome.status) ? "warn" : "info"
    // `request_logging: false` silences nothing at warn and above.
    if (!sink.enabled(level) || (level === "info" && outcome.status < 400 && quiet())) return
    const last = exchange.lastAttempt
    const figures = last === undefined || isCancelled ? undefined : usage(exchange, last)
    const words = outcome.status >= 400 && !isCancelled && options.backendErrors() ? backendError(exchange.kept) : undefined
    const phases = options.form() === "brief" ? phasesOf(exchange) : undefined
    const completion = {
      word: isCancelled ? "cancelled" : "completed",
      status: outcome.status,
      duration,
      ending,
      usage: figures,
      words,
      phases
    }
    sink.write(level, isCancelled ? "Request cancelled" : "Request completed", completedFields(exchange, completion), false, () =>
      summaryOf(exchange, isCancelled ? 499 : outcome.status, ending, duration, words ?? "", figures)
    )
    if (!sink.enabled("debug")) return
    sink.write("debug", "Request metrics", { ...identity(exchange), ...metricsFields(exchange, duration, figures) })
    sink.write("debug", "Proxy metrics", { ...identity(exchange), engine: engine(), ...engineFields(exchange, outcome.status, figures) })
    if (figures !== undefined)
      sink.write("debug", "Metrics extracted", { ...identity(exchange), engine: engine(), tokens: figures.totalTokens ?? 0 })
  }

  return (exchange) => {
    const { outcome } = exchange
    if (outcome === undefined) return
    const { accepted, ended } = exchange.timings
    const duration = wholeMillis((ended === 0 ? performance.now() : ended) - accepted)
    const limit = slow()
    if (limit > 0 && duration > limit && sink.enabled("warn"))
      sink.write("warn", "Slow request", {
        ...identity(exchange),
        endpoint: exchange.lastAttempt?.endpointName ?? "",
        model: exchange.model,
        status: outcome.status,
        duration_ms: duration
      })
    // Nothing of it is looked at that no record wants.
    if (!sink.enabled("error")) return
    const ending = endingOf(exchange)
    if (outcome._tag === "rejected") rejected(exchange, outcome, duration, ending)
    else if (outcome._tag === "failed") failed(exchange, outcome, duration, ending)
    else finished(exchange, outcome, duration, ending)
  }
}

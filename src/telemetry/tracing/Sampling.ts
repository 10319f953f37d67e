/**
 * Which exchanges are traced: decided when a request comes, since backends are told, and once more when it has ended, since a trace of
 * what failed or was slow is wanted whatever the dice said. Where nothing is exported an exchange costs a comparison or two.
 */
import type { TraceSettings } from "../../config/TraceSettings.ts"
import { attemptFailed } from "../../exchange/Cause.ts"
import type { Exchange } from "../../exchange/Exchange.ts"
import { isFlagged, isTraceparent, newSpanId, newTraceId, randomnessOf, traceIdOf } from "../../exchange/TraceContext.ts"
import type { Tracing } from "../../exchange/Tracing.ts"

type Rules = Pick<TraceSettings, "ratio" | "followsClient" | "parent" | "keepErrors" | "keepSlow">

/** Why a trace is exported that was not sampled. */
export type Kept = "error" | "slow"

/** Whoever asks for its ids gets them, sampled or not. */
export const identify = (exchange: Exchange): void => {
  if (exchange.traceId === "") exchange.traceId = newTraceId(exchange.randomness)
  if (exchange.spanId === "") exchange.spanId = newSpanId()
}

/** It failed, as far as is known by now: its own end, or one of its attempts. A refusal below 500 is none, or a flood of them would be exported. */
const hasFailed = ({ outcome, attempts }: Exchange): boolean =>
  outcome?._tag === "failed" || ((outcome?.status ?? 0) >= 500 && outcome?._tag !== "cancelled") || attempts.some(attemptFailed)

/** Milliseconds until the first byte came, or until the end where none did. */
const firstByteAfter = ({ timings, lastAttempt }: Exchange): number => {
  const first = lastAttempt?.timings.firstByte ?? 0
  return (first > 0 ? first : timings.ended > 0 ? timings.ended : timings.settled) - timings.accepted
}

/** `undefined`: neither. Of an exchange that has ended. */
export const keptBy = (exchange: Exchange, { keepErrors, keepSlow }: Rules): Kept | undefined => {
  if (keepErrors && hasFailed(exchange)) return "error"
  return keepSlow > 0 && firstByteAfter(exchange) > keepSlow ? "slow" : undefined
}

export const makeSampling = (rules: Rules, random: () => number = Math.random): Tracing => {
  const { ratio, followsClient, parent, keepErrors } = rules
  const threshold = 1 - ratio
  return {
    accepted: (exchange, traceparent) => {
      const isValid = traceparent !== "" && isTraceparent(traceparent)
      if (isValid && parent === "continue") {
        exchange.traceparent = traceparent
        exchange.traceId = traceIdOf(traceparent)
        exchange.isSampled = followsClient ? isFlagged(traceparent) : randomnessOf(exchange.traceId) >= threshold
      } else {
        if (isValid) exchange.linked = traceparent
        exchange.randomness = random()
        exchange.isSampled = exchange.randomness >= threshold
        exchange.traceId = exchange.isSampled ? newTraceId(exchange.randomness) : ""
      }
      if (exchange.isSampled) exchange.spanId = newSpanId()
    },
    isSure: (exchange) => {
      if (exchange.isSampled) return true
      if (!keepErrors || !hasFailed(exchange)) return false
      identify(exchange)
      return true
    }
  }
}

/**
 * How a request ended, in the closed list of words that traces, metrics, log records and status documents share
 * (docs/observability.md): one outcome, one cause, and the phase that it ended in. Pure; read once, at the end.
 */
import type { Attempt, Exchange, Outcome } from "./Exchange.ts"
import type { FailureKind } from "./Failure.ts"

export const causesByOutcome = {
  ok: ["none"],
  client_error: ["upstream_4xx", "upstream_429"],
  failed: [
    "upstream_5xx",
    "connect_refused",
    "unreachable",
    "dns",
    "tls",
    "timeout_connect",
    "timeout_headers",
    "timeout_response",
    "timeout_first_token",
    "timeout_idle",
    "closed_early",
    "broken_stream",
    "malformed",
    "untranslatable",
    "breaker_open",
    "descriptors",
    "internal"
  ],
  refused: [
    "rate_limited_ip",
    "rate_limited_global",
    "too_large",
    "headers_too_large",
    "bodies_full",
    "bad_request",
    "timeout_upload",
    "forbidden",
    "model_not_found",
    "model_unavailable",
    "no_endpoint",
    "placement_unsatisfied",
    "queue_timeout",
    "queue_full",
    "client_queue_full",
    "all_paused"
  ],
  cancelled: ["cancelled_upload", "cancelled_queued", "cancelled_waiting", "cancelled_streaming"]
} as const

export type OutcomeWord = keyof typeof causesByOutcome
export type Cause = (typeof causesByOutcome)[OutcomeWord][number]

export type PhaseName = "receive" | "decide" | "queue" | "connect" | "send" | "wait" | "first" | "stream" | "deliver"

export interface Ending {
  readonly outcome: OutcomeWord
  readonly cause: Cause
  /** Where it was when it ended; `deliver` for what ended well. */
  readonly phase: PhaseName
}

/** Kinds of failures that are answers: their status says it all. */
type Answered = "path_unknown" | "withheld"
const isAnswered = (kind: FailureKind): kind is Answered => kind === "path_unknown" || kind === "withheld"

const causeOfKind: Readonly<Record<Exclude<FailureKind, "client_gone" | "client_write" | Answered>, Cause>> = {
  refused: "connect_refused",
  unreachable: "unreachable",
  dns: "dns",
  connect_timeout: "timeout_connect",
  tls_timeout: "timeout_connect",
  tls: "tls",
  closed: "closed_early",
  reset: "closed_early",
  header_timeout: "timeout_headers",
  response_timeout: "timeout_response",
  first_token_timeout: "timeout_first_token",
  malformed: "malformed",
  breaker_open: "breaker_open",
  descriptors: "descriptors",
  truncated: "broken_stream",
  idle_timeout: "timeout_idle",
  untranslatable: "untranslatable",
  redirected: "untranslatable",
  internal: "internal"
}

const causeOfStatus = (status: number): Cause =>
  status >= 500 ? "upstream_5xx" : status === 429 ? "upstream_429" : status >= 400 ? "upstream_4xx" : "none"

/** Reasons of refusals that are no words of routing: names of the error table. */
const causeOfReason: Readonly<Record<string, Cause>> = {
  rate_limited_ip: "rate_limited_ip",
  rate_limited_global: "rate_limited_global",
  tooLarge: "too_large",
  messageTooLarge: "too_large",
  headersTooLarge: "headers_too_large",
  bodiesFull: "bodies_full",
  tooSlow: "timeout_upload",
  crossSite: "forbidden",
  gated: "forbidden",
  noModelEndpoint: "no_endpoint",
  queue_timeout: "queue_timeout",
  queue_full: "queue_full",
  client_queue_full: "client_queue_full",
  all_paused: "all_paused"
}

const causeOfRefusal = (reason: string, status: number): Cause => {
  const known = causeOfReason[reason]
  if (known !== undefined) return known
  if (reason === "model_not_found" || reason === "placement_unsatisfied") return reason
  if (reason.startsWith("model_unavailable") || reason.startsWith("discovery_failed")) return "model_unavailable"
  if (reason.startsWith("no_")) return "no_endpoint"
  if (status === 403) return "forbidden"
  if (status === 413) return "too_large"
  return status === 503 ? "no_endpoint" : "bad_request"
}

const cancelledWhere = (exchange: Exchange): Cause => {
  const last = exchange.lastAttempt
  if (exchange.isInLine) return "cancelled_queued"
  if (last === undefined) return exchange.timings.received === 0 ? "cancelled_upload" : "cancelled_queued"
  return last.timings.firstByte === 0 ? "cancelled_waiting" : "cancelled_streaming"
}

/** What one attempt came to; `none`: it was answered, below 400. */
export const attemptCause = (attempt: Attempt): Cause => {
  const kind = attempt.failure?.kind
  if (kind === undefined || isAnswered(kind)) return causeOfStatus(attempt.status)
  if (kind !== "client_gone" && kind !== "client_write") return causeOfKind[kind]
  return attempt.timings.firstByte === 0 ? "cancelled_waiting" : "cancelled_streaming"
}

/** The attempt failed, or was answered with 500 and above. */
export const attemptFailed = (attempt: Attempt): boolean => {
  const kind = attempt.failure?.kind
  return kind === undefined || isAnswered(kind) ? attempt.status >= 500 : kind !== "client_gone" && kind !== "client_write"
}

/** Where the attempt was when it ended. */
export const attemptPhase = ({ timings }: Attempt): PhaseName => {
  if (timings.firstByte > 0) return "stream"
  if (timings.headers > 0) return "first"
  if (timings.sent > 0) return "wait"
  return timings.connected > 0 ? "send" : "connect"
}

const phaseOf = (exchange: Exchange): PhaseName => {
  const { received, routed } = exchange.timings
  const last = exchange.lastAttempt
  if (exchange.isInLine) return "queue"
  if (last !== undefined) return attemptPhase(last)
  return received === 0 ? "receive" : routed === 0 ? "decide" : "queue"
}

const wordOf = (exchange: Exchange, outcome: Outcome): Pick<Ending, "outcome" | "cause"> => {
  switch (outcome._tag) {
    case "completed": {
      const cause = causeOfStatus(outcome.status)
      return { outcome: cause === "none" ? "ok" : cause === "upstream_5xx" ? "failed" : "client_error", cause }
    }
    case "cancelled":
      return { outcome: "cancelled", cause: cancelledWhere(exchange) }
    case "rejected":
      return { outcome: "refused", cause: causeOfRefusal(outcome.reason, outcome.status) }
    case "failed": {
      const { kind } = outcome.failure
      return kind === "client_gone" || kind === "client_write"
        ? { outcome: "cancelled", cause: cancelledWhere(exchange) }
        : { outcome: "failed", cause: isAnswered(kind) ? "unreachable" : causeOfKind[kind] }
    }
  }
}

/** Of an exchange that has been settled. */
export const endingOf = (exchange: Exchange): Ending => {
  const { outcome } = exchange
  if (outcome === undefined) return { outcome: "failed", cause: "internal", phase: phaseOf(exchange) }
  const word = wordOf(exchange, outcome)
  return { ...word, phase: word.outcome === "ok" ? "deliver" : phaseOf(exchange) }
}

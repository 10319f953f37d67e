/**
 * What the end of an attempt says of the lane that it was on (one model on one endpoint), and whether another one may be tried: one
 * table, pure. An answer is judged twice: by its head, which is passed on or held back, and, held back, by what its body says.
 */
import type { FailureKind } from "./Failure.ts"

export type LaneVerdict =
  | { readonly _tag: "success" | "failure" | "missing" | "nothing" }
  /** It asks to be left alone, for so many milliseconds; `undefined`: it did not say how long. */
  | { readonly _tag: "pause"; readonly time: number | undefined }

/** In the words of metrics and status documents; empty: nothing is wrong with the lane. */
export type VerdictReason = "" | "status_5xx" | "status_429" | "status_4xx" | "timeout" | "transport" | "missing" | "context"

export interface AttemptVerdict {
  readonly lane: LaneVerdict
  /** `chain`: the request does not fit this model; only another model may be asked. */
  readonly again: "yes" | "no" | "chain"
  readonly reason: VerdictReason
  /** The backend has begun nothing for it: the next attempt is no extra load, and counts against no limit of attempts. */
  readonly isFree: boolean
}

const verdict = (
  lane: "success" | "failure" | "missing" | "nothing",
  again: AttemptVerdict["again"],
  reason: VerdictReason,
  isFree = false
): AttemptVerdict => ({ lane: { _tag: lane }, again, reason, isFree })

export const served: AttemptVerdict = verdict("success", "no", "")
/** The client is gone, the attempt lost to another one, or Olla stops: nothing is learned. */
export const unjudged: AttemptVerdict = verdict("nothing", "no", "")
/** Nobody is at fault, somebody else may serve it. */
const elsewhere: AttemptVerdict = verdict("nothing", "yes", "", true)
/** Of the endpoint, not of one of its models: it is demoted. */
const unreached: AttemptVerdict = verdict("nothing", "yes", "transport", true)
const failedTransport: AttemptVerdict = verdict("failure", "yes", "transport")
const failedInTime: AttemptVerdict = verdict("failure", "yes", "timeout")
const brokenOff: AttemptVerdict = verdict("failure", "no", "transport")
const stalled: AttemptVerdict = verdict("failure", "no", "timeout")
const failedStatus: AttemptVerdict = verdict("failure", "yes", "status_5xx")
const failedListed: AttemptVerdict = verdict("failure", "yes", "status_4xx")
const missing: AttemptVerdict = verdict("missing", "yes", "missing")
const tooLong: AttemptVerdict = verdict("nothing", "chain", "context")

/**
 * Of an attempt that failed. `committed`: something of this backend's answer has been handed to the client. Whether the endpoint is
 * demoted besides stands in `failureRules`.
 */
export const verdictOfFailure = (kind: FailureKind, committed: boolean): AttemptVerdict => {
  switch (kind) {
    case "client_gone":
    case "client_write":
    case "internal":
      return unjudged
    // Nobody was asked, or whoever was asked has no such route: that says nothing of the model.
    case "breaker_open":
    case "descriptors":
    case "path_unknown":
    // Its answer says what it means.
    case "withheld":
      return committed ? unjudged : elsewhere
    case "refused":
    case "unreachable":
    case "dns":
    case "connect_timeout":
    case "tls_timeout":
    case "tls":
      return unreached
    case "header_timeout":
    case "first_token_timeout":
    case "idle_timeout":
      return committed ? stalled : failedInTime
    // The time for all attempts together is over.
    case "response_timeout":
      return stalled
    // What it said is complete, and of no use: whoever else is asked says the same.
    case "untranslatable":
      return brokenOff
    default:
      return committed ? brokenOff : failedTransport
  }
}

/** The head of an answer, as far as it matters here. */
export interface JudgedHead {
  readonly status: number
  /** `Retry-After` in milliseconds from now; `undefined`: absent, or it says nothing. */
  readonly retryAfter: number | undefined
}

/** What is known of the request that was answered. */
export interface JudgedRequest {
  /** `traffic.failover.statuses`. */
  readonly statuses: ReadonlyArray<number>
  /** It names a model: a 404 may be about that. */
  readonly namesModel: boolean
  /** Another model may be asked when this one's context is too small. */
  readonly hasChain: boolean
}

/** Statuses under which backends say that a prompt is too long for the model. */
const contextStatus = (status: number): boolean => status === 400 || status === 413 || status === 500

/** `withhold`: its body decides, or somebody else may do better; it is kept until that is known. */
export const judgeHead = (status: number, request: JudgedRequest): "relay" | "withhold" => {
  if (status < 400) return "relay"
  if (request.statuses.includes(status)) return "withhold"
  if (status === 404) return request.namesModel ? "withhold" : "relay"
  return request.hasChain && contextStatus(status) ? "withhold" : "relay"
}

/** A complete answer. `body`: what of it was kept, unpacked; empty where it was passed on. `models`: names that the request goes by there. */
export const verdictOfAnswer = (
  { status, retryAfter }: JudgedHead,
  body: string,
  models: ReadonlyArray<string>,
  { statuses, namesModel }: JudgedRequest
): AttemptVerdict => {
  if (status < 400) return served
  if (status === 404 && namesModel && saysNoModel(body, models)) return missing
  if (contextStatus(status) && saysTooLong(body)) return tooLong
  if (!statuses.includes(status)) return served
  if (status === 429 || retryAfter !== undefined)
    return { lane: { _tag: "pause", time: retryAfter }, again: "yes", reason: reasonOf(status), isFree: false }
  return status >= 500 ? failedStatus : failedListed
}

const reasonOf = (status: number): VerdictReason => (status >= 500 ? "status_5xx" : status === 429 ? "status_429" : "status_4xx")

interface Said {
  readonly code: unknown
  readonly type: unknown
  readonly message: string
}

/** `{"error": {...}}`, `{"error": "..."}`, `{"message": "...", ...}` and `{"detail": "..."}`, as servers have them. */
const errorIn = (body: string): Said | undefined => {
  if (!/^\s*\{/.test(body)) return undefined
  let parsed: { readonly [key: string]: unknown }
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  const { error } = parsed
  if (typeof error === "string") return { code: parsed["code"], type: parsed["type"], message: error }
  const of = typeof error === "object" && error !== null ? (error as { readonly [key: string]: unknown }) : parsed
  const message = of["message"] ?? of["detail"]
  return { code: of["code"], type: of["type"], message: typeof message === "string" ? message : "" }
}

/** vLLM says that a model does not exist where others say that it was not found. */
const noModel = /\bnot found\b|\bdoes not exist\b/i

/** A 404 that is about the model. */
const saysNoModel = (body: string, models: ReadonlyArray<string>): boolean => {
  const said = errorIn(body)
  if (said === undefined) return false
  if (said.code === "model_not_found") return true
  if (!noModel.test(said.message)) return false
  const message = said.message.toLowerCase()
  return models.some((model) => model !== "" && message.includes(model.toLowerCase()))
}

const longPrompt = /maximum context length|context length is only|available context size|context size has been exceeded|prompt is too long/i

/** The prompt does not fit the model, in the words of the servers that say so. */
const saysTooLong = (body: string): boolean => {
  const said = errorIn(body)
  if (said === undefined) return false
  return said.code === "context_length_exceeded" || said.type === "exceed_context_size_error" || longPrompt.test(said.message)
}

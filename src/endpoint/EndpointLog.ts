/**
 * The operator's log lines about one endpoint, as data. URLs come without query, values without secrets; spans of time as Durations,
 * so that each log form writes them its way.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { enginePolicy } from "./CircuitBreaker.ts"
import { type DiscoveryFailure, describe, isRecoverable, operatorMessage } from "./DiscoveryFailure.ts"
import { isDisabled } from "./DiscoveryState.ts"
import type { ActorState, DiscoveryReason } from "./EndpointEvent.ts"
import type { EndpointState } from "./EndpointState.ts"
import { displayUrl } from "./EndpointUrl.ts"
import { isSuccess, type ProbeResult } from "./ProbeResult.ts"
import { defaultRetryWait } from "./RetryAfter.ts"

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const line = (level: LogLine["level"], message: string, fields: LogLine["fields"] = {}): LogLine => ({ level, message, fields })

export const write = ({ level, message, fields }: LogLine): Effect.Effect<void> => {
  const log =
    level === "debug" ? Effect.logDebug : level === "info" ? Effect.logInfo : level === "warn" ? Effect.logWarning : Effect.logError
  return Object.keys(fields).length === 0 ? log(message) : log(message, fields)
}

/** A still failing endpoint is mentioned again at every so many failures. */
const reminder = 5

interface Subject {
  readonly name: string
  readonly healthUrl: string
}

export const probeLines = (
  { name, healthUrl }: Subject,
  before: EndpointState,
  after: EndpointState,
  result: ProbeResult,
  now: number,
  listingFollows: boolean
): ReadonlyArray<LogLine> => {
  const latency = Duration.millis(result.latency)
  const next_check_in = Duration.millis(Math.max(0, after.nextCheck - now))
  const out: Array<LogLine> = []
  if (result.rateLimit?.defaulted !== undefined) {
    const fields = { endpoint: name, default: Duration.millis(defaultRetryWait) }
    out.push(
      result.rateLimit.defaulted === "absent"
        ? line("info", "no Retry-After header on 429, using default backoff", fields)
        : line("info", "malformed Retry-After header on 429, using default backoff", {
            ...fields,
            header: result.rateLimit.header.slice(0, 100)
          })
    )
  }
  const { status, consecutiveFailures: consecutive_failures } = after
  const told = {
    status,
    ...(before.status === status || before.status === "unknown" ? {} : { was: before.status }),
    consecutive_failures,
    latency,
    next_check_in,
    endpoint_name: name,
    endpoint_url: displayUrl(healthUrl),
    status_code: result.statusCode
  }
  const nowIs = `Endpoint ${name} is ${wordOf(status)}${result.cause === "" ? "" : `: ${result.cause}`}`
  if (before.status === status) {
    const due = before.consecutiveFailures > 0 && before.consecutiveFailures % reminder === 0
    if (!isSuccess(status) && due) out.push(line("warn", `Endpoint ${name} is still ${wordOf(status)}: ${result.cause}`, told))
  } else if (status !== "healthy") out.push(line("warn", nowIs, told))
  // Where its models are read, their number comes in the same line.
  else if (before.status === "unknown")
    out.push(line(listingFollows ? "debug" : "info", `Endpoint ${name} is Healthy`, { latency, next_check_in }))
  else out.push(line("info", `Endpoint recovered: ${name} is Healthy`, { was: before.status, latency, next_check_in }))
  return out
}

/** `next`: when it is asked again, as people read it. */
export const demotionLine = (name: string, after: EndpointState, next: string): LogLine =>
  line("warn", `Endpoint ${name} is ${wordOf(after.status)}${after.lastError === "" ? "" : `: ${after.lastError}`}`, {
    endpoint: name,
    status: after.status,
    consecutive_failures: after.consecutiveFailures,
    next_check: next
  })

export const breakerLine = (name: string, isClosed: boolean): LogLine =>
  isClosed
    ? line("info", "Circuit breaker closed", { endpoint: name })
    : line("warn", "Circuit breaker opened", {
        endpoint: name,
        failures: enginePolicy.threshold,
        trial_in: Duration.millis(enginePolicy.openFor)
      })

export const discoveryStartLines = (name: string, url: string, reason: DiscoveryReason): ReadonlyArray<LogLine> =>
  reason === "recovery" || reason === "retry"
    ? [line("debug", "Triggering model discovery for recovered endpoint", { endpoint: name, url })]
    : []

/** What one reading of a listing came to. */
export interface ListingRead {
  readonly name: string
  readonly status: EndpointState["status"]
  /** Names before and now; `undefined`: it is the first listing. */
  readonly before: ReadonlyArray<string> | undefined
  readonly names: ReadonlyArray<string>
  /** As the backend listed them, before the model filter. */
  readonly originalCount: number
  readonly skipped: number
  /** The kind, when that is news. */
  readonly detected: string | undefined
  readonly wasDisabled: boolean
  readonly reason: DiscoveryReason | "detection"
}

/** Names that are told of a change. */
const mostNames = 10

const missing = (from: ReadonlyArray<string>, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const there = new Set(from)
  return names.filter((name) => !there.has(name))
}

const some = (names: ReadonlyArray<string>): ReadonlyArray<string> | undefined =>
  names.length === 0 ? undefined : names.slice(0, mostNames)

export const listingLines = (read: ListingRead): ReadonlyArray<LogLine> => {
  const { name, names, before, originalCount, detected } = read
  const total = names.length
  // How many of them the filter took.
  const listed = originalCount === total ? undefined : originalCount
  const added = before === undefined ? [] : missing(before, names)
  const removed = before === undefined ? [] : missing(names, before)
  // One that answers with its models before its first probe has ended is well.
  const status = read.status === "unknown" ? "healthy" : read.status
  const told =
    before === undefined
      ? line("info", `Endpoint ${name} is ${wordOf(status)}`, { models: total, listed, detected })
      : added.length + removed.length > 0
        ? line("info", "Models changed", { endpoint: name, added: some(added), removed: some(removed), total, listed, detected })
        : line(detected === undefined ? "debug" : "info", "Models read", { endpoint: name, models: total, listed, detected })
  return [
    ...(read.skipped === 0 ? [] : [line("warn", `Entries without a name in the model listing of ${name}`, { skipped: read.skipped })]),
    told,
    ...(read.wasDisabled ? [line("info", `Discovery enabled again for endpoint ${name}`)] : []),
    ...(read.reason === "recovery" || read.reason === "retry"
      ? [line("debug", "Successfully refreshed models for recovered endpoint", { endpoint: name })]
      : [])
  ]
}

/** `Healthy`, `Rate Limited`. */
const wordOf = (status: string): string =>
  status
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ")

export const noListLines = (name: string, failure: DiscoveryFailure): ReadonlyArray<LogLine> => [
  line("warn", `Model listing without a list ${name}`, { endpoint_name: name, detailed_error: describe(failure) })
]

export const discoveryFailureLines = (
  name: string,
  before: ActorState,
  after: ActorState,
  failure: DiscoveryFailure,
  reason: DiscoveryReason,
  next_attempt: string
): ReadonlyArray<LogLine> => {
  const detailed_error = describe(failure)
  const disabledNow = !isDisabled(before.discovery) && isDisabled(after.discovery)
  return [
    line("error", `Model discovery failed (${operatorMessage(failure)}) ${name}`, { endpoint_name: name, detailed_error }),
    ...(!disabledNow
      ? []
      : isRecoverable(failure)
        ? [
            line("warn", `Disabling discovery for endpoint after consequent failures ${name}`, {
              failures: after.discovery.failures,
              next_attempt
            })
          ]
        : [line("warn", `Disabling discovery for endpoint due to non-recoverable error ${name}`, { next_attempt })]),
    ...(reason === "recovery" || reason === "retry"
      ? [line("warn", "Failed to discover models for recovered endpoint", { endpoint: name, error: detailed_error })]
      : [])
  ]
}

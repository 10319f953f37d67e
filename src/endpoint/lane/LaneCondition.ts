/**
 * The condition of one lane (one model on one endpoint) as a pure function of what happened before: whether it is asked, and how much.
 * Time brings its own changes (an ejection ends in a trial, a slow start in the open lane): they are read by `stateAt` and need no timer.
 * All times are milliseconds of the monotonic clock.
 */
import type { TrafficConfig } from "../../config/OllaConfig.ts"
import type { VerdictReason } from "../../exchange/AttemptVerdict.ts"

/** As documents and metrics spell them. */
export type LaneState = "open" | "slow_start" | "trial" | "paused" | "ejected" | "missing"

/** `traffic.ejection`; times in milliseconds. */
export interface LanePolicy {
  /** In a row; 0: nothing is ejected. */
  readonly failures: number
  readonly duration: number
  readonly maxDuration: number
  readonly slowStart: number
  /** For how long a model is taken as missing where no list of models tells; Infinity: one will. */
  readonly missingFor: number
}

/** Milliseconds for which a missing model is left alone where no list is read that would tell that it is there again. */
const missingFor = 30_000

/** `lists`: the endpoints' models are listed. */
export const lanePolicyOf = (config: TrafficConfig["ejection"], lists: boolean): LanePolicy => ({
  failures: config.failures,
  duration: config.duration,
  maxDuration: config.max_duration,
  slowStart: config.slow_start,
  missingFor: lists ? Number.POSITIVE_INFINITY : missingFor
})

export interface LaneCondition {
  /** As it was entered; `stateAt` says what it is by now. */
  readonly state: "open" | "slow_start" | "paused" | "ejected" | "missing"
  /** When it was entered. */
  readonly since: number
  /** When it may be tried again; 0: at any time. */
  readonly until: number
  /** Failed attempts in a row. */
  readonly failures: number
  /** Ejections in a row. */
  readonly ejections: number
  /** End of the last ejection; 0: there was none. */
  readonly ejectedUntil: number
  /** Pauses in a row whose length nobody named. */
  readonly pauses: number
  /** Why it is paused, ejected or missing, or its last attempt failed. */
  readonly reason: VerdictReason
  /** When the one attempt of a trial began; 0: none is under way. */
  readonly trialAt: number
  /** Tells one trial from the next. */
  readonly trial: number
}

export type LaneEvent =
  /** `trial`: its number where the attempt was one, else 0. */
  | { readonly _tag: "succeeded"; readonly startedAt: number; readonly trial: number }
  | {
      readonly _tag: "failed"
      readonly startedAt: number
      readonly trial: number
      readonly reason: VerdictReason
      /** Of the last half minute, this one included. */
      readonly ended: number
      readonly failed: number
      /** The model can do without one more lane. */
      readonly hasRoom: boolean
      /** -1 to 1. */
      readonly jitter: number
    }
  /** `time`: as the backend named it. */
  | {
      readonly _tag: "asked_to_wait"
      readonly startedAt: number
      readonly trial: number
      readonly time: number | undefined
      readonly reason: VerdictReason
    }
  | { readonly _tag: "not_there"; readonly startedAt: number; readonly trial: number }
  /** The attempt said nothing of the lane. */
  | { readonly _tag: "unjudged"; readonly trial: number }
  | { readonly _tag: "trial_begins" }
  /** The endpoint's models were listed. */
  | { readonly _tag: "listed" }
  /** The endpoint serves again. */
  | { readonly _tag: "returned" }

/** A trial without a verdict for so long is replaced, in milliseconds. */
const longestTrial = 30_000
/** So many ends within `recentFor`, half of them failures, eject as well. */
const enoughEnds = 10
/** Milliseconds over which ends are counted. */
export const recentFor = 30_000
/** Bounds of a pause that the backend names, and the first and the longest of those that it does not, in milliseconds. */
const [shortestPause, longestPause] = [1_000, 60_000]
const [firstPause, longestOwnPause] = [1_000, 30_000]
/** Ejections are longer or shorter by up to this share, so that lanes do not come back in step. */
const spread = 0.1

/** `since`: when its endpoint began to serve. */
export const newLane = (since: number): LaneCondition => ({
  state: "slow_start",
  since,
  until: 0,
  failures: 0,
  ejections: 0,
  ejectedUntil: 0,
  pauses: 0,
  reason: "",
  trialAt: 0,
  trial: 0
})

export const stateAt = ({ state, since, until }: LaneCondition, now: number, { slowStart }: LanePolicy): LaneState => {
  switch (state) {
    case "slow_start":
      return now - since < slowStart ? "slow_start" : "open"
    case "open":
      return state
    default:
      return now < until ? state : "trial"
  }
}

/** Nothing is held against it that a success could clear. */
export const isFlawless = ({ until, failures, pauses }: LaneCondition): boolean => until === 0 && failures === 0 && pauses === 0

/** Its one attempt is under way. */
export const isOnTrial = ({ trialAt }: LaneCondition, now: number): boolean => trialAt > 0 && now - trialAt < longestTrial

/** It has been ejected, and has not proved since that it serves: it takes one of the places that may be ejected. */
export const isOut = ({ state }: LaneCondition): boolean => state === "ejected"

/** Share of its weight while it starts slowly, 0.1 to 1. */
export const slowStartShare = ({ state, since }: LaneCondition, now: number, { slowStart }: LanePolicy): number =>
  state === "slow_start" && slowStart > 0 ? Math.min(1, Math.max(0.1, (now - since) / slowStart)) : 1

const opened = (condition: LaneCondition, now: number): LaneCondition => ({
  ...condition,
  state: "slow_start",
  since: now,
  until: 0,
  failures: 0,
  pauses: 0,
  reason: "",
  trialAt: 0
})

/** The lane was shut when the attempt began, or was shut since: by a later word than this attempt's. */
const isOutdated = (condition: LaneCondition, startedAt: number): boolean => condition.until > 0 && startedAt < condition.since

/** The same object where nothing changes. */
export const step = (condition: LaneCondition, event: LaneEvent, now: number, policy: LanePolicy): LaneCondition => {
  switch (event._tag) {
    case "succeeded":
      return succeeded(condition, event, now)
    case "failed":
      return failed(condition, event, now, policy)
    case "asked_to_wait":
      return askedToWait(condition, event, now)
    case "not_there":
      if (isOutdated(condition, event.startedAt)) return endTrial(condition, event.trial)
      return { ...condition, state: "missing", since: now, until: now + policy.missingFor, reason: "missing", trialAt: 0 }
    case "unjudged":
      return endTrial(condition, event.trial)
    case "trial_begins":
      return { ...condition, trialAt: now, trial: condition.trial + 1 }
    case "listed":
      return condition.state === "missing" ? opened(condition, now) : condition
    case "returned":
      // What it was ejected for, or asked to wait for, holds until that is over.
      return condition.until > 0 ? condition : opened(condition, now)
  }
}

const endTrial = (condition: LaneCondition, trial: number): LaneCondition =>
  trial > 0 && trial === condition.trial && condition.trialAt > 0 ? { ...condition, trialAt: 0 } : condition

const succeeded = (condition: LaneCondition, { startedAt }: { readonly startedAt: number }, now: number): LaneCondition => {
  if (condition.until === 0) {
    if (isFlawless(condition)) return condition
    return { ...condition, failures: 0, pauses: 0, reason: "" }
  }
  // A server that answers what was asked after it was shut out serves.
  return isOutdated(condition, startedAt) ? condition : opened(condition, now)
}

const failed = (
  condition: LaneCondition,
  event: Extract<LaneEvent, { readonly _tag: "failed" }>,
  now: number,
  policy: LanePolicy
): LaneCondition => {
  if (isOutdated(condition, event.startedAt)) return endTrial(condition, event.trial)
  const failures = condition.failures + 1
  const isTrial = event.trial > 0 && event.trial === condition.trial && condition.trialAt > 0
  const counted: LaneCondition = { ...condition, failures, reason: event.reason, trialAt: isTrial ? 0 : condition.trialAt }
  if (policy.failures === 0) return isTrial ? { ...opened(condition, now), failures, reason: event.reason } : counted
  if (condition.until > 0) {
    if (!isTrial) return counted
    if (condition.state === "ejected") return ejected(counted, event, now, policy)
  }
  const isTooMany = failures >= policy.failures || (event.ended >= enoughEnds && event.failed * 2 >= event.ended)
  if (isTooMany && event.hasRoom) return ejected(counted, event, now, policy)
  // The pause is over, and nothing else shuts it out.
  return isTrial ? { ...counted, state: "open", since: now, until: 0, pauses: 0 } : counted
}

const ejected = (
  condition: LaneCondition,
  { reason, jitter }: { readonly reason: VerdictReason; readonly jitter: number },
  now: number,
  { duration, maxDuration }: LanePolicy
): LaneCondition => {
  const isNew = condition.ejectedUntil === 0 || now - condition.ejectedUntil >= maxDuration
  const ejections = isNew ? 1 : condition.ejections + 1
  const time = Math.min(duration * 2 ** (ejections - 1), maxDuration) * (1 + spread * jitter)
  const until = now + time
  return { ...condition, state: "ejected", since: now, until, ejections, ejectedUntil: until, pauses: 0, reason, trialAt: 0 }
}

const askedToWait = (
  condition: LaneCondition,
  { startedAt, time, reason, trial }: Extract<LaneEvent, { readonly _tag: "asked_to_wait" }>,
  now: number
): LaneCondition => {
  const isOld = isOutdated(condition, startedAt)
  // Requests that were under way together are told together: that is one wish, of which the longest counts.
  if (isOld && (condition.state !== "paused" || time === undefined)) return endTrial(condition, trial)
  const pauses = time === undefined ? condition.pauses + 1 : condition.pauses
  const length =
    time === undefined ? Math.min(firstPause * 2 ** (pauses - 1), longestOwnPause) : Math.min(Math.max(time, shortestPause), longestPause)
  const until = Math.max(now + length, isOld ? condition.until : 0)
  return { ...condition, state: "paused", since: isOld ? condition.since : now, until, pauses, reason, trialAt: 0 }
}

/**
 * The breaker that probes and the `olla` engine share (endpoints-and-health.md 10.2), as pure functions over an immutable
 * state; the owner keeps the state in a field and passes the time in.
 *
 * Closed, it counts consecutive failures. Open, it denies until its time is over; then one trial at a time is admitted
 * under a token, and a trial that never reports is replaced once it is stale. Results without a token come from
 * requests admitted while closed, and count only while it still is closed.
 */

export type BreakerPhase = "closed" | "open" | "half-open"

/** All durations in milliseconds. */
export interface BreakerPolicy {
  /** Consecutive failures that open it. */
  readonly threshold: number
  readonly openFor: number
  /** Age at which a trial that has not reported may be replaced. */
  readonly staleness: number
}

export interface BreakerState {
  readonly phase: BreakerPhase
  readonly failures: number
  /** Epoch milliseconds; 0: none yet. */
  readonly lastFailure: number
  /** The trial under way while half-open. */
  readonly trial: { readonly token: number; readonly since: number } | undefined
  /** Last token handed out; they are never reused. */
  readonly lastToken: number
}

export type Admission = { readonly _tag: "Admitted"; readonly token: number | undefined } | { readonly _tag: "Denied" }

export const closedBreaker: BreakerState = { phase: "closed", failures: 0, lastFailure: 0, trial: undefined, lastToken: 0 }

/** The policy of the `olla` engine (endpoints-and-health.md 1.5). */
export const enginePolicy: BreakerPolicy = { threshold: 5, openFor: 30_000, staleness: 30_000 }

/** The policy of health probes; `checkTimeout` in milliseconds. */
export const probePolicy = (checkTimeout: number): BreakerPolicy => ({
  threshold: 3,
  openFor: 30_000,
  staleness: checkTimeout > 0 ? 2 * checkTimeout + 1000 : 5000
})

const admittedFreely: Admission = { _tag: "Admitted", token: undefined }
const denied: Admission = { _tag: "Denied" }

const isExpired = (state: BreakerState, now: number, policy: BreakerPolicy): boolean => state.lastFailure + policy.openFor < now

/** Asks for one request. The returned state must be stored, whatever the answer. */
export const admit = (
  state: BreakerState,
  now: number,
  policy: BreakerPolicy
): { readonly state: BreakerState; readonly admission: Admission } => {
  if (state.phase === "closed") return { state, admission: admittedFreely }
  if (state.phase === "open" && !isExpired(state, now, policy)) return { state, admission: denied }
  if (state.phase === "half-open" && state.trial !== undefined && now - state.trial.since < policy.staleness)
    return { state, admission: denied }
  const token = state.lastToken + 1
  return {
    state: { ...state, phase: "half-open", trial: { token, since: now }, lastToken: token },
    admission: { _tag: "Admitted", token }
  }
}

/** Whether this result may still be counted. */
const counts = (state: BreakerState, token: number | undefined): boolean =>
  token === undefined ? state.phase === "closed" : state.phase === "half-open" && state.trial?.token === token

export const succeed = (state: BreakerState, token: number | undefined): BreakerState =>
  !counts(state, token) || (state.phase === "closed" && state.failures === 0)
    ? state
    : { ...state, phase: "closed", failures: 0, trial: undefined }

export const fail = (state: BreakerState, token: number | undefined, now: number, policy: BreakerPolicy): BreakerState => {
  if (!counts(state, token)) return state
  const failures = state.failures + 1
  const opens = state.phase === "half-open" || failures >= policy.threshold
  return { ...state, phase: opens ? "open" : "closed", failures, lastFailure: now, trial: undefined }
}

/** The request ended without saying anything about the backend (its client left, the daemon stops): frees the trial's place. */
export const release = (state: BreakerState, token: number | undefined): BreakerState =>
  token !== undefined && counts(state, token) ? { ...state, trial: undefined } : state

/** What an operator sees: an open breaker whose time is over is half-open, since the next request is its trial. */
export const phaseOf = (state: BreakerState, now: number, policy: BreakerPolicy): BreakerPhase =>
  state.phase === "open" && isExpired(state, now, policy) ? "half-open" : state.phase

/** Would `admit` let a request through now? Changes nothing: for choosing among candidates. */
export const wouldAdmit = (state: BreakerState, now: number, policy: BreakerPolicy): boolean =>
  state.phase === "closed" || admit(state, now, policy).admission._tag === "Admitted"

/** The first moment at which a request is admitted again, epoch milliseconds; 0 when it would be at any time. */
export const admitsFrom = (state: BreakerState, policy: BreakerPolicy): number => {
  if (state.phase === "open") return state.lastFailure + policy.openFor + 1
  if (state.phase === "half-open" && state.trial !== undefined) return state.trial.since + policy.staleness
  return 0
}

/**
 * The breaker of an endpoint as pure functions over an immutable state; the owner keeps the state and passes the time in.
 *
 * Closed, it counts consecutive failures. Open, it denies until its time is over; then one trial at a time is admitted
 * under a token, and a trial that never reports is replaced once it is stale. Results without a token come from
 * requests admitted while closed, and count only while it still is closed.
 *
 * A request that has nobody else to ask is admitted once a second even while it is open. Its success closes the breaker, whatever
 * else is under way.
 */

export type BreakerPhase = "closed" | "open" | "half-open"

/** All durations in milliseconds. */
export interface BreakerPolicy {
  /** Consecutive failures that open it. */
  readonly threshold: number
  readonly openFor: number
  /** Age at which a trial that has not reported may be replaced. */
  readonly staleness: number
  /** Between two requests that have nobody else to ask. */
  readonly aloneEvery: number
}

/** All times are milliseconds; 0: none yet. */
export interface BreakerState {
  readonly phase: BreakerPhase
  readonly failures: number
  readonly lastFailure: number
  /** The trial under way while half-open. */
  readonly trial: { readonly token: number; readonly since: number } | undefined
  /** Last token handed out; they are never reused. */
  readonly lastToken: number
  /** The last request that had nobody else to ask and was admitted all the same. Their tokens are negative, and count down. */
  readonly alone: { readonly since: number; readonly lastToken: number; readonly openedAfter: number }
  /** Somebody who had nobody else to ask met it open. */
  readonly missed: boolean
  /** A probe has failed since it began to count. */
  readonly probeFailed: boolean
}

export type Admission = { readonly _tag: "Admitted"; readonly token: number | undefined } | { readonly _tag: "Denied" }

export const closedBreaker: BreakerState = {
  phase: "closed",
  failures: 0,
  lastFailure: 0,
  trial: undefined,
  lastToken: 0,
  alone: { since: 0, lastToken: 0, openedAfter: 0 },
  missed: false,
  probeFailed: false
}

/** The policy of the `olla` engine's attempts. */
export const enginePolicy: BreakerPolicy = { threshold: 5, openFor: 30_000, staleness: 30_000, aloneEvery: 1000 }

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

/** When a request that has nobody else to ask is admitted next. */
export const admitsAloneFrom = (state: BreakerState, policy: BreakerPolicy): number =>
  state.phase === "closed" ? 0 : Math.max(state.alone.since, state.lastFailure, state.trial?.since ?? 0) + policy.aloneEvery

/** Asks for one request that has nobody else to ask. The returned state must be stored, whatever the answer. */
export const admitAlone = (
  state: BreakerState,
  now: number,
  policy: BreakerPolicy
): { readonly state: BreakerState; readonly admission: Admission } => {
  const asked = admit(state, now, policy)
  if (asked.admission._tag === "Admitted") return asked
  if (now < admitsAloneFrom(state, policy)) return { state: { ...state, missed: true }, admission: denied }
  const token = state.alone.lastToken - 1
  return {
    state: { ...state, missed: true, alone: { ...state.alone, since: now, lastToken: token } },
    admission: { _tag: "Admitted", token }
  }
}

/** Whether this result may still be counted. */
const counts = (state: BreakerState, token: number | undefined): boolean => {
  if (token === undefined) return state.phase === "closed"
  // Of a request that was alone: since it opened.
  if (token < 0) return state.phase !== "closed" && token < state.alone.openedAfter
  return state.phase === "half-open" && state.trial?.token === token
}

/** Closed, with nothing of what it counted. Tokens are never handed out twice. */
export const forgotten = ({ lastToken, alone }: BreakerState): BreakerState => ({ ...closedBreaker, lastToken, alone })

export const succeed = (state: BreakerState, token: number | undefined): BreakerState =>
  !counts(state, token) || (state.phase === "closed" && state.failures === 0) ? state : forgotten(state)

export const fail = (state: BreakerState, token: number | undefined, now: number, policy: BreakerPolicy): BreakerState => {
  if (!counts(state, token)) return state
  const failures = state.failures + 1
  // The trial of the half-open is another's business.
  if (token !== undefined && token < 0) return { ...state, failures, lastFailure: now }
  if (state.phase === "closed" && failures < policy.threshold) return { ...state, failures, lastFailure: now }
  const alone = state.phase === "closed" ? { ...state.alone, openedAfter: state.alone.lastToken } : state.alone
  return { ...state, phase: "open", failures, lastFailure: now, trial: undefined, alone }
}

/** The request ended without saying anything about the backend (its client left, the daemon stops): frees the trial's place. */
export const release = (state: BreakerState, token: number | undefined): BreakerState =>
  token !== undefined && token > 0 && counts(state, token) ? { ...state, trial: undefined } : state

/**
 * A health probe ended. A good one closes the breaker where a probe had failed before, or where requests had nobody else to ask; a
 * backend that dies on requests while its probes are good is no better for one more good probe.
 */
export const probed = (state: BreakerState, isGood: boolean): BreakerState => {
  if (state.phase === "closed" && state.failures === 0) return state
  if (!isGood) return state.probeFailed ? state : { ...state, probeFailed: true }
  return state.probeFailed || state.missed ? forgotten(state) : state
}

/** What an operator sees: an open breaker whose time is over is half-open, since the next request is its trial. */
export const phaseOf = (state: BreakerState, now: number, policy: BreakerPolicy): BreakerPhase =>
  state.phase === "open" && isExpired(state, now, policy) ? "half-open" : state.phase

/** Would `admit` let a request through now? Changes nothing: for choosing among candidates. */
export const wouldAdmit = (state: BreakerState, now: number, policy: BreakerPolicy): boolean =>
  state.phase === "closed" || admit(state, now, policy).admission._tag === "Admitted"

/** The first moment at which a request is admitted again, milliseconds; 0 when it would be at any time. */
export const admitsFrom = (state: BreakerState, policy: BreakerPolicy): number => {
  if (state.phase === "open") return state.lastFailure + policy.openFor + 1
  if (state.phase === "half-open" && state.trial !== undefined) return state.trial.since + policy.staleness
  return 0
}

/** What attempts of requests make of an endpoint. */
import { isOutForLateness } from "./AfterProbe.ts"
import type { ActorState, EndpointEvent, EndpointPolicy } from "./EndpointEvent.ts"
import { type EndpointState, isRoutable } from "./EndpointState.ts"
import { backOff, become, doubtSpacing, type Transition, unchanged } from "./StateChange.ts"

/** Attempts in a row that must fail where nothing is probed. */
export const failedAttemptsThatDemote = 3

/** For so long a second end of a connection counts together with the first, in milliseconds. */
const doubtLasts = 10_000

export const attemptFailed = (
  before: ActorState,
  event: Extract<EndpointEvent, { readonly _tag: "AttemptFailed" }>,
  policy: EndpointPolicy
): Transition => {
  const state = event.answered ? { ...before, answeredAt: event.now } : before
  const { condition } = state
  if (!policy.probes) {
    const failedAttempts = (event.answered ? 0 : state.failedAttempts) + 1
    if (!isRoutable(condition.status) || failedAttempts < failedAttemptsThatDemote) return unchanged({ ...state, failedAttempts })
    return demoted({ ...state, failedAttempts }, event, policy)
  }
  if (event.inDoubt) {
    if (!isRoutable(condition.status)) return unchanged(state)
    if (event.secondDecides === true && state.doubtedAt > 0 && event.now - state.doubtedAt < doubtLasts)
      // The probe that the first one asked for comes all the same, and brings it back if it is good.
      return demoted(state, event, policy, Math.max(event.now, condition.nextCheck))
    const soon = Math.max(event.now, condition.lastChecked + doubtSpacing)
    const nextCheck = Math.min(condition.nextCheck, soon)
    return unchanged({
      ...state,
      doubtedAt: event.now,
      condition: nextCheck === condition.nextCheck ? condition : { ...condition, nextCheck }
    })
  }
  // One outage met by many requests is one failure; and a slow failure says nothing about an endpoint that answered since.
  if (event.startedAt < state.probedHealthyAt) return unchanged(state)
  if (state.demotedAt > 0 && state.demotedAt >= event.startedAt) return unchanged(state)
  return demoted(state, event, policy)
}

const demoted = (
  state: ActorState,
  { now, cause }: { readonly now: number; readonly cause: string },
  policy: EndpointPolicy,
  soonest = Number.POSITIVE_INFINITY
): Transition => {
  const { condition } = state
  const { wait, next } = backOff(state, now, policy.checkInterval)
  const to: EndpointState = {
    ...condition,
    status: "offline",
    lastChecked: now,
    consecutiveFailures: condition.consecutiveFailures + 1,
    backoffMultiplier: next,
    nextCheck: Math.max(Math.min(now + wait, soonest), condition.rateLimitedUntil),
    lastError: cause
  }
  return become({ ...state, demotedAt: now, late: 0, doubtedAt: 0 }, to, now, [{ _tag: "Demoted", to }])
}

/** Back in rotation: who answers requests is not away. */
export const attemptSucceeded = (state: ActorState, now: number, policy: EndpointPolicy): Transition =>
  isOutForLateness(state)
    ? become(
        { ...state, late: 0, answeredAt: now },
        {
          ...state.condition,
          status: "healthy",
          consecutiveFailures: 0,
          backoffMultiplier: 1,
          lastError: "",
          nextCheck: Math.min(state.condition.nextCheck, now + policy.checkInterval)
        },
        now
      )
    : unchanged(state)

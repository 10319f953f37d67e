/**
 * The whole behaviour of one endpoint as a pure function of its state and an event. Time and chance come in with the event; what is
 * to be done goes out as commands, which the actor carries out. All times are milliseconds of the monotonic clock.
 */
import { attemptFailed, attemptSucceeded, failedAttemptsThatDemote } from "./AfterAttempt.ts"
import { probeFinished } from "./AfterProbe.ts"
import { isDisabled, listingFailed, listingRead, neverDiscovered } from "./DiscoveryState.ts"
import type { ActorState, EndpointEvent, EndpointPolicy } from "./EndpointEvent.ts"
import { isRoutable } from "./EndpointState.ts"
import { become, probeDueAt, type Transition, unchanged } from "./StateChange.ts"

export const initialState = (now: number): ActorState => ({
  condition: {
    status: "unknown",
    lastChecked: 0,
    lastLatency: 0,
    consecutiveFailures: 0,
    backoffMultiplier: 1,
    nextCheck: now,
    rateLimitedUntil: 0,
    lastError: ""
  },
  probing: false,
  outSince: now,
  demotedAt: 0,
  probedHealthyAt: 0,
  late: 0,
  answeredAt: 0,
  doubtedAt: 0,
  failedAttempts: 0,
  discovery: neverDiscovered,
  drainedUntil: undefined,
  removed: false,
  wanted: undefined
})

/** When a listing that is in back-off after failures is tried again. */
export const listingDueAt = ({ condition, discovery }: ActorState): number =>
  isDisabled(discovery) && !discovery.running && isRoutable(condition.status) ? discovery.retryAt : Number.POSITIVE_INFINITY

/** When a drain that has a time ends. */
export const drainEndsAt = ({ drainedUntil }: ActorState): number => drainedUntil ?? Number.POSITIVE_INFINITY

/** When something is due that no event brings about. */
export const dueAt = (state: ActorState): number => Math.min(probeDueAt(state), listingDueAt(state), drainEndsAt(state))

export const transition = (state: ActorState, event: EndpointEvent, policy: EndpointPolicy): Transition => {
  // Nobody watches it any more, and nothing that its last attempts meet is of interest.
  if (state.removed && event._tag !== "Returned") return unchanged(state)
  switch (event._tag) {
    case "ProbeDue":
      return policy.probes ? probeDue(state, event.now) : takenAsHealthy(state, event.now, policy)
    case "ProbeFinished":
      return probeFinished(state, event, policy)
    case "ProbeLost":
      return unchanged({
        ...state,
        probing: false,
        condition: { ...state.condition, nextCheck: Math.max(state.condition.nextCheck, event.startedAt + policy.checkInterval) }
      })
    case "ProbeNow":
      return state.probing || !policy.probes ? unchanged(state) : { state: { ...state, probing: true }, commands: [{ _tag: "Probe" }] }
    case "AttemptFailed":
      return attemptFailed(state, event, policy)
    case "AttemptSucceeded":
      return attemptSucceeded(state, event.now, policy)
    case "DiscoverNow":
      return discoverNow(state, event, policy)
    case "ListingRead": {
      const discovery = { ...listingRead(state.discovery, event.now), running: event.reason === "detection" && state.discovery.running }
      return { state: { ...state, discovery }, commands: [] }
    }
    case "ListingFailed": {
      const failed = listingFailed(state.discovery, event.startedAt, event.recoverable, policy.discovery.interval)
      return { state: { ...state, discovery: { ...failed, running: false, retryWhenHealthy: event.reason === "recovery" } }, commands: [] }
    }
    case "SpecChanged":
      return specChanged(state, event, policy)
    case "AskNow":
      return askNow(state, event.now, policy)
    case "Drain":
      return unchanged({ ...state, drainedUntil: event.until })
    case "Resume":
      return unchanged({ ...state, drainedUntil: undefined })
    case "Removed":
      return unchanged({ ...state, probing: false, removed: true, discovery: { ...state.discovery, running: false } })
    case "Returned":
      return unchanged({ ...state, removed: false })
    case "Restarted": {
      const condition = {
        ...state.condition,
        nextCheck: Math.min(state.condition.nextCheck, event.now + policy.checkInterval),
        lastError: event.cause
      }
      return {
        state: { ...state, condition, probing: false, discovery: { ...state.discovery, running: false } },
        commands: []
      }
    }
  }
}

const probeDue = (state: ActorState, now: number): Transition =>
  now < probeDueAt(state) ? unchanged(state) : { state: { ...state, probing: true }, commands: [{ _tag: "Probe" }] }

/** A probe that is under way asks as it was asked before: it is given up for one that asks as it is now. */
const specChanged = (
  state: ActorState,
  { now, anew, paced }: Extract<EndpointEvent, { readonly _tag: "SpecChanged" }>,
  policy: EndpointPolicy
): Transition => {
  const { condition, discovery } = state
  if (!policy.probes) {
    // Taken as healthy at once, where it was probed before and found down.
    const due = isRoutable(condition.status) ? Number.POSITIVE_INFINITY : now
    const reads = anew && policy.discovery.enabled && isRoutable(condition.status)
    return {
      state: {
        ...state,
        probing: false,
        condition: { ...condition, nextCheck: due },
        discovery: reads ? { ...discovery, running: true } : discovery
      },
      commands: reads ? [{ _tag: "Discover", reason: "changed" }] : []
    }
  }
  if (anew)
    return {
      state: { ...state, probing: true, wanted: "changed", condition: { ...condition, nextCheck: now, rateLimitedUntil: 0 } },
      commands: [{ _tag: "Probe" }]
    }
  if (!paced || state.probing) return unchanged(state)
  const next = now + policy.checkInterval
  const nextCheck = isRoutable(condition.status) ? next : Math.min(condition.nextCheck, next)
  return unchanged({ ...state, condition: { ...condition, nextCheck } })
}

/** Joins what is under way. */
const askNow = (state: ActorState, now: number, policy: EndpointPolicy): Transition => {
  if (!policy.probes) return discoverNow(state, { _tag: "DiscoverNow", now, reason: "request" }, policy)
  const wanted = state.wanted ?? "request"
  if (state.probing) return unchanged({ ...state, wanted })
  return { state: { ...state, probing: true, wanted }, commands: [{ _tag: "Probe" }] }
}

/** Where nothing is probed: from the start, and anew an interval after its attempts failed. The first one that fails then demotes. */
const takenAsHealthy = (state: ActorState, now: number, policy: EndpointPolicy): Transition => {
  if (now < probeDueAt(state)) return unchanged(state)
  const wasAway = !isRoutable(state.condition.status)
  const discovers = wasAway && policy.discovery.enabled && !state.discovery.running
  const reason = state.condition.status === "unknown" ? "startup" : "recovery"
  return become(
    {
      ...state,
      failedAttempts: Math.min(state.failedAttempts, failedAttemptsThatDemote - 1),
      discovery: discovers ? { ...state.discovery, running: true } : state.discovery
    },
    {
      ...state.condition,
      status: "healthy",
      consecutiveFailures: 0,
      backoffMultiplier: 1,
      lastError: "",
      nextCheck: Number.POSITIVE_INFINITY
    },
    now,
    discovers ? [{ _tag: "Discover", reason }] : []
  )
}

const discoverNow = (
  state: ActorState,
  event: Extract<EndpointEvent, { readonly _tag: "DiscoverNow" }>,
  policy: EndpointPolicy
): Transition => {
  const { discovery } = state
  if (!policy.discovery.enabled || discovery.running) return unchanged(state)
  const waits = event.reason === "periodic" || event.reason === "request"
  if (waits && isDisabled(discovery) && event.now < discovery.retryAt) return unchanged(state)
  return { state: { ...state, discovery: { ...discovery, running: true } }, commands: [{ _tag: "Discover", reason: event.reason }] }
}

/**
 * The whole behaviour of one endpoint as a pure function of its state and an event. Time and chance come in with the event; what is
 * to be done goes out as commands, which the actor carries out. All times are milliseconds of the monotonic clock.
 */
import { type DiscoveryState, isDisabled, listingFailed, listingRead, neverDiscovered } from "./DiscoveryState.ts"
import { type EndpointState, isRoutable } from "./EndpointState.ts"
import { isSuccess, type ProbeResult } from "./ProbeResult.ts"

/** Milliseconds. */
export interface EndpointPolicy {
  readonly checkInterval: number
  readonly discovery: { readonly enabled: boolean; readonly interval: number }
}

export interface ActorState {
  /** What everybody else sees. */
  readonly condition: EndpointState
  /** At most one probe is in flight. */
  readonly probing: boolean
  /** 0: never. */
  readonly demotedAt: number
  /** Start of the last probe that found it healthy; 0: never. */
  readonly probedHealthyAt: number
  readonly discovery: DiscoveryState
}

/** `startup` and `periodic` share the configured workers and respect back-off; the others do not wait. */
export type DiscoveryReason = "startup" | "periodic" | "recovery" | "retry" | "request"

export type EndpointEvent =
  | { readonly _tag: "ProbeDue"; readonly now: number }
  | {
      readonly _tag: "ProbeFinished"
      readonly startedAt: number
      readonly now: number
      readonly result: ProbeResult
      /** -1 to 1. */
      readonly jitter: number
      /** The type was detected, and with it the models read, on the way. */
      readonly listed: boolean
    }
  | { readonly _tag: "AttemptFailed"; readonly startedAt: number; readonly now: number; readonly cause: string }
  | { readonly _tag: "DiscoverNow"; readonly now: number; readonly reason: DiscoveryReason }
  | { readonly _tag: "ListingRead"; readonly now: number; readonly reason: DiscoveryReason | "detection" }
  | { readonly _tag: "ListingFailed"; readonly startedAt: number; readonly recoverable: boolean; readonly reason: DiscoveryReason }
  /** The actor crashed and starts anew: whatever it had under way is lost. */
  | { readonly _tag: "Restarted"; readonly now: number; readonly cause: string }

export type EndpointCommand =
  | { readonly _tag: "Probe" }
  | { readonly _tag: "Discover"; readonly reason: DiscoveryReason }
  /** The status changed. */
  | { readonly _tag: "Announce"; readonly from: EndpointState; readonly to: EndpointState }
  /** A failed attempt took it out of rotation. */
  | { readonly _tag: "Demoted"; readonly to: EndpointState }

export interface Transition {
  readonly state: ActorState
  readonly commands: ReadonlyArray<EndpointCommand>
}

/** A share of the wait by which probes are spread, so that a fleet does not probe in step. */
const spread = 0.05
const maxMultiplier = 12
const backoffCap = 60_000

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
  demotedAt: 0,
  probedHealthyAt: 0,
  discovery: neverDiscovered
})

/** When the next probe is due. */
const probeDueAt = ({ condition, probing }: ActorState): number =>
  probing ? Number.POSITIVE_INFINITY : Math.max(condition.nextCheck, condition.rateLimitedUntil)

/** When a listing that is in back-off after failures is tried again. */
export const listingDueAt = ({ condition, discovery }: ActorState): number =>
  isDisabled(discovery) && !discovery.running && isRoutable(condition.status) ? discovery.retryAt : Number.POSITIVE_INFINITY

/** When something is due that no event brings about. */
export const dueAt = (state: ActorState): number => Math.min(probeDueAt(state), listingDueAt(state))

export const transition = (state: ActorState, event: EndpointEvent, policy: EndpointPolicy): Transition => {
  switch (event._tag) {
    case "ProbeDue":
      return probeDue(state, event.now)
    case "ProbeFinished":
      return probeFinished(state, event, policy)
    case "AttemptFailed":
      return attemptFailed(state, event, policy)
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

const unchanged = (state: ActorState): Transition => ({ state, commands: [] })

/** A new condition, announced when the status is another. */
const become = (state: ActorState, condition: EndpointState, commands: ReadonlyArray<EndpointCommand> = []): Transition => {
  const from = state.condition
  const announce: ReadonlyArray<EndpointCommand> = from.status === condition.status ? [] : [{ _tag: "Announce", from, to: condition }]
  return { state: { ...state, condition }, commands: [...announce, ...commands] }
}

const probeDue = (state: ActorState, now: number): Transition =>
  now < probeDueAt(state) ? unchanged(state) : { state: { ...state, probing: true }, commands: [{ _tag: "Probe" }] }

/** Wait after a failure, and the next multiplier. */
const backOff = (multiplier: number, interval: number): { readonly wait: number; readonly next: number } =>
  multiplier <= 1
    ? { wait: interval, next: 2 }
    : { wait: Math.min(interval * multiplier, Math.max(backoffCap, interval)), next: Math.min(multiplier * 2, maxMultiplier) }

type Finished = Extract<EndpointEvent, { readonly _tag: "ProbeFinished" }>

const probeFinished = (state: ActorState, event: Finished, policy: EndpointPolicy): Transition => {
  const { result, startedAt } = event
  const { condition } = state
  const settled: ActorState = { ...state, probing: false }
  // A demotion came while the probe was under way: what the probe saw is older.
  if (startedAt < condition.lastChecked) return unchanged(settled)

  const interval = policy.checkInterval
  const spreadOut = (wait: number): number => startedAt + Math.round(wait * (1 + spread * event.jitter))
  const common = {
    status: result.status,
    lastChecked: startedAt,
    lastLatency: result.latency,
    rateLimitedUntil: 0,
    lastError: result.cause
  }
  if (isSuccess(result.status)) {
    const reason = discoverAfter(settled, event, policy)
    const { running, retryWhenHealthy } = settled.discovery
    const discovery = {
      ...settled.discovery,
      running: running || reason !== undefined,
      retryWhenHealthy: retryWhenHealthy && reason === undefined && !event.listed
    }
    return become(
      { ...settled, probedHealthyAt: startedAt, discovery },
      { ...common, consecutiveFailures: 0, backoffMultiplier: 1, nextCheck: spreadOut(interval) },
      reason === undefined || running ? [] : [{ _tag: "Discover", reason }]
    )
  }
  const consecutiveFailures = condition.consecutiveFailures + 1
  if (result.status === "rate_limited") {
    const window = result.rateLimit?.wait ?? 0
    // Spread to the late side only: the backend said how long it wants to be left alone.
    const wait = Math.max(interval, window)
    return become(settled, {
      ...common,
      consecutiveFailures,
      backoffMultiplier: condition.backoffMultiplier,
      nextCheck: startedAt + Math.round(wait * (1 + spread * Math.abs(event.jitter))),
      rateLimitedUntil: startedAt + window
    })
  }
  const { wait, next } = backOff(condition.backoffMultiplier, interval)
  return become(settled, { ...common, consecutiveFailures, backoffMultiplier: next, nextCheck: spreadOut(wait) })
}

/** Whether a good probe calls for the endpoint's models. */
const discoverAfter = (state: ActorState, event: Finished, policy: EndpointPolicy): DiscoveryReason | undefined => {
  const was = state.condition.status
  const isHealthy = event.result.status === "healthy"
  if (!policy.discovery.enabled || event.listed) return undefined
  if (was === "unknown") return "startup"
  if (isHealthy && was !== "healthy") return "recovery"
  if (!isRoutable(was) && state.discovery.syncedAt === 0) return "recovery"
  return isHealthy && state.discovery.retryWhenHealthy ? "retry" : undefined
}

const attemptFailed = (
  state: ActorState,
  event: Extract<EndpointEvent, { readonly _tag: "AttemptFailed" }>,
  policy: EndpointPolicy
): Transition => {
  // One outage met by many requests is one failure; and a slow failure says nothing about an endpoint that answered since.
  if (event.startedAt < state.probedHealthyAt) return unchanged(state)
  if (state.demotedAt > 0 && state.demotedAt >= event.startedAt) return unchanged(state)
  const { condition } = state
  const { wait, next } = backOff(condition.backoffMultiplier, policy.checkInterval)
  const to: EndpointState = {
    ...condition,
    status: "offline",
    lastChecked: event.now,
    consecutiveFailures: condition.consecutiveFailures + 1,
    backoffMultiplier: next,
    nextCheck: Math.max(event.now + wait, condition.rateLimitedUntil),
    lastError: event.cause
  }
  return become({ ...state, demotedAt: event.now }, to, [{ _tag: "Demoted", to }])
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

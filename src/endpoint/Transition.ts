/**
 * The whole behaviour of one endpoint as a pure function of its state and an event. Time and chance come in with the event; what is
 * to be done goes out as commands, which the actor carries out. All times are milliseconds of the monotonic clock.
 */
import { isDisabled, listingFailed, listingRead, neverDiscovered } from "./DiscoveryState.ts"
import type { ActorState, DiscoveryReason, EndpointCommand, EndpointEvent, EndpointPolicy } from "./EndpointEvent.ts"
import { type EndpointState, isRoutable } from "./EndpointState.ts"
import { isSuccess, probeError } from "./ProbeResult.ts"

export interface Transition {
  readonly state: ActorState
  readonly commands: ReadonlyArray<EndpointCommand>
}

/** A share of the wait by which probes are spread, so that a fleet does not probe in step. */
const spread = 0.05
const maxMultiplier = 12
const backoffCap = 60_000
/** For so long after it went out of rotation an endpoint is probed at its interval, and only then ever more seldom. */
const recoveringFor = 60_000
/** Probes in a row that are late before that decides: a server at work answers its health route when it comes to it. */
const lateProbes = 3
/** For so many intervals after an attempt was answered late probes say nothing. */
const answerCounts = 6
/** Probes that a doubt asks for are at least so far apart. */
const doubtSpacing = 1000
/** Attempts in a row that must fail where nothing is probed. */
const failedAttemptsThatDemote = 3

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

/** When the next probe is due. */
const probeDueAt = ({ condition, probing }: ActorState): number =>
  probing ? Number.POSITIVE_INFINITY : Math.max(condition.nextCheck, condition.rateLimitedUntil)

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

const unchanged = (state: ActorState): Transition => ({ state, commands: [] })

/** A new condition, announced when the status is another. `now`: when it came to be. */
const become = (state: ActorState, condition: EndpointState, now: number, commands: ReadonlyArray<EndpointCommand> = []): Transition => {
  const from = state.condition
  const announce: ReadonlyArray<EndpointCommand> = from.status === condition.status ? [] : [{ _tag: "Announce", from, to: condition }]
  const outSince = isRoutable(from.status) && !isRoutable(condition.status) ? now : state.outSince
  return { state: { ...state, condition, outSince }, commands: [...announce, ...commands] }
}

const probeDue = (state: ActorState, now: number): Transition =>
  now < probeDueAt(state) ? unchanged(state) : { state: { ...state, probing: true }, commands: [{ _tag: "Probe" }] }

/** Wait after a failure, and the next multiplier. */
const backOff = (state: ActorState, now: number, interval: number): { readonly wait: number; readonly next: number } => {
  const { backoffMultiplier: multiplier, status } = state.condition
  const isRecovering = isRoutable(status) || now - state.outSince < recoveringFor
  if (isRecovering || multiplier <= 1) return { wait: interval, next: 2 }
  return { wait: Math.min(interval * multiplier, Math.max(backoffCap, interval)), next: Math.min(multiplier * 2, maxMultiplier) }
}

type Finished = Extract<EndpointEvent, { readonly _tag: "ProbeFinished" }>

const probeFinished = (before: ActorState, event: Finished, policy: EndpointPolicy): Transition => {
  const { result, startedAt, now } = event
  const { condition } = before
  // A doubt that came while the probe was under way is not settled by it.
  const isDoubted = before.doubtedAt > 0
  const state: ActorState = {
    ...before,
    probing: false,
    answeredAt: event.answered ? now : before.answeredAt,
    doubtedAt: before.doubtedAt > startedAt ? before.doubtedAt : 0
  }
  // The configuration has put an end to probes since it began.
  if (!policy.probes) return unchanged(state)
  // A demotion came while the probe was under way: what the probe saw is older.
  if (startedAt < condition.lastChecked) return unchanged(state)

  const interval = policy.checkInterval
  const spreadOut = (wait: number): number => {
    const at = startedAt + Math.round(wait * (1 + spread * event.jitter))
    return state.doubtedAt > 0 ? Math.min(at, Math.max(now, startedAt + doubtSpacing)) : at
  }
  const common = {
    status: result.status,
    lastChecked: startedAt,
    lastLatency: result.latency,
    rateLimitedUntil: 0,
    lastError: result.cause
  }
  if (isSuccess(result.status)) {
    const reason = discoverAfter(state, event, policy)
    const { running, retryWhenHealthy } = state.discovery
    // A listing that is under way asks as it was asked before.
    const isJoined = running && reason !== "changed"
    const discovery = {
      ...state.discovery,
      running: running || reason !== undefined,
      retryWhenHealthy: retryWhenHealthy && reason === undefined && !event.listed
    }
    return become(
      {
        ...state,
        probedHealthyAt: startedAt,
        late: 0,
        wanted: reason === undefined && !event.listed ? state.wanted : undefined,
        discovery
      },
      { ...common, consecutiveFailures: 0, backoffMultiplier: 1, nextCheck: spreadOut(interval) },
      now,
      reason === undefined || isJoined ? [] : [{ _tag: "Discover", reason }]
    )
  }
  const late = result.errorType === probeError.timeout ? (event.answered ? 1 : state.late + 1) : 0
  if (late > 0 && isRoutable(condition.status) && !isDoubted && isExcused({ ...state, late }, now, policy))
    return become(
      { ...state, late },
      { ...condition, lastChecked: startedAt, lastLatency: result.latency, nextCheck: spreadOut(interval) },
      now
    )
  const consecutiveFailures = condition.consecutiveFailures + 1
  if (result.status === "rate_limited") {
    const window = result.rateLimit?.wait ?? 0
    // Spread to the late side only: the backend said how long it wants to be left alone.
    const wait = Math.max(interval, window)
    return become(
      { ...state, late },
      {
        ...common,
        consecutiveFailures,
        backoffMultiplier: condition.backoffMultiplier,
        nextCheck: startedAt + Math.round(wait * (1 + spread * Math.abs(event.jitter))),
        rateLimitedUntil: startedAt + window
      },
      now
    )
  }
  const { wait, next } = backOff(state, startedAt, interval)
  return become({ ...state, late }, { ...common, consecutiveFailures, backoffMultiplier: next, nextCheck: spreadOut(wait) }, now)
}

/** Late probes do not decide yet. */
const isExcused = ({ late, answeredAt }: ActorState, now: number, { checkInterval }: EndpointPolicy): boolean =>
  late < lateProbes || (answeredAt > 0 && now - answeredAt < answerCounts * checkInterval)

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

/** Whether a good probe calls for the endpoint's models. */
const discoverAfter = (state: ActorState, event: Finished, policy: EndpointPolicy): DiscoveryReason | undefined => {
  const was = state.condition.status
  const isHealthy = event.result.status === "healthy"
  if (!policy.discovery.enabled || event.listed) return undefined
  if (state.wanted !== undefined) return state.wanted
  if (was === "unknown") return "startup"
  if (isHealthy && was !== "healthy") return "recovery"
  if (!isRoutable(was) && state.discovery.syncedAt === 0) return "recovery"
  return isHealthy && state.discovery.retryWhenHealthy ? "retry" : undefined
}

const attemptFailed = (
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
  policy: EndpointPolicy
): Transition => {
  const { condition } = state
  const { wait, next } = backOff(state, now, policy.checkInterval)
  const to: EndpointState = {
    ...condition,
    status: "offline",
    lastChecked: now,
    consecutiveFailures: condition.consecutiveFailures + 1,
    backoffMultiplier: next,
    nextCheck: Math.max(now + wait, condition.rateLimitedUntil),
    lastError: cause
  }
  return become({ ...state, demotedAt: now, late: 0, doubtedAt: 0 }, to, now, [{ _tag: "Demoted", to }])
}

/** Back in rotation: who answers requests is not away. */
const attemptSucceeded = (state: ActorState, now: number, policy: EndpointPolicy): Transition =>
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

/** Nothing but the lateness of its probes took it out of rotation. */
export const isOutForLateness = ({ condition, late }: ActorState): boolean => late >= lateProbes && condition.status === "offline"

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

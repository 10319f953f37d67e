/** What the result of a probe makes of an endpoint. */
import type { ActorState, DiscoveryReason, EndpointCommand, EndpointEvent, EndpointPolicy } from "./EndpointEvent.ts"
import { isRoutable } from "./EndpointState.ts"
import { isSuccess, probeError } from "./ProbeResult.ts"
import { backOff, become, doubtSpacing, type Transition, unchanged } from "./StateChange.ts"

/** A share of the wait by which probes are spread, so that a fleet does not probe in step. */
const spread = 0.05
/** Probes in a row that are late before that decides: a server at work answers its health route when it comes to it. */
const lateProbes = 3
/** For so many intervals after an attempt was answered late probes say nothing. */
const answerCounts = 6

type Finished = Extract<EndpointEvent, { readonly _tag: "ProbeFinished" }>

export const probeFinished = (before: ActorState, event: Finished, policy: EndpointPolicy): Transition => {
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
  const forgotten: ReadonlyArray<EndpointCommand> = state.wanted === "changed" ? [{ _tag: "ForgetModels" }] : []
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
      now,
      forgotten
    )
  }
  const { wait, next } = backOff(state, startedAt, interval)
  return become({ ...state, late }, { ...common, consecutiveFailures, backoffMultiplier: next, nextCheck: spreadOut(wait) }, now, forgotten)
}

/** Late probes do not decide yet. */
const isExcused = ({ late, answeredAt }: ActorState, now: number, { checkInterval }: EndpointPolicy): boolean =>
  late < lateProbes || (answeredAt > 0 && now - answeredAt < answerCounts * checkInterval)

/** Nothing but the lateness of its probes took it out of rotation. */
export const isOutForLateness = ({ condition, late }: ActorState): boolean => late >= lateProbes && condition.status === "offline"

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

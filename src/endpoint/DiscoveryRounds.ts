/** Leads a fleet through its start, and then through the rounds in which it is asked for its models. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type DiscoveryFailure, describe, isWarning, operatorMessage } from "./DiscoveryFailure.ts"
import type { DiscoveryOutcome, EndpointActor } from "./EndpointActor.ts"
import { isRoutable } from "./EndpointState.ts"
import type { FleetContext } from "./FleetContext.ts"
import type { FleetMembers } from "./FleetMembers.ts"

/** Milliseconds of a round's pause while nothing is discovered. */
const longestSleep = 3_600_000
/** Milliseconds that a start waits for what backends tell of their load. */
const longestFirstSignals = 1_500

/** Asks these, and reports as one round. */
const round = Effect.fnUntraced(function* (
  candidates: ReadonlyArray<EndpointActor>,
  ask: (actor: EndpointActor) => Effect.Effect<DiscoveryOutcome>
) {
  if (candidates.length === 0) {
    yield* Effect.logDebug("no endpoint to discover models on")
    return undefined
  }
  yield* Effect.logDebug(`Starting model discovery on healthy endpoints (${candidates.length})`)
  const outcomes = yield* Effect.forEach(candidates, ask, { concurrency: "unbounded" })
  const failures = outcomes.filter((outcome): outcome is DiscoveryFailure => typeof outcome === "object" && !isWarning(outcome))
  if (failures.length === 0) yield* Effect.logDebug(`Finished model discovery on healthy endpoints (${candidates.length})`)
  return failures[0]
})

const routable = ({ actors }: FleetMembers) => actors.filter((actor) => isRoutable(actor.endpoint.state.status))

const shortest = ({ endpoints }: FleetMembers): number =>
  endpoints.reduce((least, { checkInterval }) => Math.min(least, checkInterval), 30_000)

/** First probes and first listings of all that are configured at the start. */
export const firstRound = Effect.fnUntraced(function* (members: FleetMembers, { discovery, probePermits }: FleetContext) {
  const { actors } = members
  yield* Effect.logDebug("Starting Health Checker Service", {
    check_interval: Duration.millis(shortest(members)),
    endpoints: actors.length
  })
  yield* Effect.logDebug("Initialising health checks", { endpoints: actors.length })
  members.start()
  yield* Effect.forEach(actors, (actor) => Deferred.await(actor.firstStatus), { concurrency: "unbounded", discard: true })
  yield* probePermits.settle
  const { endpoints } = members
  yield* Effect.logDebug(`Registered endpoints (${endpoints.length})`)
  for (const { name, displayUrl: url, priority } of endpoints) yield* Effect.logDebug("Endpoint registered", { name, url, priority })
  if (!discovery().enabled) return
  yield* Effect.logDebug("Initialising model discovery service", { interval: Duration.millis(discovery().interval) })
  // Each endpoint reads its models as soon as its own first probe is through; here is only waited for them.
  const failure = yield* round(routable(members), (actor) => actor.discoveryEnd)
  yield* Effect.forEach(routable(members), (actor) => Effect.timeoutOption(Deferred.await(actor.firstSignals), longestFirstSignals), {
    concurrency: "unbounded",
    discard: true
  })
  if (failure !== undefined) yield* Effect.logWarning("Initial model discovery failed", { error: describe(failure) })
})

const periodicRound = Effect.fnUntraced(function* (members: FleetMembers, { discovery }: FleetContext) {
  if (!discovery().enabled) return
  const failure = yield* round(
    routable(members).filter(({ endpoint }) => !endpoint.discoveryDisabled),
    (actor) => actor.discover("periodic")
  )
  if (failure !== undefined)
    yield* Effect.logWarning(`Regular discovery failed (${operatorMessage(failure)})`, { detailed_error: describe(failure) })
})

/**
 * For ever, the first one an interval after `since`. Of a round's start, not of the end of the one before: a round that takes longer than
 * the interval drops those that it missed.
 */
export const periodicRounds = (members: FleetMembers, context: FleetContext, since: number): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const { discovery, now } = context
    let due = since
    const untilNext = Effect.sync(() => {
      const pace = discovery().enabled ? Math.max(discovery().interval, 1) : longestSleep
      due += Math.max(1, Math.ceil((now() - due + 1) / pace)) * pace
      return Duration.millis(due - now())
    })
    return Effect.schedule(
      periodicRound(members, context),
      Schedule.modifyDelay(Schedule.forever, () => untilNext)
    )
  })

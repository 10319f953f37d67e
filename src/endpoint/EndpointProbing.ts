/** One probe of an endpoint, from its wait for a permit to the step that its result is. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Listing } from "./Discovery.ts"
import type { Endpoint } from "./Endpoint.ts"
import { registerListing } from "./EndpointListing.ts"
import { probeLines, write } from "./EndpointLog.ts"
import { healthUrlOf } from "./EndpointSpec.ts"
import type { FleetContext } from "./FleetContext.ts"
import { changed, ownSpan } from "./OwnSpan.ts"
import { decidesWithin } from "./Patience.ts"
import { internalResult, type ProbeTarget, probe } from "./Probe.ts"
import { isSlow } from "./ProbePermits.ts"
import type { ProbeResult } from "./ProbeResult.ts"

/** Ends when the result is a step of the endpoint and written to the log; a bug behind the probe escapes. */
export const probeEndpoint = (endpoint: Endpoint, fleet: FleetContext): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { status, lastLatency } = endpoint.state
    const span = ownSpan("endpoint.probe", { "olla.endpoint": endpoint.name })
    return fleet.probePermits.hold(span(probeNow(endpoint, fleet)), isSlow(status === "healthy", lastLatency))
  })

const probeNow = Effect.fnUntraced(function* (endpoint: Endpoint, fleet: FleetContext) {
  yield* Effect.logDebug("Performing health checks", { endpoint: endpoint.name, endpoints_to_check: 1 })
  const startedAt = fleet.now()
  const exit = yield* Effect.exit(check(endpoint, fleet))
  if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) return yield* Effect.interrupt
  let result: ProbeResult | undefined
  let listing: Listing | undefined
  if (Exit.isSuccess(exit)) {
    result = exit.value.result
    listing = exit.value.listing
  } else {
    yield* Effect.logError("health check failed unexpectedly", { endpoint: endpoint.name, error: Cause.pretty(exit.cause) })
    result = internalResult("internal error", fleet.now() - startedAt)
  }
  if (result === undefined) {
    endpoint.step({ _tag: "ProbeLost", startedAt })
    yield* fleet.shortage
    return
  }
  const listed = listing !== undefined && fleet.discovery().enabled
  if (listing !== undefined) for (const line of registerListing(endpoint, fleet, listing, "detection")) yield* write(line)
  const before = endpoint.state
  endpoint.probed(result, startedAt, 2 * fleet.random() - 1, listed)
  if (endpoint.state.status !== before.status) {
    yield* changed
    yield* Effect.annotateCurrentSpan({ "olla.status": endpoint.state.status, "olla.status.before": before.status })
  }
  // A discarded result is not reported.
  if (endpoint.state !== before)
    for (const line of probeLines(endpoint, before, endpoint.state, result, fleet.now(), fleet.discovery().enabled)) yield* write(line)
})

const targetOf = ({ healthUrl, credentials, origin, checkTimeout, patience }: Endpoint): ProbeTarget => ({
  healthUrl,
  credentials,
  tls: origin.tls,
  checkTimeout: patience.isDoubted ? Math.min(checkTimeout, decidesWithin) : checkTimeout
})

/** A probe; while the type is unknown and somebody answers, detection too, since most kinds do not answer at `/`. */
const check = Effect.fnUntraced(function* (endpoint: Endpoint, { client, discoverer }: FleetContext) {
  const target = targetOf(endpoint)
  const { spec } = endpoint
  const result = yield* probe(client, target)
  // A 404 where the kind has its health path: another kind of server may stand there now.
  if (result === undefined) return { result, listing: undefined }
  const isOpen = endpoint.profile === undefined || (spec.isAuto && result.statusCode === 404 && spec.healthReference === undefined)
  if (!isOpen || result.statusCode === undefined || result.status === "rate_limited") return { result, listing: undefined }
  const listing = yield* discoverer.detect(spec, spec.checkTimeout)
  if (listing === undefined) return { result, listing }
  const healthUrl = healthUrlOf(spec, listing.profile)
  if (result.cause === "" || healthUrl === target.healthUrl) return { result, listing }
  return { result: yield* probe(client, { ...target, healthUrl }), listing }
})

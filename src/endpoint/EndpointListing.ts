/** One reading of an endpoint's models, from its wait for a permit to the step that its result is. */
import * as Effect from "effect/Effect"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Listing } from "./Discovery.ts"
import { type DiscoveryFailure, isRecoverable, issueOf, isWarning } from "./DiscoveryFailure.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { DiscoveryReason } from "./EndpointEvent.ts"
import { discoveryFailureLines, discoveryStartLines, type LogLine, listingLines, noListLines, write } from "./EndpointLog.ts"
import type { FleetContext } from "./FleetContext.ts"
import { changed, failed, ownSpan } from "./OwnSpan.ts"
import { withPermits } from "./ProbePermits.ts"

/** Failures are counted and logged; a bug in the reader escapes. */
export const readListing = (endpoint: Endpoint, fleet: FleetContext, reason: DiscoveryReason): Effect.Effect<DiscoveryFailure | "read"> => {
  const permits = reason === "startup" || reason === "periodic" ? fleet.discoveryWorkers : fleet.recoverySlots
  let outcome: DiscoveryFailure | "read" = "read"
  const span = ownSpan("endpoint.discover", { "olla.endpoint": endpoint.name, "olla.reason": reason })
  const reading = Effect.map(span(readNow(endpoint, fleet, reason)), (ended) => {
    outcome = ended
  })
  return Effect.map(withPermits([permits], reading), () => outcome)
}

const readNow = Effect.fnUntraced(function* (endpoint: Endpoint, fleet: FleetContext, reason: DiscoveryReason) {
  for (const line of discoveryStartLines(endpoint.name, endpoint.displayUrl, reason)) yield* write(line)
  const startedAt = fleet.now()
  const { timeout, retry_attempts: retryAttempts, retry_backoff: retryBackoff } = fleet.discovery()
  const outcome = yield* fleet.discoverer
    .discover(endpoint.spec, endpoint.detected, { timeout, retryAttempts, retryBackoff })
    .pipe(Effect.catch((failure: DiscoveryFailure) => Effect.succeed(failure)))
  if (!("_tag" in outcome)) {
    const before = namesOf(endpoint.models)
    for (const line of registerListing(endpoint, fleet, outcome, reason)) yield* write(line)
    if (!isSameList(before, namesOf(endpoint.models))) yield* changed
    return "read" as const
  }
  yield* failed(outcome.innermost)
  for (const line of noteFailure(endpoint, fleet, outcome, startedAt, reason)) yield* write(line)
  return outcome
})

/** The known models stay, unless they were read when it was asked otherwise. */
const noteFailure = (
  endpoint: Endpoint,
  fleet: FleetContext,
  failure: DiscoveryFailure,
  startedAt: number,
  reason: DiscoveryReason
): ReadonlyArray<LogLine> => {
  const before = endpoint.inner
  endpoint.listingIssue = issueOf(failure)
  if (isWarning(failure)) {
    endpoint.step({ _tag: "ListingRead", now: before.discovery.syncedAt, reason })
    return noListLines(endpoint.name, failure)
  }
  if (reason === "changed") {
    endpoint.forgetModels()
    fleet.publish({ _tag: "ModelsChanged", endpoint })
    endpoint.listingIssue = issueOf(failure)
  }
  endpoint.step({ _tag: "ListingFailed", startedAt, recoverable: isRecoverable(failure), reason })
  return discoveryFailureLines(endpoint.name, before, endpoint.inner, failure, reason, fleet.shown(endpoint.inner.discovery.retryAt))
}

/** Takes over a listing, and what it proves about the type; with discovery switched off only the latter. */
export const registerListing = (
  endpoint: Endpoint,
  fleet: FleetContext,
  listing: Listing,
  reason: DiscoveryReason | "detection"
): ReadonlyArray<LogLine> => {
  const detected = endpoint.recognise(listing.profile)
  const wasDisabled = endpoint.discoveryDisabled
  const before = endpoint.modelsSyncedAt === 0 && endpoint.models.length === 0 ? undefined : namesOf(endpoint.models)
  const isWanted = fleet.discovery().enabled
  if (isWanted) endpoint.register(listing.models, fleet.wall())
  // Also where discovery was switched off meanwhile: the reading is over.
  if (isWanted || reason !== "detection") endpoint.step({ _tag: "ListingRead", now: fleet.now(), reason })
  fleet.publish({ _tag: "ModelsChanged", endpoint })
  if (!isWanted) return []
  const { name, state } = endpoint
  const { skipped } = listing
  return listingLines({
    name,
    status: state.status,
    before,
    names: namesOf(endpoint.models),
    originalCount: listing.models.length,
    skipped,
    detected,
    wasDisabled,
    reason
  })
}

const namesOf = (models: ReadonlyArray<ListedModel>): ReadonlyArray<string> => models.map(({ name }) => name)

const isSameList = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): boolean => {
  const known = new Set(before)
  return before.length === after.length && after.every((name) => known.has(name))
}

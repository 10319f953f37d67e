/** What surfaces say when a request cannot be served, as far as they say the same. */
import { nearestNames, nearestText } from "../../catalogue/NearestName.ts"
import { accepts } from "../../endpoint/Endpoint.ts"
import { isRoutable } from "../../endpoint/EndpointState.ts"
import { reachability } from "../../endpoint/Reachability.ts"
import type { Failure } from "../../exchange/Failure.ts"
import { rejectionText } from "../ErrorTable.ts"
import type { Services } from "../Services.ts"

/** Seconds until somebody who is down is looked at again: the hint of a 503, as header pairs. */
export const retryAfter = ({ fleet }: Services): ReadonlyArray<string> => {
  let earliest = Number.POSITIVE_INFINITY
  for (const { state } of fleet.endpoints) if (!isRoutable(state.status)) earliest = Math.min(earliest, state.nextCheck)
  if (fleet.endpoints.length === 0) return []
  const seconds = earliest === Number.POSITIVE_INFINITY ? 1 : Math.ceil((earliest - fleet.now()) / 1000)
  return ["Retry-After", String(Math.min(60, Math.max(1, seconds)))]
}

/** Where an open breaker was why: a second, since one request a second is let through where nobody else can be asked. */
export const breakerWait = ({ kind }: Failure): ReadonlyArray<string> => (kind === "breaker_open" ? ["Retry-After", "1"] : [])

/** The table's sentence, what is near a name that nobody has, and who cannot be asked why. */
export const describeRejection = ({ catalogue, settings, fleet }: Services, reason: string, model: string): string => {
  const snapshot = catalogue.snapshot()
  const known = snapshot.offer(model) !== undefined
  const near = known ? [] : nearestNames(snapshot, model, Object.keys(settings.current().model_aliases))
  const isAnybodyOut = reason !== "model_not_found" && !fleet.endpoints.every(accepts)
  return `${rejectionText(reason, model)}${nearestText(near)}${isAnybodyOut ? `; ${reachability(fleet.endpoints)}` : ""}`
}

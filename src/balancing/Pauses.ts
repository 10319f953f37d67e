/** How long all that could be asked want to be left alone. */
import { accepts } from "../endpoint/Endpoint.ts"
import type { Candidate } from "../routing/Router.ts"

/**
 * When the first of their pauses ends, milliseconds of the monotonic clock; `undefined`: somebody can be asked now, or nobody is
 * paused. Whoever is in the trial that follows may be asked then.
 */
export const pausedUntil = (candidates: ReadonlyArray<Candidate>): number | undefined => {
  let until = Number.POSITIVE_INFINITY
  for (const { endpoint, nativeName } of candidates) {
    if (!accepts(endpoint)) continue
    const lane = endpoint.lanes.of(nativeName)
    if (lane.isOpen) return undefined
    if (lane.state === "paused") until = Math.min(until, lane.condition.until)
  }
  return until === Number.POSITIVE_INFINITY ? undefined : until
}

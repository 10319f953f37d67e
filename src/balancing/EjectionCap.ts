/** How many lanes of one model may be out at the same time: whatever goes wrong, somebody is left to be asked. */
import { accepts } from "../endpoint/Endpoint.ts"
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Candidate } from "../routing/Router.ts"

/** `lane`: which is to go; `all`: of them those count whose endpoint serves. `percent`: `traffic.ejection.max_percent`. The only one never is ejected. */
export const hasRoomToEject = (all: ReadonlyArray<Candidate>, lane: Lane, percent: number): boolean => {
  let routable = 0
  let out = 0
  for (const other of all) {
    if (!accepts(other.endpoint)) continue
    routable++
    const its = other.endpoint.lanes.of(other.nativeName)
    if (its !== lane && its.isOut) out++
  }
  return routable > 1 && out < Math.max(1, Math.floor((routable * percent) / 100))
}

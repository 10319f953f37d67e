/** What share of requests a candidate is to get beside the others: its endpoint's `weight`, less of it while its lane starts slowly. */
import type { Candidate } from "../routing/Router.ts"

export class Weights {
  /** Of each candidate, in their order; those beyond their number mean nothing. */
  readonly of: Array<number> = []
  /** All have the same. */
  areEqual = true

  /** Filled anew for each choice. A start is slow only beside somebody who has started. */
  fill(candidates: ReadonlyArray<Candidate>, usesLanes: boolean): this {
    let starting = 0
    let n = 0
    let now = -1
    for (const { endpoint, nativeName } of candidates) {
      const lane = usesLanes ? endpoint.lanes.of(nativeName) : undefined
      let share = 1
      if (lane?.isStarting === true) {
        // To look at the clock costs more than all the rest.
        if (now < 0) now = lane.now
        share = lane.slowStartShare(now)
      }
      if (share < 1) starting++
      this.of[n++] = endpoint.spec.weight * share
    }
    if (starting === n) for (let i = 0; i < n; i++) this.of[i] = candidates[i]?.endpoint.spec.weight ?? 1
    this.areEqual = true
    for (let i = 1; i < n; i++) if (this.of[i] !== this.of[0]) this.areEqual = false
    return this
  }
}

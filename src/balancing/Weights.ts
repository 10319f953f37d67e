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
    if (usesLanes) for (const { endpoint, nativeName } of candidates) if (endpoint.lanes.of(nativeName).slowStartShare < 1) starting++
    const isSlow = starting > 0 && starting < candidates.length
    this.areEqual = true
    let n = 0
    for (const { endpoint, nativeName } of candidates) {
      const { weight } = endpoint.spec
      this.of[n] = isSlow ? weight * endpoint.lanes.of(nativeName).slowStartShare : weight
      if (this.of[n] !== this.of[0]) this.areEqual = false
      n++
    }
    return this
  }
}

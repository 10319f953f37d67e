/** `load_balancer: least-connections`. */
import type { Candidate } from "../routing/Router.ts"
import type { Pick } from "./Balancer.ts"
import { Weights } from "./Weights.ts"

/** The fewest attempts under way for its weight; ties in turn, by one cursor. */
export const leastConnections = (): Pick => {
  const weights = new Weights()
  let cursor = 0
  return (candidates, { usesLanes }) => {
    if (candidates.length < 2) return candidates[0]
    const { of } = weights.fill(candidates, usesLanes)
    let least = Number.POSITIVE_INFINITY
    let ties = 0
    let first: Candidate | undefined
    let n = 0
    for (const candidate of candidates) {
      const load = candidate.endpoint.inFlight / (of[n++] as number)
      if (load < least) {
        least = load
        ties = 1
        first = candidate
      } else if (load === least) ties++
    }
    if (ties <= 1) return first
    let skip = cursor++ % ties
    n = 0
    for (const candidate of candidates) if (candidate.endpoint.inFlight / (of[n++] as number) === least && skip-- === 0) return candidate
    return first
  }
}

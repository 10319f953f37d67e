/** `load_balancer: least-connections`. */
import type { Candidate } from "../routing/Router.ts"
import type { Pick } from "./Balancer.ts"

/** The fewest attempts under way; ties in turn, by one cursor. */
export const leastConnections = (): Pick => {
  let cursor = 0
  return (candidates) => {
    let least = Number.POSITIVE_INFINITY
    let ties = 0
    let first: Candidate | undefined
    for (const candidate of candidates) {
      const load = candidate.endpoint.inFlight
      if (load < least) {
        least = load
        ties = 1
        first = candidate
      } else if (load === least) ties++
    }
    if (ties <= 1) return first
    let skip = cursor++ % ties
    for (const candidate of candidates) if (candidate.endpoint.inFlight === least && skip-- === 0) return candidate
    return first
  }
}

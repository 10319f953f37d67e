/**
 * The balancers as pure rules (proxying.md 7). Each picks one of the candidates that are left; all of them are routable.
 */
import { weightOf } from "../endpoint/EndpointState.ts"
import type { Candidate } from "../routing/Router.ts"

export type Pick = (candidates: ReadonlyArray<Candidate>) => Candidate | undefined

/** The highest tier alone; within it a draw by status weight. `random`: uniform in [0, 1). */
export const priority =
  (random: () => number): Pick =>
  (candidates) => {
    let tier = Number.NEGATIVE_INFINITY
    let size = 0
    let sum = 0
    let first: Candidate | undefined
    for (const candidate of candidates) {
      const { endpoint } = candidate
      if (endpoint.priority < tier) continue
      if (endpoint.priority > tier) {
        tier = endpoint.priority
        size = 0
        sum = 0
        first = candidate
      }
      size++
      sum += weightOf(endpoint.state.status)
    }
    if (size <= 1) return first
    // Without any weight each counts the same.
    const even = sum === 0
    const drawn = random() * (even ? size : sum)
    let running = 0
    let last = first
    for (const candidate of candidates) {
      if (candidate.endpoint.priority !== tier) continue
      running += even ? 1 : weightOf(candidate.endpoint.state.status)
      last = candidate
      if (running > drawn) return candidate
    }
    return last
  }

/** One counter for the process; each selection takes a tick. */
export const roundRobin = (): Pick => {
  let next = 0
  return (candidates) => (candidates.length === 0 ? undefined : candidates[next++ % candidates.length])
}

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

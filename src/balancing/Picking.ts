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
    let top: Array<Candidate> = []
    for (const candidate of candidates) {
      const best = top[0]?.endpoint.priority ?? Number.NEGATIVE_INFINITY
      if (candidate.endpoint.priority > best) top = [candidate]
      else if (candidate.endpoint.priority === best) top.push(candidate)
    }
    if (top.length <= 1) return top[0]
    const sum = top.reduce((total, { endpoint }) => total + weightOf(endpoint.state.status), 0)
    if (sum === 0) return top[Math.floor(random() * top.length)]
    const drawn = random() * sum
    let running = 0
    for (const candidate of top) {
      running += weightOf(candidate.endpoint.state.status)
      if (running >= drawn) return candidate
    }
    return top[top.length - 1]
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

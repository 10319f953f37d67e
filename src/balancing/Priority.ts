/** `load_balancer: priority`. */
import { weightOf } from "../endpoint/EndpointState.ts"
import type { Candidate } from "../routing/Router.ts"
import type { Pick } from "./Balancer.ts"
import { Weights } from "./Weights.ts"

/** The highest tier alone; within it a draw by the weight of its status and its own. `random`: uniform in [0, 1). */
export const priority = (random: () => number): Pick => {
  const weights = new Weights()
  return (candidates, { usesLanes }) => {
    const { of } = weights.fill(candidates, usesLanes)
    let n = -1
    let tier = Number.NEGATIVE_INFINITY
    let size = 0
    let sum = 0
    let first: Candidate | undefined
    for (const candidate of candidates) {
      const { endpoint } = candidate
      n++
      if (endpoint.priority < tier) continue
      if (endpoint.priority > tier) {
        tier = endpoint.priority
        size = 0
        sum = 0
        first = candidate
      }
      size++
      sum += weightOf(endpoint.state.status) * (of[n] as number)
    }
    if (size <= 1) return first
    // Without any weight each counts the same.
    const even = sum === 0
    const drawn = random() * (even ? size : sum)
    let running = 0
    let last = first
    n = -1
    for (const candidate of candidates) {
      n++
      if (candidate.endpoint.priority !== tier) continue
      running += even ? 1 : weightOf(candidate.endpoint.state.status) * (of[n] as number)
      last = candidate
      if (running > drawn) return candidate
    }
    return last
  }
}

/** `load_balancer: priority`. */
import { weightOf } from "../endpoint/EndpointState.ts"
import type { Candidate } from "../routing/Router.ts"
import type { Pick } from "./Balancer.ts"

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

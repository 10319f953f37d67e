/** `load_balancer: round-robin`. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Pick } from "./Balancer.ts"
import { type TurnTaker, takeTurn } from "./SmoothRotation.ts"
import { Weights } from "./Weights.ts"

/** One counter for the process; each selection takes a tick. Of other weights than the same, turns are taken by them. */
export const roundRobin = (): Pick => {
  const weights = new Weights()
  const credits = new WeakMap<Endpoint, TurnTaker>()
  const creditOf = (endpoint: Endpoint): TurnTaker => {
    const known = credits.get(endpoint)
    if (known !== undefined) return known
    const credit = { credit: 0 }
    credits.set(endpoint, credit)
    return credit
  }
  let next = 0
  return (candidates, { usesLanes }) => {
    const count = candidates.length
    if (count === 0) return undefined
    weights.fill(candidates, usesLanes)
    if (weights.areEqual) return candidates[next++ % count]
    const takers = candidates.map(({ endpoint }) => creditOf(endpoint))
    return candidates[takeTurn(takers, weights.of, count, Math.random)]
  }
}

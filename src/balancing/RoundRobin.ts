/** `load_balancer: round-robin`. */
import type { Pick } from "./Balancer.ts"

/** One counter for the process; each selection takes a tick. */
export const roundRobin = (): Pick => {
  let next = 0
  return (candidates) => (candidates.length === 0 ? undefined : candidates[next++ % candidates.length])
}

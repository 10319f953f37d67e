/** How many endpoints are probed at once (endpoints-and-health.md 7.1, 7.2), and that those which hang hold up nobody else's probe. */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { inPlace } from "./Place.ts"

/** A probe that took longer than this, in milliseconds, and found nothing healthy will probably do so again. */
const slowProbe = 1000

/** A quarter of a large fleet, so that everybody's turn comes by the fourth, whatever the others do. */
const share = (atLeast: number, endpoints: number): number => Math.max(atLeast, Math.ceil(endpoints / 4))

export interface ProbePlaces {
  /** Waits for a place, then runs. `slow`: what the last probe of this endpoint suggests. */
  readonly hold: (probe: Effect.Effect<void>, slow: boolean) => Effect.Effect<void>
  /** The first sweep is over: fewer at once from here on. */
  readonly settle: Effect.Effect<void>
}

export const isSlow = (healthy: boolean, lastLatency: number): boolean => !healthy && lastLatency >= slowProbe

export const makeProbePlaces = (endpoints: number): ProbePlaces => {
  const all = Semaphore.makeUnsafe(share(10, endpoints))
  // All that slow ones may take together.
  const slowOnes = Semaphore.makeUnsafe(Math.ceil(share(5, endpoints) / 2))
  return {
    hold: (probe, slow) => inPlace(slow ? [slowOnes, all] : [all], probe),
    settle: Effect.asVoid(Semaphore.resize(all, share(5, endpoints)))
  }
}

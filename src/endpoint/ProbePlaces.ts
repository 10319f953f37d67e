/** How many endpoints are probed at once (endpoints-and-health.md 7.1, 7.2), and that those which hang hold up nobody else's probe. */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** A probe that took longer than this, in milliseconds, and found nothing healthy will probably do so again. */
const slowProbe = 1000
/**
 * Milliseconds after which a probe that still waits leaves its place to the next one and goes on without: at most one of each
 * endpoint. With the usual `check_timeout` none comes so far. A quarter of the fleet has places, so that the last endpoint's turn
 * comes within four times this, whatever the others do.
 */
const holdsPlaceFor = 2000

/** Places for `atLeast`, more in a large fleet. */
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
    hold: (probe, slow) => (slow ? leaving(slowOnes, leaving(all, probe)) : leaving(all, probe)),
    settle: Effect.asVoid(Semaphore.resize(all, share(5, endpoints)))
  }
}

/** Runs with a permit, which goes back at the end or after `holdsPlaceFor`, whichever comes first. */
const leaving = (places: Semaphore.Semaphore, probe: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      yield* restore(places.take(1))
      let held = true
      const leave = Effect.suspend(() => {
        if (!held) return Effect.void
        held = false
        return places.release(1)
      })
      // A child: it ends with the probe.
      yield* Effect.forkChild(Effect.interruptible(Effect.andThen(Effect.sleep(holdsPlaceFor), leave)))
      yield* Effect.ensuring(restore(probe), leave)
    })
  )

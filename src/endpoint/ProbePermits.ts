/**
 * How many endpoints are asked at once, and that those which hang hold up nobody else: a permit bounds how much is asked, but work
 * that still waits for its backend gives it up after a while and goes on without.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/**
 * Milliseconds that work keeps its permit at most: so many backends that hang, for however long, only ever cost the others a few
 * turns of this length. One endpoint has one probe and one listing under way at most, so that all of it stays bounded.
 */
const holdsFor = 2000

/** Waits for a permit of each of `kinds`, in their order, then does `work`; they are given back at its end, or after `holdsFor`. */
export const withPermits = <R>(
  kinds: ReadonlyArray<Semaphore.Semaphore>,
  work: Effect.Effect<void, never, R>
): Effect.Effect<void, never, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const held: Array<Semaphore.Semaphore> = []
      const giveBack = Effect.suspend(() => Effect.forEach(held.splice(0), (kind) => kind.release(1), { discard: true }))
      const working = Effect.gen(function* () {
        for (const kind of kinds) {
          yield* restore(kind.take(1))
          held.push(kind)
        }
        // A child: it ends with the work.
        yield* Effect.forkChild(Effect.interruptible(Effect.andThen(Effect.sleep(holdsFor), giveBack)))
        yield* restore(work)
      })
      yield* Effect.ensuring(working, giveBack)
    })
  )

/** A probe that took longer than this, in milliseconds, and found nothing healthy will probably do so again. */
const slowProbe = 1000

/** A quarter of a large fleet, so that everybody's turn comes by the fourth, whatever the others do. */
const share = (atLeast: number, endpoints: number): number => Math.max(atLeast, Math.ceil(endpoints / 4))

export interface ProbePermits {
  /** Waits for a permit, then runs. `slow`: what the last probe of this endpoint suggests. */
  readonly hold: (probe: Effect.Effect<void>, slow: boolean) => Effect.Effect<void>
  /** The first sweep is over: fewer at once from here on. */
  readonly settle: Effect.Effect<void>
  /** The fleet has so many endpoints now. */
  readonly fit: (endpoints: number) => Effect.Effect<void>
}

export const isSlow = (healthy: boolean, lastLatency: number): boolean => !healthy && lastLatency >= slowProbe

export const makeProbePermits = (endpoints: number): ProbePermits => {
  let count = endpoints
  let atLeast = 10
  const all = Semaphore.makeUnsafe(share(atLeast, count))
  // All that slow ones may take together.
  const slowOnes = Semaphore.makeUnsafe(Math.ceil(share(5, endpoints) / 2))
  const resize = Effect.suspend(() =>
    Effect.andThen(Semaphore.resize(all, share(atLeast, count)), Semaphore.resize(slowOnes, Math.ceil(share(5, count) / 2)))
  )
  return {
    hold: (probe, slow) => withPermits(slow ? [slowOnes, all] : [all], probe),
    settle: Effect.suspend(() => {
      atLeast = 5
      return resize
    }),
    fit: (endpoints) =>
      Effect.suspend(() => {
        count = endpoints
        return resize
      })
  }
}

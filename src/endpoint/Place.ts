/** Places that bound how much is asked of backends at once, and that backends which hang do not occupy for good. */
import * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"

/**
 * Milliseconds after which work that still waits for its backend leaves its place to the next one and goes on without: so many
 * backends that hang, for however long, only ever cost the others a few turns of this length. One endpoint has one probe and
 * one listing under way at most, so that all of it stays bounded.
 */
const holdsFor = 2000

/** Waits for a place in each of `rows`, in their order, then does `work`; the places are free again at its end, or after `holdsFor`. */
export const inPlace = <R>(rows: ReadonlyArray<Semaphore.Semaphore>, work: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const held: Array<Semaphore.Semaphore> = []
      const leave = Effect.suspend(() => Effect.forEach(held.splice(0), (row) => row.release(1), { discard: true }))
      const taking = Effect.gen(function* () {
        for (const row of rows) {
          yield* restore(row.take(1))
          held.push(row)
        }
        // A child: it ends with the work.
        yield* Effect.forkChild(Effect.interruptible(Effect.andThen(Effect.sleep(holdsFor), leave)))
        yield* restore(work)
      })
      yield* Effect.ensuring(taking, leave)
    })
  )

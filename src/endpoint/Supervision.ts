/** Runs an actor for ever: a crash is told and followed by a new start, ever more slowly while crashes come close together. */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { monotonic } from "./Monotonic.ts"

/** Milliseconds. A life longer than `steadyAfter` makes the next delay the first one again. */
export const restartDelays = { first: 100, longest: 30_000, steadyAfter: 60_000 }

/** The pause after a crash, milliseconds; `before`: the pause that preceded this life, 0 for the first one. */
export const restartDelay = (before: number, lived: number): number =>
  before === 0 || lived > restartDelays.steadyAfter ? restartDelays.first : Math.min(before * 2, restartDelays.longest)

/** Doubles, is capped, and begins anew after a long life. */
const restarts: Schedule.Schedule<number> = Schedule.fromStep(
  Effect.map(monotonic, (begun) => {
    let born = begun
    let pause = 0
    return () =>
      Effect.map(monotonic, (now) => {
        pause = restartDelay(pause, now - born)
        born = now + pause
        return [pause, Duration.millis(pause)]
      })
  })
)

/** Interruption ends it for good. `crashed` runs before the pause. */
export const supervised = (life: Effect.Effect<never>, crashed: (cause: Cause.Cause<never>) => Effect.Effect<void>): Effect.Effect<never> =>
  life.pipe(Effect.sandbox, Effect.tapError(crashed), Effect.retry(restarts), Effect.catch(Effect.failCause))

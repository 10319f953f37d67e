/** Runs an actor for ever: a crash is told and followed by a new start, ever more slowly while crashes come close together. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Milliseconds. A life longer than `steadyAfter` makes the next delay the first one again. */
export const restartDelays = { first: 100, longest: 30_000, steadyAfter: 60_000 }

/** `life` is run anew when it ends, however it ends; interruption ends it for good. `crashed` runs before the pause. */
export const supervised = (life: Effect.Effect<never>, crashed: (cause: Cause.Cause<never>) => Effect.Effect<void>): Effect.Effect<never> =>
  Effect.gen(function* () {
    let delay = restartDelays.first
    while (true) {
      const startedAt = yield* Clock.currentTimeMillis
      const exit = yield* Effect.exit(life)
      if (Exit.isSuccess(exit)) continue
      if (Cause.hasInterrupts(exit.cause)) return yield* Effect.interrupt
      yield* crashed(exit.cause)
      if ((yield* Clock.currentTimeMillis) - startedAt > restartDelays.steadyAfter) delay = restartDelays.first
      yield* Effect.sleep(delay)
      delay = Math.min(delay * 2, restartDelays.longest)
    }
  })

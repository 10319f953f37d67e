/** One attempt of an engine as an effect, the way tests like to run it. */
import * as Effect from "effect/Effect"
import type { Failure } from "../../src/exchange/Failure.ts"
import type { Spoken } from "../../src/proxy/Dialect.ts"
import type { Engine, Sending } from "../../src/proxy/Engine.ts"

/** Interruption aborts it. */
export const sent = (engine: Engine, sending: Sending): Effect.Effect<Spoken | undefined, Failure> =>
  Effect.callback((resume) => {
    const running = engine.start(sending, {
      done: (again) => resume(Effect.succeed(again)),
      failed: (why) => resume(Effect.fail(why))
    })
    return Effect.sync(() => running.abort())
  })

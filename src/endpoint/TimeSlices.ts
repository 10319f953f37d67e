/** Long work of the control plane in small pieces, so that requests and their tokens go on meanwhile. */
import * as Effect from "effect/Effect"

/** Milliseconds that one piece of work may hold the loop at a time. */
const slice = 1

/** Lets the loop look after everything else that is due. */
export const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

/** Runs the steps to their end, giving the loop back between slices. What they throw is a defect. */
export const inSlices = Effect.fnUntraced(function* <A>(steps: Generator<void, A>) {
  let until = performance.now() + slice
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() >= until) {
      yield* turn
      until = performance.now() + slice
    }
  }
})

/** Spans of what Olla does by itself. Each is a trace of its own: nobody asked for it. */
import * as Effect from "effect/Effect"

/** Which of them are of interest is for telemetry to say, by `changed` and `failed`. */
export const ownSpan =
  (name: string, attributes: Readonly<Record<string, string>>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withSpan(effect, name, { root: true, attributes, captureStackTrace: false }) as Effect.Effect<A, E, R>

/** Something is otherwise than before. */
export const changed: Effect.Effect<void> = Effect.annotateCurrentSpan("olla.changed", true)

/** It came to nothing; `why` is one of a few words. */
export const failed = (why: string): Effect.Effect<void> => Effect.annotateCurrentSpan("error.type", why)

/** Of the span that is going on, where it is sent for certain; empty otherwise. For a backend that is asked meanwhile. */
export const ownTraceparent: Effect.Effect<string> = Effect.match(Effect.currentSpan, {
  onFailure: () => "",
  onSuccess: ({ sampled, spanId, traceId }) => (sampled ? `00-${traceId}-${spanId}-01` : "")
})

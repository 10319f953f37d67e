/**
 * Sends a document that may be long. What is done within a slice of the loop's time goes out at once; anything longer is
 * made a slice at a time and compressed outside the event loop, so that tokens flow meanwhile; one document after the other, so that
 * many requests at once add up neither in delay nor in memory.
 */
import { gzip } from "node:zlib"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { inSlices } from "../endpoint/TimeSlices.ts"
import { acceptsGzip, entityTag, matchesTag, minGzip } from "./Conditional.ts"
import { answerText, varying } from "./DocumentAnswer.ts"
import { type DocumentSchema, encodeDocument } from "./documents/Encoding.ts"
import type { RequestContext } from "./RequestContext.ts"

/** Milliseconds of work that may be done in one turn of the event loop. */
const slice = 1

export interface WrittenAnswer {
  readonly status: 200 | 304
  /** JSON; empty with 304. */
  readonly body: Buffer
  readonly headers: ReadonlyArray<string>
}

/** Ends early when nobody waits any longer. */
function* wanted<A>(context: RequestContext, steps: Generator<void, A>): Generator<void, A | undefined> {
  for (;;) {
    if (context.res.destroyed) return undefined
    const step = steps.next()
    if (step.done === true) return step.value
    yield
  }
}

const compressed = (body: Buffer): Effect.Effect<Buffer> =>
  Effect.callback((resume) => gzip(body, (error, bytes) => resume(error === null ? Effect.succeed(bytes) : Effect.die(error))))

const send = (context: RequestContext, { status, body, headers }: WrittenAnswer): void => {
  if (status === 304) context.answer(304, "application/json", "", [...headers, ...varying(context)])
  else answerText(context, body, headers)
}

const oneByOne = Semaphore.makeUnsafe(1)

const sendInSlices = Effect.fnUntraced(function* (context: RequestContext, steps: Generator<void, WrittenAnswer>) {
  const written = yield* inSlices(wanted(context, steps))
  if (written === undefined) return
  const { status, body, headers } = written
  if (status === 304 || body.length < minGzip || !acceptsGzip(context.headers("accept-encoding"))) send(context, written)
  else context.answer(200, "application/json", yield* compressed(body), [...headers, ...varying(context), "Content-Encoding", "gzip"])
})

export const answerInSteps = (context: RequestContext, steps: Generator<void, WrittenAnswer>): void => {
  const until = performance.now() + slice
  for (;;) {
    const step = steps.next()
    if (step.done === true) {
      send(context, step.value)
      return
    }
    if (performance.now() >= until) break
  }
  Effect.runFork(
    sendInSlices(context, steps).pipe(
      oneByOne.withPermits(1),
      Effect.catchCause((cause) => Effect.sync(() => context.fault(Cause.squash(cause))))
    )
  )
}

/** As `answerConditional` has it: an entity tag that stays while nothing but the clock has changed. */
export function* conditionalAnswer<S extends DocumentSchema>(
  context: RequestContext,
  schema: S,
  building: Generator<void, S["Type"]>
): Generator<void, WrittenAnswer> {
  const value = yield* building
  yield
  const document = encodeDocument(schema, value)
  yield
  const tag = entityTag(document)
  const headers = ["ETag", tag, "Cache-Control", "private, no-cache"]
  if (matchesTag(context.headers("if-none-match"), tag)) return { status: 304, body: Buffer.alloc(0), headers }
  yield
  return { status: 200, body: Buffer.from(JSON.stringify(document)), headers }
}

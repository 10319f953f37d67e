/**
 * Sends a list of models. Short ones are written at once. Long ones are filtered, sorted, encoded and put into JSON a piece at
 * a time, and compressed beside the loop, so that tokens flow meanwhile; one after the other, so that many who ask at once
 * neither add up nor take the memory of many lists.
 */
import { gzip } from "node:zlib"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { availabilityOf } from "../catalogue/Listing.ts"
import type { UnifiedModel } from "../catalogue/Snapshot.ts"
import { inSlices } from "../endpoint/TimeSlices.ts"
import { type ListingView, writeListing } from "../profile/ListingWriting.ts"
import { acceptsGzip, minGzip } from "./Conditional.ts"
import { answerText, varying } from "./DocumentAnswer.ts"
import { type DocumentSchema, encodeDocument } from "./documents/Encoding.ts"
import { type ListingFormat, listingDocuments } from "./documents/ListingDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"

/** Models up to which a list is written at once: about a millisecond. */
const short = 100
/** Bytes that are written between two steps, about: some 0.2 ms. */
const perStep = 16 * 1024

/** JSON of a list, in pieces. */
export function* listingText(format: ListingFormat, document: Readonly<Record<string, unknown>>): Generator<void, ReadonlyArray<Buffer>> {
  const schema = listingDocuments[format] as DocumentSchema
  const lists = Object.keys(document).filter((key) => Array.isArray(document[key]))
  const head = Object.entries(document).filter(([key]) => !lists.includes(key))
  const out: Array<Buffer> = []
  let open = `{${head.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)},`).join("")}`
  for (const [n, key] of lists.entries()) {
    const entries = document[key] as ReadonlyArray<unknown>
    open += `${n === 0 ? "" : ","}${JSON.stringify(key)}:[`
    // A model that is everywhere makes a long entry, most are short: the last piece says how many the next can take.
    let count = 1
    for (let i = 0; i < entries.length; ) {
      const some = entries.slice(i, i + count)
      const piece = { ...document, ...Object.fromEntries(lists.map((list) => [list, some])) }
      const encoded = encodeDocument(schema, piece) as Readonly<Record<string, unknown>>
      const bytes = Buffer.from(`${open}${JSON.stringify(encoded[key]).slice(1, -1)}`)
      out.push(bytes)
      i += some.length
      open = i < entries.length ? "," : ""
      count = Math.max(1, Math.min(2 * count, Math.floor((perStep * some.length) / bytes.length)))
      yield
    }
    open += "]"
  }
  out.push(Buffer.from(`${open}}`))
  return out
}

type View = Omit<ListingView<UnifiedModel>, "availabilityOf">

export function* listingBytes(format: string, models: ReadonlyArray<UnifiedModel>, view: View): Generator<void, Buffer> {
  const document = yield* writeListing(format, models, { ...view, availabilityOf })
  const pieces = yield* listingText(format as ListingFormat, document)
  const body = Buffer.allocUnsafeSlow(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    at += piece.copy(body, at)
    yield
  }
  return body
}

const atOnce = <A>(steps: Generator<void, A>): A => {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
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

const oneByOne = Semaphore.makeUnsafe(1)

export const answerListing = (context: RequestContext, format: string, models: ReadonlyArray<UnifiedModel>, view: View): void => {
  if (models.length <= short) {
    answerText(context, atOnce(listingBytes(format, models, view)))
    return
  }
  const zip = acceptsGzip(context.headers("accept-encoding"))
  const written = Effect.gen(function* () {
    const body = yield* inSlices(wanted(context, listingBytes(format, models, view)))
    return body !== undefined && zip && body.length >= minGzip
      ? { body: yield* compressed(body), headers: ["Content-Encoding", "gzip"] }
      : { body, headers: [] }
  })
  Effect.runFork(
    oneByOne
      .withPermits(1)(written)
      .pipe(
        Effect.flatMap(({ body, headers }) =>
          Effect.sync(() => {
            if (body !== undefined) context.answer(200, "application/json", body, [...headers, ...varying(context)])
          })
        ),
        Effect.catchCause((cause) => Effect.sync(() => context.onFault?.(context, Cause.squash(cause))))
      )
  )
}

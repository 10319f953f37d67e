/** Lists of models, filtered, sorted, encoded and put into JSON a piece at a time. */
import { availabilityOf } from "../catalogue/Listing.ts"
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import type { WrittenFormat } from "../profile/ListingFormats.ts"
import { type ListingView, writeListing } from "../profile/ListingWriting.ts"
import { type DocumentSchema, encodeDocument } from "./documents/Encoding.ts"
import { listingDocuments } from "./documents/ListingDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"
import { answerInSteps, type WrittenAnswer } from "./SlicedAnswer.ts"

/** Bytes that are written between two steps, about: some 0.2 ms. */
const perStep = 16 * 1024

/** JSON of a list, in pieces. */
export function* listingText(format: WrittenFormat, document: Readonly<Record<string, unknown>>): Generator<void, ReadonlyArray<Buffer>> {
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

export function* listingBytes(format: WrittenFormat, models: ReadonlyArray<UnifiedModel>, view: View): Generator<void, Buffer> {
  const document = yield* writeListing(format, models, { ...view, availabilityOf })
  const pieces = yield* listingText(format, document)
  const body = Buffer.allocUnsafeSlow(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    at += piece.copy(body, at)
    yield
  }
  return body
}

/** `beside`: fields of the document beside its list. */
export const answerListing = (
  context: RequestContext,
  format: WrittenFormat,
  models: ReadonlyArray<UnifiedModel>,
  view: View,
  beside: Readonly<Record<string, unknown>> = {}
): void => answerInSteps(context, written(listingBytes(format, models, view), JSON.stringify(beside)))

function* written(bytes: Generator<void, Buffer>, beside: string): Generator<void, WrittenAnswer> {
  const body = yield* bytes
  const whole = beside === "{}" ? body : Buffer.concat([body.subarray(0, -1), Buffer.from(`,${beside.slice(1)}`)])
  return { status: 200, body: whole, headers: [] }
}

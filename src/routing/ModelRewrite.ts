/**
 * Puts an endpoint's own name for the model into the body; every other byte stays. All top-level
 * duplicates are rewritten, so that the backend cannot read another name than the one that was routed.
 */
import { BodyScan } from "./BodyScan.ts"
import { firstMessageModel } from "./FirstMessage.ts"
import type { Inspection } from "./Router.ts"

/** The same chunks when there is nothing to rewrite: no JSON object and no form, or no model in it. */
export const rewriteModel = (body: ReadonlyArray<Buffer>, inspection: Inspection, name: string): ReadonlyArray<Buffer> => {
  const { field, spans: known, conversation } = inspection
  if (field === "none") return body
  if (field === "form") return splice(body, known ?? [], Buffer.from(name))
  if (field === "model" && known !== undefined) return known.length === 0 ? body : splice(body, known, Buffer.from(JSON.stringify(name)))
  if (field === "messages" && conversation !== undefined && conversation.messagesAt >= 0) {
    const found = firstMessageModel(body, conversation.messagesAt)
    return found === undefined ? body : splice(body, found.spans, Buffer.from(JSON.stringify(name)))
  }
  const scan = new BodyScan()
  for (const chunk of body) scan.push(chunk)
  if (!scan.end()) return body
  const spans = field === "model" ? scan.spans : scan.messagesAt < 0 ? undefined : firstMessageModel(body, scan.messagesAt)?.spans
  return spans === undefined || spans.length === 0 ? body : splice(body, spans, Buffer.from(JSON.stringify(name)))
}

/** Replaces byte ranges of a chunked body; `spans` ascend and do not overlap. */
const splice = (body: ReadonlyArray<Buffer>, spans: ReadonlyArray<readonly [number, number]>, value: Buffer): ReadonlyArray<Buffer> => {
  const out: Array<Buffer> = []
  let at = 0
  let next = 0
  for (const chunk of body) {
    const end = at + chunk.length
    let from = at
    for (let span = spans[next]; span !== undefined && span[0] < end; span = spans[next]) {
      if (span[0] >= at) {
        if (span[0] > from) out.push(chunk.subarray(from - at, span[0] - at))
        out.push(value)
      }
      // A value that goes on in the next chunk: the rest of this chunk is the value's.
      from = Math.min(span[1], end)
      if (span[1] > end) break
      next++
    }
    if (from < end) out.push(chunk.subarray(from - at))
    at = end
  }
  return out
}

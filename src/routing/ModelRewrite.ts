/**
 * Puts an endpoint's own name for the model into the body; every other byte stays (proxying.md 4.5, B7). All top-level
 * duplicates are rewritten, so that the backend cannot read another name than the one that was routed.
 */
import { BodyScan } from "./BodyScan.ts"
import type { Inspection } from "./Router.ts"

export const rewriteModel = (body: ReadonlyArray<Buffer>, inspection: Inspection, name: string): ReadonlyArray<Buffer> => {
  if (inspection.field === "messages") return rewriteFirstMessage(body, name)
  const scan = new BodyScan()
  for (const chunk of body) scan.push(chunk)
  if (scan.spans.length === 0) return body
  return splice(body, scan.spans, Buffer.from(JSON.stringify(name)))
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

/** The name stood in `messages[0].model`: rare enough for a second look at the text. */
const rewriteFirstMessage = (body: ReadonlyArray<Buffer>, name: string): ReadonlyArray<Buffer> => {
  const text = Buffer.concat(body).toString("utf8")
  const start = /"messages"\s*:\s*\[\s*/.exec(text)
  if (start === null) return body
  const from = start.index + start[0].length
  const scan = new BodyScan()
  scan.push(Buffer.from(text.slice(from)))
  const offset = Buffer.byteLength(text.slice(0, from))
  const span = scan.spans[0]
  return span === undefined ? body : splice([Buffer.from(text)], [[span[0] + offset, span[1] + offset]], Buffer.from(JSON.stringify(name)))
}

/** A model that a body names only in its first message: found without a parse, so that it can be found again and rewritten. */
import { BodyScan } from "./BodyScan.ts"

/** Bytes of the first message that are read: it is looked at in one go. */
const maxMessage = 1024 * 1024

export interface FirstMessageModel {
  readonly name: string
  /** Byte offsets in the body of every value that names it, quotes included. */
  readonly spans: ReadonlyArray<readonly [start: number, end: number]>
}

/** The chunks from this byte on, without copying. */
const from = (body: ReadonlyArray<Buffer>, offset: number): ReadonlyArray<Buffer> => {
  const out: Array<Buffer> = []
  let at = 0
  for (const chunk of body) {
    if (at + chunk.length > offset) out.push(offset > at ? chunk.subarray(offset - at) : chunk)
    at += chunk.length
  }
  return out
}

/** `messagesAt`: where the body's `messages` list begins. */
export const firstMessageModel = (body: ReadonlyArray<Buffer>, messagesAt: number): FirstMessageModel | undefined => {
  let start = messagesAt + 1
  let found = false
  for (const chunk of from(body, start)) {
    const i = chunk.findIndex((byte) => byte > 32)
    start += i < 0 ? chunk.length : i
    if (i < 0) continue
    found = chunk[i] === 0x7b
    break
  }
  if (!found) return undefined
  const scan = new BodyScan()
  let read = 0
  for (const chunk of from(body, start)) {
    scan.push(chunk)
    read += chunk.length
    if (scan.done || read > maxMessage) break
  }
  const name = scan.model
  if (!scan.done || typeof name !== "string" || name.trim() === "") return undefined
  return { name, spans: scan.spans.map(([begin, end]) => [begin + start, end + start] as const) }
}

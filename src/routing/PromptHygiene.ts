/**
 * Makes prompts equal that differ in nothing but a mark of their own, so that servers find them in their caches: Claude Code begins its
 * system text with a line that has another checksum and another build in every request. Bytes are replaced in place: nothing moves,
 * everything else stays as it came.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { membersAt, openBracket, skipSpace, stringEnd, valueEnd } from "./JsonPlaces.ts"

const header = Buffer.from("x-anthropic-billing-header:")
const checksum = Buffer.from("cch=")
const build = Buffer.from("cc_version=")

const [quote, openBrace, backslash, newline, semicolon, dot, zero, letterN, letterU] = [34, 123, 92, 10, 59, 46, 48, 110, 117]

type Range = readonly [start: number, end: number]

/** Endpoints of the server that made the line get it as it came. `hostname`: of a URL. */
export const wantsOwnLine = (hostname: string): boolean => /(?:^|\.)anthropic\.com\.?$/i.test(hostname)

/** A body whose line was made equal. `original`: as it came; absent: there was nothing to be made equal. */
export interface HygienicBody {
  readonly chunks: ReadonlyArray<Buffer>
  readonly original?: ReadonlyArray<Buffer>
}

/** What an endpoint is sent of it. */
export const chunksFor = ({ chunks, original }: HygienicBody, { origin }: Endpoint): ReadonlyArray<Buffer> =>
  original !== undefined && wantsOwnLine(origin.hostname) ? original : chunks

/** The same body in as many chunks with the line made equal; `undefined`: there is none, or it is so already. */
export const withoutBillingMark = (body: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> | undefined => {
  if (!holds(body, header)) return undefined
  const [only] = body
  const whole = body.length === 1 && only !== undefined ? only : Buffer.concat(body)
  const text = systemText(whole)
  if (text === undefined || !startsWith(whole, text, header)) return undefined
  const marks = marksIn(whole, [text[0] + header.length, lineEnd(whole, text)])
  const differs = ([start, end]: Range) => whole.subarray(start, end).some((byte) => byte !== zero)
  return marks.some(differs) ? filled(body, marks.filter(differs)) : undefined
}

const startsWith = (b: Buffer, [start, end]: Range, prefix: Buffer): boolean =>
  end - start >= prefix.length && b.compare(prefix, 0, prefix.length, start, start + prefix.length) === 0

/** Anywhere in it, also where two chunks meet. */
const holds = (body: ReadonlyArray<Buffer>, wanted: Buffer): boolean => {
  let tail = Buffer.alloc(0)
  for (const chunk of body) {
    if (chunk.includes(wanted)) return true
    const seam = Buffer.concat([tail, chunk.subarray(0, wanted.length - 1)])
    if (seam.includes(wanted)) return true
    tail = Buffer.from(chunk.length >= wanted.length - 1 ? chunk.subarray(1 - wanted.length) : seam.subarray(1 - wanted.length))
  }
  return false
}

/** What is between the quotes of the first system text: `system`, else that of a first message in this role. */
const systemText = (b: Buffer): Range | undefined => {
  const start = b[0] === 0xef && b[1] === 0xbb && b[2] === 0xbf ? 3 : 0
  const members = membersAt(b, start)
  const system = members.get("system")
  const own = system === undefined ? undefined : textIn(b, system[0])
  if (own !== undefined) return own
  const messages = members.get("messages")
  if (messages === undefined || b[messages[0]] !== openBracket) return undefined
  const first = membersAt(b, messages[0] + 1)
  const role = stringAt(b, first.get("role"))
  const content = first.get("content")
  return content !== undefined && (role === "system" || role === "developer") ? textIn(b, content[0]) : undefined
}

const stringAt = (b: Buffer, range: Range | undefined): string | undefined =>
  range === undefined || b[range[0]] !== quote ? undefined : b.toString("latin1", range[0] + 1, range[1] - 1)

/** Of a value that is a text, or a list of parts of which the first one that is a text counts. */
const textIn = (b: Buffer, at: number): Range | undefined => {
  if (b[at] === quote) return inQuotes(b, at)
  if (b[at] !== openBracket) return undefined
  for (let i = skipSpace(b, at + 1); b[i] === openBrace; ) {
    const part = membersAt(b, i)
    const text = part.get("text")
    const type = stringAt(b, part.get("type"))
    if (text !== undefined && b[text[0]] === quote && (type === "text" || type === "input_text")) return inQuotes(b, text[0])
    const end = valueEnd(b, i)
    if (end < 0) return undefined
    i = skipSpace(b, end)
    if (b[i] !== 44) return undefined
    i = skipSpace(b, i + 1)
  }
  return undefined
}

const inQuotes = (b: Buffer, open: number): Range | undefined => {
  const close = stringEnd(b, open)
  return close < 0 ? undefined : [open + 1, close]
}

/** The first newline, as an escape or as it should not be, else the text's end. */
const lineEnd = (b: Buffer, [start, end]: Range): number => {
  for (let i = start; i < end; i++) {
    if (b[i] === newline) return i
    if (b[i] !== backslash) continue
    if (b[i + 1] === letterN || (b[i + 1] === letterU && b.toString("latin1", i + 2, i + 6).toLowerCase() === "000a")) return i
    i++
  }
  return end
}

const isOfWord = (byte: number | undefined): boolean => byte !== undefined && /\w/.test(String.fromCharCode(byte))

/** Where the value of each such key lies, up to its semicolon. */
const valuesOf = (b: Buffer, key: Buffer, [start, end]: Range): ReadonlyArray<Range> => {
  const out: Array<Range> = []
  for (let at = b.indexOf(key, start); at >= 0 && at + key.length <= end; at = b.indexOf(key, at + 1)) {
    if (isOfWord(b[at - 1])) continue
    const from = at + key.length
    const stop = b.indexOf(semicolon, from)
    out.push([from, stop < 0 || stop > end ? end : stop])
  }
  return out
}

/** The checksum, and the fourth part of the version, which is the build. */
const marksIn = (b: Buffer, line: Range): ReadonlyArray<Range> => [
  ...valuesOf(b, checksum, line),
  ...valuesOf(b, build, line).flatMap(([start, end]): ReadonlyArray<Range> => {
    let from = start
    for (let part = 1; part < 4; part++) {
      const at = b.indexOf(dot, from)
      if (at < 0 || at >= end) return []
      from = at + 1
    }
    const next = b.indexOf(dot, from)
    return [[from, next < 0 || next > end ? end : next]]
  })
]

/** Chunks that nothing is written into are the same ones. */
const filled = (body: ReadonlyArray<Buffer>, ranges: ReadonlyArray<Range>): ReadonlyArray<Buffer> => {
  let base = 0
  return body.map((chunk) => {
    const from = base
    base += chunk.length
    let copy: Buffer | undefined
    for (const [start, end] of ranges) {
      if (end <= from || start >= base) continue
      copy ??= Buffer.from(chunk)
      copy.fill(zero, Math.max(0, start - from), Math.min(chunk.length, end - from))
    }
    return copy ?? chunk
  })
}

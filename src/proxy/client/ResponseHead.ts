/** A backend's status line and headers, read strictly: what two parsers could read differently is refused. */

export interface ResponseHead {
  readonly status: number
  /** Flat name/value pairs as received, framing headers included. */
  readonly raw: ReadonlyArray<string>
  readonly chunked: boolean
  /** Of the body that follows; -1: not said. */
  readonly length: number
  /** The connection may be used again. */
  readonly keep: boolean
  /** `Keep-Alive: timeout=N` in seconds; -1: not said. */
  readonly keepFor: number
}

/** Largest header block, bytes. */
export const maxHead = 32 * 1024
/** What is said of a larger one. */
export const headTooLarge = `the response headers are larger than ${maxHead / 1024} KiB`

/** A backend that has more than this to say before its answer is not answering. */
export const maxInterim = 64

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/**
 * Control characters, and a line end that is not CRLF: node would refuse to send them on, or read them otherwise. By hand: as a
 * regular expression, which must look ahead and back for the line ends, it was half of what reading a head costs.
 */
const isPlain = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if ((c > 31 && c !== 127) || c === 9) continue
    if (c !== 13 || text.charCodeAt(++i) !== 10) return false
  }
  return true
}
const statusLine = /^HTTP\/1\.([01]) ([1-9]\d{2})(?: [^\r\n]*)?\r\n/

const NAME = 0
const CONNECTION = 1
const KEEP_ALIVE = 2
const LENGTH = 3
const CODING = 4
const BAD = 5

const framing: ReadonlyMap<string, number> = new Map([
  ["connection", CONNECTION],
  ["keep-alive", KEEP_ALIVE],
  ["content-length", LENGTH],
  ["transfer-encoding", CODING]
])

/** Backends send the same names over and over: each spelling is looked at once, up to this many. */
const maxSpellings = 2_000
const spellings = new Map<string, number>()

const kindOf = (name: string): number => {
  const known = spellings.get(name)
  if (known !== undefined) return known
  // A name with blanks is folding or a smuggled header.
  const kind = token.test(name) ? (framing.get(name.toLowerCase()) ?? NAME) : BAD
  if (spellings.size < maxSpellings) spellings.set(name, kind)
  return kind
}

/** Blanks and tabs only: `trim` would also take what is part of the value. */
const trimmed = (text: string, from: number, to: number): string => {
  let start = from
  let end = to
  for (let c = text.charCodeAt(start); start < end && (c === 32 || c === 9); c = text.charCodeAt(start)) start++
  for (let c = text.charCodeAt(end - 1); end > start && (c === 32 || c === 9); c = text.charCodeAt(end - 1)) end--
  return text.slice(start, end)
}

/** `text`: latin1, up to and including the last header's CRLF. `undefined`: malformed. */
export const parseHead = (text: string, method: string): ResponseHead | undefined => {
  const line = statusLine.exec(text)
  if (line === null || !isPlain(text)) return undefined
  const status = Number(line[2])
  const raw: Array<string> = []
  let chunked = false
  let length = -1
  let close = line[1] === "0"
  let keepFor = -1
  for (let p = line[0].length; p < text.length; ) {
    const q = text.indexOf("\r\n", p)
    const colon = text.indexOf(":", p)
    if (q < 0 || colon < 0 || colon > q) return undefined
    const name = text.slice(p, colon)
    const value = trimmed(text, colon + 1, q)
    switch (kindOf(name)) {
      case CONNECTION:
        if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(value)) close = true
        break
      case KEEP_ALIVE: {
        const timeout = /(?:^|[,; \t])timeout[ \t]*=[ \t]*"?(\d{1,6})/i.exec(value)
        if (timeout !== null) keepFor = Number(timeout[1])
        break
      }
      case LENGTH:
        if (length >= 0 || !/^\d{1,15}$/.test(value)) return undefined
        length = Number(value)
        break
      case CODING:
        if (chunked || value.toLowerCase() !== "chunked") return undefined
        chunked = true
        break
      case BAD:
        return undefined
    }
    raw.push(name, value)
    p = q + 2
  }
  // Two ways to say where it ends (RFC 9112 6.3): refused, as node's parser and other proxies do.
  if (chunked && length >= 0) return undefined
  // Chunks in a version that has none: what follows is not trusted.
  if (chunked && line[1] === "0") close = true
  if (status < 200 || method === "HEAD" || status === 204 || status === 304)
    return { status, raw, chunked: false, length: 0, keep: !close, keepFor }
  // Delimited by the close.
  if (!chunked && length < 0) close = true
  return { status, raw, chunked, length, keep: !close, keepFor }
}

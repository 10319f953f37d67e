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

/** Largest header block, bytes (proxying.md 3). */
export const maxHead = 32 * 1024

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const badValue = /[\r\n\0]/
const statusLine = /^HTTP\/1\.([01]) ([1-5]\d{2})(?: [^\r\n]*)?\r\n/

/** `text`: up to and including the last header's CRLF. `undefined`: malformed. */
export const parseHead = (text: string, method: string): ResponseHead | undefined => {
  const line = statusLine.exec(text)
  if (line === null) return undefined
  const status = Number(line[2])
  const raw: Array<string> = []
  let chunked = false
  let length = -1
  let keep = line[1] === "1"
  let keepFor = -1
  for (let p = line[0].length; p < text.length; ) {
    const q = text.indexOf("\r\n", p)
    const colon = text.indexOf(":", p)
    if (q < 0 || colon < 0 || colon > q) return undefined
    const name = text.slice(p, colon)
    const value = text.slice(colon + 1, q).trim()
    // A name with blanks is folding or a smuggled header.
    if (!token.test(name) || badValue.test(value)) return undefined
    switch (name.length) {
      case 10:
        if (name.toLowerCase() === "connection") {
          if (/(?:^|,)\s*close\s*(?:,|$)/i.test(value)) keep = false
          else if (/(?:^|,)\s*keep-alive\s*(?:,|$)/i.test(value)) keep = true
        } else if (name.toLowerCase() === "keep-alive") {
          const timeout = /timeout\s*=\s*(\d{1,6})/i.exec(value)
          if (timeout !== null) keepFor = Number(timeout[1])
        }
        break
      case 14:
        if (name.toLowerCase() === "content-length") {
          if (!/^\d{1,15}$/.test(value) || (length >= 0 && length !== Number(value))) return undefined
          length = Number(value)
        }
        break
      case 17:
        if (name.toLowerCase() === "transfer-encoding") {
          if (value.toLowerCase() !== "chunked" || chunked) return undefined
          chunked = true
        }
        break
    }
    raw.push(name, value)
    p = q + 2
  }
  // Both lengths: the transfer coding counts, and what follows on this connection is not trusted.
  if (chunked && length >= 0) {
    length = -1
    keep = false
  }
  if (method === "HEAD" || status === 204 || status === 304)
    return { status, raw, chunked: false, length: 0, keep: keep && !(chunked && length >= 0), keepFor }
  if (!chunked && length < 0) keep = false
  return { status, raw, chunked, length, keep, keepFor }
}

/** What node's response does not offer: a head that goes out as it is, or alone, and a connection that ends badly on purpose. */
import { type ServerResponse, STATUS_CODES } from "node:http"

/** How long a client may take to accept what was already written, in milliseconds. */
const patience = 10_000

/** What node's response has beneath `writeHead`: the first lines as they are, and the headers it looks at itself. */
interface Beneath {
  readonly _storeHeader?: (text: string, headers: ReadonlyArray<string>) => void
  readonly _expect_continue?: boolean
}

/** From these node learns how the body is framed and whether the connection is kept. */
const isNodes = (name: string): boolean => {
  switch (name.length) {
    case 4:
    case 6:
    case 7:
    case 10:
    case 14:
    case 17:
      return nodes.has(name.toLowerCase())
    default:
      return false
  }
}
const nodes = new Set(["date", "expect", "trailer", "connection", "keep-alive", "content-length", "transfer-encoding"])

/**
 * `writeHead` for flat pairs that are known to be headers: names are tokens, values hold no control characters. node would look
 * at each of them again, with two regular expressions, which for the dozen and a half that a proxied answer has is a tenth of
 * what a request costs. Whatever is out of the ordinary, a node that has no such inside included, goes the usual way.
 */
export const writeHead = (response: ServerResponse, status: number, headers: ReadonlyArray<string>): void => {
  const inside = response as unknown as Beneath
  const unusual = status < 200 || status === 204 || status === 304 || inside._expect_continue === true || response.hasHeader("connection")
  if (unusual || inside._storeHeader === undefined) {
    response.writeHead(status, headers as Array<string>)
    return
  }
  const reason = STATUS_CODES[status] ?? "unknown"
  response.statusCode = status
  response.statusMessage = reason
  let text = `HTTP/1.1 ${status} ${reason}\r\n`
  const left: Array<string> = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string
    if (isNodes(name)) left.push(name, headers[i + 1] as string)
    // biome-ignore lint/style/useTemplate: a template would ask each part whether it is a string
    else text = text + name + ": " + headers[i + 1] + "\r\n"
  }
  inside._storeHeader(text, left)
}

/**
 * Sends the head before there is a body. `flushHeaders` does so in UTF-8, while every other way writes a head in Latin-1: bytes
 * above 127 in a header would arrive twice as long as they came.
 */
export const flushHead = (response: ServerResponse): void => {
  ;(response as unknown as { _send(data: string, encoding: "latin1"): boolean })._send("", "latin1")
}

/** What was written still goes out, and no clean end follows. */
export const cutAfterFlush = (response: ServerResponse): void => {
  const socket = response.socket
  if (socket === null) {
    response.destroy()
    return
  }
  // node corks a response's writes until the next tick; the cut comes after them.
  setImmediate(() => {
    if (socket.destroyed) return
    socket.setTimeout(patience, () => socket.destroy())
    socket.destroySoon()
  })
}

/** What node's response does not offer: sending a head without checking it again, and breaking an answer off so that the client sees it. */
import { type ServerResponse, STATUS_CODES } from "node:http"
import { resetNow, resetWhenRead } from "./ConnectionReset.ts"
import type { LastWords } from "./Dialect.ts"
import { pairsOfReply, type ReplyHead } from "./HeaderLines.ts"
import { storeHead } from "./NodeInternals.ts"

/** How long a client may take to accept what was already written, in milliseconds. */
const patience = 10_000

/**
 * `writeHead` for lines that are known to be headers: names are tokens, values hold no control characters. node would look
 * at each of them again, with two regular expressions, which for the dozen and a half that a proxied answer has is a tenth of
 * what a request costs. Whatever is out of the ordinary, a node that has no such inside included, goes the usual way.
 * `coding`: pairs that frame the body, where it has no length of the backend's.
 */
export const writeHead = (response: ServerResponse, status: number, head: ReplyHead, coding: ReadonlyArray<string>): void => {
  const reason = STATUS_CODES[status] ?? "unknown"
  const usual = status >= 200 && status !== 204 && status !== 304 && !response.hasHeader("connection")
  if (usual) {
    response.statusCode = status
    response.statusMessage = reason
    if (head.dated) response.sendDate = false
    // From these node learns how the body is framed; what else it would look for is not among the lines.
    const framing = head.length === "" ? coding : ["Content-Length", head.length]
    if (storeHead(response, `HTTP/1.1 ${status} ${reason}\r\n${head.lines}`, framing)) return
  }
  response.writeHead(status, [...pairsOfReply(head), ...coding])
}

/** The body ends with the connection (HTTP/1.0 has no chunks), so that a plain close would look like a complete answer. */
const endsWithClose = ({ req, chunkedEncoding }: ServerResponse): boolean => req.httpVersionMinor === 0 && !chunkedEncoding

/** What was written still goes out, and no clean end follows. */
export const cutAfterFlush = (response: ServerResponse): void => {
  const socket = response.socket
  if (socket === null) {
    // An earlier answer still uses the connection: what was written goes out when that one is complete.
    response.once("socket", () => cutAfterFlush(response))
    return
  }
  // node corks a response's writes until the next tick; the cut comes after them.
  setImmediate(() => {
    if (socket.destroyed) return
    if (endsWithClose(response)) {
      resetWhenRead(socket, patience)
      return
    }
    socket.setTimeout(patience, () => socket.destroy())
    socket.destroySoon()
  })
}

/** The end of an answer that broke off: its dialect's last words, where it has any, and a cut unless they say enough. */
export const endBroken = (response: ServerResponse, words: LastWords | undefined): void => {
  if (words !== undefined && !response.destroyed) response.write(words.bytes)
  if (words?.complete === true) response.end()
  else cutAfterFlush(response)
}

/** Cuts at once: nothing more goes out. */
export const cut = (response: ServerResponse): void => {
  const { socket } = response.req
  if (response.headersSent && endsWithClose(response)) resetNow(socket)
  else socket.destroy()
}

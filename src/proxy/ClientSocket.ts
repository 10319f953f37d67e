/** What node's response does not offer: a head that goes out alone as it is, and a connection that ends badly on purpose. */
import type { ServerResponse } from "node:http"

/** How long a client may take to accept what was already written, in milliseconds. */
const patience = 10_000

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

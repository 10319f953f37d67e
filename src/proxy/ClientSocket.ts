/** Ending a client's connection badly, on purpose: what was written still goes out, and no clean end follows. */
import type { ServerResponse } from "node:http"

/** How long a client may take to accept what was already written, in milliseconds. */
const patience = 10_000

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

/** Clients that end their sending half: the request that is open on their connection hears of it at once. */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { keepHalfOpen } from "../../proxy/NodeInternals.ts"
import type { OpenResponse } from "./OpenResponse.ts"

/** `open`: requests that have begun, one of a connection at most. */
export const hearHalfCloses = (
  server: Server,
  open: Iterable<OpenResponse>,
  arrival: "connection" | "secureConnection" = "connection"
): void => {
  function ended(this: Socket): void {
    for (const { context, req } of open) {
      if (req.socket !== this) continue
      // It came while the daemon started: nobody has begun with it.
      if (context === undefined) this.destroy()
      else context.left()
      return
    }
  }
  keepHalfOpen(server)
  server.on(arrival, (socket: Socket) => socket.once("end", ended))
}

/**
 * Timers of connections that run out while the daemon was held up. node looks at them before it reads, and would reset a connection
 * whose client has sent its next request in time.
 */
import type { Socket } from "node:net"
import { afterNextReads } from "../../proxy/client/Transport.ts"

/** A kept connection whose time is over goes, unless its client has just said something. */
export const dropSilent = (socket: Socket): void => {
  const { bytesRead } = socket
  afterNextReads(() => {
    if (socket.bytesRead === bytesRead) socket.destroy()
  })
}

/** A request's time is over. `isUnderWay`: the connection's request is being handled; when it comes to that meanwhile, its head was in time. */
export const unlessItCame = (socket: Socket, isUnderWay: () => boolean, tooSlow: () => void): void => {
  const before = isUnderWay()
  afterNextReads(() => {
    if (!socket.destroyed && before === isUnderWay()) tooSlow()
  })
}

/** Responses that wait for the one before them on their connection. node does not tell them when the connection is gone. */
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"

const queues = new WeakMap<Socket, Set<ServerResponse>>()

/** One listener for all that ever wait on a connection: what a kept one has been asked must not pile up on it. */
export const awaitTurn = (socket: Socket, res: ServerResponse): void => {
  const queue = queues.get(socket) ?? newQueue(socket)
  queue.add(res)
  res.once("close", () => queue.delete(res))
}

const newQueue = (socket: Socket): Set<ServerResponse> => {
  const queue = new Set<ServerResponse>()
  queues.set(socket, queue)
  socket.once("close", () => {
    for (const res of [...queue]) {
      // Whose turn it is hears of it from node.
      if (res.socket !== null) continue
      res.destroy()
      res.emit("close")
    }
  })
  return queue
}

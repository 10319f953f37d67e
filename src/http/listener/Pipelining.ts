/**
 * Requests that a client sends before it has the answer to the one before them: one of a connection is begun at a time, as other
 * servers do. node hands all of them over at once, and one connection could start any number of generations.
 */
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"

/**
 * Requests that wait on one connection before nothing more is read from it. Until then a client that leaves is noticed at once, and
 * beyond it with the next answer.
 */
export const mostWaiting = 32

const waiting = new WeakMap<Socket, number>()

/** Runs `begin` when the response's turn on its connection has come; never, when the connection ends before. */
export const inTurn = (socket: Socket, res: ServerResponse, begin: () => void): void => {
  // node gives a response its socket when the one before it is finished.
  if (res.socket !== null) {
    begin()
    return
  }
  const all = (waiting.get(socket) ?? 0) + 1
  waiting.set(socket, all)
  if (all >= mostWaiting) socket.pause()
  res.once("socket", () => {
    const left = (waiting.get(socket) ?? 1) - 1
    waiting.set(socket, left)
    if (left < mostWaiting && socket.isPaused()) socket.resume()
    // node is about to flush what the response holds: what is written before that would be finished twice.
    process.nextTick(begin)
  })
}

import { EventEmitter } from "node:events"
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { describe, expect, it } from "vitest"
import { awaitTurn } from "../../../src/http/listener/QueuedResponses.ts"

class Waiting extends EventEmitter {
  socket: Socket | null = null
  destroyed = false
  closed = 0

  constructor() {
    super()
    this.on("close", () => this.closed++)
  }

  destroy(): void {
    this.destroyed = true
  }
}

const waitsOn = (socket: EventEmitter): Waiting => {
  const res = new Waiting()
  awaitTurn(socket as Socket, res as unknown as ServerResponse)
  return res
}

describe("responses that wait on a connection", () => {
  it("leave nothing behind on it when they are through, however many there were", () => {
    const socket = new EventEmitter()
    const all = Array.from({ length: 1_000 }, () => waitsOn(socket))
    for (const res of all) res.emit("close")
    expect(socket.listenerCount("close")).toBe(1)
    socket.emit("close")
    expect(all.map(({ closed }) => closed)).toEqual(all.map(() => 1))
  })

  it("hear that it is gone, but for the one whose turn it is", () => {
    const socket = new EventEmitter()
    const [first, second, third] = [waitsOn(socket), waitsOn(socket), waitsOn(socket)]
    first.emit("close")
    second.socket = socket as Socket
    socket.emit("close")
    expect([first, second, third].map(({ destroyed, closed }) => [destroyed, closed])).toEqual([
      [false, 1],
      [false, 0],
      [true, 1]
    ])
  })
})

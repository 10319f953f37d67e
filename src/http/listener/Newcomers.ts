/** Connections that were accepted and have not sent a request yet. A stop gives them a moment: their client knows nothing of it. */
import type { Socket } from "node:net"

/** Milliseconds that a client has from being accepted to its first request, as far as a stop waits for it. */
const firstWordsWithin = 1_000

export class Newcomers {
  private readonly acceptedAt = new Map<Socket, number>()
  private changed = (): void => {}
  private readonly gone: (this: Socket) => void

  constructor() {
    const spoke = (socket: Socket) => this.spoke(socket)
    this.gone = function () {
      spoke(this)
    }
  }

  accepted(socket: Socket): void {
    this.acceptedAt.set(socket, performance.now())
    socket.once("close", this.gone)
  }

  /** Or it has left without a word. */
  spoke(socket: Socket): void {
    if (this.acceptedAt.delete(socket)) this.changed()
  }

  /** Resolves when none is left that may still speak, after `most` milliseconds at the latest. */
  async haveSpoken(most: number): Promise<void> {
    // In the order of their coming.
    let youngest = Number.NEGATIVE_INFINITY
    for (const at of this.acceptedAt.values()) youngest = at
    const left = Math.min(most, youngest + firstWordsWithin - performance.now())
    if (left <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left)
      this.changed = () => {
        if (this.acceptedAt.size > 0) return
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/**
 * Interim answers never reach undici: it gives up on a `100 Continue` that it did not ask for, and cannot tell a connection
 * that died silently from one that had begun to answer. Both are seen here, between its reads and the socket's.
 */
import type net from "node:net"
import { failure } from "../../exchange/Failure.ts"
import { DialError } from "../sherpa/Dialing.ts"
import { maxHead, maxInterim } from "./ResponseHead.ts"

/** `101` is no interim answer. */
const interim = /^HTTP\/1\.[01] 1(?!01)\d\d[ \r]/
const statusStart = 13

export class InterimFilter {
  #watching = true
  #held: Buffer | undefined
  #passed = 0
  /** Any byte of an answer came, an interim one included. */
  heard = false

  constructor(socket: net.Socket) {
    const read = socket.read.bind(socket)
    socket.read = (size?: number) => {
      if (!this.#watching) return read(size)
      for (let bytes = read(size) as Buffer | null; bytes !== null; bytes = read() as Buffer | null) {
        this.heard = true
        const rest = this.#look(this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes]))
        if (this.#passed > maxInterim) {
          socket.destroy(new DialError(failure("malformed", "too many interim responses")))
          return null
        }
        if (rest !== undefined) return rest
      }
      return null
    }
  }

  /** The next request goes out on this connection. */
  expect(): void {
    this.#watching = true
    this.#held = undefined
    this.#passed = 0
    this.heard = false
  }

  /** What is no interim answer; `undefined`: more must come first. */
  #look(all: Buffer): Buffer | undefined {
    let bytes = all
    for (;;) {
      const start = bytes.toString("latin1", 0, statusStart)
      const end = bytes.indexOf("\r\n\r\n", 0, "latin1")
      if (interim.test(start) && end >= 0 && ++this.#passed <= maxInterim) {
        bytes = bytes.subarray(end + 4)
        continue
      }
      this.#held = bytes
      // Too short to tell, or an interim head that is not whole: wait, within bounds.
      const waits = bytes.length < statusStart ? "HTTP/1.1 100 ".startsWith(start.slice(0, 10)) : interim.test(start) && end < 0
      if (waits && bytes.length <= maxHead) return undefined
      this.#held = undefined
      this.#watching = false
      return bytes
    }
  }
}

/**
 * What undici does not look at, or does not tell, between its reads and the socket's. Interim answers never reach it, since it gives
 * up on a `100 Continue` that it did not ask for; it has no limit for a status line; it does not say whether a connection that
 * died had begun to answer; and it takes any end of a connection for the good end of an answer that is delimited by it.
 */
import type net from "node:net"
import tls from "node:tls"
import { failure } from "../../exchange/Failure.ts"
import { closeNotifyOf } from "../NodeInternals.ts"
import { DialError } from "./Dialing.ts"
import { headTooLarge, maxHead, maxInterim } from "./ResponseHead.ts"

/** `101` is no interim answer. */
const interim = /^HTTP\/1\.[01] 1(?!01)\d\d[ \r]/
const statusStart = 13

export class AnswerWatch {
  readonly #socket: net.Socket
  readonly #notified: () => boolean
  /** The socket's own. */
  readonly #read: net.Socket["read"]
  /** What comes next may be an interim answer. */
  #isInterim = true
  #held: Buffer | undefined
  #passed = 0
  #headBytes = 0
  /** Any byte of an answer came, an interim one included. */
  heard = false

  constructor(socket: net.Socket) {
    this.#socket = socket
    this.#notified = socket instanceof tls.TLSSocket ? closeNotifyOf(socket) : () => true
    this.#read = socket.read
    this.expect()
  }

  /** The next request goes out on this connection. */
  expect(): void {
    this.#socket.read = this.#watched
    this.#isInterim = true
    this.#held = undefined
    this.#passed = 0
    this.#headBytes = 0
    this.heard = false
  }

  /** The head is in: nothing is looked at any more. */
  headIn(): void {
    this.#socket.read = this.#read
  }

  /** The backend ended the connection, and meant to: neither a reset nor, within TLS, an end that anybody could have made. */
  get endedWell(): boolean {
    return this.#socket.readableEnded && this.#socket.errored === null && this.#notified()
  }

  readonly #watched = (size?: number): Buffer | null => {
    const socket = this.#socket
    for (let bytes = this.#read.call(socket, size); bytes !== null; bytes = this.#read.call(socket)) {
      this.heard = true
      const rest = !this.#isInterim ? bytes : this.#look(this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes]))
      if (this.#passed > maxInterim) return this.#refuse("too many interim responses")
      if (rest === undefined) continue
      if (this.#headBytes > maxHead) return this.#refuse(headTooLarge)
      this.#headBytes += rest.length
      return rest
    }
    return null
  }

  #refuse(why: string): null {
    this.#socket.destroy(new DialError(failure("malformed", why)))
    return null
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
      this.#isInterim = false
      return bytes
    }
  }
}

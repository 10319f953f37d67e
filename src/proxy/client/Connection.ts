/**
 * One socket to a backend, one request at a time. Reads come into one shared buffer and are relayed from there; a request
 * goes out in one writev with its body's chunks as they are. Deadlines are looked at by the pool's sweep, not by timers.
 */
import { performance } from "node:perf_hooks"
import type { Origin } from "../../endpoint/Endpoint.ts"
import { endedUnanswered, type Failure, type FailureKind, failure } from "../../exchange/Failure.ts"
import { unsentOf } from "../NodeInternals.ts"
import { ChunkScan } from "./ChunkScan.ts"
import { connectKind } from "./ConnectKind.ts"
import { headTooLarge, maxHead, maxInterim, type ResponseHead } from "./ResponseHead.ts"
import { afterNextReads, type Deadlines, isSafe, type Outgoing, type Relay, whenTaken } from "./Transport.ts"
import { UpstreamSocket } from "./UpstreamSocket.ts"

/** The pool, as its connections see it. */
export interface Home {
  readonly origin: Origin
  /** The coarse clock of reads. */
  readonly now: number
  /** As `parseHead` has it. */
  readonly headOf: (text: string, method: string) => ResponseHead | undefined
  /** A request is under way, or is no more: deadlines are to be looked at meanwhile. */
  readonly activate: (connection: Connection) => void
  readonly deactivate: (connection: Connection) => void
  /** It may carry another request; `keepFor`: seconds that the backend keeps it, -1 unknown. */
  readonly park: (connection: Connection, keepFor: number) => void
  /** It is gone. */
  readonly forget: (connection: Connection) => void
}

/** The last guard of the request line: whatever made this path, it must not end the line or begin another. */
const isTarget = /^[\x21-\x7e\x80-\xff]+$/

const requestHead = ({ path, method, headers }: Outgoing): string => {
  if (!isTarget.test(path)) throw new Error("a path with blanks or control characters must not go out")
  // biome-ignore lint/style/useTemplate: a template would ask each part whether it is a string
  return method + " " + path + " HTTP/1.1\r\n" + headers + "\r\n"
}

const noDeadlines: Deadlines = { connect: 0, tls: 0, headers: 0, response: 0, firstByte: 0, hold: 0, idle: 0, keepAlive: 0 }

/** Bodies up to this size go out in one string with their head, in bytes. */
const oneString = 8 * 1024

export class Connection {
  readonly #pool: Home
  readonly socket: UpstreamSocket
  #relay: Relay | undefined
  #deadlines: Deadlines = noDeadlines
  #method = ""
  #head: ResponseHead | undefined
  /** A head that is not whole yet, and from where its end is to be looked for. */
  #pending: Buffer | undefined
  #interim = 0
  #scan: ChunkScan | undefined
  #frames = false
  /** The connection is not to be used again, whatever its head said. */
  #spoilt = false
  #left = 0
  #received = 0
  #uses = 0
  /** Any byte of an answer came, an interim one included. */
  #answered = false
  /** Nothing of the request has been written so far. */
  #unwritten = false
  #connected = false
  #ended = false
  #paused = false
  #error: NodeJS.ErrnoException | undefined
  /** Begin of the wait that is going on, by the pool's coarse clock: for a connection, for the head, for the next bytes. */
  #since = 0
  #unsent = 0
  /** A limit had passed at the last look: what came meanwhile may only wait to be read. */
  #late = false
  /** The relay has been told that the head waited long enough. */
  #heldOut = false
  /** Among the pool's active ones. */
  place = -1
  /** When an idle connection is dropped. */
  idleUntil = 0

  constructor(pool: Home, keepAlive: number, readSize: number) {
    this.#pool = pool
    this.socket = new UpstreamSocket(pool.origin, keepAlive, readSize, (bytes) => this.#read(bytes))
    this.socket
      .on("connect", () => {
        this.#connected = true
        this.#since = performance.now()
        this.#relay?.onConnect()
      })
      .on("end", () => {
        this.#ended = true
        this.socket.destroy()
      })
      .on("error", (error: NodeJS.ErrnoException) => {
        this.#error = error
      })
      .on("close", () => this.#closed())
  }

  get usable(): boolean {
    return !this.socket.destroyed && this.#relay === undefined
  }

  /** Bytes of the answer's body so far. */
  get payload(): number {
    return this.#scan?.payload ?? this.#received
  }

  send(outgoing: Outgoing, relay: Relay): void {
    const head = requestHead(outgoing)
    this.#relay = relay
    this.#deadlines = outgoing.deadlines
    this.#method = outgoing.method
    this.#head = undefined
    this.#scan = undefined
    this.#received = 0
    this.#interim = 0
    this.#unsent = 0
    this.#late = false
    this.#heldOut = false
    this.#answered = false
    this.#uses++
    this.#since = outgoing.at
    this.socket.awaiting = true
    this.#pool.activate(this)
    if (this.#uses > 1) relay.onReuse()
    this.#unwritten = this.#uses > 1 && !isSafe(outgoing.method)
    if (!this.#unwritten) this.#write(head, outgoing.body, relay)
    else
      afterNextReads(() => {
        if (this.#relay !== relay || this.#ended || this.socket.destroyed) return
        this.#unwritten = false
        this.#write(head, outgoing.body, relay)
      })
  }

  #write(head: string, body: ReadonlyArray<Buffer>, relay: Relay): void {
    this.#writeParts(head, body)
    whenTaken(this.socket, relay)
  }

  #writeParts(head: string, body: ReadonlyArray<Buffer>): void {
    const { socket } = this
    if (body.length === 0) {
      socket.write(head, "latin1")
      return
    }
    const first = body[0] as Buffer
    if (body.length === 1 && first.length <= oneString) {
      // One string, one write: cheaper than a vector of two up to here.
      socket.write(head + first.toString("latin1"), "latin1")
      return
    }
    socket.cork()
    socket.write(head, "latin1")
    for (const chunk of body) socket.write(chunk)
    socket.uncork()
  }

  /** Nothing of the request is left to be written. */
  get #taken(): boolean {
    return !this.socket.destroyed && this.socket.writableLength === 0
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    // The wait was the client's: the backend's silence counts from now.
    this.#since = performance.now()
    this.socket.resume()
  }

  /** The client left, or the answer is not wanted any more: the backend must notice at once. */
  abort(): void {
    this.#release()
    this.socket.destroy()
  }

  /** Looks at the deadlines; `now` is `performance.now()`. A limit must have passed at two looks, since the loop itself may have been late. */
  sweep(now: number): void {
    if (this.#relay === undefined || this.#paused) return
    const { connect, headers, response, firstByte, hold, idle } = this.#deadlines
    const waiting = this.#head === undefined
    if (this.#connected && waiting) {
      // A long prompt that is still going out is progress, not silence.
      const unsent = unsentOf(this.socket)
      if (unsent !== this.#unsent) {
        this.#unsent = unsent
        this.#since = now
      }
    }
    const limit = waiting ? (this.#connected ? headers : connect) : idle
    const expired = limit > 0 && now - this.#since >= limit
    const tooLong = waiting && response > 0 && now >= response
    const isBodiless = waiting || this.payload === 0
    const isMute = isBodiless && firstByte > 0 && now >= firstByte
    if (!waiting && isBodiless && hold > 0 && !this.#heldOut && now - this.#since >= hold) {
      this.#heldOut = true
      this.#relay.onHeld()
      if (this.#relay === undefined) return
    }
    const isLate = expired || tooLong || isMute
    if (!isLate || !this.#late) {
      this.#late = isLate
      return
    }
    if (isMute && this.#connected) this.#fail("first_token_timeout", "no first byte of an answer in time")
    else if (tooLong) this.#fail("response_timeout", "no response headers in time")
    else if (!waiting) this.#fail("idle_timeout", "the backend fell silent", idle)
    else if (this.#connected) this.#fail("header_timeout", "no response headers in time", headers)
    else this.#fail("connect_timeout", "no connection in time", connect)
  }

  /** No request is under way any more. */
  #release(): Relay | undefined {
    const relay = this.#relay
    this.#relay = undefined
    this.#pending = undefined
    this.socket.awaiting = false
    this.#pool.deactivate(this)
    return relay
  }

  #fail(kind: FailureKind, detail: string, limit?: number): void {
    const repeatable = endedUnanswered(kind) && this.#uses > 1 && !this.#answered && (this.#unwritten || isSafe(this.#method))
    const relay = this.#release()
    this.socket.destroy()
    relay?.onFail(failure(kind, detail, limit), repeatable, this.payload)
  }

  #closed(): void {
    this.#pool.forget(this)
    if (this.#relay === undefined) return
    const code = this.#error?.code ?? ""
    if (this.#head !== undefined) {
      // Delimited by the close: only an end that the backend announced (FIN) is a good one.
      const byClose = !this.#head.chunked && this.#head.length < 0
      if (byClose && this.#ended && code === "") this.#finish()
      else this.#fail("truncated", `the backend closed the connection in the middle of its answer${code === "" ? "" : ` (${code})`}`)
    } else if (!this.#connected) this.#fail(connectKind(this.#error), code === "" ? "no connection" : `no connection (${code})`)
    else if (code === "") this.#fail("closed", "connection closed")
    else this.#fail("reset", `connection reset (${code})`)
  }

  #finish(): void {
    const head = this.#head
    const { payload, socket } = this
    const relay = this.#release()
    const taken = this.#taken
    // A prompt that is still going out would run into the next request.
    if (head?.keep === true && !this.#spoilt && taken) this.#pool.park(this, head.keepFor)
    else socket.destroy()
    if (relay === undefined) return
    try {
      relay.onEnd(payload, taken)
    } catch (error) {
      // The connection is back in the pool, and may carry another request already.
      relay.onFail(internal(error), false, payload)
    }
  }

  /** A fault of ours inside a relay is that exchange's failure, not the daemon's end. */
  #fault(relay: Relay, error: unknown): void {
    this.#release()
    this.socket.destroy()
    relay.onFail(internal(error), false, this.payload)
  }

  #read(bytes: Buffer): void {
    const relay = this.#relay
    if (relay === undefined) {
      // Bytes that nobody asked for: this connection cannot be trusted.
      this.socket.destroy()
      return
    }
    try {
      if (this.#head === undefined) this.#readHead(bytes, relay)
      else {
        this.#since = this.#pool.now
        this.#readBody(bytes, 0, relay)
      }
    } catch (error) {
      this.#fault(relay, error)
    }
  }

  #readHead(incoming: Buffer, relay: Relay): void {
    let bytes = incoming
    // Where the end of the head may begin at the earliest.
    let search = 0
    if (!this.#answered) {
      this.#answered = true
      relay.onSent()
    }
    if (this.#pending !== undefined) {
      search = Math.max(0, this.#pending.length - 3)
      bytes = Buffer.concat([this.#pending, incoming])
      this.#pending = undefined
    }
    for (let at = 0; ; ) {
      const end = bytes.indexOf("\r\n\r\n", search, "latin1")
      if ((end < 0 ? bytes.length : end + 4) - at > maxHead) return this.#fail("malformed", headTooLarge)
      if (end < 0) {
        // A line that does not end in CRLF: the end of such a head would never be found.
        const line = bytes.indexOf(10, at)
        if (line >= 0 && bytes[line - 1] !== 13) return this.#fail("malformed", "the response is not HTTP")
        this.#pending = Buffer.from(bytes.subarray(at))
        return
      }
      const head = this.#pool.headOf(bytes.toString("latin1", at, end + 2), this.#method)
      if (head === undefined) return this.#fail("malformed", "the response is not HTTP")
      if (head.status === 101) return this.#fail("malformed", "the backend switched protocols unasked")
      at = end + 4
      search = at
      if (head.status >= 200) return this.#begin(head, bytes, at, relay)
      if (++this.#interim > maxInterim) return this.#fail("malformed", "too many interim responses")
      if (at === bytes.length) return
    }
  }

  #begin(head: ResponseHead, bytes: Buffer, at: number, relay: Relay): void {
    this.#head = head
    this.#left = head.length
    this.#since = this.#pool.now
    if (head.chunked) this.#scan = new ChunkScan()
    this.#frames = relay.onHead(head, this.#taken)
    if (this.#relay === undefined) return
    if (head.length === 0) {
      if (at < bytes.length) this.#spoilt = true
      this.#finish()
    } else if (at < bytes.length) this.#readBody(bytes, at, relay)
    else relay.onWait()
  }

  #readBody(bytes: Buffer, at: number, relay: Relay): void {
    const on = this.#scan === undefined ? this.#readPlain(bytes, at, relay) : this.#readChunks(this.#scan, bytes, at, relay)
    if (on || this.#relay === undefined) return
    this.#paused = true
    this.socket.pause()
  }

  #readChunks(scan: ChunkScan, bytes: Buffer, at: number, relay: Relay): boolean {
    let on = true
    if (this.#frames) {
      const payload: Array<Buffer> | undefined = relay.wantsPayload ? [] : undefined
      const to = scan.push(bytes, at, payload)
      if (to > at) on = relay.onBytes(at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to), scan.done, payload)
    } else {
      const payload: Array<Buffer> = []
      scan.push(bytes, at, payload)
      if (payload.length > 0)
        on = relay.onBytes(payload.length === 1 ? (payload[0] as Buffer) : Buffer.concat(payload), scan.done, undefined)
    }
    if (this.#relay === undefined) return true
    if (scan.bad) this.#fail("truncated", "the backend sent a malformed chunk")
    else if (scan.done) {
      if (scan.end < bytes.length) this.#spoilt = true
      this.#finish()
    }
    return on
  }

  #readPlain(bytes: Buffer, at: number, relay: Relay): boolean {
    const size = bytes.length - at
    if (this.#left < 0) {
      this.#received += size
      return relay.onBytes(at === 0 ? bytes : bytes.subarray(at), false, undefined)
    }
    // Bytes beyond the declared length belong to no answer.
    const mine = Math.min(size, this.#left)
    if (mine < size) this.#spoilt = true
    this.#received += mine
    this.#left -= mine
    const last = this.#left === 0
    const on = relay.onBytes(at === 0 && mine === size ? bytes : bytes.subarray(at, at + mine), last, undefined)
    if (last && this.#relay !== undefined) this.#finish()
    return on
  }
}

const internal = (error: unknown): Failure => failure("internal", error instanceof Error ? (error.stack ?? error.message) : String(error))

/**
 * One socket to a backend, one request at a time. Reads come into one shared buffer and are copied out once; a request
 * goes out in one writev with its body's chunks as they are. Deadlines are looked at by the pool's sweep, not by timers.
 */
import { Buffer } from "node:buffer"
import net from "node:net"
import { type Failure, type FailureKind, failure } from "../../exchange/Failure.ts"
import { ChunkScan } from "./ChunkScan.ts"
import type { ConnectionPool } from "./ConnectionPool.ts"
import { maxHead, parseHead, type ResponseHead } from "./ResponseHead.ts"

/** What becomes of an answer. Called synchronously from the socket's reads. */
export interface Relay {
  /** True: chunk frames may be passed on as they are; false: payload only. */
  readonly onHead: (head: ResponseHead) => boolean
  /** Whole bytes of frames, or payload. False asks for a pause until `resume`. */
  readonly onBytes: (bytes: Buffer, last: boolean) => boolean
  /** The answer is complete. `payload`: bytes of its body. */
  readonly onEnd: (payload: number) => void
  /** `stale`: a connection that had been used before ended without one byte of an answer. */
  readonly onFail: (failure: Failure, stale: boolean) => void
}

/** Milliseconds; 0: off. */
export interface Deadlines {
  readonly connect: number
  readonly headers: number
  readonly headersKind: "header_timeout" | "response_timeout"
  readonly idle: number
}

/** Bodies up to this size go out in one string with their head, in bytes. */
const oneString = 8 * 1024

/** Every connection reads into it: a read and its callback are one synchronous step. */
const shared = Buffer.allocUnsafeSlow(65536)

export class Connection {
  readonly #pool: ConnectionPool
  readonly socket: net.Socket
  #relay: Relay | undefined
  #deadlines: Deadlines = { connect: 0, headers: 0, headersKind: "header_timeout", idle: 0 }
  #method = ""
  #head: ResponseHead | undefined
  #pending: Buffer | undefined
  #scan: ChunkScan | undefined
  #frames = false
  #left = 0
  #received = 0
  #uses = 0
  #connected = false
  #ended = false
  #paused = false
  #error: NodeJS.ErrnoException | undefined
  /** `performance.now()` of the last progress, by the pool's coarse clock. */
  #touched = 0
  /** When an idle connection is dropped. */
  idleUntil = 0

  constructor(pool: ConnectionPool, keepAliveInterval: number) {
    this.#pool = pool
    const { hostname, port } = pool.origin
    this.socket = net.connect({
      host: hostname,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveInterval,
      onread: {
        buffer: shared,
        callback: (size) => {
          this.#read(Buffer.from(shared.subarray(0, size)))
          return true
        }
      }
    })
    this.socket
      .on("connect", () => {
        this.#connected = true
        this.#touched = performance.now()
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

  /** `head`: request line and headers with the blank line. */
  send(method: string, head: string, body: ReadonlyArray<Buffer>, deadlines: Deadlines, relay: Relay): void {
    this.#relay = relay
    this.#deadlines = deadlines
    this.#method = method
    this.#head = undefined
    this.#scan = undefined
    this.#received = 0
    this.#uses++
    this.#touched = performance.now()
    this.#pool.activate(this)
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

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    // The wait was the client's: the backend's silence counts from now.
    this.#touched = performance.now()
    this.socket.resume()
  }

  /** The client left, or the answer is not wanted any more: the backend must notice at once. */
  abort(): void {
    this.#relay = undefined
    this.#pool.deactivate(this)
    this.socket.destroy()
  }

  /** Looks at the deadlines; `now` is `performance.now()`. */
  sweep(now: number): void {
    if (this.#relay === undefined || this.#paused) return
    const { connect, headers, headersKind, idle } = this.#deadlines
    const waited = now - this.#touched
    if (!this.#connected) {
      if (connect > 0 && waited >= connect) this.#fail("connect_timeout", "no connection in time", connect)
    } else if (this.#head === undefined) {
      // A long prompt that is still going out is progress, not silence.
      if (this.socket.writableLength > 0 && this.socket.bytesWritten !== this.#sent) {
        this.#sent = this.socket.bytesWritten
        this.#touched = now
      } else if (headers > 0 && waited >= headers) this.#fail(headersKind, "no response headers in time", headers)
    } else if (idle > 0 && waited >= idle) this.#fail("idle_timeout", "the backend fell silent", idle)
  }
  #sent = 0

  #fail(kind: FailureKind, detail: string, limit?: number): void {
    const relay = this.#relay
    const stale = kind === "closed" && this.#uses > 1 && this.#head === undefined && this.#pending === undefined
    this.#relay = undefined
    this.#pool.deactivate(this)
    this.socket.destroy()
    relay?.onFail(failure(kind, detail, limit), stale)
  }

  #closed(): void {
    this.#pool.forget(this)
    if (this.#relay === undefined) return
    if (this.#head !== undefined) {
      // Delimited by the close: a good end is one that the backend announced.
      const byClose = !this.#head.chunked && this.#head.length < 0
      if (byClose && this.#ended && this.#error === undefined) this.#finish()
      else this.#fail("truncated", this.#error?.code ?? "the backend closed the connection in the middle of its answer")
      return
    }
    const code = this.#error?.code ?? ""
    if (this.#connected) this.#fail("closed", code === "" ? "connection closed" : `connection reset (${code})`)
    else this.#fail(connectKind(code), code === "" ? "connection failed" : code)
  }

  #finish(): void {
    const relay = this.#relay
    const head = this.#head
    this.#relay = undefined
    this.#pool.deactivate(this)
    // A prompt that is still going out would run into the next request.
    if (head?.keep === true && !this.socket.destroyed && this.socket.writableLength === 0) {
      if (this.#paused) {
        this.#paused = false
        this.socket.resume()
      }
      this.#pool.park(this, head.keepFor)
    } else this.socket.destroy()
    relay?.onEnd(this.#scan?.payload ?? this.#received)
  }

  #read(incoming: Buffer): void {
    const relay = this.#relay
    if (relay === undefined) {
      // Bytes that nobody asked for: this connection cannot be trusted.
      this.socket.destroy()
      return
    }
    this.#touched = this.#pool.now
    let bytes = incoming
    let at = 0
    while (this.#head === undefined) {
      if (this.#pending !== undefined) {
        bytes = Buffer.concat([this.#pending, bytes.subarray(at)])
        at = 0
        this.#pending = undefined
      }
      const end = bytes.indexOf("\r\n\r\n", at, "latin1")
      if (end < 0 ? bytes.length - at > maxHead : end - at > maxHead) return this.#fail("malformed", "the response headers are too large")
      if (end < 0) {
        this.#pending = at === 0 ? bytes : bytes.subarray(at)
        return
      }
      const head = parseHead(bytes.toString("latin1", at, end + 2), this.#method)
      if (head === undefined) return this.#fail("malformed", "the response is not HTTP")
      at = end + 4
      if (head.status === 101) return this.#fail("malformed", "the backend switched protocols unasked")
      if (head.status >= 200) {
        this.#head = head
        this.#left = head.length
        if (head.chunked) this.#scan = new ChunkScan()
        this.#frames = relay.onHead(head)
        if (this.#relay === undefined) return
        if (head.length === 0) {
          if (at < bytes.length) this.#untrust()
          return this.#finish()
        }
      } else if (at === bytes.length) return
    }
    if (at < bytes.length) this.#body(bytes, at, relay)
  }

  #untrust(): void {
    if (this.#head !== undefined) this.#head = { ...this.#head, keep: false }
  }

  #body(bytes: Buffer, at: number, relay: Relay): void {
    const scan = this.#scan
    let on = true
    if (scan !== undefined) {
      if (this.#frames) {
        const to = scan.push(bytes, at)
        if (scan.bad) return this.#fail("truncated", "the backend sent a malformed chunk")
        if (to > at) on = relay.onBytes(at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to), scan.done)
      } else {
        const slices: Array<Buffer> = []
        scan.push(bytes, at, slices)
        if (scan.bad) return this.#fail("truncated", "the backend sent a malformed chunk")
        if (slices.length > 0) on = relay.onBytes(slices.length === 1 ? (slices[0] as Buffer) : Buffer.concat(slices), scan.done)
      }
      if (this.#relay === undefined) return
      if (scan.done) {
        if (scan.end < bytes.length) this.#untrust()
        return this.#finish()
      }
    } else {
      const size = bytes.length - at
      const length = this.#head?.length ?? -1
      if (length >= 0 && size > this.#left) {
        // What was promised is relayed; what comes after it is nobody's.
        this.#untrust()
        this.#received += this.#left
        relay.onBytes(bytes.subarray(at, at + this.#left), true)
        if (this.#relay !== undefined) this.#finish()
        return
      }
      this.#received += size
      if (length >= 0) this.#left -= size
      on = relay.onBytes(at === 0 ? bytes : bytes.subarray(at), length >= 0 && this.#left === 0)
      if (this.#relay === undefined) return
      if (length >= 0 && this.#left === 0) return this.#finish()
    }
    if (!on) {
      this.#paused = true
      this.socket.pause()
    }
  }
}

const connectKind = (code: string): FailureKind => {
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
    case "EAI_NODATA":
      return "dns"
    case "ETIMEDOUT":
      return "connect_timeout"
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
    case "ENETDOWN":
    case "EHOSTDOWN":
      return "unreachable"
    default:
      return "refused"
  }
}

/**
 * The fast engine: the shell in Effect, the bytes in callbacks. One `Effect.callback` is one attempt; its finalizer stops
 * the backend. Chunk frames of a backend are passed on untouched wherever the client's connection allows it.
 */
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import type { Failure } from "../exchange/Failure.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { Relay } from "./client/Connection.ts"
import type { Sent, Transport } from "./client/Transport.ts"
import type { Spoken } from "./Dialect.ts"
import type { Engine, Sending } from "./Engine.ts"
import { KeptBody } from "./KeptBody.ts"
import { TranslatedRelay } from "./TranslatedRelay.ts"

/** Bodies up to this size go out with their head as one string in one write. */
const oneWrite = 16 * 1024

/** Coalescing: nothing before the first step is pending, later in larger ones (proxying.md 11.2). */
const firstStep = 2 * 1024
const laterStep = 4 * 1024

export const makeOllaEngine = (plain: Transport, secure: Transport): Engine => ({
  name: "olla",
  send: (sending) =>
    Effect.callback<Spoken | undefined, Failure>((resume) => {
      const transport = sending.endpoint.origin.secure ? secure : plain
      const attempt = new OllaAttempt(sending, transport, (result) => resume(result))
      attempt.start(false)
      return Effect.sync(() => attempt.abort())
    })
})

export type Settled = Effect.Effect<Spoken | undefined, Failure>

export const settledWell: Settled = Effect.succeed(undefined)

class OllaAttempt implements Relay {
  readonly #sending: Sending
  readonly #transport: Transport
  readonly #settle: (result: Settled) => void
  #sent: Sent | undefined
  #repeated = false
  #over = false
  /** Where frames go straight to. */
  #socket: Socket | undefined
  #kept: KeptBody | undefined
  #translated: TranslatedRelay | undefined
  /** Coalescing: what waits. */
  #waiting: Array<Buffer> | undefined
  #waitingBytes = 0
  #step = firstStep
  #status = 0
  #headers: Array<string> = []
  #hasLength = false
  readonly #onDrain = () => this.#sent?.resume()

  constructor(sending: Sending, transport: Transport, settle: (result: Settled) => void) {
    this.#sending = sending
    this.#transport = transport
    this.#settle = settle
  }

  start(fresh: boolean): void {
    const sending = this.#sending
    const { timeouts, exchange } = sending
    exchange.timings.sent = performance.now()
    this.#sent = this.#transport.send(
      {
        endpoint: sending.endpoint,
        method: sending.method,
        path: sending.path,
        headers: sending.headers,
        body: sending.body,
        bodySize: sending.bodySize,
        deadlines: timeouts
      },
      fresh,
      this
    )
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    this.#sent?.abort()
  }

  onHead(head: Parameters<Relay["onHead"]>[0]): boolean {
    const sending = this.#sending
    const { exchange, attempt, response } = sending
    exchange.timings.headers = performance.now()
    attempt.status = head.status
    const headers = sending.reply(head.status, head.raw)
    const contentType = headerValue(head.raw, "content-type")
    if (sending.translator !== undefined) {
      this.#translated = new TranslatedRelay(sending, sending.translator, this.#onDrain, (result) => {
        const sent = this.#sent
        this.#finish(result)
        sent?.abort()
      })
      this.#translated.head({ status: head.status, headers })
      return false
    }
    if (exchange.wantsUsage) this.#kept = new KeptBody(exchange.kept, contentType)
    this.#status = head.status
    this.#headers = headers
    this.#hasLength = head.length >= 0
    response.sendDate = false
    if (head.length === 0) return false
    if (!sending.flushes(contentType)) {
      this.#waiting = []
      return false
    }
    if (this.#hasLength) {
      // The body mostly comes in the same read; if it does not, the head does not wait for it.
      queueMicrotask(() => {
        if (!this.#over && !response.headersSent && response.socket !== null) this.#writeHead(true)
      })
      return false
    }
    const socket = response.socket
    // Raw frames only where node's response owns the socket, has nothing queued and will frame the end itself.
    const splice = head.chunked && socket !== null && response.req.httpVersionMinor === 1 && response.req.httpVersionMajor === 1
    if (splice) headers.push("transfer-encoding", "chunked")
    socket?.cork()
    this.#writeHead(true)
    if (socket !== null) process.nextTick(() => socket.uncork())
    if (splice) {
      this.#socket = socket
      socket.on("drain", this.#onDrain)
    } else response.on("drain", this.#onDrain)
    return splice
  }

  onBytes(bytes: Buffer, last: boolean): boolean {
    const { exchange, response } = this.#sending
    if (exchange.timings.firstByte === 0) exchange.timings.firstByte = performance.now()
    if (this.#translated !== undefined) return this.#translated.push(bytes)
    this.#kept?.push(bytes)
    if (this.#socket !== undefined) return this.#socket.write(bytes)
    if (this.#waiting !== undefined) return this.#coalesce(this.#waiting, bytes, last)
    if (last && !response.headersSent && bytes.length <= oneWrite) {
      this.#writeHead(false)
      response.end(bytes.toString("latin1"), "latin1")
      return true
    }
    if (!response.headersSent) {
      this.#writeHead(false)
      response.on("drain", this.#onDrain)
    }
    return response.write(bytes)
  }

  onEnd(payload: number): void {
    const { exchange, attempt, response } = this.#sending
    if (this.#over) return
    exchange.timings.lastByte = performance.now()
    if (this.#translated !== undefined) {
      // The connection is the pool's again: what follows must not touch it.
      this.#sent = undefined
      this.#translated.end()
      return
    }
    attempt.bytes = payload
    if (this.#waiting !== undefined) {
      // Whole before the first output: its length is known after all.
      if (!response.headersSent && !this.#hasLength) this.#headers.push("content-length", String(this.#waitingBytes))
      this.#flushWaiting(this.#waiting)
    }
    if (!response.headersSent) this.#writeHead(false)
    if (!response.writableEnded) response.end()
    this.#finish(settledWell)
  }

  onFail(why: Failure, stale: boolean): void {
    if (this.#over) return
    if (stale && !this.#repeated) {
      this.#repeated = true
      this.start(true)
      return
    }
    const { response } = this.#sending
    if (this.#translated !== undefined) {
      this.#translated.fail(why)
      return
    }
    if (this.#waiting !== undefined && this.#waitingBytes > 0) this.#flushWaiting(this.#waiting)
    if (response.headersSent) cutAfterFlush(response)
    this.#finish(Effect.fail(why))
  }

  #finish(result: Settled): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    this.#settle(result)
  }

  #release(): void {
    this.#socket?.off("drain", this.#onDrain)
    this.#sending.response.off("drain", this.#onDrain)
  }

  #writeHead(now: boolean): void {
    const { response } = this.#sending
    response.writeHead(this.#status, this.#headers)
    if (now) response.flushHeaders()
  }

  #coalesce(waiting: Array<Buffer>, bytes: Buffer, last: boolean): boolean {
    waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (last || this.#waitingBytes < this.#step) return true
    this.#step = laterStep
    const { response } = this.#sending
    if (!response.headersSent) response.on("drain", this.#onDrain)
    return this.#flushWaiting(waiting)
  }

  #flushWaiting(waiting: Array<Buffer>): boolean {
    const { response } = this.#sending
    if (!response.headersSent) this.#writeHead(false)
    if (waiting.length === 0) return true
    const bytes = Buffer.concat(waiting)
    waiting.length = 0
    this.#waitingBytes = 0
    return response.write(bytes)
  }
}

const headerValue = (raw: ReadonlyArray<string>, name: string): string => {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const key = raw[i] as string
    if (key.length === name.length && key.toLowerCase() === name) return raw[i + 1] as string
  }
  return ""
}

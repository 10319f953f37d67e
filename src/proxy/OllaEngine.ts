/**
 * The fast engine: callbacks from the first byte to the last, no fiber. One object is one attempt; `abort` stops the backend.
 * Chunk frames of a backend are passed on untouched wherever the client's connection allows it.
 */
import type { Socket } from "node:net"
import { performance } from "node:perf_hooks"
import { endedBehindHead, type Failure } from "../exchange/Failure.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import { cutAfterFlush, writeHead } from "./ClientSocket.ts"
import { Coalescing } from "./Coalescing.ts"
import type { Relay, Sent, Transport } from "./client/Transport.ts"
import type { Spoken } from "./Dialect.ts"
import type { AttemptEnd, Engine, Running, Sending } from "./Engine.ts"
import { pairsOfReply, type ReplyHead } from "./HeaderLines.ts"
import { KeptBody } from "./KeptBody.ts"
import { longestFrameEnd } from "./LastWord.ts"
import { flushHead } from "./NodeInternals.ts"
import { TranslatedRelay } from "./TranslatedRelay.ts"

/**
 * Bytes up to this many go out as one string: a string on V8's own heap costs less than a buffer outside of it, needs no copy of
 * the read, and takes the head with it in one write.
 */
const oneWrite = 16 * 1024

export const makeOllaEngine = (plain: Transport, secure: Transport): Engine => ({
  name: "olla",
  start: (sending, end) => {
    const attempt = new OllaAttempt(sending, sending.endpoint.origin.secure ? secure : plain, end)
    attempt.start(false)
    return attempt
  }
})

const noReply: ReplyHead = { lines: "", length: "", dated: false }
const chunked: ReadonlyArray<string> = ["Transfer-Encoding", "chunked"]

class OllaAttempt implements Relay, Running {
  readonly #sending: Sending
  readonly #transport: Transport
  readonly #end: AttemptEnd
  #sent: Sent | undefined
  #repeated = false
  #over = false
  /** The client's socket, while chunk frames are written to it directly. */
  #socket: Socket | undefined
  #kept: KeptBody | undefined
  #translated: TranslatedRelay | undefined
  #coalescing: Coalescing | undefined
  #status = 0
  #reply: ReplyHead = noReply
  /** Headers that frame the body, where the backend's own cannot be passed on. */
  #coding: ReadonlyArray<string> = []
  #hasLength = false
  /** The head waits for the first byte of the body. */
  #holds = false
  /** Chunk frames will be passed on as they are. */
  #splices = false
  #isDelimitedByEnd = false
  #drains = false
  /** Nothing of the request is left to be written. */
  #isTaken = false
  #isTakenTold = false
  readonly #onDrain = () => this.#sent?.resume()

  constructor(sending: Sending, transport: Transport, end: AttemptEnd) {
    this.#sending = sending
    this.#transport = transport
    this.#end = end
  }

  start(fresh: boolean): void {
    const sending = this.#sending
    const { timeouts, attempt } = sending
    const at = performance.now()
    attempt.start(at, fresh)
    this.#sent = this.#transport.send(
      {
        origin: sending.endpoint.origin,
        method: sending.method,
        path: sending.path,
        headers: sending.headers,
        body: sending.body,
        bodySize: sending.bodySize,
        deadlines: timeouts,
        readSize: sending.bufferSize,
        at
      },
      fresh,
      this
    )
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    if (this.#translated === undefined) this.#account(this.#sent?.payload ?? 0)
    else this.#translated.stop()
    this.#sent?.abort()
  }

  get wantsPayload(): boolean {
    return this.#kept !== undefined
  }

  onReuse(): void {
    this.#sending.attempt.reuse()
  }

  onConnect(): void {
    this.#sending.attempt.connect()
  }

  onSent(): void {
    if (!this.#over) this.#sending.attempt.requestSent()
  }

  onHead(head: Parameters<Relay["onHead"]>[0], taken: boolean): boolean {
    const sending = this.#sending
    const { exchange, attempt, response } = sending
    attempt.timings.headers = performance.now()
    attempt.status = head.status
    sending.answered()
    const isGood = head.status >= 200 && head.status <= 299
    this.#isDelimitedByEnd = isGood && !head.chunked && head.length < 0
    const reply = sending.reply(head.raw)
    const contentType = headerValue(head.raw, "content-type")
    const translator = sending.translatorOf(head.status, head.length)
    if (translator !== undefined) {
      this.#translated = new TranslatedRelay(sending, translator, this.#onDrain, {
        done: (again) => this.#translatorEnds(undefined, again),
        failed: (why) => this.#translatorEnds(why)
      })
      this.#translated.head({ status: head.status, headers: pairsOfReply(reply) })
      return false
    }
    this.#holds = isGood && sending.timeouts.hold > 0 && head.length !== 0
    this.#isTaken = taken
    if (exchange.wantsUsage || head.status >= 400) this.#kept = new KeptBody(exchange.kept, head.raw)
    this.#status = head.status
    this.#reply = reply
    this.#hasLength = head.length >= 0
    if (head.length === 0) return false
    if (!sending.flushes(contentType)) {
      this.#coalescing = new Coalescing((bytes) => this.#writePart(bytes))
      return false
    }
    // The body mostly comes in the same read: the head then goes out with it.
    if (this.#hasLength) return false
    const { socket } = response
    // Raw frames only where node's response owns the socket, has nothing queued and will frame the end itself.
    this.#splices = head.chunked && socket !== null && response.req.httpVersionMinor === 1 && response.req.httpVersionMajor === 1
    if (this.#splices) this.#coding = chunked
    if (!this.#holds) this.#openStream()
    return this.#splices
  }

  /** The head goes out with what of the body comes in the same turn. */
  #openStream(): void {
    const { socket } = this.#sending.response
    this.#holds = false
    socket?.cork()
    this.#writeHead(true, false)
    if (socket !== null) process.nextTick(() => socket.uncork())
    if (this.#splices) this.#socket = socket?.on("drain", this.#onDrain)
  }

  onWait(): void {
    const { response } = this.#sending
    if (this.#over || this.#holds || this.#translated !== undefined || this.#coalescing !== undefined || !this.#hasLength) return
    if (!response.headersSent && response.socket !== null) this.#writeHead(true, false)
  }

  onHeld(): void {
    if (this.#over) return
    if (this.#translated !== undefined) this.#translated.held()
    else if (this.#holds && this.#coalescing === undefined) {
      this.#holds = false
      if (!this.#hasLength) this.#openStream()
      else this.onWait()
    }
  }

  onBytes(bytes: Buffer, last: boolean, payload: ReadonlyArray<Buffer> | undefined): boolean {
    const { attempt, response } = this.#sending
    attempt.bytesCame()
    if (this.#translated !== undefined) return this.#translated.push(Buffer.from(bytes))
    if (this.#kept !== undefined) {
      if (payload === undefined) this.#kept.push(Buffer.from(bytes))
      else for (const part of payload) this.#kept.push(Buffer.from(part))
    }
    if (this.#holds && this.#coalescing === undefined && !this.#hasLength) this.#openStream()
    const short = bytes.length <= oneWrite
    if (this.#socket !== undefined) {
      const piece = short ? bytes.toString("latin1") : Buffer.from(bytes)
      if (bytes.length > longestFrameEnd) attempt.lastPiece = piece
      return typeof piece === "string" ? this.#socket.write(piece, "latin1") : this.#socket.write(piece)
    }
    if (this.#coalescing !== undefined) {
      const now = this.#coalescing.push(Buffer.from(bytes), last)
      return now === undefined || this.#writePart(now)
    }
    if (last && short && !response.headersSent) {
      this.#writeHead(false, true)
      response.end(bytes.toString("latin1"), "latin1")
      return true
    }
    if (!response.headersSent) this.#writeHead(false, false)
    const piece = short ? bytes.toString("latin1") : Buffer.from(bytes)
    attempt.lastPiece = piece
    return typeof piece === "string" ? response.write(piece, "latin1") : response.write(piece)
  }

  onEnd(payload: number, taken: boolean): void {
    const { response } = this.#sending
    if (this.#over) return
    // The connection is the pool's again: what follows must not touch it.
    this.#sent = undefined
    const { attempt, needsBody } = this.#sending
    if (payload === 0 && this.#isDelimitedByEnd && needsBody && !attempt.isCommitted) {
      if (this.#translated !== undefined) this.#translated.fail(endedBehindHead)
      else this.#finish(endedBehindHead)
      return
    }
    if (this.#translated !== undefined) {
      this.#translated.end()
      return
    }
    if (taken) this.#isTaken = true
    this.#account(payload)
    const rest = this.#coalescing?.rest()
    // Whole before the first output: its length is known after all.
    if (this.#coalescing !== undefined && !response.headersSent && !this.#hasLength)
      this.#coding = ["Content-Length", String(rest?.length ?? 0)]
    if (!response.headersSent) this.#writeHead(false, true)
    if (!response.writableEnded) response.end(rest)
    this.#tellTaken()
    this.#finish(undefined)
  }

  #tellTaken(): void {
    if (!this.#isTaken || this.#isTakenTold) return
    this.#isTakenTold = true
    this.#sending.bodyTaken(!this.#repeated)
  }

  onFail(why: Failure, repeatable: boolean, payload: number): void {
    if (this.#over) return
    if (repeatable && !this.#repeated) {
      this.#repeated = true
      this.start(true)
      return
    }
    this.#sent = undefined
    const { response } = this.#sending
    if (this.#translated !== undefined) {
      this.#translated.fail(why)
      return
    }
    this.#account(payload)
    const rest = this.#coalescing?.rest()
    if (rest !== undefined) this.#writePart(rest)
    if (this.#sending.attempt.isCommitted) cutAfterFlush(response)
    this.#finish(why)
  }

  #account(payload: number): void {
    const { attempt } = this.#sending
    attempt.bytes = payload
    if (attempt.timings.headers !== 0) attempt.timings.lastByte = performance.now()
  }

  #finish(why: Failure | undefined, again?: Spoken): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    if (why === undefined) this.#end.done(again)
    else this.#end.failed(why)
  }

  /** The translator's end is the attempt's: the rest of the backend's answer is dropped. */
  #translatorEnds(why: Failure | undefined, again?: Spoken): void {
    if (this.#over) return
    const sent = this.#sent
    this.#finish(why, again)
    sent?.abort()
  }

  #release(): void {
    this.#coalescing?.rest()
    this.#socket?.off("drain", this.#onDrain)
    if (this.#drains) this.#sending.response.off("drain", this.#onDrain)
  }

  /** `last`: the whole body goes with it. */
  #writeHead(flush: boolean, last: boolean): void {
    const { response, attempt } = this.#sending
    attempt.isCommitted = true
    this.#tellTaken()
    writeHead(response, this.#status, this.#reply, this.#coding)
    if (last) return
    this.#drains = true
    response.on("drain", this.#onDrain)
    if (flush) flushHead(response)
  }

  #writePart(bytes: Buffer): boolean {
    const { response } = this.#sending
    if (!response.headersSent) this.#writeHead(false, false)
    return response.write(bytes)
  }
}

/**
 * A stream that is begun before anybody has answered, so that its client goes on waiting whatever it waits for: somebody who has room, a
 * model that is loaded, a long prompt. Comments until an answer begins; then a last one that says whose it is, since its headers cannot.
 */
import type { ServerResponse } from "node:http"
import type { Place, Queue } from "../balancing/Queue.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import type { AnswerHead, AnswerTranslator, Translated } from "./Dialect.ts"
import { asHeader } from "./HeaderRules.ts"
import { flushHead } from "./NodeInternals.ts"

/** How often those who wait are looked at, in milliseconds. */
const lookEvery = 1_000

const streamType = "text/event-stream"

/** How it will end is not known: whoever finds an error at its end finds the end of the connection behind it. */
const streamHead = ["Content-Type", streamType, "Cache-Control", "no-cache", "X-Accel-Buffering", "no", "Connection", "close"]

export interface EarlyForm {
  /** What its clients take for a sign of life; absent: a comment that says where they stand. */
  readonly ping: string | undefined
  /** The event that is the last of a stream which failed. `status`: what the answer's would have been. */
  readonly broken: (status: number, message: string) => string
  /** Told to whoever writes answers: the head of a stream is out. */
  readonly opened: { sent: boolean }
  /** Reads an answer that is relayed as it comes; absent: none is. */
  readonly relayed?: () => AnswerTranslator
}

/** All that wait, and the one timer for them. */
const waitingNow = new Set<EarlyStream>()
let timer: NodeJS.Timeout | undefined

const look = (): void => {
  const now = performance.now()
  for (const stream of waitingNow) stream.tick(now)
}

export class EarlyStream {
  readonly form: EarlyForm
  readonly #response: ServerResponse
  readonly #exchange: Exchange
  readonly #every: number
  readonly #head: () => Array<string>
  #lastSent: number
  #position: () => number = () => 0
  #isOpen = false
  #hasBegun = false
  /** What came of an answer so far lets comments stand before the rest. */
  #mayWrite = true

  /** `every`: milliseconds. `head`: headers of ours, as pairs. */
  constructor(form: EarlyForm, response: ServerResponse, exchange: Exchange, every: number, head: () => Array<string>) {
    this.form = form
    this.#response = response
    this.#exchange = exchange
    this.#every = every
    this.#head = head
    this.#lastSent = exchange.timings.accepted
    waitingNow.add(this)
    timer ??= setInterval(look, lookEvery).unref()
  }

  /** Its client has been sent comments and nothing else: any answer, and any error, can still come. */
  get isAlone(): boolean {
    return this.#isOpen && !this.#hasBegun
  }

  waitsAt(queue: Queue, place: Place): void {
    this.#position = () => (place.ticket?.isWaiting === true ? queue.position(place) + 1 : 0)
  }

  /** `now`: `performance.now()`. */
  tick(now: number): void {
    const response = this.#response
    if (!this.#mayWrite || now - this.#lastSent < this.#every) return
    if (response.destroyed || response.writableEnded || response.writableNeedDrain) return
    this.#lastSent = now
    if (!response.headersSent) this.#open()
    response.write(this.form.ping ?? `: olla waiting position=${this.#position()}\n\n`)
  }

  #open(): void {
    const response = this.#response
    this.#isOpen = true
    this.form.opened.sent = true
    response.writeHead(200, [...streamHead, ...this.#head()])
    flushHead(response)
  }

  /** Somebody is asked, from the beginning. */
  attempt(): void {
    if (!this.#hasBegun) this.#mayWrite = true
  }

  /** The head of an answer is as it will go out; what is no stream gets no comments. */
  headCame({ status, headers }: AnswerHead): void {
    if (this.#isOpen) return
    const isPlain = headerValue(headers, "content-encoding") === "" && headerValue(headers, "content-length") === ""
    const isStream = headerValue(headers, "content-type").toLowerCase().includes(streamType)
    this.#mayWrite = status === 200 && isStream && isPlain
  }

  /** An answer begins, or an error that somebody answered with. */
  begins(): void {
    if (this.#hasBegun) return
    this.stop()
    this.#hasBegun = true
    if (!this.#isOpen) return
    const { lastAttempt, attempts } = this.#exchange
    const queued = Math.round(this.#exchange.waited(performance.now()))
    this.#response.write(
      `: olla endpoint=${asHeader(lastAttempt?.endpointName ?? "")} attempts=${attempts.length} queue_ms=${queued}\n\n`,
      "latin1"
    )
  }

  /** The last of it. */
  end(event: string | Buffer): void {
    this.stop()
    this.#hasBegun = true
    this.#response.end(event)
  }

  stop(): void {
    waitingNow.delete(this)
    if (waitingNow.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** An answer that comes to somebody who may have been sent comments. */
export class EarlyAnswer implements AnswerTranslator {
  readonly #early: EarlyStream
  readonly #answer: AnswerTranslator
  readonly #exchange: Exchange

  constructor(early: EarlyStream, answer: AnswerTranslator, exchange: Exchange) {
    this.#early = early
    this.#answer = answer
    this.#exchange = exchange
  }

  head(head: AnswerHead): AnswerHead | undefined {
    const now = this.#answer.head(head)
    if (now !== undefined) this.#early.headCame(now)
    return now
  }

  push(bytes: Buffer): Translated | undefined {
    return this.#told(this.#answer.push(bytes))
  }

  end(): Translated | undefined {
    return this.#told(this.#answer.end())
  }

  silent(milliseconds: number): Translated | undefined {
    return this.#told(this.#answer.silent?.(milliseconds))
  }

  fail(...why: Parameters<AnswerTranslator["fail"]>): ReturnType<AnswerTranslator["fail"]> {
    return this.#answer.fail(...why)
  }

  #told(said: Translated | undefined): Translated | undefined {
    if (said === undefined || said.again !== undefined || said.elsewhere !== undefined) return said
    const { head, bytes, done } = said
    if (head !== undefined) this.#early.headCame(head)
    if (bytes !== undefined || done === true) this.#early.begins()
    const { lastAttempt } = this.#exchange
    if (bytes !== undefined && lastAttempt !== undefined) lastAttempt.lastPiece = bytes
    return said
  }
}

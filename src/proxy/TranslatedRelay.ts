/** The client's side of a translated answer, for both engines: the translator's words to the response. */
import { type Failure, failure } from "../exchange/Failure.ts"
import { cutAfterFlush, endBroken } from "./ClientSocket.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Spoken, Translated } from "./Dialect.ts"
import type { AttemptEnd, Sending } from "./Engine.ts"
import { KeptBody } from "./KeptBody.ts"
import { flushHead } from "./NodeInternals.ts"

/** How often a translator is told of silence, in milliseconds. */
const silenceEvery = 1_000

/**
 * How long a backend may take to end an answer whose last word the client already has, in milliseconds. It mostly comes in the
 * next read, and then the connection serves again.
 */
const endWithin = 1_000

export class TranslatedRelay {
  readonly #sending: Sending
  readonly #translator: AnswerTranslator
  readonly #onDrain: () => void
  readonly #told: AttemptEnd
  #timer: NodeJS.Timeout | undefined
  #kept: KeptBody | undefined
  #lastSent = performance.now()
  #over = false
  /** The client has everything; only the backend's end is awaited. */
  #awaitsEnd = false

  constructor(sending: Sending, translator: AnswerTranslator, onDrain: () => void, told: AttemptEnd) {
    this.#sending = sending
    this.#translator = translator
    this.#onDrain = onDrain
    this.#told = told
    // Whatever ends the exchange closes the response: the timer cannot outlive it.
    sending.response.once("close", () => {
      if (!this.#awaitsEnd) this.#stop()
    })
    if (translator.silent !== undefined) {
      this.#timer = setInterval(() => this.#ask(() => translator.silent?.(performance.now() - this.#lastSent)), silenceEvery)
      this.#timer.unref()
    }
  }

  head(head: AnswerHead): void {
    const { exchange } = this.#sending
    // Usage is read from the backend's own words.
    if (exchange.wantsUsage || head.status >= 400) this.#kept = new KeptBody(exchange.kept, head.headers)
    this.#ask(() => {
      const now = this.#translator.head(head)
      return now === undefined ? undefined : { head: now }
    }, true)
  }

  /** False: the client takes no more for now. */
  push(bytes: Buffer): boolean {
    this.#kept?.push(bytes)
    if (this.#awaitsEnd) return true
    return this.#ask(() => this.#translator.push(bytes))
  }

  end(): void {
    if (!this.#awaitsEnd) this.#ask(() => this.#translator.end())
    if (this.#over) return
    const { response } = this.#sending
    this.#sending.relayed()
    if (!response.writableEnded) response.end()
    this.#done()
  }

  fail(why: Failure): void {
    if (this.#over) return
    if (this.#awaitsEnd) {
      this.#done()
      return
    }
    const { response } = this.#sending
    let last: LastWords | undefined
    try {
      last = this.#translator.fail(why)
    } catch {
      // It is in no state to say anything.
    }
    if (response.headersSent) {
      this.#sending.attempt.bytes += last?.bytes.length ?? 0
      endBroken(response, last)
    }
    this.#failed(why)
  }

  /** A fault in a translator ends this exchange, not the process: it is called from a socket's reads. */
  #ask(question: () => Translated | undefined, flush = false): boolean {
    if (this.#over) return true
    const { attempt, exchange } = this.#sending
    try {
      if (!exchange.isSampled) return this.#say(question(), flush)
      const began = performance.now()
      const said = question()
      attempt.translating += performance.now() - began
      return this.#say(said, flush)
    } catch (error) {
      const { response } = this.#sending
      if (response.headersSent) cutAfterFlush(response)
      this.#failed(failure("internal", `the translator failed: ${error}`))
      return true
    }
  }

  #say(said: Translated | undefined, flush = false): boolean {
    if (said === undefined || this.#over) return true
    const { response } = this.#sending
    if (said.again !== undefined) {
      this.#done(said.again)
      return true
    }
    if (said.elsewhere !== undefined) {
      this.#failed(said.elsewhere)
      return true
    }
    let on = true
    if (said.head !== undefined && !response.headersSent) {
      response.writeHead(said.head.status, [...said.head.headers])
      response.on("drain", this.#onDrain)
      if (flush || said.bytes === undefined) flushHead(response)
    }
    if (said.bytes !== undefined) on = this.#write(said.bytes)
    if (said.bytes !== undefined || said.head !== undefined) this.#lastSent = performance.now()
    if (said.done === true) {
      this.#sending.relayed()
      response.end()
      if (said.fault !== undefined) this.#failed(said.fault)
      else this.#awaitEnd()
    }
    return on
  }

  #write(bytes: Buffer): boolean {
    const { attempt, response } = this.#sending
    attempt.bytes += bytes.length
    return response.write(bytes)
  }

  #awaitEnd(): void {
    this.#awaitsEnd = true
    this.#sending.attempt.timings.lastByte = performance.now()
    clearInterval(this.#timer)
    this.#timer = setTimeout(() => this.#done(), endWithin).unref()
  }

  /** False: it has ended before. */
  #ends(): boolean {
    if (this.#over) return false
    this.#stop()
    if (!this.#awaitsEnd) this.#sending.attempt.timings.lastByte = performance.now()
    return true
  }

  #done(again?: Spoken): void {
    if (this.#ends()) this.#told.done(again)
  }

  #failed(why: Failure): void {
    if (this.#ends()) this.#told.failed(why)
  }

  #stop(): void {
    this.#over = true
    clearInterval(this.#timer)
    this.#sending.response.off("drain", this.#onDrain)
  }
}

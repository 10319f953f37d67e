/** The client's side of a translated answer, for both engines: the translator's words to the response. */
import * as Effect from "effect/Effect"
import type { Failure } from "../exchange/Failure.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { AnswerHead, AnswerTranslator, Spoken, Translated } from "./Dialect.ts"
import type { Sending } from "./Engine.ts"

/** How often a translator is told of silence, in milliseconds. */
const silenceEvery = 1_000

export class TranslatedRelay {
  readonly #sending: Sending
  readonly #translator: AnswerTranslator
  readonly #onDrain: () => void
  readonly #settle: (result: Effect.Effect<Spoken | undefined, Failure>) => void
  #timer: NodeJS.Timeout | undefined
  #lastSent = performance.now()
  #over = false

  constructor(
    sending: Sending,
    translator: AnswerTranslator,
    onDrain: () => void,
    settle: (result: Effect.Effect<Spoken | undefined, Failure>) => void
  ) {
    this.#sending = sending
    this.#translator = translator
    this.#onDrain = onDrain
    this.#settle = settle
    sending.response.sendDate = false
    // Whatever ends the exchange closes the response: the timer cannot outlive it.
    sending.response.once("close", () => this.#stop())
    if (translator.silent !== undefined) {
      this.#timer = setInterval(() => this.#say(translator.silent?.(performance.now() - this.#lastSent)), silenceEvery)
      this.#timer.unref()
    }
  }

  head(head: AnswerHead): void {
    const now = this.#translator.head(head)
    if (now !== undefined) this.#say({ head: now }, true)
  }

  /** False: the client takes no more for now. */
  push(bytes: Buffer): boolean {
    return this.#say(this.#translator.push(bytes))
  }

  end(): void {
    this.#say(this.#translator.end())
    if (this.#over) return
    const { response } = this.#sending
    if (!response.writableEnded) response.end()
    this.#finish(Effect.succeed(undefined))
  }

  fail(why: Failure): void {
    const { response } = this.#sending
    const last = this.#translator.fail(why)
    if (response.headersSent) {
      if (last !== undefined && !response.destroyed) this.#write(last)
      cutAfterFlush(response)
    }
    this.#finish(Effect.fail(why))
  }

  #say(said: Translated | undefined, flush = false): boolean {
    if (said === undefined || this.#over) return true
    const { response } = this.#sending
    if (said.again !== undefined) {
      this.#finish(Effect.succeed(said.again))
      return true
    }
    let on = true
    if (said.head !== undefined && !response.headersSent) {
      response.writeHead(said.head.status, [...said.head.headers])
      response.on("drain", this.#onDrain)
      if (flush || said.bytes === undefined) response.flushHeaders()
    }
    if (said.bytes !== undefined) on = this.#write(said.bytes)
    this.#lastSent = performance.now()
    if (said.failed !== undefined) {
      cutAfterFlush(response)
      this.#finish(Effect.fail(said.failed))
    } else if (said.done === true) {
      response.end()
      this.#finish(Effect.succeed(undefined))
    }
    return on
  }

  #write(bytes: Buffer): boolean {
    const { attempt, response } = this.#sending
    attempt.bytes += bytes.length
    return response.write(bytes)
  }

  #finish(result: Effect.Effect<Spoken | undefined, Failure>): void {
    if (this.#over) return
    this.#stop()
    this.#sending.exchange.timings.lastByte = performance.now()
    this.#settle(result)
  }

  #stop(): void {
    this.#over = true
    clearInterval(this.#timer)
    this.#sending.response.off("drain", this.#onDrain)
  }
}

/** A translated answer in callbacks, for the `olla` engine: writing, the timer for silences, and the wait for the backend's end. */
import type { Failure } from "../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator } from "./Dialect.ts"
import type { AttemptEnd, Sending } from "./Engine.ts"
import { endWithin, type Standing, silenceEvery, TranslatedWriting } from "./TranslatedWriting.ts"

export class TranslatedRelay {
  readonly #sending: Sending
  readonly #writing: TranslatedWriting
  readonly #onDrain: () => void
  readonly #told: AttemptEnd
  #timer: NodeJS.Timeout | undefined
  /** The client has everything; only the backend's end is waited for. */
  #awaitsEnd = false
  #over = false

  constructor(sending: Sending, translator: AnswerTranslator, onDrain: () => void, told: AttemptEnd) {
    this.#sending = sending
    this.#writing = new TranslatedWriting(sending, translator)
    this.#onDrain = onDrain
    this.#told = told
    // Whatever ends the exchange closes the response: the timer cannot outlive it.
    sending.response.on("drain", onDrain).once("close", () => {
      if (!this.#awaitsEnd) this.stop()
    })
    if (translator.silent !== undefined) this.#timer = setInterval(() => this.#on(this.#writing.silent()), silenceEvery).unref()
  }

  head(head: AnswerHead): void {
    this.#on(this.#writing.head(head))
  }

  /** False: the client takes no more for now. */
  push(bytes: Buffer): boolean {
    const standing = this.#writing.push(bytes)
    this.#on(standing)
    return standing._tag !== "full"
  }

  /** Nothing of the body came for as long as a head may wait for it. */
  held(): void {
    this.#on(this.#writing.held())
  }

  end(): void {
    this.#on(this.#writing.end())
    if (this.#awaitsEnd) this.#done()
  }

  fail(why: Failure): void {
    this.#on(this.#writing.fail(why))
    if (this.#awaitsEnd) this.#done()
  }

  #on(standing: Standing): void {
    if (this.#over) return
    switch (standing._tag) {
      case "complete":
        if (!this.#awaitsEnd) this.#awaitEnd()
        break
      case "again":
        this.stop()
        this.#told.done(standing.spoken)
        break
      case "failed":
        this.stop()
        this.#told.failed(standing.why)
        break
    }
  }

  #awaitEnd(): void {
    this.#awaitsEnd = true
    clearInterval(this.#timer)
    this.#timer = setTimeout(() => this.#done(), endWithin).unref()
  }

  #done(): void {
    if (this.#over) return
    this.stop()
    this.#told.done(undefined)
  }

  /** Nothing more is said, nor told. */
  stop(): void {
    this.#over = true
    clearInterval(this.#timer)
    this.#sending.response.off("drain", this.#onDrain)
  }
}

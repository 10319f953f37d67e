/**
 * An answer that may say of its server that it does not serve the path, held until it is known whether it does: then somebody else is
 * asked. Any other answer goes on as it would have gone, to the client or to the translator of its dialect.
 */
import { type Failure, failure } from "../exchange/Failure.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Translated } from "./Dialect.ts"
import { refusesPath } from "./PathRefusal.ts"
import { unpacked } from "./Unpacking.ts"

/** A refusal is a sentence or a page: what is longer, in bytes, is an answer. */
const maxHeld = 16 * 1024

export interface HeldOptions {
  /** Of the dialect; absent: the answer is relayed as it comes. */
  readonly translator: AnswerTranslator | undefined
  /** The translator may ask the same server in other words: it is heard first. */
  readonly maySpeakOtherwise: boolean
  /** What was asked for, as the body names it. */
  readonly model: string
}

export class HeldRefusal implements AnswerTranslator {
  readonly #options: HeldOptions
  #head: AnswerHead = { status: 404, headers: [] }
  #held: Array<Buffer> = []
  #size = 0
  #passing = false

  constructor(options: HeldOptions) {
    this.#options = options
  }

  head(head: AnswerHead): undefined {
    this.#head = head
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#passing) return this.#pass(bytes)
    this.#held.push(bytes)
    this.#size += bytes.length
    return this.#size > maxHeld ? this.#release() : undefined
  }

  end(): Translated | undefined {
    const { translator, maySpeakOtherwise } = this.#options
    if (this.#passing) return translator?.end()
    if (!this.#isRefusal()) return this.#releaseWhole()
    if (maySpeakOtherwise) {
      const said = this.#releaseWhole()
      if (said.again !== undefined) return said
    }
    return { elsewhere: failure("path_unknown", `the endpoint does not serve this path (status ${this.#head.status})`) }
  }

  fail(why: Failure): LastWords | undefined {
    return this.#passing ? this.#options.translator?.fail(why) : undefined
  }

  #isRefusal(): boolean {
    const body = unpacked(Buffer.concat(this.#held), headerValue(this.#head.headers, "content-encoding"), maxHeld)
    return refusesPath(this.#head.status, body?.toString("utf8") ?? "{}", this.#options.model)
  }

  #pass(bytes: Buffer): Translated | undefined {
    const { translator } = this.#options
    return translator === undefined ? { bytes } : translator.push(bytes)
  }

  #release(): Translated {
    this.#passing = true
    const { translator } = this.#options
    const head = translator === undefined ? this.#head : translator.head(this.#head)
    const bytes = Buffer.concat(this.#held)
    const said = bytes.length === 0 ? undefined : this.#pass(bytes)
    return joined(head === undefined ? {} : { head }, said)
  }

  /** With its end: nothing more will come. */
  #releaseWhole(): Translated {
    const said = this.#release()
    const { translator } = this.#options
    if (translator !== undefined) return said.done === true || said.again !== undefined ? said : joined(said, translator.end())
    const { head } = said
    if (head === undefined || said.bytes === undefined || headerValue(head.headers, "content-length") !== "") return said
    return { ...said, head: { ...head, headers: [...head.headers, "Content-Length", String(said.bytes.length)] } }
  }
}

const joined = (first: Translated, then: Translated | undefined): Translated => {
  if (then === undefined) return first
  const bytes = [first.bytes, then.bytes].filter((each) => each !== undefined)
  return { ...first, ...then, ...(bytes.length === 0 ? {} : { bytes: Buffer.concat(bytes) }) }
}

/**
 * An error that a backend answered with, held until it is known whether somebody else is asked: because it says that the server does
 * not serve the path, or because another server may do better. Any other answer goes on as it would have gone, to the client or to the
 * translator of its dialect, and so does this one when nobody is left.
 */
import type { ServerResponse } from "node:http"
import type { Exchange } from "../exchange/Exchange.ts"
import { type Failure, failure } from "../exchange/Failure.ts"
import { headerOf, headerValue } from "../exchange/RawHeaders.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Translated } from "./Dialect.ts"
import { missingBy } from "./PathRefusal.ts"
import { sinceThen } from "./ReplyHeaders.ts"
import { unpacked } from "./Unpacking.ts"

/** A refusal of a path is a sentence or a page: what is longer, in bytes, is an answer. */
const maxRefusal = 16 * 1024
/** Bytes that are kept of an error for the client who may get it in the end. */
const maxKept = 64 * 1024
/** How long an error may take to be said in full while somebody else could be asked, in milliseconds. */
const patience = 2_000

/** Statuses by which servers refuse the words of a request, which its dialect may have others for. */
export const isRewordable = (status: number): boolean => [400, 404, 405, 413, 422, 500, 501].includes(status)

/** Who decides what becomes of it. */
export interface Judge {
  /** It is complete, or too long to be kept, or too slow. True: somebody else is asked. */
  readonly goesOn: (answer: HeldAnswer) => boolean
  /** Seconds after which the client may ask again, for an answer that goes to it after all; `undefined`: as the backend says. */
  readonly retryAfter: (status: number) => number | undefined
}

export interface HeldOptions {
  /** Of the dialect; absent: the answer is relayed as it comes. */
  readonly translator: AnswerTranslator | undefined
  /** The translator may ask the same server in other words: it is heard first. */
  readonly maySpeakOtherwise: boolean
  /** What was asked for, as the body names it. */
  readonly model: string
  /** It may say that the path is not served, and somebody else could be asked. */
  readonly mayRefusePath: boolean
  /** Somebody else may do better; absent: only the path matters. */
  readonly judge: Judge | undefined
}

export class HeldAnswer implements AnswerTranslator {
  readonly #options: HeldOptions
  #head: AnswerHead = { status: 404, headers: [] }
  #held: Array<Buffer> = []
  #size = 0
  #passing = false
  /** What its dialect made of it, when that was asked for before its time. */
  #said: Translated | undefined
  /** It is the client's: whoever holds it was told so. */
  #stays = false
  /** All of it came, and was kept. */
  isWhole = false

  constructor(options: HeldOptions) {
    this.#options = options
  }

  get status(): number {
    return this.#head.status
  }

  get retryAfter(): string | undefined {
    return headerOf(this.#head.headers, "retry-after")
  }

  /** What it says, uncompressed, as far as it came; `undefined`: that cannot be read. */
  get text(): string | undefined {
    return unpacked(Buffer.concat(this.#held), headerValue(this.#head.headers, "content-encoding"), maxKept)?.toString("utf8")
  }

  head(head: AnswerHead): undefined {
    this.#head = head
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#passing) return this.#pass(bytes)
    this.#held.push(bytes)
    this.#size += bytes.length
    if (this.#size <= (this.#options.judge === undefined ? maxRefusal : maxKept)) return undefined
    if (this.#goesOn()) return this.#elsewhere()
    this.#setRetryAfter()
    return this.#release()
  }

  end(): Translated | undefined {
    const { translator } = this.#options
    if (this.#passing) return translator?.end()
    this.isWhole = true
    const isRefusal = this.#refusesPath()
    if (!isRefusal && this.#options.judge === undefined) return this.#releaseWhole()
    // Some servers say with 200 that they have not got a route.
    if (this.#options.maySpeakOtherwise && (isRefusal || isRewordable(this.#head.status))) {
      this.#said = this.#releaseWhole()
      if (this.#said.again !== undefined) return this.#said
    }
    if (isRefusal) return { elsewhere: failure("path_unknown", `the endpoint does not serve this path (status ${this.#head.status})`) }
    return this.#goesOn() ? this.#elsewhere() : this.release()
  }

  /** An error that does not come to its end is none to wait for while somebody else can be asked. */
  silent(milliseconds: number): Translated | undefined {
    if (this.#passing) return this.#options.translator?.silent?.(milliseconds)
    return milliseconds >= patience && this.#goesOn() ? this.#elsewhere() : undefined
  }

  fail(why: Failure): LastWords | undefined {
    return this.#passing ? this.#options.translator?.fail(why) : undefined
  }

  /** For the client after all, with its end. Only of one that is whole. */
  release(): Translated {
    this.#setRetryAfter()
    return this.#said ?? this.#releaseWhole()
  }

  /** Judged once, however long it takes to come: each verdict counts for its backend. */
  #goesOn(): boolean {
    if (this.#stays) return false
    const goesOn = this.#options.judge?.goesOn(this) === true
    this.#stays = !goesOn
    return goesOn
  }

  #setRetryAfter(): void {
    const seconds = this.#options.judge?.retryAfter(this.#head.status)
    if (seconds === undefined) return
    this.#head = waiting(this.#head, seconds)
    if (this.#said?.head !== undefined) this.#said = { ...this.#said, head: waiting(this.#said.head, seconds) }
  }

  #elsewhere(): Translated {
    return { elsewhere: failure("withheld", `the endpoint answered with ${this.#head.status}`) }
  }

  #refusesPath(): boolean {
    const { mayRefusePath, model } = this.#options
    return mayRefusePath && this.#size <= maxRefusal && missingBy(this.#head.status, this.text ?? "{}", model) === "route"
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

/** Sends a whole one, with its end. `bytes`: of its body; `fault`: what it is recorded as, where that is a failure. */
export const writeHeld = (
  exchange: Exchange,
  response: ServerResponse,
  answer: HeldAnswer
): { readonly bytes: number; readonly fault: Failure | undefined } => {
  const { head, bytes, fault } = answer.release()
  if (head !== undefined && !response.headersSent) {
    // Others were asked since it was written.
    const { status, headers } = told(head, sinceThen(exchange))
    response.writeHead(status, [...headers])
  }
  response.end(bytes)
  return { bytes: bytes?.length ?? 0, fault }
}

/** With this `Retry-After` instead of the backend's. */
const waiting = (head: AnswerHead, seconds: number): AnswerHead => told(head, ["Retry-After", String(seconds)])

/** With these headers, names and values by turns, instead of what it said of the same names. */
const told = (head: AnswerHead, instead: ReadonlyArray<string>): AnswerHead => {
  const names = new Set(instead.flatMap((name, i) => (i % 2 === 0 ? [name.toLowerCase()] : [])))
  const headers: Array<string> = []
  for (let i = 0; i + 1 < head.headers.length; i += 2) {
    const name = head.headers[i] as string
    if (!names.has(name.toLowerCase())) headers.push(name, head.headers[i + 1] as string)
  }
  return { ...head, headers: [...headers, ...instead] }
}

const joined = (first: Translated, then: Translated | undefined): Translated => {
  if (then === undefined) return first
  const bytes = [first.bytes, then.bytes].filter((each) => each !== undefined)
  return { ...first, ...then, ...(bytes.length === 0 ? {} : { bytes: Buffer.concat(bytes) }) }
}

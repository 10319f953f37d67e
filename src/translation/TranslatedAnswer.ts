/**
 * A backend's answer in one dialect, whole or streamed, as a client's in another. What the client asked for decides what it
 * gets; what the backend really sent decides how it is read, whatever it calls that. Which dialects they are is the business
 * of the reader and the writer that it is given.
 */
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Spoken, Translated } from "../proxy/Dialect.ts"
import { isPlain, unpacked } from "../proxy/Unpacking.ts"
import { answerHeaders, headerOf } from "./AnswerHeaders.ts"
import type { AnswerReader, Oddity, StreamReader } from "./AnswerReader.ts"
import type { AnswerWriter, StreamWriter, TurnOptions, WholeWriter } from "./AnswerWriter.ts"
import type { ChatEvent } from "./ChatEvent.ts"
import { parseJson } from "./JsonValue.ts"
import type { KeepAlive, Opened } from "./KeepAlive.ts"
import { SseReader } from "./SseReader.ts"

export interface TranslationOptions {
  readonly reader: AnswerReader
  readonly writer: AnswerWriter
  readonly turn: TurnOptions
  /** Of an exchange whose client has been kept waiting for a former attempt; absent: the answer begins here. */
  readonly stream?: StreamWriter | undefined
  readonly streaming: boolean
  readonly keepAlive: KeepAlive
  /** Shared by the attempts of an exchange; absent: there is this one only. */
  readonly opened?: Opened | undefined
  readonly requestId: string
  /** Name/value pairs that its answers carry beside those of every translated one. */
  readonly headers: ReadonlyArray<string>
  /** Another wording of the request that may fare better after this refusal; asked once at most. */
  readonly reworded: ((status: number, body: string) => Spoken | undefined) | undefined
  /** What the client was told in the end, for the inspector: a message or an error. */
  readonly onAnswer: ((answer: unknown) => void) | undefined
  /** The answer has reasoning; told once. */
  readonly onThinking?: () => void
  /** What was odd about the answer, said once. */
  readonly onOddities: (oddities: ReadonlyArray<Oddity>) => void
  /** The backend answered with an error of its own. */
  readonly onBackendError: (status: number, body: string, message: string) => void
}

/** Largest answer that is held in memory before it can be translated, bytes. */
const maxWhole = 64 * 1024 * 1024
/** Largest JSON answer to a streaming request. */
const maxUnstreamed = 32 * 1024 * 1024
/** What is read of an error body. */
const maxError = 1024 * 1024
/** Silence behind the backend's first event, before the opening goes out by itself: usage that comes right after it still gets in. */
const startSoonMs = 1_000

const wordless = "the backend ended its answer without a word"
const brokeOff = "upstream connection lost before the response was complete"

/**
 * - `packed`: compressed, and therefore held until it is all there
 * - `sniff`: nothing but white space came
 * - `json`: it began like JSON; whether it is one answer or the first piece of many shows when its first line is whole
 */
type Mode = "error" | "packed" | "sniff" | "json" | "whole" | "stream"

const isThinking = ({ _tag }: ChatEvent): boolean => _tag === "Thinking"

export class TranslatedAnswer implements AnswerTranslator {
  readonly #options: TranslationOptions
  readonly #reader: StreamReader
  readonly #sse: SseReader
  readonly #stream: StreamWriter
  /** The answer of a client that wants it whole, or the inspector's copy of a stream. */
  readonly #whole: WholeWriter
  #events: Array<ChatEvent> = []
  #head: AnswerHead = { status: 200, headers: [] }
  #mode: Mode = "sniff"
  #held: Array<Buffer> = []
  #heldBytes = 0
  #committed = false
  #over = false
  #endedEarly = false
  #sawEvent = false
  #thinks = false

  constructor(options: TranslationOptions) {
    this.#options = options
    this.#reader = options.reader.stream()
    this.#stream = options.stream ?? options.writer.stream(options.turn)
    this.#committed = this.#stream.started
    this.#whole = options.writer.whole(options.turn)
    this.#sse = new SseReader((name, data) => {
      this.#sawEvent = true
      this.#reader.push(name, data, this.#events)
    })
  }

  /** Always held back: status and form of the answer depend on what the backend says first. */
  head(head: AnswerHead): undefined {
    this.#head = head
    if (head.status < 200 || head.status >= 300) this.#mode = "error"
    else if (!isPlain(this.#encoding)) this.#mode = "packed"
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#over) return undefined
    if (this.#mode === "sniff") {
      const first = /[^\s\u00ef\u00bb\u00bf]/.exec(bytes.toString("latin1"))?.[0]
      if (first === undefined) return undefined
      this.#mode = first === "{" ? "json" : first === "[" ? "whole" : "stream"
    }
    if (this.#mode === "json") return this.#begin(bytes)
    return this.#mode === "stream" ? this.#read(bytes) : this.#hold(bytes)
  }

  end(): Translated | undefined {
    if (this.#over) return undefined
    switch (this.#mode) {
      case "error":
        return this.#backendError()
      case "sniff":
        return this.#broken(502, wordless)
      case "stream":
        return this.#endStream()
      case "packed":
        return this.#unpack()
      default:
        return this.#wholeAnswer()
    }
  }

  /** The backend's answer broke off, or the backend fell silent for good. */
  fail(why: Failure): LastWords | undefined {
    if (!this.#streaming || this.#over || !this.#isOut) return undefined
    this.#over = true
    this.#tell(this.#reader.oddities())
    return { bytes: Buffer.from(this.#stream.fail(ruleOf(why).status, brokeOff)), complete: true }
  }

  /** Before the backend's head: an opening, so that other attempts can still go on from there. */
  waiting(head: AnswerHead, milliseconds: number): Translated | undefined {
    if (!this.#streaming || this.#over) return undefined
    const { first, interval } = this.#options.keepAlive
    if (this.#stream.started) return milliseconds >= interval ? { bytes: Buffer.from(this.#stream.ping()) } : undefined
    if (milliseconds < first) return undefined
    this.#head = head
    return this.#streamed(this.#stream.start())
  }

  silent(milliseconds: number): Translated | undefined {
    if (!this.#streaming || this.#over || this.#mode === "error") return undefined
    const { first, interval } = this.#options.keepAlive
    if (!this.#stream.started) {
      const isSoon = this.#isOut && this.#options.opened?.sent !== true
      return milliseconds >= (isSoon ? Math.min(startSoonMs, first) : first) ? this.#streamed(this.#stream.start()) : undefined
    }
    return milliseconds >= interval ? { bytes: Buffer.from(this.#stream.ping()) } : undefined
  }

  /** The client has the head of an answer, perhaps of a stream that others have begun. */
  get #isOut(): boolean {
    return this.#committed || (this.#streaming && this.#options.opened?.sent === true)
  }

  get #streaming(): boolean {
    return this.#options.streaming
  }

  get #unreadable(): string {
    return `proxy error: failed to parse ${this.#options.reader.title} response: the body is not JSON`
  }

  get #encoding(): string {
    return headerOf(this.#head.headers, "content-encoding")
  }

  #unpack(): Translated | undefined {
    const bytes = unpacked(Buffer.concat(this.#held), this.#encoding, this.#streaming ? maxUnstreamed : maxWhole)
    if (bytes === undefined) return this.#broken(502, "proxy error: the backend's answer came in an encoding that cannot be read")
    this.#held = []
    this.#heldBytes = 0
    this.#mode = "sniff"
    const said = this.push(bytes)
    return this.#over ? said : joined(said, this.end() ?? {})
  }

  /** It begins with `{`: held until its first line tells what it is. */
  #begin(bytes: Buffer): Translated | undefined {
    const lineEnds = bytes.includes(10)
    const said = this.#hold(bytes)
    if (!lineEnds || this.#over) return said
    const held = Buffer.concat(this.#held)
    this.#held = [held]
    const line = held.toString("utf8").trimStart().split("\n", 1)[0] ?? ""
    const first = parseJson(line)
    if (first === undefined || !this.#options.reader.isPiece(first)) {
      this.#mode = "whole"
      return said
    }
    this.#mode = "stream"
    this.#held = []
    this.#heldBytes = 0
    return this.#read(held)
  }

  #wholeAnswer(): Translated {
    const body = parseJson(Buffer.concat(this.#held).toString("utf8"))
    this.#held = []
    if (body === undefined) return this.#broken(502, this.#unreadable)
    const reading = this.#options.reader.whole(body)
    if (reading._tag === "invalid") return this.#broken(502, `proxy error: failed to transform response: ${reading.why}`)
    this.#tell(reading.oddities)
    this.#events = [...reading.events]
    return this.#last()
  }

  /** The connection ended well, which a stream that has not said its last word does not make a good end. */
  #endStream(): Translated {
    const reader = this.#reader
    const { unreadable, finished } = reader
    this.#sse.end()
    reader.end(this.#events)
    if (!reader.done && !finished && !reader.finished) {
      if (reader.unreadable > unreadable) return this.#cut("the backend's answer ended in the middle of an event")
      if (!reader.understood) return this.#cut(this.#sawEvent || this.#sse.strange ? this.#unreadable : wordless)
      if (reader.open || this.#options.reader.saysItsEnd) return this.#cut("the backend's answer ended in the middle, without saying how")
    }
    this.#endedEarly = !reader.finished
    return this.#last()
  }

  /** What was said before the end, and that it was none. */
  #cut(message: string): Translated {
    const said = this.#drain()
    return this.#over && said !== undefined ? said : joined(said, this.#broken(502, message))
  }

  #read(bytes: Buffer): Translated | undefined {
    if (!this.#sse.push(bytes)) return this.#broken(502, "the backend sent an event that is too large")
    // A stream that is folded into one answer is bounded like one.
    if (!this.#streaming) this.#heldBytes += bytes.length
    return !this.#streaming && this.#heldBytes > maxWhole ? this.#tooLarge() : this.#drain()
  }

  #hold(bytes: Buffer): Translated | undefined {
    const limit = this.#mode === "error" ? maxError : this.#streaming ? maxUnstreamed : maxWhole
    if (this.#heldBytes + bytes.length > limit) return this.#mode === "error" ? this.#backendError() : this.#tooLarge()
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    return undefined
  }

  #tooLarge(): Translated {
    return this.#broken(502, "proxy error: the backend's answer is too large to translate")
  }

  /** What has been understood so far, written out. `undefined`: that was nothing. */
  #drain(): Translated | undefined {
    const events = this.#events
    // The backend has begun, even if it has said nothing yet that the client could be told.
    if (events.length === 0) return this.#streaming && this.#reader.understood && !this.#isOut ? this.#streamed("") : undefined
    this.#events = []
    const last = events[events.length - 1] as ChatEvent
    const error = last._tag === "Error" ? last : undefined
    if (error !== undefined) events.pop()
    if (!this.#thinks && events.some(isThinking)) {
      this.#thinks = true
      this.#options.onThinking?.()
    }
    if (!this.#streaming || this.#options.onAnswer !== undefined) this.#whole.write(events)
    if (!this.#streaming) {
      if (error !== undefined) return this.#broken(error.status ?? 502, error.message)
      return last._tag === "End" ? this.#finish() : undefined
    }
    const out = this.#stream.write(events)
    if (error !== undefined) return this.#broken(error.status ?? 502, error.message, out)
    return this.#stream.ended ? this.#ended(out) : this.#streamed(out)
  }

  /** What was still to be said, and the end: the last event need not have been one. */
  #last(): Translated {
    const said = this.#drain()
    return this.#over && said !== undefined ? said : joined(said, this.#finish())
  }

  #finish(): Translated {
    if (this.#streaming) return this.#ended(this.#stream.finish())
    const message = this.#whole.message()
    if (this.#whole.problem !== undefined) return this.#broken(502, this.#whole.problem)
    this.#over = true
    this.#finished()
    return this.#document(200, JSON.stringify(message))
  }

  /** `out`: the last of the stream. The writer may have found that it cannot be ended well. */
  #ended(out: string): Translated {
    this.#over = true
    if (this.#stream.broken) {
      this.#tell(this.#reader.oddities())
      return { ...this.#streamed(out), done: true, fault: failure("untranslatable", "tool arguments came after their block was closed") }
    }
    this.#finished()
    return { ...this.#streamed(out), done: true }
  }

  #finished(): void {
    const ends: ReadonlyArray<Oddity> = this.#endedEarly ? [{ what: "the backend ended without saying how", count: 1 }] : []
    this.#tell([...this.#reader.oddities(), ...ends])
    this.#options.onAnswer?.(this.#whole.message())
  }

  #tell(oddities: ReadonlyArray<Oddity>): void {
    if (oddities.length > 0) this.#options.onOddities(oddities)
  }

  #streamed(out: string): Translated {
    const bytes = out === "" ? {} : { bytes: Buffer.from(out) }
    if (this.#isOut) return bytes
    this.#committed = true
    return {
      head: { status: 200, headers: this.#headers(this.#options.writer.streamType) },
      ...bytes
    }
  }

  #headers(contentType: string, fromBackend = false): Array<string> {
    const headers = answerHeaders(this.#head.headers, contentType, this.#options.requestId, fromBackend)
    headers.push(...this.#options.headers)
    return headers
  }

  #backendError(): Translated {
    this.#over = true
    const { status } = this.#head
    if (status < 400) return this.#broken(502, `proxy error: the backend answered ${status}, which is neither a message nor an error`)
    const text = unpacked(Buffer.concat(this.#held), this.#encoding, maxError)?.toString("utf8") ?? ""
    const again = this.#options.reworded?.(status, text)
    if (again !== undefined) return { again }
    const message = this.#options.reader.errorMessage(text)
    this.#options.onBackendError(status, text, message)
    return this.#errorDocument(status, message, true)
  }

  /** Before the first byte an HTTP error; after it the dialect's error event, which its reader understands as the end. */
  #broken(status: number, message: string, before = ""): Translated {
    this.#over = true
    const fault = failure("untranslatable", message)
    this.#tell(this.#reader.oddities())
    if (!this.#isOut && before === "") return { ...this.#errorDocument(status, message, false), ...(status >= 500 ? { fault } : {}) }
    this.#options.onAnswer?.(parseJson(this.#options.writer.errorBody(status, message, this.#options.requestId)))
    return { ...this.#streamed(before + this.#stream.fail(status, message)), done: true, fault }
  }

  #errorDocument(status: number, message: string, fromBackend: boolean): Translated {
    const body = this.#options.writer.errorBody(status, message, this.#options.requestId)
    this.#options.onAnswer?.(parseJson(body))
    if (this.#isOut)
      return {
        bytes: Buffer.from(this.#failed(status, message)),
        done: true,
        fault: failure("untranslatable", `the backend answered ${status}: ${message}`)
      }
    return this.#document(status, body, fromBackend)
  }

  /** Where its dialect has said nothing so far, what is written for other attempts stays as it is. */
  #failed(status: number, message: string): string {
    const stream = this.#stream.started ? this.#stream : this.#options.writer.stream(this.#options.turn)
    return stream.fail(status, message)
  }

  #document(status: number, body: string, fromBackend = false): Translated {
    this.#committed = true
    const bytes = Buffer.from(body)
    const headers = this.#headers("application/json", fromBackend)
    headers.push("content-length", String(bytes.length))
    return { head: { status, headers }, bytes, done: true }
  }
}

const nothing = Buffer.alloc(0)

/** One after the other; the first may have brought the head. */
const joined = (first: Translated | undefined, then: Translated): Translated =>
  first === undefined ? then : { ...first, ...then, bytes: Buffer.concat([first.bytes ?? nothing, then.bytes ?? nothing]) }

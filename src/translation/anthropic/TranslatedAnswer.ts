/**
 * A chat completion server's answer, whole or streamed, as Anthropic's (anthropic.md 6, 7, 10.2). What the client asked
 * for decides what it gets; what the backend really sent decides how it is read (B4).
 */
import { type Failure, failure } from "../../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, Spoken, Translated } from "../../proxy/Dialect.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import { parseJson } from "../JsonValue.ts"
import { ChatStreamReader, readCompletion } from "../openai/ChatReader.ts"
import { SseReader } from "../SseReader.ts"
import { answerHeaders, headerOf } from "./AnswerHeaders.ts"
import { backendMessageOf, errorBody, errorTypeOf } from "./ErrorEnvelope.ts"
import { EventWriter } from "./EventWriter.ts"
import { MessageWriter } from "./MessageWriter.ts"
import { Turn } from "./Turn.ts"

export interface TranslationOptions {
  /** The model that the client named. */
  readonly model: string
  readonly streaming: boolean
  readonly requestId: string
  /** Estimated input tokens, for `message_start`. */
  readonly estimate: number
  readonly stops: ReadonlyArray<string>
  /** The same request without `stream_options`, once, for servers that refuse the field (B14). */
  readonly withoutStreamOptions: (() => Spoken) | undefined
  /** The whole message, for the inspector. */
  readonly onMessage: ((message: unknown) => void) | undefined
}

/** Largest body that is held in memory before it can be translated, bytes. */
const maxWhole = 64 * 1024 * 1024
/** Largest JSON answer to a streaming request (B4). */
const maxUnstreamed = 32 * 1024 * 1024
/** What is read of an error body. */
const maxError = 1024 * 1024
/** Silence before the head goes out without an event, and between pings (B5). */
const headAfterMs = 10_000
const pingAfterMs = 15_000
const ping = Buffer.from('event: ping\ndata: {"type":"ping"}\n\n')

type Mode = "error" | "buffer" | "sniff" | "stream"

export class TranslatedAnswer implements AnswerTranslator {
  readonly #options: TranslationOptions
  readonly #turn: Turn
  readonly #events: Array<ChatEvent> = []
  readonly #reader = new ChatStreamReader()
  readonly #sse: SseReader
  readonly #stream: EventWriter
  readonly #whole: MessageWriter
  #head: AnswerHead = { status: 200, headers: [] }
  #mode: Mode = "buffer"
  #held: Array<Buffer> = []
  #heldBytes = 0
  #committed = false
  #over = false

  constructor(options: TranslationOptions) {
    this.#options = options
    this.#turn = new Turn(options.estimate, options.stops)
    this.#stream = new EventWriter(this.#turn, options.model)
    // The inspector's copy of a streamed turn counts for itself.
    this.#whole = new MessageWriter(options.streaming ? new Turn(options.estimate, options.stops) : this.#turn)
    this.#sse = new SseReader((name, data) => this.#reader.push(name, data, this.#events))
  }

  /** Always held back: status and form of the answer depend on what the backend says first. */
  head(head: AnswerHead): undefined {
    this.#head = head
    if (head.status < 200 || head.status >= 300) this.#mode = "error"
    else {
      const type = headerOf(head.headers, "content-type").toLowerCase()
      this.#mode = type.includes("text/event-stream") ? "stream" : type.includes("json") ? "buffer" : "sniff"
    }
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#over) return undefined
    if (this.#mode === "sniff") {
      const first = bytes.toString("latin1").trimStart().charAt(0)
      if (first === "") return undefined
      this.#mode = first === "{" ? "buffer" : "stream"
    }
    if (this.#mode !== "stream") return this.#hold(bytes)
    if (!this.#sse.push(bytes)) return this.#broken("api_error", 502, "the backend sent an event that is too large")
    return this.#drain()
  }

  end(): Translated | undefined {
    if (this.#over) return undefined
    this.#over = true
    if (this.#mode === "error") return this.#backendError()
    if (this.#mode === "stream") {
      this.#over = false
      this.#sse.end()
      return this.#drain() ?? this.#finish()
    }
    const text = Buffer.concat(this.#held).toString("utf8")
    const body = parseJson(text)
    if (body === undefined) return this.#answerError(502, "proxy error: failed to parse OpenAI response: the body is not JSON")
    const reading = readCompletion(body)
    if (reading._tag === "invalid") return this.#answerError(502, `proxy error: failed to transform response: ${reading.why}`)
    const error = reading.events.find((event) => event._tag === "Error")
    if (error !== undefined) return this.#answerError(error.status ?? 502, error.message)
    if (!this.#options.streaming) return this.#answerWhole(reading.events)
    let out = ""
    for (const event of reading.events) {
      this.#whole.push(event)
      out += event._tag === "End" ? this.#stream.finish() : this.#stream.push(event)
    }
    this.#inspect()
    return this.#streamed(out, true)
  }

  fail(why: Failure): Buffer | undefined {
    if (!this.#options.streaming || this.#over) return undefined
    this.#over = true
    const timeout = why.kind === "idle_timeout" || why.kind === "header_timeout" || why.kind === "response_timeout"
    return Buffer.from(
      this.#stream.fail(timeout ? "timeout_error" : "api_error", "upstream connection lost before the response was complete")
    )
  }

  silent(milliseconds: number): Translated | undefined {
    if (!this.#options.streaming || this.#over || this.#mode === "error") return undefined
    if (!this.#committed) return milliseconds >= headAfterMs ? this.#streamed(this.#stream.start(), false) : undefined
    return milliseconds >= pingAfterMs ? { bytes: ping } : undefined
  }

  #hold(bytes: Buffer): Translated | undefined {
    const limit = this.#mode === "error" ? maxError : this.#options.streaming ? maxUnstreamed : maxWhole
    if (this.#heldBytes + bytes.length > limit) {
      if (this.#mode === "error") {
        this.#over = true
        return { ...this.#backendError(), done: true }
      }
      return this.#broken("api_error", 502, "proxy error: the backend's answer is too large to translate")
    }
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    return undefined
  }

  /** What the reader has understood so far, written out. */
  #drain(): Translated | undefined {
    const events = this.#events.splice(0)
    if (events.length === 0) return undefined
    const error = events.find((event) => event._tag === "Error")
    if (!this.#options.streaming) {
      if (error !== undefined) return this.#broken(errorTypeOf(error.status ?? 502), error.status ?? 502, error.message)
      for (const event of events) this.#whole.push(event)
      return this.#reader.done ? { ...this.#finish(), done: true } : undefined
    }
    let out = ""
    for (const event of events) {
      if (event._tag === "Error") break
      if (this.#options.onMessage !== undefined) this.#whole.push(event)
      out += event._tag === "End" ? this.#stream.finish() : this.#stream.push(event)
    }
    if (error !== undefined)
      return this.#broken(error.status === undefined ? "api_error" : errorTypeOf(error.status), error.status ?? 502, error.message, out)
    if (this.#stream.ended) {
      this.#over = true
      // An unrecoverable argument fragment ends the stream badly; a good end is the only other way here.
      if (this.#stream.broken)
        return { ...this.#streamed(out, false), failed: failure("truncated", "tool arguments came after their block was closed") }
      this.#inspect()
      return this.#streamed(out, true)
    }
    // Nothing but a model name or a role so far: the head can go, the message starts with its content.
    return this.#streamed(out, false)
  }

  #finish(): Translated {
    this.#over = true
    if (!this.#options.streaming) return this.#answerWhole([])
    const out = this.#stream.finish()
    this.#inspect()
    return this.#streamed(out, true)
  }

  #answerWhole(events: ReadonlyArray<ChatEvent>): Translated {
    for (const event of events) this.#whole.push(event)
    const message = this.#whole.message(this.#options.model)
    this.#options.onMessage?.(message)
    return this.#json(200, JSON.stringify(message), false)
  }

  #inspect(): void {
    if (this.#options.onMessage !== undefined) this.#options.onMessage(this.#whole.message(this.#options.model))
  }

  #streamed(out: string, done: boolean): Translated {
    const head: { head?: AnswerHead } = {}
    if (!this.#committed) {
      this.#committed = true
      head.head = { status: 200, headers: answerHeaders(this.#head.headers, "text/event-stream", this.#options.requestId) }
    }
    return { ...head, ...(out === "" ? {} : { bytes: Buffer.from(out) }), ...(done ? { done: true as const } : {}) }
  }

  #backendError(): Translated {
    const status = this.#head.status
    const text = Buffer.concat(this.#held).toString("utf8")
    if (status < 400) return this.#answerError(502, `proxy error: the backend answered ${status}, which is neither a message nor an error`)
    const again = this.#options.withoutStreamOptions
    if (status === 400 && again !== undefined && text.includes("stream_options")) return { again: again() }
    return this.#json(status, errorBody(status, backendMessageOf(text), this.#options.requestId), true)
  }

  #answerError(status: number, message: string): Translated {
    this.#over = true
    return this.#json(status, errorBody(status, message, this.#options.requestId), false)
  }

  #json(status: number, body: string, fromBackend: boolean): Translated {
    this.#committed = true
    const bytes = Buffer.from(body)
    const headers = answerHeaders(this.#head.headers, "application/json", this.#options.requestId, fromBackend)
    headers.push("content-length", String(bytes.length))
    return { head: { status, headers }, bytes, done: true }
  }

  /** Before the first byte an HTTP error; after it the dialect's error event and a cut. */
  #broken(type: string, status: number, message: string, before = ""): Translated {
    this.#over = true
    if (!this.#committed && before === "")
      return { ...this.#json(status, errorBody(status, message, this.#options.requestId), false), done: true }
    const out = before + this.#stream.fail(type, message)
    return { ...this.#streamed(out, false), failed: failure("truncated", `the backend reported an error in its stream: ${message}`) }
  }
}

/**
 * Writes the events of one turn as Anthropic's stream. Blocks are numbered in the order of
 * opening and at most one is open; what arrives while a tool's arguments are still incomplete waits its turn, so that
 * interleaved calls come out one after the other and nothing is lost.
 */
import type { StreamWriter, TurnOptions } from "../AnswerWriter.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import { JsonCompleteness } from "../JsonCompleteness.ts"
import { randomId } from "../RandomId.ts"
import { errorEvent, errorTypeOf } from "./ErrorEnvelope.ts"
import type { StreamEvent } from "./MessagesSchema.ts"
import { TurnSummary } from "./TurnSummary.ts"

type Content = Extract<ChatEvent, { readonly _tag: "Thinking" | "Text" | "Refusal" | "ToolStart" | "ToolArguments" }>

/** Characters that may wait for a tool's arguments to become whole. */
const maxWaiting = 32 * 1024 * 1024

export const frame = (event: StreamEvent): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`

export class EventWriter implements StreamWriter {
  readonly #turn: TurnSummary
  readonly #model: string
  started = false
  ended = false
  broken = false
  #open: "nothing" | "thinking" | "text" | "tool" = "nothing"
  /** The open tool's number, and its arguments so far. */
  #call = -1
  #input = new JsonCompleteness()
  #index = 0
  readonly #closed = new Set<number>()
  #waiting: Array<Content> = []
  #waitingSize = 0

  constructor(options: TurnOptions) {
    this.#turn = new TurnSummary(options)
    this.#model = options.model
  }

  start(): string {
    if (this.started) return ""
    this.started = true
    return frame({
      type: "message_start",
      message: {
        id: randomId("msg_01"),
        type: "message",
        role: "assistant",
        model: this.#turn.model === "" ? this.#model : this.#turn.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: this.#turn.usage(true)
      }
    })
  }

  write(events: ReadonlyArray<ChatEvent>): string {
    let out = ""
    for (const event of events) {
      if (this.ended) break
      this.#turn.note(event)
      switch (event._tag) {
        case "Thinking":
        case "Text":
        case "Refusal":
        case "ToolStart":
        case "ToolArguments":
          out += this.#content(event)
          break
        case "Boundary":
          if (this.#open !== "tool" && this.#waiting.length === 0) out += this.#close()
          break
        case "Signature":
          if (this.#open === "thinking") out += this.#delta(`{"type":"signature_delta","signature":${JSON.stringify(event.signature)}}`)
          break
        case "End":
          out += this.finish()
          break
      }
    }
    return out
  }

  /** What waited, the open block's stop, the sums, the closing event. */
  finish(): string {
    if (this.ended) return ""
    let out = this.start()
    while (this.#waiting.length > 0) {
      out += this.#close() + this.#replay()
      if (this.ended) return out
    }
    out += this.#close()
    this.ended = true
    const delta = { stop_reason: this.#turn.stopReason, stop_sequence: this.#turn.stopSequence }
    return out + frame({ type: "message_delta", delta, usage: this.#turn.usage(false) }) + frame({ type: "message_stop" })
  }

  fail(status: number, message: string): string {
    if (this.ended) return ""
    this.ended = true
    this.broken = true
    return errorEvent(errorTypeOf(status), message)
  }

  #content(event: Content): string {
    if (event._tag === "ToolArguments") return this.#arguments(event)
    // Behind something that waits, everything waits: the order is kept.
    if (this.#waiting.length > 0 || (this.#open === "tool" && !this.#input.whole)) return this.#wait(event)
    switch (event._tag) {
      case "Thinking":
        return `${this.#opened("thinking")}${this.#delta(`{"type":"thinking_delta","thinking":${JSON.stringify(event.text)}}`)}`
      case "Text":
      case "Refusal":
        return `${this.#opened("text")}${this.#delta(`{"type":"text_delta","text":${JSON.stringify(event.text)}}`)}`
      case "ToolStart": {
        const out = this.start() + this.#close()
        this.#open = "tool"
        this.#call = event.call
        this.#input = new JsonCompleteness()
        this.#turn.toolBlocks++
        return (
          out +
          frame({
            type: "content_block_start",
            index: this.#index,
            content_block: { type: "tool_use", id: event.id, name: event.name, input: {} }
          })
        )
      }
    }
  }

  #arguments(event: Extract<Content, { readonly _tag: "ToolArguments" }>): string {
    if (this.#open === "tool" && this.#call === event.call) {
      this.#input.push(event.fragment)
      const out = this.#delta(`{"type":"input_json_delta","partial_json":${JSON.stringify(event.fragment)}}`)
      return this.#waiting.length > 0 && this.#input.whole ? out + this.#replay() : out
    }
    if (!this.#closed.has(event.call)) return this.#wait(event)
    // White space behind a whole input is nothing that could be lost.
    if (event.fragment.trim() === "") return ""
    return this.fail(502, `arguments came for tool call ${event.call} after its block was closed`)
  }

  #wait(event: Content): string {
    this.#waiting.push(event)
    this.#waitingSize += event._tag === "ToolArguments" ? event.fragment.length : event._tag === "ToolStart" ? 100 : event.text.length
    return this.#waitingSize <= maxWaiting ? "" : this.fail(502, "too much content came behind a tool call whose arguments are incomplete")
  }

  /** What waited, each event anew and in order; what cannot go yet waits again. */
  #replay(): string {
    const before = this.#waiting
    this.#waiting = []
    this.#waitingSize = 0
    let out = ""
    for (const event of before) {
      if (this.ended) break
      out += this.#content(event)
    }
    return out
  }

  #opened(kind: "thinking" | "text"): string {
    if (this.#open === kind) return ""
    const out = this.start() + this.#close()
    this.#open = kind
    return (
      out +
      frame({
        type: "content_block_start",
        index: this.#index,
        content_block: kind === "text" ? { type: "text", text: "" } : { type: "thinking", thinking: "", signature: "" }
      })
    )
  }

  /** By hand: the one event that there is for each token. */
  #delta(delta: string): string {
    return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#index},"delta":${delta}}\n\n`
  }

  #close(): string {
    if (this.#open === "nothing") return ""
    if (this.#open === "tool") {
      this.#closed.add(this.#call)
      this.#turn.callIsCut = this.#input.begun && !this.#input.whole
    }
    this.#open = "nothing"
    return frame({ type: "content_block_stop", index: this.#index++ })
  }
}

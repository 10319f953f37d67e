/**
 * Writes the events of one turn as Anthropic's stream (anthropic.md 7.3 to 7.5, B6). Blocks are numbered in the order of
 * opening and at most one is open; what arrives while a tool's arguments are still incomplete waits its turn, so that
 * interleaved calls come out one after the other and nothing is lost.
 */

import type { ChatEvent } from "../ChatEvent.ts"
import { randomId } from "../RandomId.ts"
import { errorEvent } from "./ErrorEnvelope.ts"
import { JsonCompleteness } from "./JsonCompleteness.ts"
import type { Turn } from "./Turn.ts"

type Content = Extract<ChatEvent, { readonly _tag: "Thinking" | "Text" | "Refusal" | "ToolStart" | "ToolArguments" }>

type Open = { readonly kind: "thinking" | "text" } | { readonly kind: "tool"; readonly call: number; readonly input: JsonCompleteness }

export class EventWriter {
  readonly #turn: Turn
  readonly #model: string
  #started = false
  #ended = false
  #broken = false
  #open: Open | undefined
  #blocks = 0
  readonly #closed = new Set<number>()
  #waiting: Array<Content> = []

  /** `model`: what the client asked for, in case the backend does not say. */
  constructor(turn: Turn, model: string) {
    this.#turn = turn
    this.#model = model
  }

  get ended(): boolean {
    return this.#ended
  }

  /** It ended with an error event. */
  get broken(): boolean {
    return this.#broken
  }

  /** The stream's opening event, once. */
  start(): string {
    if (this.#started) return ""
    this.#started = true
    const message = {
      id: randomId("msg_01"),
      type: "message",
      role: "assistant",
      model: this.#turn.model === "" ? this.#model : this.#turn.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: this.#turn.usage(true)
    }
    return `event: message_start\ndata: ${JSON.stringify({ type: "message_start", message })}\n\n`
  }

  push(event: ChatEvent): string {
    if (this.#ended) return ""
    this.#turn.note(event)
    switch (event._tag) {
      case "Thinking":
      case "Text":
      case "Refusal":
      case "ToolStart":
      case "ToolArguments":
        return this.#content(event) + this.#replay()
      default:
        return ""
    }
  }

  /** A good end: what waited, the open block's stop, the sums, the closing event. */
  finish(): string {
    if (this.#ended) return ""
    let out = this.start()
    while (this.#waiting.length > 0 && !this.#ended) out += this.#close() + this.#replay()
    if (this.#ended) return out
    out += this.#close()
    this.#ended = true
    const delta = { stop_reason: this.#turn.stopReason, stop_sequence: this.#turn.stopSequence }
    return `${out}event: message_delta\ndata: ${JSON.stringify({ type: "message_delta", delta, usage: this.#turn.usage(false) })}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n`
  }

  /** A bad end: the error event and nothing after it. */
  fail(type: string, message: string): string {
    if (this.#ended) return ""
    this.#ended = true
    this.#broken = true
    return errorEvent(type, message)
  }

  #content(event: Content): string {
    if (event._tag === "ToolArguments") {
      if (this.#open?.kind === "tool" && this.#open.call === event.call) {
        this.#open.input.push(event.fragment)
        return this.#delta(`{"type":"input_json_delta","partial_json":${JSON.stringify(event.fragment)}}`)
      }
      if (this.#closed.has(event.call)) {
        return this.fail("api_error", `arguments came for tool call ${event.call} after its block was closed`)
      }
      this.#waiting.push(event)
      return ""
    }
    // Behind something that waits, everything waits: the order is kept.
    if (this.#waiting.length > 0 || (this.#open?.kind === "tool" && !this.#open.input.whole)) {
      this.#waiting.push(event)
      return ""
    }
    switch (event._tag) {
      case "Thinking":
        return this.#opened("thinking") + this.#delta(`{"type":"thinking_delta","thinking":${JSON.stringify(event.text)}}`)
      case "Text":
      case "Refusal":
        return this.#opened("text") + this.#delta(`{"type":"text_delta","text":${JSON.stringify(event.text)}}`)
      case "ToolStart": {
        const out = this.start() + this.#close()
        this.#open = { kind: "tool", call: event.call, input: new JsonCompleteness() }
        this.#turn.toolBlocks++
        return (
          out + this.#blockStart(`{"type":"tool_use","id":${JSON.stringify(event.id)},"name":${JSON.stringify(event.name)},"input":{}}`)
        )
      }
    }
  }

  /** What waited, as far as it can go now; each event anew, in order. */
  #replay(): string {
    let out = ""
    while (this.#waiting.length > 0 && !this.#ended) {
      const before = this.#waiting
      this.#waiting = []
      for (const event of before) out += this.#content(event)
      if (this.#waiting.length >= before.length) break
    }
    return out
  }

  #opened(kind: "thinking" | "text"): string {
    if (this.#open?.kind === kind) return ""
    const out = this.start() + this.#close()
    this.#open = { kind }
    return out + this.#blockStart(kind === "text" ? '{"type":"text","text":""}' : '{"type":"thinking","thinking":"","signature":""}')
  }

  #blockStart(block: string): string {
    return `event: content_block_start\ndata: {"type":"content_block_start","index":${this.#blocks},"content_block":${block}}\n\n`
  }

  #delta(delta: string): string {
    return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#blocks},"delta":${delta}}\n\n`
  }

  #close(): string {
    if (this.#open === undefined) return ""
    if (this.#open.kind === "tool") this.#closed.add(this.#open.call)
    this.#open = undefined
    return `event: content_block_stop\ndata: {"type":"content_block_stop","index":${this.#blocks++}}\n\n`
  }
}

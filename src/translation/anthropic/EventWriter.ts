/**
 * Writes the events of one turn as Anthropic's stream. Blocks are numbered in the order of opening and at most one is open, so
 * interleaved calls come out one after the other.
 */
import type { StreamWriter, TurnOptions } from "../AnswerWriter.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import { type Content, InOrder } from "../InOrder.ts"
import { randomId } from "../RandomId.ts"
import { errorEvent, errorTypeOf } from "./ErrorEnvelope.ts"
import type { StreamEvent } from "./MessagesSchema.ts"
import { TurnSummary } from "./TurnSummary.ts"

export const frame = (event: StreamEvent): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`

export class EventWriter implements StreamWriter {
  readonly #turn: TurnSummary
  readonly #model: string
  readonly #echoes: boolean
  started = false
  ended = false
  broken = false
  #open: "nothing" | "thinking" | "text" | "tool" = "nothing"
  readonly #order = new InOrder()
  #index = 0

  constructor(options: TurnOptions) {
    this.#turn = new TurnSummary(options)
    this.#model = options.model
    this.#echoes = options.echoes === true
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
        model: this.#echoes || this.#turn.model === "" ? this.#model : this.#turn.model,
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
        case "Boundary":
        case "Signature": {
          const told: Array<Content> = []
          this.#order.push(event, told)
          out += this.#tell(told)
          break
        }
        case "End":
          out += this.finish()
          break
      }
    }
    return out
  }

  ping(): string {
    return frame({ type: "ping" })
  }

  /** What waited, the open block's stop, the sums, the closing event. */
  finish(): string {
    if (this.ended) return ""
    const rest: Array<Content> = []
    this.#order.finish(rest)
    let out = this.start() + this.#tell(rest)
    if (this.ended) return out
    out += this.#close()
    this.ended = true
    this.#turn.callIsCut = this.#order.callIsCut
    const delta = { stop_reason: this.#turn.stopReason, stop_sequence: this.#turn.stopSequence }
    return out + frame({ type: "message_delta", delta, usage: this.#turn.usage(false) }) + frame({ type: "message_stop" })
  }

  fail(status: number, message: string): string {
    if (this.ended) return ""
    this.ended = true
    this.broken = true
    return errorEvent(errorTypeOf(status), message)
  }

  #tell(events: ReadonlyArray<Content>): string {
    let out = ""
    for (const event of events) out += this.#content(event)
    const { problem } = this.#order
    return problem === undefined ? out : out + this.fail(502, problem)
  }

  #content(event: Content): string {
    switch (event._tag) {
      case "Thinking":
        return `${this.#opened("thinking")}${this.#delta(`{"type":"thinking_delta","thinking":${JSON.stringify(event.text)}}`)}`
      case "Text":
      case "Refusal":
        return `${this.#opened("text")}${this.#delta(`{"type":"text_delta","text":${JSON.stringify(event.text)}}`)}`
      case "ToolArguments":
        return this.#delta(`{"type":"input_json_delta","partial_json":${JSON.stringify(event.fragment)}}`)
      case "Signature":
        return this.#open === "thinking" ? this.#delta(`{"type":"signature_delta","signature":${JSON.stringify(event.signature)}}`) : ""
      case "Boundary":
        return this.#close()
      case "ToolStart": {
        const out = this.start() + this.#close()
        this.#open = "tool"
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
    this.#open = "nothing"
    return frame({ type: "content_block_stop", index: this.#index++ })
  }
}

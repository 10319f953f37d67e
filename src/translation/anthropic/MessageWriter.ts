/** Folds the events of one turn into one whole Anthropic message. */
import type { TurnOptions, WholeWriter } from "../AnswerWriter.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import { isRecord, parseJson } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"
import type { ContentBlock, Message } from "./MessagesSchema.ts"
import { TurnSummary } from "./TurnSummary.ts"

export class MessageWriter implements WholeWriter {
  readonly #turn: TurnSummary
  readonly #model: string
  readonly #echoes: boolean
  /** What is signed is closed: what its server wants back with a signature is just what was said before it. */
  readonly #thoughts: Array<{ thinking: string; signature: string }> = []
  #text = ""
  readonly #tools = new Map<number, { readonly id: string; readonly name: string; input: string }>()

  constructor(options: TurnOptions) {
    this.#turn = new TurnSummary(options)
    this.#model = options.model
    this.#echoes = options.echoes === true
  }

  write(events: ReadonlyArray<ChatEvent>): void {
    for (const event of events) this.#push(event)
  }

  message(): Message {
    const content: Array<ContentBlock> = []
    for (const { thinking, signature } of this.#thoughts) content.push({ type: "thinking", thinking, signature })
    if (this.#text !== "") content.push({ type: "text", text: this.#text })
    for (const tool of this.#tools.values()) {
      // Broken arguments never fail an answer: the agent sees an empty input and asks again.
      const input = parseJson(tool.input)
      this.#turn.callIsCut = tool.input.trim() !== "" && input === undefined
      content.push({ type: "tool_use", id: tool.id, name: tool.name, input: isRecord(input) ? input : {} })
    }
    if (content.length === 0) content.push({ type: "text", text: "" })
    return {
      id: randomId("msg_01"),
      type: "message",
      role: "assistant",
      model: this.#echoes || this.#turn.model === "" ? this.#model : this.#turn.model,
      content,
      stop_reason: this.#turn.stopReason,
      stop_sequence: this.#turn.stopSequence,
      usage: this.#turn.usage(false)
    }
  }

  #push(event: ChatEvent): void {
    this.#turn.note(event)
    switch (event._tag) {
      case "Thinking": {
        const last = this.#thoughts.at(-1)
        if (last === undefined || last.signature !== "") this.#thoughts.push({ thinking: event.text, signature: "" })
        else last.thinking += event.text
        break
      }
      case "Signature": {
        const last = this.#thoughts.at(-1)
        if (last !== undefined) last.signature = event.signature
        break
      }
      case "Text":
      case "Refusal":
        this.#text += event.text
        break
      case "ToolStart":
        this.#tools.set(event.call, { id: event.id, name: event.name, input: "" })
        this.#turn.toolBlocks++
        break
      case "ToolArguments": {
        const tool = this.#tools.get(event.call)
        if (tool !== undefined) tool.input += event.fragment
        break
      }
    }
  }
}

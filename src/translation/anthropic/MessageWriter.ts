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
  #thinking = ""
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
    if (this.#thinking !== "") content.push({ type: "thinking", thinking: this.#thinking, signature: "" })
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
      case "Thinking":
        this.#thinking += event.text
        break
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

/** Folds the events of one turn into one whole Anthropic message (anthropic.md 6). */

import type { ChatEvent } from "../ChatEvent.ts"
import { isRecord, parseJson } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"
import type { Turn } from "./Turn.ts"

type Block = Record<string, unknown>

export class MessageWriter {
  readonly #turn: Turn
  #thinking = ""
  #text = ""
  readonly #tools = new Map<number, { readonly id: string; readonly name: string; input: string }>()

  constructor(turn: Turn) {
    this.#turn = turn
  }

  push(event: ChatEvent): void {
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

  /** `model`: what the client asked for, in case the backend did not say. */
  message(model: string): Record<string, unknown> {
    const content: Array<Block> = []
    if (this.#thinking !== "") content.push({ type: "thinking", thinking: this.#thinking, signature: "" })
    if (this.#text !== "") content.push({ type: "text", text: this.#text })
    for (const tool of this.#tools.values()) {
      const input = parseJson(tool.input)
      content.push({ type: "tool_use", id: tool.id, name: tool.name, input: isRecord(input) ? input : {} })
    }
    if (content.length === 0) content.push({ type: "text", text: "" })
    return {
      id: randomId("msg_01"),
      type: "message",
      role: "assistant",
      model: this.#turn.model === "" ? model : this.#turn.model,
      content,
      stop_reason: this.#turn.stopReason,
      stop_sequence: this.#turn.stopSequence,
      usage: this.#turn.usage(false)
    }
  }
}

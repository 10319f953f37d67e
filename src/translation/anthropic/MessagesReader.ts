/** Reads what servers of the Messages API answer, whole or streamed, as chat events. */
import type { AnswerReader, Oddity, Reading, StreamReader } from "../AnswerReader.ts"
import type { ChatEvent, FinishReason, Usage } from "../ChatEvent.ts"
import { countOf, isRecord, type JsonRecord, listOf, numberOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { backendMessageOf, sentenceOf, statusIn } from "../openai/BackendError.ts"

class MessagesStreamReader implements StreamReader {
  finished = false
  done = false
  understood = false
  unreadable = 0
  /** Kinds of the blocks that are open, by index. */
  readonly #blocks = new Map<number, string>()
  #calls = 0
  readonly #callOf = new Map<number, number>()
  #usage: JsonRecord = {}

  push(_event: string, data: string, out: Array<ChatEvent>): void {
    if (this.done) return
    const event = recordOf(parseJson(data))
    if (event === undefined) {
      this.unreadable++
      return
    }
    this.understood = true
    const index = numberOf(event["index"]) ?? 0
    switch (event["type"]) {
      case "message_start": {
        const message = recordOf(event["message"])
        const model = textOf(message?.["model"])
        if (model !== undefined) out.push({ _tag: "Model", model })
        this.#count(message?.["usage"], out)
        break
      }
      case "content_block_start":
        this.#begin(index, recordOf(event["content_block"]) ?? {}, out)
        break
      case "content_block_delta":
        this.#delta(index, recordOf(event["delta"]) ?? {}, out)
        break
      case "content_block_stop":
        this.#blocks.delete(index)
        break
      case "message_delta": {
        this.#count(event["usage"], out)
        const delta = recordOf(event["delta"])
        const reason = textOf(delta?.["stop_reason"])
        if (reason === undefined) break
        this.finished = true
        out.push(finishOf(reason, delta ?? {}))
        break
      }
      case "message_stop":
        this.finished = true
        this.done = true
        out.push({ _tag: "End" })
        break
      case "error":
        this.done = true
        out.push(errorOf(event))
        break
    }
  }

  end(): void {}

  get open(): boolean {
    return [...this.#blocks.values()].some((kind) => kind !== "text")
  }

  oddities(): ReadonlyArray<Oddity> {
    return this.unreadable === 0 ? [] : [{ what: "events that are not JSON were skipped", count: this.unreadable }]
  }

  #begin(index: number, block: JsonRecord, out: Array<ChatEvent>): void {
    const kind = String(block["type"])
    this.#blocks.set(index, kind)
    if (kind === "tool_use") {
      const call = this.#calls++
      this.#callOf.set(index, call)
      out.push({ _tag: "ToolStart", call, id: textOf(block["id"]) ?? "", name: textOf(block["name"]) ?? "" })
      const input = recordOf(block["input"])
      // Some servers say the whole input here.
      if (input !== undefined && Object.keys(input).length > 0) out.push({ _tag: "ToolArguments", call, fragment: JSON.stringify(input) })
      return
    }
    if (index > 0) out.push({ _tag: "Boundary" })
    const text = textOf(block["text"])
    const thinking = textOf(block["thinking"])
    if (text !== undefined) out.push({ _tag: "Text", text })
    if (thinking !== undefined) out.push({ _tag: "Thinking", text: thinking })
  }

  #delta(index: number, delta: JsonRecord, out: Array<ChatEvent>): void {
    const text = textOf(delta["text"])
    const thinking = textOf(delta["thinking"])
    const fragment = textOf(delta["partial_json"])
    const signature = textOf(delta["signature"])
    const call = this.#callOf.get(index)
    if (text !== undefined) out.push({ _tag: "Text", text })
    else if (thinking !== undefined) out.push({ _tag: "Thinking", text: thinking })
    else if (fragment !== undefined && call !== undefined) out.push({ _tag: "ToolArguments", call, fragment })
    else if (signature !== undefined) out.push({ _tag: "Signature", signature })
  }

  /** The first event counts the prompt, the last one the answer. */
  #count(usage: unknown, out: Array<ChatEvent>): void {
    this.#usage = { ...this.#usage, ...recordOf(usage) }
    const counted = usageOf(this.#usage)
    if (counted !== undefined) out.push({ _tag: "Usage", usage: counted })
  }
}

const usageOf = (usage: JsonRecord): Usage | undefined => {
  const cached = countOf(usage["cache_read_input_tokens"])
  const prompt = countOf(usage["input_tokens"]) + cached + countOf(usage["cache_creation_input_tokens"])
  const completion = countOf(usage["output_tokens"])
  return prompt === 0 && completion === 0 ? undefined : { prompt, completion, cached, reasoning: 0 }
}

const finishes: ReadonlyMap<string, FinishReason> = new Map([
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "calls"],
  ["refusal", "filter"]
])

const finishOf = (reason: string, from: JsonRecord): ChatEvent => ({
  _tag: "Finish",
  reason: finishes.get(reason) ?? "stop",
  matchedStop: reason === "stop_sequence" ? textOf(from["stop_sequence"]) : undefined
})

const statuses: ReadonlyMap<string, number> = new Map([
  ["invalid_request_error", 400],
  ["authentication_error", 401],
  ["permission_error", 403],
  ["not_found_error", 404],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["overloaded_error", 529]
])

const errorOf = (body: JsonRecord): ChatEvent => ({
  _tag: "Error",
  message: sentenceOf(body) ?? "the backend reported an error",
  status: statusIn(body) ?? statuses.get(textOf(recordOf(body["error"])?.["type"]) ?? "")
})

/** One whole message. */
const readMessage = (body: unknown): Reading => {
  if (!isRecord(body)) return { _tag: "invalid", why: "the answer is not a JSON object" }
  if (body["type"] === "error" || (body["error"] !== undefined && body["error"] !== null))
    return { _tag: "events", events: [errorOf(body)], oddities: [] }
  const content = listOf(body["content"])
  if (content === undefined) return { _tag: "invalid", why: "no content in the message" }
  const out: Array<ChatEvent> = []
  const model = textOf(body["model"])
  if (model !== undefined) out.push({ _tag: "Model", model })
  let call = 0
  for (const [index, block] of content.filter(isRecord).entries()) {
    const text = textOf(block["text"])
    const thinking = textOf(block["thinking"])
    const signature = textOf(block["signature"])
    if (block["type"] === "tool_use") {
      out.push({ _tag: "ToolStart", call, id: textOf(block["id"]) ?? "", name: textOf(block["name"]) ?? "" })
      out.push({ _tag: "ToolArguments", call: call++, fragment: JSON.stringify(recordOf(block["input"]) ?? {}) })
      continue
    }
    if (index > 0) out.push({ _tag: "Boundary" })
    if (thinking !== undefined) out.push({ _tag: "Thinking", text: thinking })
    if (signature !== undefined) out.push({ _tag: "Signature", signature })
    if (text !== undefined) out.push({ _tag: "Text", text })
  }
  const usage = usageOf(recordOf(body["usage"]) ?? {})
  if (usage !== undefined) out.push({ _tag: "Usage", usage })
  out.push(finishOf(textOf(body["stop_reason"]) ?? "", body), { _tag: "End" })
  return { _tag: "events", events: out, oddities: [] }
}

/** Anthropic's Messages as the dialect of a backend. */
export const messagesAnswers: AnswerReader = {
  title: "Anthropic",
  saysItsEnd: true,
  stream: () => new MessagesStreamReader(),
  isPiece: (body) => textOf(recordOf(body)?.["type"])?.startsWith("message_") === true,
  whole: readMessage,
  errorMessage: backendMessageOf
}

/** Reads what servers of OpenAI's Responses API answer, whole or streamed, as chat events. */
import type { AnswerReader, Oddity, Reading, StreamReader } from "../AnswerReader.ts"
import type { ChatEvent, FinishReason } from "../ChatEvent.ts"
import { countOf, isRecord, type JsonRecord, listOf, numberOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { backendMessageOf, sentenceOf, statusIn } from "../openai/BackendError.ts"

/** An item of the answer that has begun. */
interface Begun {
  readonly kind: string
  /** Of a function call; -1: it is none. */
  readonly call: number
  /** Something of it was told. */
  told: boolean
  /** The event that its reasoning comes by: servers may tell both the thoughts and their summary. */
  source: string | undefined
}

class ResponsesStreamReader implements StreamReader {
  finished = false
  done = false
  understood = false
  unreadable = 0
  readonly #items = new Map<number, Begun>()
  #open: Begun | undefined
  #calls = 0
  #model = false

  push(_event: string, data: string, out: Array<ChatEvent>): void {
    // Some servers end as chat completions do.
    if (this.done || data.trim() === "[DONE]") return
    const event = recordOf(parseJson(data))
    if (event === undefined) {
      this.unreadable++
      return
    }
    const type = textOf(event["type"]) ?? ""
    if (type === "error" || type === "response.failed" || (type === "" && hasError(event))) {
      this.done = true
      out.push(errorOf(type === "response.failed" ? (recordOf(event["response"]) ?? {}) : event))
      return
    }
    this.understood = true
    this.#take(type, event, out)
  }

  end(): void {}

  get open(): boolean {
    return this.#open !== undefined && this.#open.kind !== "message"
  }

  oddities(): ReadonlyArray<Oddity> {
    return this.unreadable === 0 ? [] : [{ what: "events that are not JSON were skipped", count: this.unreadable }]
  }

  /** One whole answer, as if it had been streamed in one piece. */
  whole(response: JsonRecord, out: Array<ChatEvent>): void {
    this.#named(response, out)
    for (const [index, item] of (listOf(response["output"]) ?? []).entries()) {
      if (!isRecord(item)) continue
      this.#begin(index, item, out)
      this.#finish(index, item, out)
    }
    this.#end(response, out)
  }

  #take(type: string, event: JsonRecord, out: Array<ChatEvent>): void {
    const index = numberOf(event["output_index"]) ?? 0
    const item = recordOf(event["item"]) ?? {}
    switch (type) {
      case "response.created":
      case "response.in_progress":
        this.#named(recordOf(event["response"]) ?? {}, out)
        break
      case "response.output_item.added":
        this.#begin(index, item, out)
        break
      case "response.output_item.done":
        this.#finish(index, item, out)
        break
      case "response.output_text.delta":
        this.#say(index, "message", { _tag: "Text", text: String(event["delta"] ?? "") }, out)
        logprobsOf(event, out)
        break
      case "response.refusal.delta":
        this.#say(index, "message", { _tag: "Refusal", text: String(event["delta"] ?? "") }, out)
        break
      case "response.reasoning_summary_text.delta":
      case "response.reasoning_text.delta":
        this.#think(index, type, event, out)
        break
      case "response.function_call_arguments.delta":
        this.#argue(index, String(event["delta"] ?? ""), out)
        break
      case "response.completed":
      case "response.incomplete":
        this.#end(recordOf(event["response"]) ?? {}, out)
        break
    }
  }

  #named(response: JsonRecord, out: Array<ChatEvent>): void {
    const model = textOf(response["model"])
    if (this.#model || model === undefined) return
    this.#model = true
    out.push({ _tag: "Model", model })
  }

  #begin(index: number, item: JsonRecord, out: Array<ChatEvent>): Begun {
    const known = this.#items.get(index)
    if (known !== undefined) return known
    const kind = textOf(item["type"]) ?? "message"
    const isCall = kind === "function_call"
    const begun: Begun = { kind, call: isCall ? this.#calls++ : -1, told: false, source: undefined }
    if (isCall)
      out.push({
        _tag: "ToolStart",
        call: begun.call,
        id: textOf(item["call_id"]) ?? textOf(item["id"]) ?? "",
        name: textOf(item["name"]) ?? ""
      })
    else if (this.#items.size > 0) out.push({ _tag: "Boundary" })
    this.#items.set(index, begun)
    this.#open = begun
    return begun
  }

  #say(index: number, kind: string, event: Extract<ChatEvent, { readonly text: string }>, out: Array<ChatEvent>): void {
    if (event.text === "") return
    this.#begin(index, { type: kind }, out).told = true
    out.push(event)
  }

  #think(index: number, type: string, event: JsonRecord, out: Array<ChatEvent>): void {
    const item = this.#begin(index, { type: "reasoning" }, out)
    const part = `${type} ${numberOf(event["summary_index"]) ?? numberOf(event["content_index"]) ?? 0}`
    const before = item.source
    if (before !== undefined && before.split(" ")[0] !== type) return
    item.source = part
    const text = String(event["delta"] ?? "")
    if (text !== "")
      this.#say(index, "reasoning", { _tag: "Thinking", text: before === undefined || before === part ? text : `\n\n${text}` }, out)
  }

  #argue(index: number, fragment: string, out: Array<ChatEvent>): void {
    const item = this.#items.get(index)
    if (item === undefined || item.call < 0 || fragment === "") return
    item.told = true
    out.push({ _tag: "ToolArguments", call: item.call, fragment })
  }

  /** Whatever was not told by pieces is told now. */
  #finish(index: number, item: JsonRecord, out: Array<ChatEvent>): void {
    const begun = this.#begin(index, item, out)
    this.#open = undefined
    if (begun.told) return
    if (begun.call >= 0) this.#argue(index, argumentsOf(item["arguments"]), out)
    else if (begun.kind === "reasoning") this.#say(index, begun.kind, { _tag: "Thinking", text: reasoningOf(item) }, out)
    else
      for (const part of (listOf(item["content"]) ?? []).filter(isRecord)) {
        const refusal = textOf(part["refusal"])
        this.#say(
          index,
          begun.kind,
          refusal === undefined ? { _tag: "Text", text: textOf(part["text"]) ?? "" } : { _tag: "Refusal", text: refusal },
          out
        )
        logprobsOf(part, out)
      }
  }

  #end(response: JsonRecord, out: Array<ChatEvent>): void {
    this.#named(response, out)
    const usage = recordOf(response["usage"])
    if (usage !== undefined) {
      const prompt = countOf(usage["input_tokens"])
      const completion = countOf(usage["output_tokens"])
      const cached = countOf(recordOf(usage["input_tokens_details"])?.["cached_tokens"])
      const reasoning = countOf(recordOf(usage["output_tokens_details"])?.["reasoning_tokens"])
      out.push({
        _tag: "Usage",
        usage: { prompt, completion, cached: Math.min(prompt, cached), reasoning: Math.min(completion, reasoning) }
      })
    }
    this.finished = true
    this.done = true
    this.#open = undefined
    out.push({ _tag: "Finish", reason: this.#reason(response), matchedStop: undefined }, { _tag: "End" })
  }

  #reason(response: JsonRecord): FinishReason {
    if (response["status"] === "incomplete")
      return recordOf(response["incomplete_details"])?.["reason"] === "content_filter" ? "filter" : "length"
    return this.#calls > 0 ? "calls" : "stop"
  }
}

const hasError = (body: JsonRecord): boolean => body["error"] !== undefined && body["error"] !== null

const logprobsOf = (from: JsonRecord, out: Array<ChatEvent>): void => {
  const content = listOf(from["logprobs"])
  if (content !== undefined && content.length > 0) out.push({ _tag: "Logprobs", content })
}

const argumentsOf = (value: unknown): string => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value))

const reasoningOf = (item: JsonRecord): string => {
  const textsOf = (list: unknown) => (listOf(list) ?? []).map((part) => textOf(recordOf(part)?.["text"]) ?? "")
  return textsOf(item["content"]).join("") || textsOf(item["summary"]).join("\n\n")
}

const statuses: ReadonlyMap<string, number> = new Map([
  ["rate_limit_exceeded", 429],
  ["server_is_overloaded", 503],
  ["context_length_exceeded", 400],
  ["invalid_prompt", 400]
])

const errorOf = (body: JsonRecord): ChatEvent => ({
  _tag: "Error",
  message: sentenceOf(body) ?? "the backend reported an error",
  status: statusIn(body) ?? statuses.get(textOf(recordOf(body["error"])?.["code"]) ?? textOf(body["code"]) ?? "")
})

const readResponse = (body: unknown): Reading => {
  if (!isRecord(body)) return { _tag: "invalid", why: "the answer is not a JSON object" }
  if (hasError(body) || body["status"] === "failed") return { _tag: "events", events: [errorOf(body)], oddities: [] }
  if (listOf(body["output"]) === undefined) return { _tag: "invalid", why: "no output in the response" }
  if (body["status"] !== undefined && body["status"] !== "completed" && body["status"] !== "incomplete")
    return { _tag: "invalid", why: `the response is ${String(body["status"])}` }
  const out: Array<ChatEvent> = []
  new ResponsesStreamReader().whole(body, out)
  return { _tag: "events", events: out, oddities: [] }
}

/** OpenAI's Responses as the dialect of a backend. */
export const responsesEvents: AnswerReader = {
  title: "Responses",
  saysItsEnd: true,
  stream: () => new ResponsesStreamReader(),
  isPiece: (body) => textOf(recordOf(body)?.["type"])?.startsWith("response.") === true,
  whole: readResponse,
  errorMessage: backendMessageOf
}

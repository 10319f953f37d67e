/**
 * Reads what OpenAI-compatible servers answer, whole or streamed, as chat events. Odd field types are tolerated: a field
 * of a wrong type counts as absent, and the rest of the chunk is used (anthropic.md 7.2, B4, B20).
 */
import type { AnswerReader, Oddity, Reading, StreamReader } from "../AnswerReader.ts"
import type { ChatEvent, Usage } from "../ChatEvent.ts"
import { isRecord, type JsonRecord, listOf, numberOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { backendMessageOf } from "./BackendError.ts"
import { ToolCalls } from "./ToolCalls.ts"

/** One chat stream: `data:` payloads in, events out. */
export class ChatStreamReader implements StreamReader {
  readonly #tools = new ToolCalls()
  #model = false
  /** `[DONE]` or a finish reason came: an end after this is a good end. */
  finished = false
  done = false
  /** Payloads that were no JSON objects; skipped. */
  #unreadable = 0
  #firstUnreadable = ""

  push(event: string, data: string, out: Array<ChatEvent>): void {
    if (this.done) return
    if (data.trim() === "[DONE]") {
      this.done = true
      this.finished = true
      out.push({ _tag: "End" })
      return
    }
    const chunk = recordOf(parseJson(data))
    if (chunk === undefined) {
      if (event === "error") this.#fail({ message: data }, out)
      else if (this.#unreadable++ === 0) this.#firstUnreadable = data
      return
    }
    if (event === "error" || (chunk["error"] !== undefined && chunk["error"] !== null)) {
      this.#fail(chunk, out)
      return
    }
    const model = textOf(chunk["model"])
    if (!this.#model && model !== undefined) {
      this.#model = true
      out.push({ _tag: "Model", model })
    }
    const usage = usageOf(chunk["usage"])
    if (usage !== undefined) out.push({ _tag: "Usage", usage })
    const choice = recordOf(listOf(chunk["choices"])?.[0])
    if (choice === undefined) return
    const reason = textOf(choice["finish_reason"])
    if (reason !== undefined) {
      this.finished = true
      out.push({ _tag: "Finish", reason, matchedStop: matchedStopOf(choice) })
    }
    const delta = recordOf(choice["delta"])
    if (delta === undefined) return
    contentOf(delta, out)
    for (const call of listOf(delta["tool_calls"]) ?? []) this.#tools.push(call, out)
    const legacy = recordOf(delta["function_call"])
    if (legacy !== undefined) this.#tools.push({ index: 0, function: legacy }, out)
  }

  oddities(): ReadonlyArray<Oddity> {
    const out: Array<Oddity> = []
    const first = this.#firstUnreadable
    if (this.#unreadable > 0)
      out.push({ what: "chunks that are not JSON were skipped", count: this.#unreadable, sample: first.slice(0, 20), length: first.length })
    if (this.#tools.nameless > 0) out.push({ what: "tool calls that never got a name were dropped", count: this.#tools.nameless })
    return out
  }

  #fail(chunk: JsonRecord, out: Array<ChatEvent>): void {
    this.done = true
    out.push(errorEventOf(chunk))
  }
}

/** One whole chat completion. */
export const readCompletion = (body: unknown): Reading => {
  if (!isRecord(body)) return { _tag: "invalid", why: "the answer is not a JSON object" }
  const out: Array<ChatEvent> = []
  if (body["error"] !== undefined && body["error"] !== null) return { _tag: "events", events: [errorEventOf(body)], oddities: [] }
  const choices = listOf(body["choices"])
  if (choices === undefined || choices.length === 0) return { _tag: "invalid", why: "no choices in OpenAI response" }
  const choice = recordOf(choices[0])
  if (choice === undefined) return { _tag: "invalid", why: "invalid choice format" }
  const message = recordOf(choice["message"])
  if (message === undefined) return { _tag: "invalid", why: "no message in choice" }
  const model = textOf(body["model"])
  if (model !== undefined) out.push({ _tag: "Model", model })
  const usage = usageOf(body["usage"])
  if (usage !== undefined) out.push({ _tag: "Usage", usage })
  contentOf(message, out)
  const tools = new ToolCalls()
  for (const [index, call] of (listOf(message["tool_calls"]) ?? []).entries()) if (isRecord(call)) tools.push({ ...call, index }, out)
  const legacy = recordOf(message["function_call"])
  if (legacy !== undefined) tools.push({ index: 0, function: legacy }, out)
  out.push({ _tag: "Finish", reason: textOf(choice["finish_reason"]) ?? "", matchedStop: matchedStopOf(choice) }, { _tag: "End" })
  const oddities = tools.nameless > 0 ? [{ what: "tool calls that never got a name were dropped", count: tools.nameless }] : []
  return { _tag: "events", events: out, oddities }
}

/** OpenAI's chat completions as the dialect of a backend. */
export const chatAnswers: AnswerReader = {
  title: "OpenAI",
  stream: () => new ChatStreamReader(),
  whole: readCompletion,
  errorMessage: backendMessageOf
}

const contentOf = (from: JsonRecord, out: Array<ChatEvent>): void => {
  const thinking = textOf(from["reasoning"]) ?? textOf(from["reasoning_content"])
  if (thinking !== undefined) out.push({ _tag: "Thinking", text: thinking })
  const content = from["content"]
  const text = typeof content === "string" ? content : partsOf(content)
  if (text !== "") out.push({ _tag: "Text", text })
  const refusal = textOf(from["refusal"])
  if (refusal !== undefined) out.push({ _tag: "Refusal", text: refusal })
}

/** `content` as a list of parts: their texts. */
const partsOf = (content: unknown): string => {
  let text = ""
  for (const part of listOf(content) ?? []) text += typeof part === "string" ? part : (textOf(recordOf(part)?.["text"]) ?? "")
  return text
}

const usageOf = (value: unknown): Usage | undefined => {
  const usage = recordOf(value)
  if (usage === undefined) return undefined
  const count = (n: unknown) => Math.max(0, Math.trunc(numberOf(n) ?? 0))
  const prompt = count(usage["prompt_tokens"])
  const completion = count(usage["completion_tokens"])
  if (prompt === 0 && completion === 0) return undefined
  return { prompt, completion, cached: Math.min(prompt, count(recordOf(usage["prompt_tokens_details"])?.["cached_tokens"])) }
}

/** The stop string that ended the answer, as vLLM and SGLang report it. */
const matchedStopOf = (choice: JsonRecord): string | undefined => textOf(choice["stop_reason"]) ?? textOf(choice["matched_stop"])

const errorEventOf = (body: JsonRecord): ChatEvent => {
  const error = body["error"]
  const record = recordOf(error)
  const status = [record?.["code"], record?.["status"], body["code"], body["status"]]
    .map((value) => (typeof value === "string" ? Number(value) : value))
    .find((value): value is number => typeof value === "number" && Number.isInteger(value) && value >= 400 && value <= 599)
  const message = textOf(record?.["message"]) ?? textOf(error) ?? textOf(body["message"]) ?? "the backend reported an error"
  return { _tag: "Error", message, status }
}

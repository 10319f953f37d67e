/**
 * Reads what OpenAI-compatible servers answer, whole or streamed, as chat events. Odd field types are tolerated: a field
 * of a wrong type counts as absent, and the rest of the chunk is used. A failure is a failure in whatever form it comes.
 */
import type { AnswerReader, Oddity, Reading, StreamReader } from "../AnswerReader.ts"
import type { ChatEvent, FinishReason, Usage } from "../ChatEvent.ts"
import { countOf, isRecord, type JsonRecord, listOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { ThinkTags } from "../ThinkTags.ts"
import { backendMessageOf, isFailure, plainSentence, sentenceOf, statusIn } from "./BackendError.ts"
import { ToolCalls } from "./ToolCalls.ts"

/** Content of one choice, streamed or whole. */
class ChoiceReader {
  readonly tools = new ToolCalls()
  readonly #tags = new ThinkTags()
  readonly #readsTags: boolean
  /** Reasoning was said, and nothing else since. */
  #thinks = false

  constructor(readsTags: boolean) {
    this.#readsTags = readsTags
  }

  /** A `delta` or a `message`. */
  push(from: JsonRecord, out: Array<ChatEvent>): void {
    const thinking = textOf(from["reasoning"]) ?? textOf(from["reasoning_content"]) ?? detailsOf(from["reasoning_details"])
    if (thinking !== undefined) {
      this.#thinks = true
      out.push({ _tag: "Thinking", text: thinking })
    }
    const content = from["content"]
    const text = typeof content === "string" ? content : partsOf(content)
    if (text !== "") {
      this.#thinks = false
      if (this.#readsTags) this.#tags.push(text, out)
      else out.push({ _tag: "Text", text })
    }
    const refusal = textOf(from["refusal"])
    const calls = listOf(from["tool_calls"]) ?? []
    const legacy = recordOf(from["function_call"])
    if (refusal === undefined && calls.length === 0 && legacy === undefined) return
    this.#thinks = false
    this.#tags.flush(out)
    if (refusal !== undefined) out.push({ _tag: "Refusal", text: refusal })
    for (const call of calls) this.tools.push(call, out)
    if (legacy !== undefined) this.tools.push({ index: 0, function: legacy }, out)
  }

  end(out: Array<ChatEvent>): void {
    this.#tags.flush(out)
    this.tools.end(out)
  }

  get open(): boolean {
    return this.#thinks || this.#tags.isThinking || this.tools.open
  }
}

/** One chat stream: `data:` payloads in, events out. */
export class ChatStreamReader implements StreamReader {
  readonly #choice: ChoiceReader
  #model = false
  /** `[DONE]` or a finish reason came: an end after this is a good end. */
  finished = false
  done = false
  understood = false
  unreadable = 0
  #firstUnreadable = ""

  /** `readsTags`: `<think>` at the beginning of the text is reasoning. */
  constructor(readsTags = true) {
    this.#choice = new ChoiceReader(readsTags)
  }

  push(event: string, data: string, out: Array<ChatEvent>): void {
    if (this.done) return
    if (data.trim() === "[DONE]") {
      this.done = true
      this.finished = true
      this.#choice.end(out)
      out.push({ _tag: "End" })
      return
    }
    const parsed = parseJson(data)
    if (event === "error" || isFailure(parsed, "choices")) {
      this.#fail(parsed === undefined ? { message: data } : parsed, out)
      return
    }
    const chunk = recordOf(parsed)
    if (chunk === undefined) {
      if (this.unreadable++ === 0) this.#firstUnreadable = data
      return
    }
    this.understood = true
    const model = textOf(chunk["model"])
    if (!this.#model && model !== undefined) {
      this.#model = true
      out.push({ _tag: "Model", model })
    }
    const usage = usageOf(chunk["usage"])
    if (usage !== undefined) out.push({ _tag: "Usage", usage })
    const choice = recordOf(listOf(chunk["choices"])?.[0])
    if (choice === undefined) return
    const delta = recordOf(choice["delta"]) ?? recordOf(choice["message"])
    if (delta !== undefined) this.#choice.push(delta, out)
    logprobsOf(choice, out)
    const reason = textOf(choice["finish_reason"])
    if (reason === undefined) return
    this.finished = true
    const finish = finishOf(reason, choice)
    if (finish._tag === "Error") this.done = true
    out.push(finish)
  }

  end(out: Array<ChatEvent>): void {
    if (this.done) return
    this.#choice.end(out)
    const sentence = this.understood ? undefined : plainSentence(this.#firstUnreadable)
    if (sentence !== undefined) this.#fail({ message: sentence }, out)
  }

  get open(): boolean {
    return this.#choice.open
  }

  oddities(): ReadonlyArray<Oddity> {
    const out: Array<Oddity> = []
    const first = this.#firstUnreadable
    if (this.unreadable > 0)
      out.push({ what: "chunks that are not JSON were skipped", count: this.unreadable, sample: first.slice(0, 20), length: first.length })
    const { nameless } = this.#choice.tools
    if (nameless > 0) out.push({ what: namelessCalls, count: nameless })
    return out
  }

  #fail(body: unknown, out: Array<ChatEvent>): void {
    this.done = true
    out.push(errorEventOf(body))
  }
}

const namelessCalls = "tool calls that never got a name were dropped"

/** One whole chat completion. */
export const readCompletion = (body: unknown, readsTags = true): Reading => {
  if (isFailure(body, "choices")) return { _tag: "events", events: [errorEventOf(body)], oddities: [] }
  if (!isRecord(body)) return { _tag: "invalid", why: "the answer is not a JSON object" }
  const choices = listOf(body["choices"])
  if (choices === undefined || choices.length === 0) return { _tag: "invalid", why: "no choices in OpenAI response" }
  const choice = recordOf(choices[0])
  if (choice === undefined) return { _tag: "invalid", why: "invalid choice format" }
  const message = recordOf(choice["message"])
  if (message === undefined) return { _tag: "invalid", why: "no message in choice" }
  const out: Array<ChatEvent> = []
  const model = textOf(body["model"])
  if (model !== undefined) out.push({ _tag: "Model", model })
  const usage = usageOf(body["usage"])
  if (usage !== undefined) out.push({ _tag: "Usage", usage })
  const reader = new ChoiceReader(readsTags)
  const calls = (listOf(message["tool_calls"]) ?? []).flatMap((call, index) => (isRecord(call) ? [{ ...call, index }] : []))
  reader.push({ ...message, tool_calls: calls }, out)
  reader.end(out)
  logprobsOf(choice, out)
  const finish = finishOf(textOf(choice["finish_reason"]) ?? "", choice)
  out.push(finish)
  if (finish._tag !== "Error") out.push({ _tag: "End" })
  const { nameless } = reader.tools
  return { _tag: "events", events: out, oddities: nameless > 0 ? [{ what: namelessCalls, count: nameless }] : [] }
}

/** OpenAI's chat completions as the dialect of a backend. */
const chatAnswersOf = (readsTags: boolean): AnswerReader => ({
  title: "OpenAI",
  saysItsEnd: false,
  stream: () => new ChatStreamReader(readsTags),
  isPiece: (body) => {
    const choice = recordOf(listOf(recordOf(body)?.["choices"])?.[0])
    return recordOf(body)?.["object"] === "chat.completion.chunk" || (choice !== undefined && choice["delta"] !== undefined)
  },
  whole: (body) => readCompletion(body, readsTags),
  errorMessage: backendMessageOf
})

export const chatAnswers = chatAnswersOf(true)
/** With `<think>` left in the text. */
export const chatAnswersAsTheyCome = chatAnswersOf(false)

/** Words that servers have for how a turn ended. */
const finishes: ReadonlyMap<string, FinishReason> = new Map([
  ["length", "length"],
  ["max_tokens", "length"],
  ["MAX_TOKENS", "length"],
  ["model_length", "length"],
  ["tool_calls", "calls"],
  ["function_call", "calls"],
  ["content_filter", "filter"]
])

/** Ends that are none: the server gave up, or was stopped by somebody else. */
const failed = new Set(["abort", "error", "insufficient_system_resource", "cancelled"])

const finishOf = (reason: string, choice: JsonRecord): Extract<ChatEvent, { readonly _tag: "Finish" | "Error" }> =>
  failed.has(reason)
    ? { _tag: "Error", message: `the backend gave up the answer: finish_reason "${reason}"`, status: undefined }
    : { _tag: "Finish", reason: finishes.get(reason) ?? "stop", matchedStop: matchedStopOf(choice) }

const logprobsOf = (choice: JsonRecord, out: Array<ChatEvent>): void => {
  const content = listOf(recordOf(choice["logprobs"])?.["content"])
  if (content !== undefined && content.length > 0) out.push({ _tag: "Logprobs", content })
}

const detailsOf = (details: unknown): string | undefined =>
  textOf((listOf(details) ?? []).map((detail) => textOf(recordOf(detail)?.["text"]) ?? "").join(""))

/** `content` as a list of parts: their texts. */
const partsOf = (content: unknown): string => {
  let text = ""
  for (const part of listOf(content) ?? []) text += typeof part === "string" ? part : (textOf(recordOf(part)?.["text"]) ?? "")
  return text
}

const usageOf = (value: unknown): Usage | undefined => {
  const usage = recordOf(value)
  if (usage === undefined) return undefined
  const prompt = countOf(usage["prompt_tokens"])
  const completion = countOf(usage["completion_tokens"])
  if (prompt === 0 && completion === 0) return undefined
  // DeepSeek has its own name for it.
  const cached = countOf(recordOf(usage["prompt_tokens_details"])?.["cached_tokens"]) || countOf(usage["prompt_cache_hit_tokens"])
  const reasoning = countOf(recordOf(usage["completion_tokens_details"])?.["reasoning_tokens"])
  return { prompt, completion, cached: Math.min(prompt, cached), reasoning: Math.min(completion, reasoning) }
}

/** The stop string that ended the answer, as vLLM and SGLang report it. */
const matchedStopOf = (choice: JsonRecord): string | undefined => textOf(choice["stop_reason"]) ?? textOf(choice["matched_stop"])

const errorEventOf = (body: unknown): ChatEvent => ({
  _tag: "Error",
  message: sentenceOf(body) ?? "the backend reported an error",
  status: statusIn(body)
})

/** Writes the events of one turn as OpenAI's chat completions: a stream of chunks, or one whole completion. */
import type { AnswerWriter, StreamWriter, TurnOptions, WholeWriter } from "../AnswerWriter.ts"
import type { ChatEvent, FinishReason, Usage } from "../ChatEvent.ts"
import type { JsonRecord } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"
import { errorBody, errorOf } from "./OpenAiErrors.ts"

const reasons: Readonly<Record<FinishReason, string>> = {
  stop: "stop",
  length: "length",
  calls: "tool_calls",
  filter: "content_filter"
}

/** What both forms say of a turn: who answered, and its sums. */
class Completion {
  readonly id = randomId("chatcmpl-")
  readonly created = Math.floor(Date.now() / 1_000)
  readonly model: string
  readonly #estimate: number
  #usage: Usage | undefined
  #bytes = 0
  #reason: FinishReason | undefined
  calls = 0

  constructor({ model, estimate }: TurnOptions) {
    this.model = model
    this.#estimate = estimate
  }

  note(event: ChatEvent): void {
    if (event._tag === "Usage") this.#usage = event.usage
    else if (event._tag === "Finish") this.#reason = event.reason
    else if (event._tag === "Text" || event._tag === "Thinking" || event._tag === "Refusal") this.#bytes += Buffer.byteLength(event.text)
    else if (event._tag === "ToolArguments") this.#bytes += Buffer.byteLength(event.fragment)
    else if (event._tag === "ToolStart") this.calls++
  }

  /** Servers that say only that it ended: where calls are open, it waits for their results. */
  get reason(): string {
    const reason = this.#reason ?? "stop"
    return reasons[reason === "stop" && this.calls > 0 ? "calls" : reason]
  }

  get usage(): JsonRecord {
    const known = this.#usage
    const prompt = known !== undefined && known.prompt > 0 ? known.prompt : this.#estimate
    const estimated = this.#bytes === 0 ? 0 : Math.max(1, Math.floor(this.#bytes / 4))
    const completion = known !== undefined && known.completion > 0 ? known.completion : estimated
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: known?.cached ?? 0 },
      completion_tokens_details: { reasoning_tokens: known?.reasoning ?? 0 }
    }
  }
}

class ChatStream implements StreamWriter {
  readonly #sums: Completion
  readonly #withUsage: boolean
  /** What every chunk begins with. */
  readonly #head: string
  /** Places of calls, by their numbers. */
  readonly #calls = new Map<number, number>()
  /** Of calls that have got no arguments yet. */
  readonly #bare = new Set<number>()
  started = false
  ended = false
  broken = false

  constructor(options: TurnOptions, withUsage: boolean) {
    this.#sums = new Completion(options)
    this.#withUsage = withUsage
    const { id, created, model } = this.#sums
    this.#head = `data: {"id":"${id}","object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(model)},`
  }

  start(): string {
    if (this.started) return ""
    this.started = true
    return this.#delta('"role":"assistant","content":""')
  }

  /** A comment: readers of streams pass it over. */
  ping(): string {
    return ": keep-alive\n\n"
  }

  write(events: ReadonlyArray<ChatEvent>): string {
    let out = ""
    for (const event of events) {
      if (this.ended) break
      this.#sums.note(event)
      out += event._tag === "End" ? this.finish() : this.#event(event)
    }
    return out
  }

  finish(): string {
    if (this.ended) return ""
    let opening = this.start()
    this.ended = true
    // Clients parse them.
    for (const index of this.#bare) opening += this.#argue(index, "{}")
    const last = this.#chunk(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"${this.#sums.reason}"}`)
    const usage = this.#withUsage ? `${this.#head}"choices":[],"usage":${JSON.stringify(this.#sums.usage)}}\n\n` : ""
    return `${opening}${last}${usage}data: [DONE]\n\n`
  }

  fail(status: number, message: string): string {
    if (this.ended) return ""
    this.ended = true
    this.broken = true
    return `data: ${JSON.stringify({ error: errorOf(status, message) })}\n\n`
  }

  #event(event: ChatEvent): string {
    switch (event._tag) {
      case "Text":
        return this.start() + this.#delta(`"content":${JSON.stringify(event.text)}`)
      case "Thinking":
        return this.start() + this.#delta(`"reasoning_content":${JSON.stringify(event.text)}`)
      case "Refusal":
        return this.start() + this.#delta(`"refusal":${JSON.stringify(event.text)}`)
      case "ToolStart": {
        const index = this.#calls.size
        this.#calls.set(event.call, index)
        this.#bare.add(index)
        const call = { index, id: event.id || randomId("call_"), type: "function", function: { name: event.name, arguments: "" } }
        return this.start() + this.#delta(`"tool_calls":[${JSON.stringify(call)}]`)
      }
      case "ToolArguments": {
        const index = this.#calls.get(event.call)
        if (index === undefined || event.fragment === "") return ""
        this.#bare.delete(index)
        return this.#argue(index, event.fragment)
      }
      case "Logprobs":
        return (
          this.start() +
          this.#chunk(`{"index":0,"delta":{},"logprobs":${JSON.stringify({ content: event.content, refusal: null })},"finish_reason":null}`)
        )
      default:
        return ""
    }
  }

  #argue(index: number, fragment: string): string {
    return this.#delta(`"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(fragment)}}}]`)
  }

  #delta(fields: string): string {
    return this.#chunk(`{"index":0,"delta":{${fields}},"logprobs":null,"finish_reason":null}`)
  }

  #chunk(choice: string): string {
    return `${this.#head}"choices":[${choice}]${this.#withUsage ? ',"usage":null' : ""}}\n\n`
  }
}

interface SaidCall {
  readonly id: string
  readonly name: string
  input: string
}

class ChatWhole implements WholeWriter {
  readonly #sums: Completion
  #text = ""
  #thinking = ""
  #refusal = ""
  readonly #logprobs: Array<unknown> = []
  readonly #calls = new Map<number, SaidCall>()

  constructor(options: TurnOptions) {
    this.#sums = new Completion(options)
  }

  write(events: ReadonlyArray<ChatEvent>): void {
    for (const event of events) {
      this.#sums.note(event)
      if (event._tag === "Text") this.#text += event.text
      else if (event._tag === "Thinking") this.#thinking += event.text
      else if (event._tag === "Refusal") this.#refusal += event.text
      else if (event._tag === "Logprobs") for (const each of event.content) this.#logprobs.push(each)
      else if (event._tag === "ToolStart") this.#calls.set(event.call, { id: event.id || randomId("call_"), name: event.name, input: "" })
      else if (event._tag === "ToolArguments") {
        const call = this.#calls.get(event.call)
        if (call !== undefined) call.input += event.fragment
      }
    }
  }

  message(): unknown {
    const { id, created, model, reason, usage } = this.#sums
    const calls = [...this.#calls.values()].map(({ id: called, name, input }) => ({
      id: called,
      type: "function",
      function: { name, arguments: input === "" ? "{}" : input }
    }))
    const message = {
      role: "assistant",
      content: this.#text === "" && (calls.length > 0 || this.#refusal !== "") ? null : this.#text,
      refusal: this.#refusal === "" ? null : this.#refusal,
      ...(this.#thinking === "" ? {} : { reasoning_content: this.#thinking }),
      ...(calls.length === 0 ? {} : { tool_calls: calls })
    }
    const logprobs = this.#logprobs.length === 0 ? null : { content: this.#logprobs, refusal: null }
    return { id, object: "chat.completion", created, model, choices: [{ index: 0, message, logprobs, finish_reason: reason }], usage }
  }
}

/** `withUsage`: the client wants the sums in a stream's last chunk. */
export const chatCompletions = (withUsage: boolean): AnswerWriter => ({
  streamType: "text/event-stream",
  stream: (options) => new ChatStream(options, withUsage),
  whole: (options) => new ChatWhole(options),
  errorBody
})

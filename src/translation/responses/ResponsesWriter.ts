/**
 * Writes the events of one turn as OpenAI's Responses API: its stream, and the whole response, which is what the stream's last event
 * carries. One item is open at a time; sequence numbers have no gaps.
 */
import type { AnswerWriter, StreamWriter, TurnOptions, WholeWriter } from "../AnswerWriter.ts"
import type { ChatEvent, FinishReason, Usage } from "../ChatEvent.ts"
import { type Content, InOrder } from "../InOrder.ts"
import { type JsonRecord, listOf, recordOf } from "../JsonValue.ts"
import { codeOf, errorBody } from "../openai/OpenAiErrors.ts"
import { randomId } from "../RandomId.ts"
import { type ItemStatus, isToldWhole, itemOf, type OpenItem, partOf, prefixOf } from "./ResponseItem.ts"
import type { Declared } from "./ResponsesTools.ts"

export interface ResponsesEcho {
  readonly request: JsonRecord
  readonly declared: ReadonlyMap<string, Declared>
}

/** The last event says everything again: at most this many characters of it. */
const maxHeld = 64 * 1024 * 1024

class ResponseWriter implements StreamWriter {
  readonly #options: TurnOptions
  readonly #echo: ResponsesEcho
  readonly #encrypted: boolean
  readonly #key = randomId("")
  readonly #createdAt = Math.floor(Date.now() / 1_000)
  readonly #order = new InOrder()
  readonly #output: Array<JsonRecord> = []
  #open: OpenItem | undefined
  #sequence = 0
  #held = 0
  #usage: Usage | undefined
  #reason: FinishReason | undefined
  #bytes = 0
  started = false
  ended = false
  broken = false

  constructor(options: TurnOptions, echo: ResponsesEcho) {
    this.#options = options
    this.#echo = echo
    this.#encrypted = (listOf(echo.request["include"]) ?? []).includes("reasoning.encrypted_content")
  }

  start(): string {
    if (this.started) return ""
    this.started = true
    const response = this.#response("in_progress")
    return this.#event("response.created", { response }) + this.#event("response.in_progress", { response })
  }

  write(events: ReadonlyArray<ChatEvent>): string {
    let out = ""
    for (const event of events) {
      if (this.ended) break
      switch (event._tag) {
        case "Usage":
          this.#usage = event.usage
          break
        case "Finish":
          this.#reason = event.reason
          break
        case "Logprobs":
          this.#open?.logprobs.push(...event.content)
          break
        case "End":
          out += this.finish()
          break
        case "Model":
        case "Error":
          break
        default: {
          const told: Array<Content> = []
          this.#order.push(event, told)
          out += this.#tell(told)
        }
      }
    }
    return out
  }

  /** Clients count the time since the last event, and comments are none. */
  ping(): string {
    return this.#output.length === 0 && this.#open === undefined
      ? this.#event("response.in_progress", { response: this.#response("in_progress") })
      : this.#event("keepalive", {})
  }

  finish(): string {
    if (this.ended) return ""
    const rest: Array<Content> = []
    this.#order.finish(rest)
    let out = this.start() + this.#tell(rest)
    if (this.ended) return out
    const status = this.#isCut || this.#reason === "filter" ? "incomplete" : "completed"
    out += this.#close(this.#isCut ? "incomplete" : "completed")
    if (this.#output.length === 0) out += this.#opened("text") + this.#close("completed")
    this.ended = true
    return out + this.#event(`response.${status}`, { response: this.response })
  }

  fail(status: number, message: string): string {
    if (this.ended) return ""
    const opening = this.start()
    this.ended = true
    this.broken = true
    const response = { ...this.#response("failed"), error: { code: codeOf(status, message) ?? "server_error", message } }
    return opening + this.#event("response.failed", { response })
  }

  /** The whole answer, once it has ended. */
  get response(): JsonRecord {
    return this.#response(this.#isCut || this.#reason === "filter" ? "incomplete" : "completed")
  }

  /** Why no more can be told. */
  get problem(): string | undefined {
    return this.#order.problem ?? (this.#held > maxHeld ? "the answer is too large to be told whole at its end" : undefined)
  }

  /** The limit ended it; some servers say that they wait for results where it ended a call. */
  get #isCut(): boolean {
    const { maxTokens } = this.#options
    return (
      this.#reason === "length" ||
      (this.#order.callIsCut && this.#reason === "calls" && maxTokens !== undefined && (this.#usage?.completion ?? 0) >= maxTokens)
    )
  }

  #tell(events: ReadonlyArray<Content>): string {
    let out = ""
    for (const event of events) out += this.#content(event)
    return this.problem === undefined ? out : out + this.fail(502, this.problem)
  }

  #content(event: Content): string {
    switch (event._tag) {
      case "Thinking": {
        const out = this.#opened("reasoning")
        const { id, index } = this.#say(event.text)
        return `${out}${this.#delta("response.reasoning_summary_text.delta", id, index, `"summary_index":0,"delta":${JSON.stringify(event.text)}`)}`
      }
      case "Text": {
        const out = this.#opened("text")
        const { id, index } = this.#say(event.text)
        return `${out}${this.#delta("response.output_text.delta", id, index, `"content_index":0,"delta":${JSON.stringify(event.text)},"logprobs":[]`)}`
      }
      case "Refusal": {
        const out = this.#opened("refusal")
        const { id, index } = this.#say(event.text)
        return `${out}${this.#delta("response.refusal.delta", id, index, `"content_index":0,"delta":${JSON.stringify(event.text)}`)}`
      }
      case "ToolStart":
        return this.#startCall(event.id, event.name)
      case "ToolArguments": {
        const { id, index, declared } = this.#say(event.fragment)
        if (declared !== undefined && declared.kind !== "function") return ""
        return this.#delta("response.function_call_arguments.delta", id, index, `"delta":${JSON.stringify(event.fragment)}`)
      }
      case "Boundary":
        return this.#close("completed")
      case "Signature":
        return ""
    }
  }

  #say(text: string): OpenItem {
    const item = this.#open as OpenItem
    item.said += text
    this.#held += text.length
    this.#bytes += Buffer.byteLength(text)
    return item
  }

  #opened(kind: "reasoning" | "text" | "refusal"): string {
    if (this.#open?.kind === kind) return ""
    const out = this.start() + this.#close("completed")
    const item = this.#begin(kind)
    const where = { item_id: item.id, output_index: item.index }
    const added = this.#added(item)
    return kind === "reasoning"
      ? out +
          added +
          this.#event("response.reasoning_summary_part.added", { ...where, summary_index: 0, part: { type: "summary_text", text: "" } })
      : out + added + this.#event("response.content_part.added", { ...where, content_index: 0, part: partOf(item) })
  }

  #startCall(callId: string, name: string): string {
    const out = this.start() + this.#close("completed")
    const item = this.#begin("call", callId, name)
    return isToldWhole(item.declared) ? out : out + this.#added(item)
  }

  #begin(kind: OpenItem["kind"], callId = "", name = ""): OpenItem {
    const declared = kind === "call" ? this.#echo.declared.get(name) : undefined
    const index = this.#output.length
    const id = `${prefixOf(kind, declared)}_${this.#key}_${index}`
    this.#open = { kind, id, index, said: "", logprobs: [], callId, name, declared }
    return this.#open
  }

  #added(item: OpenItem): string {
    return this.#event("response.output_item.added", { output_index: item.index, item: itemOf(item, "in_progress", this.#encrypted) })
  }

  #close(status: ItemStatus): string {
    const item = this.#open
    if (item === undefined) return ""
    this.#open = undefined
    const whole = itemOf(item, status, this.#encrypted)
    this.#output.push(whole)
    const where = { item_id: item.id, output_index: item.index }
    return this.#closing(item, whole, where) + this.#event("response.output_item.done", { output_index: item.index, item: whole })
  }

  #closing(item: OpenItem, whole: JsonRecord, where: JsonRecord): string {
    const text = item.said
    switch (item.kind) {
      case "reasoning":
        return (
          this.#event("response.reasoning_summary_text.done", { ...where, summary_index: 0, text }) +
          this.#event("response.reasoning_summary_part.done", { ...where, summary_index: 0, part: { type: "summary_text", text } })
        )
      case "text":
        return (
          this.#event("response.output_text.done", { ...where, content_index: 0, text, logprobs: item.logprobs }) +
          this.#event("response.content_part.done", { ...where, content_index: 0, part: partOf(item) })
        )
      case "refusal":
        return (
          this.#event("response.refusal.done", { ...where, content_index: 0, refusal: text }) +
          this.#event("response.content_part.done", { ...where, content_index: 0, part: partOf(item) })
        )
      case "call": {
        if (isToldWhole(item.declared))
          return this.#event("response.output_item.added", { output_index: item.index, item: { ...whole, status: "in_progress" } })
        if (item.declared?.kind !== "custom")
          return this.#event("response.function_call_arguments.done", { ...where, name: whole["name"], arguments: text })
        // What comes is JSON around the text: the text is known at the end.
        const { input } = whole
        const delta = input === "" ? "" : this.#event("response.custom_tool_call_input.delta", { ...where, delta: input })
        return delta + this.#event("response.custom_tool_call_input.done", { ...where, input })
      }
    }
  }

  /** By hand: the one event that there is for each token. */
  #delta(type: string, id: string, index: number, rest: string): string {
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${this.#sequence++},"item_id":"${id}","output_index":${index},${rest}}\n\n`
  }

  #event(type: string, fields: JsonRecord): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...fields })}\n\n`
  }

  #response(status: "in_progress" | "completed" | "incomplete" | "failed"): JsonRecord {
    const { request } = this.#echo
    const given = (name: string, otherwise: unknown) => request[name] ?? otherwise
    const reasoning = recordOf(request["reasoning"])
    const ended = status === "completed" || status === "incomplete"
    return {
      id: `resp_${this.#key}`,
      object: "response",
      created_at: this.#createdAt,
      ...(ended ? { completed_at: Math.max(this.#createdAt, Math.floor(Date.now() / 1_000)) } : {}),
      status,
      error: null,
      incomplete_details: status === "incomplete" ? { reason: this.#reason === "filter" ? "content_filter" : "max_output_tokens" } : null,
      model: this.#options.model,
      output: status === "in_progress" ? [] : [...this.#output],
      usage: ended ? this.#usageDocument() : null,
      instructions: given("instructions", null),
      max_output_tokens: given("max_output_tokens", null),
      metadata: given("metadata", {}),
      parallel_tool_calls: given("parallel_tool_calls", true),
      previous_response_id: null,
      reasoning: { effort: reasoning?.["effort"] ?? null, summary: reasoning?.["summary"] ?? null },
      store: false,
      temperature: given("temperature", 1),
      text: { format: recordOf(request["text"])?.["format"] ?? { type: "text" } },
      tool_choice: given("tool_choice", "auto"),
      tools: given("tools", []),
      top_p: given("top_p", 1),
      truncation: "disabled",
      background: false,
      service_tier: "default",
      user: given("user", null)
    }
  }

  #usageDocument(): JsonRecord {
    const known = this.#usage
    const estimated = this.#bytes === 0 ? 0 : Math.max(1, Math.floor(this.#bytes / 4))
    const input = known !== undefined && known.prompt > 0 ? known.prompt : this.#options.estimate
    const output = known !== undefined && known.completion > 0 ? known.completion : estimated
    return {
      input_tokens: input,
      input_tokens_details: { cached_tokens: known?.cached ?? 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: known?.reasoning ?? 0 },
      total_tokens: input + output
    }
  }
}

class WholeResponse implements WholeWriter {
  readonly #writer: ResponseWriter

  constructor(options: TurnOptions, echo: ResponsesEcho) {
    this.#writer = new ResponseWriter(options, echo)
  }

  write(events: ReadonlyArray<ChatEvent>): void {
    this.#writer.write(events)
  }

  message(): unknown {
    this.#writer.finish()
    return this.#writer.response
  }

  get problem(): string | undefined {
    return this.#writer.problem
  }
}

/** The writers of one request's answers. */
export const responsesAnswers = (echo: ResponsesEcho): AnswerWriter => ({
  streamType: "text/event-stream",
  stream: (options) => new ResponseWriter(options, echo),
  whole: (options) => new WholeResponse(options, echo),
  errorBody
})

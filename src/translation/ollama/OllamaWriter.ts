/**
 * Writes the events of one turn as Ollama does: lines of JSON, one for each fragment, and a last one with the sums; or one object with
 * everything. Calls are told when they are whole.
 */
import type { AnswerWriter, StreamWriter, TurnOptions, WholeWriter } from "../AnswerWriter.ts"
import type { ChatEvent, FinishReason, Usage } from "../ChatEvent.ts"
import { type Content, InOrder } from "../InOrder.ts"
import { isRecord, type JsonRecord, parseJson } from "../JsonValue.ts"

/** Which of Ollama's routes is answered: their lines differ in where the text is. */
export type OllamaRoute = "chat" | "generate"

const nanoseconds = (milliseconds: number): number => Math.max(1, Math.round(milliseconds * 1e6))

interface OpenCall {
  readonly id: string
  readonly name: string
  input: string
}

const callOf = ({ id, name, input }: OpenCall, index: number): JsonRecord => {
  const parsed = parseJson(input)
  return { id, function: { index, name, arguments: isRecord(parsed) ? parsed : {} } }
}

/** Sums of a turn, for its last line. */
class Sums {
  readonly #options: TurnOptions
  readonly #began = performance.now()
  #firstAt = 0
  #usage: Usage | undefined
  #reason: FinishReason = "stop"
  #bytes = 0

  constructor(options: TurnOptions) {
    this.#options = options
  }

  note(event: ChatEvent): void {
    if (event._tag === "Usage") this.#usage = event.usage
    else if (event._tag === "Finish") this.#reason = event.reason
    else if (event._tag === "Text" || event._tag === "Thinking" || event._tag === "Refusal") this.#said(event.text)
    else if (event._tag === "ToolArguments") this.#said(event.fragment)
  }

  #said(text: string): void {
    if (this.#firstAt === 0) this.#firstAt = performance.now()
    this.#bytes += Buffer.byteLength(text)
  }

  get document(): JsonRecord {
    const now = performance.now()
    const first = this.#firstAt === 0 ? now : this.#firstAt
    const { prompt = 0, completion = 0 } = this.#usage ?? {}
    return {
      done: true,
      done_reason: this.#reason === "length" ? "length" : "stop",
      total_duration: nanoseconds(now - this.#began),
      load_duration: 1,
      prompt_eval_count: prompt > 0 ? prompt : this.#options.estimate,
      prompt_eval_duration: nanoseconds(first - this.#began),
      eval_count: completion > 0 ? completion : Math.max(1, Math.floor(this.#bytes / 4)),
      eval_duration: nanoseconds(now - first)
    }
  }
}

class OllamaStream implements StreamWriter {
  readonly #model: string
  readonly #route: OllamaRoute
  readonly #sums: Sums
  readonly #order = new InOrder()
  #call: OpenCall | undefined
  #calls = 0
  started = false
  ended = false
  broken = false

  constructor(options: TurnOptions, route: OllamaRoute) {
    this.#model = options.model
    this.#route = route
    this.#sums = new Sums(options)
  }

  /** Streams of this API have no opening; an empty fragment is none that a client would see. */
  start(): string {
    return this.started ? "" : this.ping()
  }

  ping(): string {
    return this.#line(this.#said("", ""))
  }

  write(events: ReadonlyArray<ChatEvent>): string {
    let out = ""
    for (const event of events) {
      if (this.ended) break
      this.#sums.note(event)
      switch (event._tag) {
        case "Model":
        case "Usage":
        case "Finish":
        case "Error":
          break
        case "Logprobs":
          out += this.#line({ ...this.#said("", ""), logprobs: event.content })
          break
        case "End":
          out += this.finish()
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

  finish(): string {
    if (this.ended) return ""
    const rest: Array<Content> = []
    this.#order.finish(rest)
    let out = this.#tell(rest)
    if (this.ended) return out
    out += this.#closeCall()
    this.ended = true
    return out + this.#line({ ...this.#said("", ""), ...this.#sums.document })
  }

  fail(_status: number, message: string): string {
    if (this.ended) return ""
    this.ended = true
    this.broken = true
    return `${JSON.stringify({ error: message })}\n`
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
        return this.#closeCall() + this.#line(this.#said("", event.text))
      case "Text":
      case "Refusal":
        return this.#closeCall() + this.#line(this.#said(event.text, ""))
      case "ToolStart": {
        const before = this.#closeCall()
        this.#call = { id: event.id, name: event.name, input: "" }
        return before
      }
      case "ToolArguments":
        if (this.#call !== undefined) this.#call.input += event.fragment
        return ""
      case "Boundary":
      case "Signature":
        return ""
    }
  }

  #closeCall(): string {
    const call = this.#call
    if (call === undefined) return ""
    this.#call = undefined
    return this.#line({ message: { role: "assistant", content: "", tool_calls: [callOf(call, this.#calls++)] } })
  }

  #said(content: string, thinking: string): JsonRecord {
    const thought = thinking === "" ? {} : { thinking }
    return this.#route === "chat" ? { message: { role: "assistant", content, ...thought } } : { response: content, ...thought }
  }

  #line(fields: JsonRecord): string {
    this.started = true
    return `${JSON.stringify({ model: this.#model, created_at: new Date().toISOString(), ...fields, done: fields["done"] === true })}\n`
  }
}

class OllamaWhole implements WholeWriter {
  readonly #model: string
  readonly #route: OllamaRoute
  readonly #sums: Sums
  #text = ""
  #thinking = ""
  readonly #logprobs: Array<unknown> = []
  readonly #calls = new Map<number, OpenCall>()

  constructor(options: TurnOptions, route: OllamaRoute) {
    this.#model = options.model
    this.#route = route
    this.#sums = new Sums(options)
  }

  write(events: ReadonlyArray<ChatEvent>): void {
    for (const event of events) {
      this.#sums.note(event)
      if (event._tag === "Text" || event._tag === "Refusal") this.#text += event.text
      else if (event._tag === "Thinking") this.#thinking += event.text
      else if (event._tag === "ToolStart") this.#calls.set(event.call, { id: event.id, name: event.name, input: "" })
      else if (event._tag === "Logprobs") this.#logprobs.push(...event.content)
      else if (event._tag === "ToolArguments") {
        const call = this.#calls.get(event.call)
        if (call !== undefined) call.input += event.fragment
      }
    }
  }

  message(): unknown {
    const thought = this.#thinking === "" ? {} : { thinking: this.#thinking }
    const calls = [...this.#calls.values()].map(callOf)
    const said =
      this.#route === "chat"
        ? { message: { role: "assistant", content: this.#text, ...thought, ...(calls.length === 0 ? {} : { tool_calls: calls }) } }
        : { response: this.#text, ...thought }
    return {
      model: this.#model,
      created_at: new Date().toISOString(),
      ...said,
      ...(this.#logprobs.length === 0 ? {} : { logprobs: this.#logprobs }),
      ...this.#sums.document
    }
  }
}

export const ollamaAnswers = (route: OllamaRoute): AnswerWriter => ({
  streamType: "application/x-ndjson",
  stream: (options) => new OllamaStream(options, route),
  whole: (options) => new OllamaWhole(options, route),
  errorBody: (_status, message) => JSON.stringify({ error: message })
})

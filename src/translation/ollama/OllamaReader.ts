/** Reads what Ollama answers to `/api/chat`, whole or line by line, as chat events. */
import type { AnswerReader, Oddity, Reading, StreamReader } from "../AnswerReader.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import { countOf, isRecord, type JsonRecord, listOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { backendMessageOf, sentenceOf, statusIn } from "../openai/BackendError.ts"
import { randomId } from "../RandomId.ts"

class OllamaStreamReader implements StreamReader {
  finished = false
  done = false
  understood = false
  unreadable = 0
  #calls = 0
  #model = false
  #thinks = false

  push(_event: string, data: string, out: Array<ChatEvent>): void {
    if (this.done) return
    const line = recordOf(parseJson(data))
    if (line === undefined) {
      this.unreadable++
      return
    }
    if (line["error"] !== undefined && line["error"] !== null) {
      this.done = true
      out.push({ _tag: "Error", message: sentenceOf(line) ?? "the backend reported an error", status: statusIn(line) })
      return
    }
    this.understood = true
    const model = textOf(line["model"])
    if (!this.#model && model !== undefined) {
      this.#model = true
      out.push({ _tag: "Model", model })
    }
    const message = recordOf(line["message"])
    if (message !== undefined) this.#say(message, out)
    const logprobs = listOf(line["logprobs"])
    if (logprobs !== undefined && logprobs.length > 0) out.push({ _tag: "Logprobs", content: logprobs })
    if (line["done"] === true) this.#end(line, out)
  }

  end(): void {}

  get open(): boolean {
    return this.#thinks
  }

  oddities(): ReadonlyArray<Oddity> {
    return this.unreadable === 0 ? [] : [{ what: "lines that are not JSON were skipped", count: this.unreadable }]
  }

  #say(message: JsonRecord, out: Array<ChatEvent>): void {
    const thinking = textOf(message["thinking"])
    const text = textOf(message["content"])
    if (thinking !== undefined) out.push({ _tag: "Thinking", text: thinking })
    if (text !== undefined) out.push({ _tag: "Text", text })
    if (thinking !== undefined || text !== undefined) this.#thinks = text === undefined
    for (const value of listOf(message["tool_calls"]) ?? []) {
      const fn = recordOf(recordOf(value)?.["function"])
      const name = textOf(fn?.["name"])
      if (name === undefined) continue
      const call = this.#calls++
      const given = fn?.["arguments"]
      this.#thinks = false
      out.push({ _tag: "ToolStart", call, id: textOf(recordOf(value)?.["id"]) ?? randomId("call_"), name })
      out.push({ _tag: "ToolArguments", call, fragment: typeof given === "string" ? given : JSON.stringify(given ?? {}) })
    }
  }

  #end(line: JsonRecord, out: Array<ChatEvent>): void {
    const prompt = countOf(line["prompt_eval_count"])
    const completion = countOf(line["eval_count"])
    if (prompt > 0 || completion > 0) out.push({ _tag: "Usage", usage: { prompt, completion, cached: 0, reasoning: 0 } })
    const reason = line["done_reason"] === "length" ? "length" : this.#calls > 0 ? "calls" : "stop"
    this.finished = true
    this.done = true
    out.push({ _tag: "Finish", reason, matchedStop: undefined }, { _tag: "End" })
  }
}

/** One whole answer is a last line that says everything. */
const readWhole = (body: unknown): Reading => {
  if (!isRecord(body)) return { _tag: "invalid", why: "the answer is not a JSON object" }
  if (body["error"] === undefined && body["message"] === undefined) return { _tag: "invalid", why: "no message in the answer" }
  if (body["error"] === undefined && body["done"] === false) return { _tag: "invalid", why: "the answer ended before it was done" }
  const out: Array<ChatEvent> = []
  const reader = new OllamaStreamReader()
  reader.push("", JSON.stringify({ ...body, ...(body["error"] === undefined ? { done: true } : {}) }), out)
  return { _tag: "events", events: out, oddities: [] }
}

/** Ollama's own API as the dialect of a backend. */
export const ollamaLines: AnswerReader = {
  title: "Ollama",
  saysItsEnd: true,
  stream: () => new OllamaStreamReader(),
  isPiece: (body) => typeof recordOf(body)?.["done"] === "boolean" || recordOf(body)?.["error"] !== undefined,
  whole: readWhole,
  errorMessage: backendMessageOf
}

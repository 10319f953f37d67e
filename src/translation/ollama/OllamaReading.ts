/** Requests of Ollama's own API, `/api/chat` and `/api/generate`, as a turn in no dialect. */
import type { Call, ChatTurn, Level, Output, Part, Thinking, Tool, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { fieldsBeside } from "../DroppedNames.ts"
import { isRecord, type JsonRecord, kindOf, listOf, numberOf, recordOf, textOf } from "../JsonValue.ts"
import { readSampling, readStops } from "../SamplingReading.ts"
import { placeSystem, type SystemText } from "../SystemTexts.ts"

const names = {
  topK: "options.top_k",
  minP: "options.min_p",
  seed: "options.seed",
  stops: "options.stop",
  frequencyPenalty: "options.frequency_penalty",
  presencePenalty: "options.presence_penalty",
  repeatPenalty: "options.repeat_penalty",
  logprobs: "logprobs",
  thinking: "think",
  strict: "format",
  parallel: "tools",
  choice: "tools",
  output: "format",
  reasoning: "messages.thinking"
}

/** Carried over or refused; `keep_alive` says how long the server may keep the model, which is no matter of the answer. */
const understood = new Set([
  "model",
  "stream",
  "messages",
  "tools",
  "format",
  "think",
  "options",
  "keep_alive",
  "logprobs",
  "top_logprobs",
  "prompt",
  "system",
  "images",
  "raw",
  "suffix",
  "template",
  "context",
  "_debug_render_only"
])
const knownOptions = new Set([
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "seed",
  "stop",
  "frequency_penalty",
  "presence_penalty",
  "repeat_penalty",
  "num_predict"
])

/** A request that says nothing asks for the model to be loaded, or with `keep_alive: 0` to be unloaded; `undefined`: it says something. */
export const loadingOf = (request: JsonRecord, route: "chat" | "generate"): "load" | "unload" | undefined => {
  const isEmpty =
    route === "chat"
      ? (listOf(request["messages"]) ?? []).length === 0
      : (request["prompt"] ?? "") === "" && request["suffix"] === undefined
  if (!isEmpty) return undefined
  const keep = request["keep_alive"]
  return keep === 0 || keep === "0" || keep === "0s" ? "unload" : "load"
}

export const readOllamaChat = (request: JsonRecord): ChatTurn | Complaint => {
  const messages = new OllamaMessages()
  for (const [index, message] of (listOf(request["messages"]) ?? []).entries()) {
    const complaint = isRecord(message)
      ? messages.read(message, `messages[${index}]`)
      : new Complaint(`messages[${index}] must be an object`)
    if (complaint !== undefined) return complaint
  }
  return turnOf(request, [], messages.out)
}

export const readOllamaGenerate = (request: JsonRecord): ChatTurn | Complaint => {
  for (const name of ["template", "context", "_debug_render_only"])
    if (isGiven(request[name])) return new Complaint(`${name} is not supported by the endpoints of this model`)
  const field = ["raw", "suffix"].find((name) => isGiven(request[name]))
  if (field !== undefined) return rawTurn(request, field)
  const system = textOf(request["system"])
  const parts = partsOf(textOf(request["prompt"]) ?? "", request["images"])
  return turnOf(request, system === undefined ? [] : [system], parts.length === 0 ? [] : [{ role: "user", parts }])
}

const isGiven = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && value !== "" && (listOf(value)?.length ?? 1) > 0

/** What a prompt without a template around it has no place for. */
const templated = ["system", "format", "think"]

const rawTurn = (request: JsonRecord, field: string): ChatTurn | Complaint => {
  if (isGiven(request["images"])) return new Complaint(`images beside ${field} are not supported by the endpoints of this model`)
  const prompt = textOf(request["prompt"]) ?? ""
  const plain = Object.fromEntries(Object.entries(request).filter(([name]) => !templated.includes(name)))
  const turn = turnOf(plain, [], [{ role: "user", parts: [{ kind: "text", text: prompt }] }])
  if (turn instanceof Complaint) return turn
  const dropped = [...turn.dropped, ...templated.filter((name) => isGiven(request[name]))]
  return { ...turn, dropped, raw: { field, prompt, suffix: textOf(request["suffix"]) ?? "" } }
}

const turnOf = (request: JsonRecord, texts: ReadonlyArray<string>, messages: ReadonlyArray<Turn | SystemText>): ChatTurn | Complaint => {
  const { system, turns } = placeSystem(texts, messages)
  if (turns.length === 0 && system.length === 0) return new Complaint("there is nothing to answer in the request")
  const output = outputOf(request["format"])
  if (output instanceof Complaint) return output
  const options = recordOf(request["options"]) ?? {}
  return {
    model: textOf(request["model"]) ?? "",
    system,
    turns,
    tools: toolsOf(request["tools"]),
    choice: undefined,
    parallel: undefined,
    sampling: { ...readSampling(options, request), maxTokens: readOllamaLimit(options) },
    stops: readStops(options),
    output,
    thinking: thinkingOf(request["think"]),
    stream: request["stream"] !== false,
    user: undefined,
    cacheKey: undefined,
    dropped: [
      ...fieldsBeside(request, understood),
      ...fieldsBeside(options, knownOptions, "options."),
      ...(typeof request["think"] === "string" && thinkingOf(request["think"]) === "unset" ? ["think"] : [])
    ],
    names
  }
}

/** -1 and -2 are Ollama's words for no limit. */
export const readOllamaLimit = (options: JsonRecord | undefined): number | undefined => {
  const limit = numberOf(options?.["num_predict"])
  return limit !== undefined && limit > 0 ? limit : undefined
}

const thinkingOf = (think: unknown): Thinking => {
  if (think === true) return "on"
  if (think === false) return "off"
  return think === "low" || think === "medium" || think === "high" || think === "max" ? (think satisfies Level) : "unset"
}

const outputOf = (format: unknown): Output | Complaint => {
  if (format === undefined || format === null || format === "") return { kind: "text" }
  if (format === "json") return { kind: "json" }
  return isRecord(format)
    ? { kind: "schema", name: "response", schema: format, strict: true }
    : new Complaint(`format must be "json" or a JSON schema, got ${typeof format === "string" ? JSON.stringify(format) : kindOf(format)}`)
}

const toolsOf = (tools: unknown): ReadonlyArray<Tool> =>
  (listOf(tools) ?? []).flatMap((tool) => {
    const fn = recordOf(recordOf(tool)?.["function"])
    const name = textOf(fn?.["name"])
    return name === undefined
      ? []
      : [
          {
            name,
            description: textOf(fn?.["description"]) ?? "",
            schema: recordOf(fn?.["parameters"]) ?? { type: "object", properties: {} },
            strict: false
          }
        ]
  })

class OllamaMessages {
  readonly out: Array<Turn | SystemText> = []
  /** Calls that no result has answered, in order. */
  #unanswered: Array<Call> = []
  /** All of the request, for those that came without an id. */
  #calls = 0

  read(message: JsonRecord, where: string): Complaint | undefined {
    const text = textOf(message["content"]) ?? ""
    switch (message["role"]) {
      case "system":
        this.out.push({ role: "system", text })
        return undefined
      case "user": {
        const parts = partsOf(text, message["images"])
        if (parts.length > 0) this.out.push({ role: "user", parts })
        return undefined
      }
      case "assistant":
        this.#assistant(message, text)
        return undefined
      case "tool":
        return this.#tool(message, text, where)
      default:
        return new Complaint(`${where}.role must be system, user, assistant or tool, got ${JSON.stringify(message["role"] ?? null)}`)
    }
  }

  #assistant(message: JsonRecord, text: string): void {
    const calls = (listOf(message["tool_calls"]) ?? []).flatMap((value): ReadonlyArray<Call> => {
      const call = recordOf(value)
      const fn = recordOf(call?.["function"])
      const name = textOf(fn?.["name"])
      if (name === undefined) return []
      const given = fn?.["arguments"]
      const number = this.#calls++
      return [
        { id: textOf(call?.["id"]) ?? `call_${number}`, name, input: typeof given === "string" ? given : JSON.stringify(given ?? {}) }
      ]
    })
    const reasoning = textOf(message["thinking"]) ?? ""
    for (const call of calls) this.#unanswered.push(call)
    if (text !== "" || reasoning !== "" || calls.length > 0) this.out.push({ role: "assistant", reasoning, text, calls })
  }

  /** By its id, else the first of its name that waits, else the first that waits. */
  #tool(message: JsonRecord, text: string, where: string): Complaint | undefined {
    const id = textOf(message["tool_call_id"])
    const name = textOf(message["tool_name"]) ?? textOf(message["name"])
    const waiting = this.#unanswered
    const call =
      (id === undefined ? undefined : waiting.find((each) => each.id === id)) ?? waiting.find((each) => each.name === name) ?? waiting[0]
    if (call === undefined) return new Complaint(`${where}: a tool's message needs a call before it that has no answer yet`)
    this.#unanswered = waiting.filter((each) => each !== call)
    this.out.push({ role: "tool", call: call.id, name: call.name, text, media: partsOf("", message["images"]), failed: false })
    return undefined
  }
}

/** The text, and the images behind it. */
const partsOf = (text: string, images: unknown): ReadonlyArray<Part> => [
  ...(text === "" ? [] : [{ kind: "text", text } as const]),
  ...(listOf(images) ?? []).flatMap((image) => (typeof image === "string" ? [{ kind: "image", url: imageUrl(image) } as const] : []))
]

/** First bytes of image files, as Base64 has them. */
const beginnings: ReadonlyArray<readonly [string, string]> = [
  ["iVBORw0KGgo", "png"],
  ["/9j/", "jpeg"],
  ["R0lGOD", "gif"],
  ["UklGR", "webp"]
]

const imageUrl = (image: string): string => {
  if (image.startsWith("data:")) return image
  const type = beginnings.find(([beginning]) => image.startsWith(beginning))?.[1] ?? "png"
  return `data:image/${type};base64,${image}`
}

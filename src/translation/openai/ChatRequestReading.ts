/** A chat completion's request as a turn in no dialect, for endpoints that speak another one. */
import type { Call, ChatTurn, Choice, Level, Output, Part, Sampling, Thinking, Tool, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { fieldsBeside } from "../DroppedNames.ts"
import { isRecord, type JsonRecord, kindOf, listOf, numberOf, recordOf, textOf, wordOf } from "../JsonValue.ts"
import { readSampling, readStops, readTokenLimit } from "../SamplingReading.ts"
import { placeSystem, type SystemText } from "../SystemTexts.ts"

const names = {
  topK: "top_k",
  minP: "min_p",
  seed: "seed",
  stops: "stop",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  repeatPenalty: "repeat_penalty",
  logprobs: "logprobs",
  thinking: "reasoning_effort",
  strict: "tools.function.strict",
  parallel: "parallel_tool_calls",
  choice: "tool_choice",
  output: "response_format",
  reasoning: "messages.reasoning_content"
}

/** Carried over, refused, or without effect for whoever answers. Every other field is named as left out. */
const understood = new Set([
  "model",
  "messages",
  "stream",
  "stream_options",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "seed",
  "stop",
  "frequency_penalty",
  "presence_penalty",
  "repeat_penalty",
  "repetition_penalty",
  "max_tokens",
  "max_completion_tokens",
  "logprobs",
  "top_logprobs",
  "response_format",
  "reasoning_effort",
  "reasoning",
  "chat_template_kwargs",
  "tools",
  "tool_choice",
  "functions",
  "function_call",
  "parallel_tool_calls",
  "user",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "store",
  "metadata",
  "service_tier",
  "verbosity",
  "n",
  "modalities",
  "audio",
  "web_search_options"
])

const refuse = (param: string, message: string): Complaint => new Complaint(message, { code: "invalid_value", param })
const unsupported = (param: string, what: string): Complaint =>
  new Complaint(`${param}: ${what} is not supported by the endpoints of this model`, { code: "unsupported_parameter", param })

export const readChat = (request: JsonRecord): ChatTurn | Complaint => {
  const wrong = refusedIn(request)
  if (wrong !== undefined) return wrong
  const dropped = [...fieldsBeside(request, understood), ...droppedBelow(request)]
  const messages = new ChatMessages(dropped)
  for (const [index, message] of (listOf(request["messages"]) ?? []).entries()) {
    const param = `messages[${index}]`
    const complaint = isRecord(message)
      ? messages.read(message, param)
      : refuse(param, `${param} must be an object, got ${kindOf(message)}`)
    if (complaint !== undefined) return complaint
  }
  const { system, turns } = placeSystem([], messages.out)
  if (turns.length === 0 && system.length === 0) return refuse("messages", "messages: there is nothing to answer in it")
  const declared = toolsOf(request)
  if (declared instanceof Complaint) return declared
  const { choice, tools } = choiceOf(request, declared)
  return {
    model: textOf(request["model"]) ?? "",
    system,
    turns,
    tools,
    choice,
    parallel: typeof request["parallel_tool_calls"] === "boolean" ? request["parallel_tool_calls"] : undefined,
    sampling: samplingOf(request),
    stops: readStops(request),
    output: outputOf(recordOf(request["response_format"])),
    thinking: thinkingOf(request),
    stream: request["stream"] === true,
    user: textOf(request["user"]) ?? textOf(request["safety_identifier"]),
    cacheKey: textOf(request["prompt_cache_key"]),
    dropped,
    names
  }
}

const templateVariables = new Set(["enable_thinking", "thinking"])

/** What is left out of fields that are carried over. */
const droppedBelow = (request: JsonRecord): ReadonlyArray<string> => {
  const effort = textOf(request["reasoning_effort"])
  const { description } = recordOf(recordOf(request["response_format"])?.["json_schema"]) ?? {}
  return [
    ...(effort === undefined || effort === "none" || levels.includes(effort) ? [] : ["reasoning_effort"]),
    ...(description === undefined ? [] : ["response_format.json_schema.description"]),
    ...fieldsBeside(recordOf(request["chat_template_kwargs"]), templateVariables, "chat_template_kwargs.")
  ]
}

/** What no server of another dialect can do. */
const refusedIn = (request: JsonRecord): Complaint | undefined => {
  const { messages } = request
  if (!Array.isArray(messages) || messages.length === 0) return refuse("messages", "messages must be a list with at least one message")
  if ((numberOf(request["n"]) ?? 1) > 1) return unsupported("n", "more than one choice")
  if ((listOf(request["modalities"]) ?? []).some((each) => each !== "text")) return unsupported("modalities", "anything but text")
  if (isRecord(request["audio"])) return unsupported("audio", "an answer in sound")
  return isRecord(request["web_search_options"]) ? unsupported("web_search_options", "searching the web") : undefined
}

const samplingOf = (request: JsonRecord): Sampling => {
  const sampling = readSampling(request, request)
  return {
    ...sampling,
    repeatPenalty: sampling.repeatPenalty ?? numberOf(request["repetition_penalty"]),
    maxTokens: readTokenLimit(request)
  }
}

const outputOf = (format: JsonRecord | undefined): Output => {
  if (format?.["type"] === "json_object") return { kind: "json" }
  if (format?.["type"] !== "json_schema") return { kind: "text" }
  const wanted = recordOf(format["json_schema"])
  return {
    kind: "schema",
    name: textOf(wanted?.["name"]) ?? "response",
    schema: wanted?.["schema"] ?? {},
    strict: wanted?.["strict"] === true
  }
}

const levels: ReadonlyArray<string> = ["minimal", "low", "medium", "high", "xhigh", "max"]

const thinkingOf = (request: JsonRecord): Thinking => {
  const effort = textOf(request["reasoning_effort"]) ?? textOf(recordOf(request["reasoning"])?.["effort"])
  if (effort === "none") return "off"
  if (effort !== undefined && levels.includes(effort)) return effort as Level
  const variables = recordOf(request["chat_template_kwargs"])
  const asked = variables?.["enable_thinking"] ?? variables?.["thinking"]
  return asked === true ? "on" : asked === false ? "off" : "unset"
}

const toolsOf = (request: JsonRecord): ReadonlyArray<Tool> | Complaint => {
  const out: Array<Tool> = []
  for (const [index, value] of (listOf(request["tools"]) ?? []).entries()) {
    const tool = recordOf(value)
    const fn = recordOf(tool?.["function"])
    const type = tool?.["type"] ?? "function"
    if (type !== "function" || fn === undefined || textOf(fn["name"]) === undefined)
      return unsupported(`tools[${index}]`, `a tool of type '${wordOf(type)}'${type === "function" ? " without a name" : ""}`)
    out.push(toolOf(fn))
  }
  // The API's first form of tools.
  for (const fn of (listOf(request["functions"]) ?? []).filter(isRecord)) if (textOf(fn["name"]) !== undefined) out.push(toolOf(fn))
  return out
}

const toolOf = (fn: JsonRecord): Tool => ({
  name: textOf(fn["name"]) ?? "",
  description: textOf(fn["description"]) ?? "",
  schema: recordOf(fn["parameters"]) ?? { type: "object", properties: {} },
  strict: fn["strict"] === true
})

const choiceOf = (
  request: JsonRecord,
  tools: ReadonlyArray<Tool>
): { readonly choice: Choice | undefined; readonly tools: ReadonlyArray<Tool> } => {
  const value = request["tool_choice"] ?? request["function_call"]
  if (value === "auto" || value === "none" || value === "required") return { choice: value, tools }
  const asked = recordOf(value)
  if (asked?.["type"] === "allowed_tools") {
    const allowed = recordOf(asked["allowed_tools"])
    const only = new Set((listOf(allowed?.["tools"]) ?? []).map((tool) => recordOf(recordOf(tool)?.["function"])?.["name"]))
    return { choice: allowed?.["mode"] === "required" ? "required" : "auto", tools: tools.filter(({ name }) => only.has(name)) }
  }
  const name = textOf(recordOf(asked?.["function"])?.["name"]) ?? textOf(asked?.["name"])
  return { choice: name === undefined ? undefined : { name }, tools }
}

class ChatMessages {
  readonly out: Array<Turn | SystemText> = []
  readonly #calls: Array<Call> = []
  readonly #dropped: Array<string>

  constructor(dropped: Array<string>) {
    this.#dropped = dropped
  }

  read(message: JsonRecord, param: string): Complaint | undefined {
    const { role } = message
    const parts = partsOf(message["content"], `${param}.content`)
    if (parts instanceof Complaint) return parts
    const text = parts.map((part) => (part.kind === "text" ? part.text : "")).join("")
    if (role !== "tool" && role !== "function" && textOf(message["name"]) !== undefined) this.#dropped.push("messages.name")
    if ((listOf(message["content"]) ?? []).some(saysDetail)) this.#dropped.push("messages.content.image_url.detail")
    switch (role) {
      case "system":
      case "developer":
        this.out.push({ role: "system", text: textsOf(parts).join("\n\n") })
        return undefined
      case "user":
        if (parts.length > 0) this.out.push({ role: "user", parts })
        return undefined
      case "assistant":
        this.#assistant(message, text || (textOf(message["refusal"]) ?? ""))
        return undefined
      case "tool":
      case "function":
        return this.#result(message, parts, param)
      default:
        return refuse(
          `${param}.role`,
          `${param}.role: must be system, developer, user, assistant or tool, got ${JSON.stringify(role ?? null)}`
        )
    }
  }

  #assistant(message: JsonRecord, text: string): void {
    const legacy = recordOf(message["function_call"])
    const said = [...(listOf(message["tool_calls"]) ?? []), ...(legacy === undefined ? [] : [{ function: legacy }])]
    const calls = said.flatMap((value): ReadonlyArray<Call> => {
      const call = recordOf(value)
      // A tool that takes text is nothing that other dialects have: it becomes one that takes an object with it.
      const custom = recordOf(call?.["custom"])
      const fn = custom === undefined ? recordOf(call?.["function"]) : { name: custom["name"], arguments: { input: custom["input"] } }
      const name = textOf(fn?.["name"])
      const input = fn?.["arguments"]
      if (name === undefined) return []
      const id = textOf(call?.["id"]) ?? `call_${this.#calls.length}`
      return [{ id, name, input: typeof input === "string" && input !== "" ? input : JSON.stringify(recordOf(input) ?? {}) }]
    })
    for (const call of calls) this.#calls.push(call)
    const reasoning = textOf(message["reasoning_content"]) ?? textOf(message["reasoning"]) ?? ""
    if (text !== "" || reasoning !== "" || calls.length > 0) this.out.push({ role: "assistant", reasoning, text, calls })
  }

  #result(message: JsonRecord, parts: ReadonlyArray<Part>, param: string): Complaint | undefined {
    const id = textOf(message["tool_call_id"])
    const name = textOf(message["name"])
    const call = this.#calls.findLast((each) => (id === undefined ? each.name === name : each.id === id))
    if (call === undefined)
      return refuse(param, `${param}: there is no call ${id === undefined ? `of '${name ?? ""}'` : `with the id '${id}'`} before it`)
    this.out.push({
      role: "tool",
      call: call.id,
      name: call.name,
      text: textsOf(parts).join("\n"),
      media: parts.filter(({ kind }) => kind !== "text"),
      failed: false
    })
    return undefined
  }
}

/** How closely to look is the business of one company's models. */
const saysDetail = (part: unknown): boolean => (recordOf(recordOf(part)?.["image_url"])?.["detail"] ?? "auto") !== "auto"

const textsOf = (parts: ReadonlyArray<Part>): ReadonlyArray<string> => parts.flatMap((part) => (part.kind === "text" ? [part.text] : []))

const partsOf = (content: unknown, param: string): ReadonlyArray<Part> | Complaint => {
  if (typeof content === "string") return content === "" ? [] : [{ kind: "text", text: content }]
  const out: Array<Part> = []
  for (const [index, value] of (listOf(content) ?? []).entries()) {
    const part = partOf(recordOf(value) ?? {}, `${param}[${index}]`)
    if (part instanceof Complaint) return part
    if (part.kind !== "text" || part.text !== "") out.push(part)
  }
  return out
}

const partOf = (part: JsonRecord, param: string): Part | Complaint => {
  switch (part["type"]) {
    case "text":
      return { kind: "text", text: textOf(part["text"]) ?? "" }
    case "refusal":
      return { kind: "text", text: textOf(part["refusal"]) ?? "" }
    case "image_url": {
      const url = textOf(recordOf(part["image_url"])?.["url"]) ?? textOf(part["image_url"])
      return url === undefined ? refuse(param, `${param}: image_url has no url`) : { kind: "image", url }
    }
    case "input_audio": {
      const audio = recordOf(part["input_audio"])
      return { kind: "audio", format: textOf(audio?.["format"]) ?? "wav", data: textOf(audio?.["data"]) ?? "" }
    }
    case "file": {
      const file = recordOf(part["file"])
      const data = textOf(file?.["file_data"])
      if (data === undefined) return unsupported(param, "a file by its id")
      return {
        kind: "file",
        name: textOf(file?.["filename"]) ?? "file",
        data: data.startsWith("data:") ? data : `data:application/pdf;base64,${data}`
      }
    }
    default:
      return unsupported(param, `content of type '${wordOf(part["type"])}'`)
  }
}

/** A request of OpenAI's Responses API as a turn in no dialect, and what of it its answer says again. */
import type { ChatTurn, Level, Output, Thinking } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { fieldsBeside } from "../DroppedNames.ts"
import { type JsonRecord, listOf, numberOf, recordOf, textOf } from "../JsonValue.ts"
import { placeSystem } from "../SystemTexts.ts"
import { InputItems } from "./InputItems.ts"
import { type Declared, DeclaredTools } from "./ResponsesTools.ts"

export interface ResponsesTurn {
  readonly turn: ChatTurn
  /** What the functions that were sent stand for, by their names. */
  readonly declared: ReadonlyMap<string, Declared>
}

const names = {
  topK: "top_k",
  minP: "min_p",
  seed: "seed",
  stops: "stop",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  repeatPenalty: "repeat_penalty",
  logprobs: "top_logprobs",
  thinking: "reasoning.effort",
  strict: "tools.strict",
  parallel: "parallel_tool_calls",
  choice: "tool_choice",
  output: "text.format",
  reasoning: "input.reasoning"
}

/** Carried over, refused, or without effect for whoever answers. Every other field is named as left out. */
const understood = new Set([
  "model",
  "stream",
  "temperature",
  "top_p",
  "parallel_tool_calls",
  "user",
  "safety_identifier",
  "metadata",
  "instructions",
  "input",
  "max_output_tokens",
  "text",
  "reasoning",
  "top_logprobs",
  "include",
  "prompt_cache_key",
  "store",
  "service_tier",
  "stream_options",
  "client_metadata",
  "prompt_cache_retention",
  "moderation",
  "tools",
  "tool_choice",
  "background",
  "prompt",
  "previous_response_id",
  "conversation"
])

const untruncated = new Set([...understood, "truncation"])

const refuse = (param: string, code: string, message: string): Complaint => new Complaint(message, { code, param })

/** What is wrong with a request, whoever will answer it; `undefined`: nothing. */
export const checkResponses = (request: JsonRecord): Complaint | undefined => {
  if (textOf(request["model"]) === undefined) return refuse("model", "missing_required_parameter", "Missing required parameter: 'model'.")
  const { input } = request
  const isEmpty = input === undefined || input === null || input === "" || (Array.isArray(input) && input.length === 0)
  if (isEmpty) return refuse("input", "missing_required_parameter", "Missing required parameter: 'input'.")
  if (typeof input !== "string" && !Array.isArray(input))
    return refuse("input", "invalid_value", "input must be a string or a list of items")
  return undefined
}

export const readResponses = (request: JsonRecord): ResponsesTurn | Complaint => {
  const wrong = checkResponses(request) ?? stateOf(request)
  if (wrong !== undefined) return wrong
  const effort = textOf(recordOf(request["reasoning"])?.["effort"])
  const dropped: Array<string> = [
    ...fieldsBeside(request, request["truncation"] === "disabled" ? untruncated : understood),
    ...(effort === undefined || effort === "none" || levels.includes(effort) ? [] : ["reasoning.effort"]),
    ...(recordOf(recordOf(request["text"])?.["format"])?.["description"] === undefined ? [] : ["text.format.description"])
  ]
  const tools = new DeclaredTools()
  const unknownTool = tools.add(request["tools"], "tools")
  if (unknownTool !== undefined) return unknownTool
  const { input } = request
  const items = typeof input === "string" ? [{ role: "user", content: input }] : (listOf(input) ?? [])
  const messages = new InputItems(tools, dropped).read(items)
  if (messages instanceof Complaint) return messages
  const instructions = textOf(request["instructions"])
  const { system, turns } = placeSystem(instructions === undefined ? [] : [instructions], messages)
  if (turns.length === 0 && system.length === 0) return refuse("input", "invalid_value", "input: there is nothing to answer in it")
  const { choice, only } = tools.choice(request["tool_choice"])
  const include = listOf(request["include"]) ?? []
  const topLogprobs = numberOf(request["top_logprobs"])
  const wantsLogprobs = (topLogprobs ?? 0) > 0 || include.includes("message.output_text.logprobs")
  const turn: ChatTurn = {
    model: textOf(request["model"]) ?? "",
    system,
    turns,
    tools: only,
    choice,
    parallel: typeof request["parallel_tool_calls"] === "boolean" ? request["parallel_tool_calls"] : undefined,
    sampling: {
      maxTokens: numberOf(request["max_output_tokens"]),
      temperature: numberOf(request["temperature"]),
      topP: numberOf(request["top_p"]),
      logprobs: wantsLogprobs ? true : undefined,
      topLogprobs: wantsLogprobs ? topLogprobs : undefined
    },
    stops: [],
    output: outputOf(recordOf(recordOf(request["text"])?.["format"])),
    thinking: thinkingOf(effort),
    stream: request["stream"] === true,
    user: textOf(request["user"]) ?? textOf(request["safety_identifier"]),
    cacheKey: textOf(request["prompt_cache_key"]),
    dropped: [...dropped, ...tools.dropped],
    names
  }
  return { turn, declared: tools.declared }
}

/** What only a server that keeps conversations could do. */
const stateOf = (request: JsonRecord): Complaint | undefined => {
  const given = (name: string) => request[name] !== undefined && request[name] !== null && request[name] !== false
  if (given("previous_response_id"))
    return refuse(
      "previous_response_id",
      "previous_response_not_found",
      "previous_response_id: no endpoint of this model keeps conversations, send the whole input"
    )
  for (const name of ["background", "prompt", "conversation"])
    if (given(name)) return refuse(name, "unsupported_parameter", `${name} is not supported by the endpoints of this model`)
  return undefined
}

const outputOf = (format: JsonRecord | undefined): Output => {
  if (format?.["type"] === "json_object") return { kind: "json" }
  if (format?.["type"] !== "json_schema") return { kind: "text" }
  return { kind: "schema", name: textOf(format["name"]) ?? "response", schema: format["schema"], strict: format["strict"] === true }
}

const levels: ReadonlyArray<string> = ["minimal", "low", "medium", "high", "xhigh", "max"]

const thinkingOf = (effort: string | undefined): Thinking =>
  effort === "none" ? "off" : effort !== undefined && levels.includes(effort) ? (effort as Level) : "unset"

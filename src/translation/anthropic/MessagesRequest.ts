/**
 * A Messages request as far as Olla must understand it: the rules that are checked before routing, and the features that
 * decide who may answer natively. Unknown fields are nobody's business here.
 */
import type { AnthropicSupport } from "../../profile/Profile.ts"
import { isRecord, type JsonRecord, kindOf, listOf, numberOf, recordOf, textOf } from "../JsonValue.ts"

/** A message for the client, or nothing to complain about. The first rule that is broken counts, in this order. */
export const checkMessagesRequest = (request: unknown): string | undefined => {
  if (!isRecord(request)) return "the body must be a JSON object"
  if (typeof request["model"] !== "string" || request["model"].trim() === "") return "model field is required"
  const messages = listOf(request["messages"])
  if (request["messages"] !== undefined && request["messages"] !== null && messages === undefined)
    return `messages must be an array, got ${kindOf(request["messages"])}`
  if (messages === undefined || messages.length === 0) return "at least one message is required"
  const malformed = checkKinds(request)
  if (malformed !== undefined) return malformed
  const maxTokens = request["max_tokens"] ?? 0
  if ((maxTokens as number) < 1) return `max_tokens must be at least 1, got ${String(maxTokens)}`
  const temperature = numberOf(request["temperature"])
  if (temperature !== undefined && (temperature < 0 || temperature > 2))
    return `temperature must be between 0 and 2, got ${temperature.toFixed(6)}`
  const topP = numberOf(request["top_p"])
  if (topP !== undefined && (topP < 0 || topP > 1)) return `top_p must be between 0 and 1, got ${topP.toFixed(6)}`
  const topK = numberOf(request["top_k"])
  if (topK !== undefined && topK < 0) return `top_k must be non-negative, got ${topK}`
  return undefined
}

const checkKinds = (request: JsonRecord): string | undefined => {
  const wrong = (key: string, want: string) =>
    `${key} must be ${want}, got ${typeof request[key] === "number" ? request[key] : kindOf(request[key])}`
  const given = (key: string) => request[key] !== undefined && request[key] !== null
  for (const key of ["max_tokens", "top_k"]) if (given(key) && !Number.isInteger(request[key])) return wrong(key, "an integer")
  for (const key of ["temperature", "top_p"]) if (given(key) && typeof request[key] !== "number") return wrong(key, "a number")
  if (given("stream") && typeof request["stream"] !== "boolean") return wrong("stream", "true or false")
  if (given("metadata") && !isRecord(request["metadata"])) return wrong("metadata", "an object")
  if (given("tools") && !Array.isArray(request["tools"])) return wrong("tools", "an array")
  if (given("stop_sequences")) {
    const stops = listOf(request["stop_sequences"])
    if (stops === undefined || !stops.every((stop) => typeof stop === "string")) return "stop_sequences must be an array of strings"
  }
  for (const [index, message] of (listOf(request["messages"]) ?? []).entries())
    if (!isRecord(message)) return `messages.${index} must be an object, got ${kindOf(message)}`
  return undefined
}

/** Run by Anthropic's own servers; no backend can. */
export const serverTool = /^(web_search|web_fetch|code_execution|tool_search|advisor)_|^mcp_toolset$/

/** What a request needs from an endpoint that answers it natively. */
export interface Features {
  readonly tools: boolean
  readonly thinking: boolean
  readonly images: boolean
  /** Tools of Anthropic's own servers. */
  readonly serverTools: boolean
  /** Tools that are more than a name and a schema. */
  readonly typedTools: boolean
  /** System messages among the others. */
  readonly system: boolean
  /** Two messages of one role in a row. */
  readonly neighbours: boolean
  /** It says only what is new: the server has to know the rest. A server that ignores the field would answer without the past. */
  readonly continues: boolean
}

export const continuesThread = (request: JsonRecord): boolean => {
  const thread = recordOf(request["thread"])
  return thread !== undefined && thread["type"] !== "create"
}

export const featuresOf = (request: JsonRecord): Features => {
  const thinking = recordOf(request["thinking"])?.["type"]
  const tools = listOf(request["tools"]) ?? []
  const types = tools.map((tool) => textOf(recordOf(tool)?.["type"]) ?? "custom")
  const roles = (listOf(request["messages"]) ?? []).map((message) => recordOf(message)?.["role"])
  return {
    tools: tools.length > 0,
    serverTools: types.some((type) => serverTool.test(type)),
    typedTools: types.some((type) => type !== "custom"),
    system: roles.some((role) => role === "system" || role === "developer"),
    neighbours: roles.some((role, at) => role === roles[at - 1]),
    thinking: thinking === "enabled" || thinking === "adaptive",
    images: (listOf(request["messages"]) ?? []).some((message) => hasImage(recordOf(message)?.["content"])),
    continues: continuesThread(request)
  }
}

/** Blocks hold blocks no deeper than this: a result, a document in it, its own blocks. */
const maxDepth = 8

const hasImage = (content: unknown, depth = 0): boolean => {
  if (depth > maxDepth) return false
  const blocks = listOf(content) ?? (isRecord(content) ? [content] : [])
  return blocks.some((value) => {
    const block = recordOf(value)
    if (block === undefined) return false
    if (block["type"] === "image") return true
    if (block["type"] === "tool_result") return hasImage(block["content"], depth + 1)
    return block["type"] === "document" && hasImage(recordOf(block["source"])?.["content"], depth + 1)
  })
}

/** What a native endpoint's profile declares against the request's features. */
export const speaksNatively = ({ limitations, threads }: AnthropicSupport, features: Features): boolean =>
  !(
    (features.continues && !threads) ||
    (features.tools && limitations.includes("no_tool_use")) ||
    (features.serverTools && limitations.includes("no_server_tools")) ||
    (features.thinking && limitations.includes("no_extended_thinking")) ||
    (features.images && limitations.includes("no_vision"))
  )

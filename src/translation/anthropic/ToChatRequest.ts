/** An Anthropic Messages request as an OpenAI chat completion (anthropic.md 5). What is dropped, is dropped by name here. */
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import { type ChatMessage, Complaint, convertMessage } from "./ContentBlocks.ts"
import { convertTools } from "./Tools.ts"

export interface ChatConversion {
  /** Without `model`-dependent or endpoint-dependent fields: those are added per attempt. */
  readonly fields: Record<string, unknown>
  /** Only for kinds that take unknown fields (B18). */
  readonly extensions: Record<string, unknown>
  readonly streaming: boolean
  readonly droppedTools: ReadonlyArray<string>
}

/**
 * Never sent to a chat backend: `thinking` (pinned), `service_tier`, `container`, `mcp_servers`, `context_management`,
 * betas and everything unknown.
 */
export const toChatRequest = (request: JsonRecord): ChatConversion | Complaint => {
  const messages: Array<ChatMessage> = []
  const system = systemText(request["system"])
  if (system !== "") messages.push({ role: "system", content: system })
  const before = messages.length
  for (const [index, message] of (listOf(request["messages"]) ?? []).entries()) {
    const complaint = isRecord(message) ? convertMessage(message, index, messages) : new Complaint(`messages.${index} must be an object`)
    if (complaint !== undefined) return complaint
  }
  if (messages.length === before) return new Complaint("messages: at least one message with content is required")
  const tools = convertTools(request)
  if (tools instanceof Complaint) return tools
  const streaming = request["stream"] === true
  const fields: Record<string, unknown> = { max_tokens: request["max_tokens"], stream: streaming, messages }
  if (streaming) fields["stream_options"] = { include_usage: true }
  for (const key of ["temperature", "top_p"]) if (typeof request[key] === "number") fields[key] = request[key]
  const stops = listOf(request["stop_sequences"]) ?? []
  if (stops.length > 0) fields["stop"] = stops
  if (tools.tools.length > 0) {
    fields["tools"] = tools.tools
    if (tools.choice !== undefined) fields["tool_choice"] = tools.choice
    if (tools.parallel !== undefined) fields["parallel_tool_calls"] = tools.parallel
  }
  const user = textOf(recordOf(request["metadata"])?.["user_id"])
  if (user !== undefined) fields["user"] = user
  const output = recordOf(request["output_config"])
  const format = recordOf(output?.["format"]) ?? recordOf(request["output_format"])
  if (format?.["type"] === "json_schema") {
    fields["response_format"] = { type: "json_schema", json_schema: { name: "response", schema: format["schema"], strict: true } }
  }
  const extensions: Record<string, unknown> = {}
  if (typeof request["top_k"] === "number") extensions["top_k"] = request["top_k"]
  const effort = textOf(output?.["effort"])
  if (effort !== undefined) extensions["reasoning_effort"] = effort === "xhigh" || effort === "max" ? "high" : effort
  return { fields, extensions, streaming, droppedTools: tools.dropped }
}

/** Texts are joined without a separator (pinned). */
const systemText = (system: unknown): string =>
  typeof system === "string"
    ? system
    : (listOf(system) ?? [])
        .map((block) => (recordOf(block)?.["type"] === "text" ? (textOf(recordOf(block)?.["text"]) ?? "") : ""))
        .join("")

/** An Anthropic Messages request as an OpenAI chat completion (anthropic.md 5). What is dropped, is dropped by name here. */
import { isRecord, type JsonRecord, listOf, numberOf, recordOf, textOf } from "../JsonValue.ts"
import type { ChatMessage, ChatRequest } from "../openai/ChatSchema.ts"
import { Complaint } from "../Translator.ts"
import { convertMessage } from "./ContentBlocks.ts"
import { continuesThread } from "./MessagesRequest.ts"
import { convertTools } from "./Tools.ts"

type Extensions = Pick<ChatRequest, "top_k" | "reasoning_effort">

export interface ChatConversion {
  /** Without `model`-dependent or endpoint-dependent fields: those are added per attempt. */
  readonly fields: Omit<ChatRequest, "model" | keyof Extensions>
  /** Only for kinds that take unknown fields (B18). */
  readonly extensions: Extensions
  readonly streaming: boolean
  readonly droppedTools: ReadonlyArray<string>
}

/**
 * Never sent to a chat backend: `thinking` (pinned), `service_tier`, `container`, `mcp_servers`, `context_management`,
 * betas and everything unknown. Refused: what would be lost without a trace (`thread`, content that a chat cannot hold).
 */
export const toChatRequest = (request: JsonRecord): ChatConversion | Complaint => {
  if (continuesThread(request)) return threadNotFound
  if (isRecord(request["thread"])) return unthreaded
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
  const temperature = numberOf(request["temperature"])
  const topP = numberOf(request["top_p"])
  const stops = (listOf(request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string")
  const user = textOf(recordOf(request["metadata"])?.["user_id"])
  const output = recordOf(request["output_config"])
  const format = recordOf(output?.["format"]) ?? recordOf(request["output_format"])
  const topK = numberOf(request["top_k"])
  const effort = textOf(output?.["effort"])
  return {
    fields: {
      max_tokens: numberOf(request["max_tokens"]) ?? 0,
      stream: streaming,
      messages,
      ...(streaming ? { stream_options: { include_usage: true } } : {}),
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { top_p: topP }),
      ...(stops.length === 0 ? {} : { stop: stops }),
      ...(tools.tools.length === 0 ? {} : { tools: tools.tools }),
      ...(tools.choice === undefined ? {} : { tool_choice: tools.choice }),
      ...(tools.parallel === undefined ? {} : { parallel_tool_calls: tools.parallel }),
      ...(user === undefined ? {} : { user }),
      ...(format?.["type"] === "json_schema"
        ? { response_format: { type: "json_schema", json_schema: { name: "response", schema: format["schema"], strict: true } } }
        : {})
    },
    extensions: {
      ...(topK === undefined ? {} : { top_k: topK }),
      ...(effort === undefined ? {} : { reasoning_effort: effort === "xhigh" || effort === "max" ? "high" : effort })
    },
    streaming,
    droppedTools: tools.dropped
  }
}

/**
 * A conversation that the server holds would lose its past in translation. Clients know this refusal and go on with whole
 * conversations.
 */
const unthreaded = new Complaint("thread: no backend of this model holds conversations, send the whole one", {
  error_code: "thread_unsupported_request",
  unsupported: ["thread"]
})

/** What clients answer with the whole conversation. Not the refusal above: with that some of them give up in the middle. */
const threadNotFound = new Complaint(
  "thread: no backend of this model holds the conversation, send the whole one",
  { error_code: "thread_not_found" },
  404
)

/** Texts are joined without a separator (pinned). */
const systemText = (system: unknown): string =>
  typeof system === "string"
    ? system
    : (listOf(system) ?? [])
        .map((block) => (recordOf(block)?.["type"] === "text" ? (textOf(recordOf(block)?.["text"]) ?? "") : ""))
        .join("")

/** An Anthropic Messages request as a turn in no dialect. What no server behind a translation gets is named or refused here. */
import type { ChatTurn, Level, Output, Thinking, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { fieldsBeside } from "../DroppedNames.ts"
import { isRecord, type JsonRecord, kindOf, listOf, numberOf, recordOf, textOf } from "../JsonValue.ts"
import { placeSystem, type SystemText } from "../SystemTexts.ts"
import { readAssistant } from "./AssistantBlocks.ts"
import { readUser, textsOf } from "./ContentBlocks.ts"
import { continuesThread } from "./MessagesRequest.ts"
import { readTools } from "./Tools.ts"

const names = {
  topK: "top_k",
  minP: "min_p",
  seed: "seed",
  stops: "stop_sequences",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  repeatPenalty: "repeat_penalty",
  logprobs: "logprobs",
  thinking: "output_config.effort",
  strict: "tools.strict",
  parallel: "tool_choice.disable_parallel_tool_use",
  choice: "tool_choice",
  output: "output_config.format",
  reasoning: "messages.content.thinking"
}

/** Fields that are carried over, refused, or mean nothing to whoever answers (`cache_control`). Every other one is named as left out. */
const understood = new Set([
  "model",
  "messages",
  "system",
  "max_tokens",
  "stream",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "metadata",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
  "output_format",
  "cache_control",
  "thread",
  "compaction",
  "betas"
])

const knownOutput = new Set(["effort", "format"])

/** Of blocks: what only its maker can read, or was done by its maker's servers. */
const sealed = new Set<unknown>(["redacted_thinking", "server_tool_use", "mcp_tool_use", "mcp_tool_listing"])

const droppedContent = (request: JsonRecord): ReadonlyArray<string> => {
  const blocks = (listOf(request["messages"]) ?? []).flatMap((message) => listOf(recordOf(message)?.["content"]) ?? []).filter(isRecord)
  return blocks.flatMap(({ type, citations }) =>
    sealed.has(type)
      ? [`messages.content.${String(type)}`]
      : recordOf(citations)?.["enabled"] === true
        ? ["messages.content.citations"]
        : []
  )
}

export const readMessages = (request: JsonRecord): ChatTurn | Complaint => {
  if (continuesThread(request)) return threadNotFound
  if (isRecord(request["thread"])) return unthreaded
  if (textOf(recordOf(request["compaction"])?.["type"]) !== undefined) return new Complaint("compaction is not supported for this model")
  const messages: Array<Turn | SystemText> = []
  const changes: Array<JsonRecord> = []
  const effort = { said: textOf(recordOf(request["output_config"])?.["effort"]) }
  for (const [index, message] of (listOf(request["messages"]) ?? []).entries()) {
    const complaint = isRecord(message)
      ? readMessage(message, index, messages, changes, effort)
      : new Complaint(`messages.${index} must be an object`)
    if (complaint !== undefined) return complaint
  }
  const field = systemText(request["system"])
  const { system, turns } = placeSystem(field === "" ? [] : [field], messages)
  if (turns.length === 0) return new Complaint("messages: at least one message with content is required")
  const tools = readTools(request, changes)
  if (tools instanceof Complaint) return tools
  return {
    model: textOf(request["model"]) ?? "",
    system,
    turns: named(turns),
    tools: tools.tools,
    choice: tools.choice,
    parallel: tools.parallel,
    sampling: {
      maxTokens: numberOf(request["max_tokens"]),
      temperature: numberOf(request["temperature"]),
      topP: numberOf(request["top_p"]),
      topK: numberOf(request["top_k"])
    },
    stops: (listOf(request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string"),
    output: outputOf(request),
    thinking: thinkingOf(recordOf(request["thinking"]), effort.said),
    stream: request["stream"] === true,
    user: textOf(recordOf(request["metadata"])?.["user_id"]),
    cacheKey: undefined,
    dropped: [
      ...fieldsBeside(request, understood),
      ...fieldsBeside(recordOf(request["output_config"]), knownOutput, "output_config."),
      ...(effort.said === undefined || levels.includes(effort.said) ? [] : ["output_config.effort"]),
      ...droppedContent(request),
      ...tools.dropped
    ],
    names: effort.said === undefined ? { ...names, thinking: "thinking" } : names
  }
}

/** `changes` collects what is said about the tools in between; `effort` is what was said last. */
const readMessage = (
  message: JsonRecord,
  index: number,
  out: Array<Turn | SystemText>,
  changes: Array<JsonRecord>,
  effort: { said: string | undefined }
): Complaint | undefined => {
  const role = message["role"]
  if (role !== "user" && role !== "assistant" && role !== "system" && role !== "developer")
    return new Complaint(`messages.${index}.role: must be 'user' or 'assistant'`)
  const isSystem = role === "system" || role === "developer"
  const ownEffort = isSystem ? recordOf(message["output_config"]) : undefined
  if (ownEffort !== undefined) effort.said = textOf(ownEffort["effort"]) ?? effort.said
  const content = message["content"]
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : isRecord(content) ? [content] : listOf(content)
  if (blocks === undefined) {
    if (ownEffort !== undefined && (content === undefined || content === null)) return undefined
    return new Complaint(
      content === null || content === undefined
        ? `messages.${index}.content: must be a string or a list of blocks, got ${kindOf(content)}`
        : `failed to convert messages: invalid content type: ${kindOf(content)}`
    )
  }
  const records = blocks.filter(isRecord)
  for (const block of records) {
    if (block["type"] === "tool_addition" || block["type"] === "tool_removal") changes.push(block)
    else if (block["type"] === "compaction") {
      for (const change of listOf(block["tool_changes"]) ?? []) if (isRecord(change)) changes.push(change)
    }
  }
  const turns: Array<Turn> = []
  if (isSystem) out.push({ role: "system", text: withoutBilling(textsOf(records).join("")) })
  else {
    const own = records.filter(({ type }) => type !== "tool_addition" && type !== "tool_removal")
    const complaint = role === "user" ? readUser(own, turns) : readAssistant(own, turns)
    if (complaint !== undefined) return complaint
    for (const each of turns) out.push(each)
  }
  return undefined
}

/** Results say the id of their call only; some servers know calls by the names of their tools. */
const named = (turns: ReadonlyArray<Turn>): ReadonlyArray<Turn> => {
  const nameOf = new Map<string, string>()
  return turns.map((turn) => {
    if (turn.role === "assistant") for (const { id, name } of turn.calls) nameOf.set(id, name)
    return turn.role === "tool" ? { ...turn, name: nameOf.get(turn.call) ?? "" } : turn
  })
}

const levels: ReadonlyArray<string> = ["minimal", "low", "medium", "high", "xhigh", "max"]

const thinkingOf = (thinking: JsonRecord | undefined, effort: string | undefined): Thinking => {
  if (thinking?.["type"] === "disabled") return "off"
  if (effort !== undefined) return levels.includes(effort) ? (effort as Level) : "unset"
  const budget = thinking?.["type"] === "enabled" ? numberOf(thinking["budget_tokens"]) : undefined
  return budget === undefined ? "unset" : budget < 4_096 ? "low" : budget < 16_384 ? "medium" : "high"
}

const outputOf = (request: JsonRecord): Output => {
  const format = recordOf(recordOf(request["output_config"])?.["format"]) ?? recordOf(request["output_format"])
  return format?.["type"] === "json_schema"
    ? { kind: "schema", name: "response", schema: format["schema"], strict: true }
    : { kind: "text" }
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

/** Texts are joined without a separator: clients cut one text into blocks to mark what may be cached. */
const systemText = (system: unknown): string =>
  typeof system === "string"
    ? withoutBilling(system)
    : textsOf((listOf(system) ?? []).filter(isRecord))
        .map(withoutBilling)
        .join("")

/** A line for Anthropic's own accounts. It changes with every prompt, and no backend's prompt cache would outlive it. */
const billing = /^x-anthropic-billing-header:[^\n]*(?:\n|$)/gm

const withoutBilling = (text: string): string => (text.includes("x-anthropic-billing-header:") ? text.replace(billing, "") : text)

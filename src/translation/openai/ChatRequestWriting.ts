/**
 * A turn in no dialect as the body of a chat completion. Nothing in it depends on anything but the turn and the words that the
 * server wants: no ids, no times. So equal conversations give equal bytes, one that grows begins with the bytes of the one
 * before, and a backend's prompt cache stays warm.
 */
import type { AssistantTurn, ChatTurn, Droppable, Part, Tool, ToolTurn, Turn } from "../ChatTurn.ts"
import type { ChatMessage, ChatRequest, ChatTool, ContentPart } from "./ChatSchema.ts"
import type { Wording } from "./Wording.ts"

export interface ChatWriting {
  /** Everything but `model`, which has another name on each endpoint. */
  readonly fields: Omit<ChatRequest, "model">
  /** What this kind of server does not get, as paths in the client's dialect. */
  readonly dropped: ReadonlyArray<string>
}

/** Which reasoning of former turns a server gets back: all of it, only that behind the last user message, or none. */
export type ReasoningKept = "all" | "loop" | "none"

export const writeChat = (turn: ChatTurn, wording: Wording, kept: ReasoningKept): ChatWriting => {
  const { sampling, stream, tools, stops } = turn
  const { lessons, extraSampling } = wording
  const dropped: Array<Droppable> = []
  /** A field that not all servers take. */
  const extra = <A>(value: A | undefined, name: Droppable, names: ReadonlyArray<string>): Record<string, A> => {
    if (value === undefined) return {}
    const known = names.find((each) => extraSampling.includes(each) && !lessons.has(each as "top_k"))
    if (known === undefined) dropped.push(name)
    return known === undefined ? {} : { [known]: value }
  }
  const system: ReadonlyArray<ChatMessage> = turn.system.length > 0 ? [{ role: "system", content: turn.system.join("\n\n") }] : []
  // A call takes its arguments on the stack: a list is copied, never handed to `push` piece by piece.
  const messages: ReadonlyArray<ChatMessage> = [...system, ...messagesOf(turn.turns, wording, kept)]
  const strict = wording.known && !lessons.has("strict")
  if (!strict && tools.some((tool) => tool.strict)) dropped.push("strict")
  const choice = typeof turn.choice === "object" ? { type: "function" as const, function: turn.choice } : turn.choice
  const parallel = lessons.has("parallel_tool_calls") ? undefined : turn.parallel
  if (parallel !== turn.parallel) dropped.push("parallel")
  const maxTokens =
    sampling.maxTokens === undefined
      ? {}
      : { [lessons.has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens"]: sampling.maxTokens }
  const fields: Omit<ChatRequest, "model"> = {
    ...maxTokens,
    stream,
    messages: lessons.has("alternate") ? alternating(messages) : messages,
    ...(stream && !lessons.has("stream_options") ? { stream_options: { include_usage: true } } : {}),
    ...given("temperature", sampling.temperature),
    ...given("top_p", sampling.topP),
    ...(stops.length === 0 ? {} : { stop: stops }),
    ...(tools.length === 0 ? {} : { tools: tools.map((tool) => toolOf(tool, strict)) }),
    ...(tools.length === 0 ? {} : given("tool_choice", choice)),
    ...(tools.length === 0 ? {} : given("parallel_tool_calls", parallel)),
    ...given("user", turn.user),
    ...outputOf(turn),
    ...given("seed", sampling.seed),
    ...given("frequency_penalty", sampling.frequencyPenalty),
    ...given("presence_penalty", sampling.presencePenalty),
    ...given("logprobs", sampling.logprobs),
    ...given("top_logprobs", sampling.topLogprobs),
    ...extra(sampling.topK, "topK", ["top_k"]),
    ...extra(sampling.minP, "minP", ["min_p"]),
    ...extra(sampling.repeatPenalty, "repeatPenalty", ["repeat_penalty", "repetition_penalty"]),
    ...thinkingOf(turn, wording, dropped),
    ...(wording.cacheKey ? given("prompt_cache_key", turn.cacheKey) : {})
  }
  return { fields, dropped: dropped.map((name) => turn.names[name]) }
}

const given = <K extends string, V>(name: K, value: V | undefined): { readonly [key in K]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { readonly [key in K]?: V }

const toolOf = ({ name, description, schema, strict }: Tool, sayStrict: boolean): ChatTool => ({
  type: "function",
  function: { name, ...(description === "" ? {} : { description }), parameters: schema, ...(strict && sayStrict ? { strict } : {}) }
})

const outputOf = ({ output }: ChatTurn): Pick<ChatRequest, "response_format"> => {
  switch (output.kind) {
    case "text":
      return {}
    case "json":
      return { response_format: { type: "json_object" } }
    case "schema":
      return {
        response_format: { type: "json_schema", json_schema: { name: output.name, schema: output.schema, strict: output.strict } }
      }
  }
}

/** Words that servers know for how much to think. */
const effortOf = { minimal: "low", low: "low", medium: "medium", high: "high", xhigh: "high", max: "high" } as const

const thinkingOf = (
  { thinking }: ChatTurn,
  { thinkingSwitch, known, lessons }: Wording,
  dropped: Array<Droppable>
): Pick<ChatRequest, "reasoning_effort" | "chat_template_kwargs"> => {
  if (thinking === "unset") return {}
  const level = thinking === "off" || thinking === "on" ? undefined : effortOf[thinking]
  const effort = thinking === "off" && thinkingSwitch === "effort" ? "none" : level
  const out = {
    ...(effort !== undefined && known && !lessons.has("reasoning_effort") ? { reasoning_effort: effort } : {}),
    ...(thinkingSwitch === "chat_template" && !lessons.has("chat_template_kwargs")
      ? { chat_template_kwargs: { enable_thinking: thinking !== "off", thinking: thinking !== "off" } }
      : {})
  }
  // Servers of the kind `effort` think unless they are told not to.
  if (Object.keys(out).length === 0 && !(thinking === "on" && thinkingSwitch === "effort")) dropped.push("thinking")
  return out
}

/** Results directly behind the calls; what a tool message cannot hold goes into the user message behind all of them. */
const messagesOf = (turns: ReadonlyArray<Turn>, wording: Wording, kept: ReasoningKept): ReadonlyArray<ChatMessage> => {
  const out: Array<ChatMessage> = []
  let media: Array<Part> = []
  const lastUser = turns.findLastIndex(({ role }) => role === "user")
  const flush = (own: ReadonlyArray<Part>): void => {
    const parts = [...media, ...own]
    media = []
    const [only] = parts
    if (only !== undefined) out.push({ role: "user", content: parts.length === 1 && only.kind === "text" ? only.text : parts.map(partOf) })
  }
  for (const [index, turn] of turns.entries()) {
    if (turn.role === "tool") {
      out.push(toolMessage(turn))
      for (const part of turn.media) media.push({ kind: "text", text: `Content of tool result ${turn.call}:` }, part)
    } else if (turn.role === "user") flush(turn.parts)
    else {
      flush([])
      const keep = kept === "all" || (kept === "loop" && index > lastUser)
      const message = assistantMessage(turn, keep ? wording.reasoningFields : [], wording)
      if (message !== undefined) out.push(message)
    }
  }
  flush([])
  return out
}

const toolMessage = ({ call, text, media, failed }: ToolTurn): ChatMessage => {
  const said = text === "" && media.length > 0 ? "[image]" : text
  return { role: "tool", tool_call_id: call, content: failed && !/^error/i.test(said) ? `Error: ${said}` : said }
}

/** One that holds only reasoning is nothing that a template could show. */
const assistantMessage = (
  { text, calls, reasoning }: AssistantTurn,
  fields: ReadonlyArray<string>,
  { lessons }: Wording
): ChatMessage | undefined => {
  if (text === "" && calls.length === 0) return undefined
  const thought = reasoning === "" ? [] : fields.filter((field) => !lessons.has(field as "reasoning")).map((field) => [field, reasoning])
  return {
    role: "assistant",
    content: text === "" && !lessons.has("empty_content") ? null : text,
    ...Object.fromEntries(thought),
    ...(calls.length === 0
      ? {}
      : { tool_calls: calls.map(({ id, name, input }) => ({ id, type: "function", function: { name, arguments: input } })) })
  }
}

const partOf = (part: Part): ContentPart => {
  switch (part.kind) {
    case "text":
      return { type: "text", text: part.text }
    case "image":
      return { type: "image_url", image_url: { url: part.url } }
    case "file":
      return { type: "file", file: { filename: part.name, file_data: part.data } }
    case "audio":
      return { type: "input_audio", input_audio: { data: part.data, format: part.format } }
  }
}

/** For templates that refuse two messages of one role in a row. */
const alternating = (messages: ReadonlyArray<ChatMessage>): ReadonlyArray<ChatMessage> => {
  const out: Array<ChatMessage> = []
  for (const message of messages) {
    const last = out.at(-1)
    if (last?.role === "user" && message.role === "user")
      out[out.length - 1] = { role: "user", content: together(last.content, message.content) }
    else if (last?.role === "assistant" && message.role === "assistant" && last.tool_calls === undefined)
      out[out.length - 1] = {
        ...message,
        content: [last.content, message.content].filter((text) => text !== null && text !== "").join("\n\n")
      }
    else out.push(message)
  }
  return out
}

type UserContent = string | ReadonlyArray<ContentPart>

const together = (first: UserContent, then: UserContent): UserContent => {
  if (typeof first === "string" && typeof then === "string") return `${first}\n\n${then}`
  const parts = (content: UserContent) => (typeof content === "string" ? [{ type: "text" as const, text: content }] : content)
  return [...parts(first), ...parts(then)]
}

/** A turn in no dialect as the body of a Messages request, for servers that speak nothing else. */
import type { AssistantTurn, ChatTurn, Droppable, Part, ToolTurn, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { type JsonRecord, parseJson, recordOf } from "../JsonValue.ts"

export interface MessagesWriting {
  /** Everything but `model`, which has another name on each endpoint. */
  readonly fields: JsonRecord
  /** What the API has no place for, as paths in the client's dialect. */
  readonly dropped: ReadonlyArray<string>
}

/** The API wants a limit; clients that set none get this many tokens. */
const usualMaxTokens = 8_192

export const writeMessages = (turn: ChatTurn): MessagesWriting | Complaint => {
  const { sampling, tools, stops, thinking, output } = turn
  const messages: Array<{ readonly role: "user" | "assistant"; readonly content: Array<JsonRecord> }> = []
  const say = (role: "user" | "assistant", blocks: ReadonlyArray<JsonRecord>): void => {
    const last = messages.at(-1)
    if (blocks.length === 0) return
    // Roles alternate there.
    if (last?.role === role) for (const block of blocks) last.content.push(block)
    else messages.push({ role, content: [...blocks] })
  }
  for (const each of turn.turns) {
    const blocks = blocksOf(each)
    if (blocks instanceof Complaint) return blocks
    say(each.role === "assistant" ? "assistant" : "user", blocks)
  }
  const dropped = droppedOf(turn)
  const choice = tools.length === 0 ? undefined : choiceOf(turn)
  const level = thinking === "unset" || thinking === "off" || thinking === "on" ? undefined : thinking === "minimal" ? "low" : thinking
  const outputConfig = {
    ...(level === undefined ? {} : { effort: level }),
    ...(output.kind === "schema" ? { format: { type: "json_schema", schema: output.schema } } : {})
  }
  const fields = {
    max_tokens: sampling.maxTokens ?? usualMaxTokens,
    stream: turn.stream,
    ...(turn.system.length === 0 ? {} : { system: turn.system.join("\n\n") }),
    messages,
    ...(sampling.temperature === undefined ? {} : { temperature: sampling.temperature }),
    ...(sampling.topP === undefined ? {} : { top_p: sampling.topP }),
    ...(sampling.topK === undefined ? {} : { top_k: sampling.topK }),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, schema, strict }) => ({
            name,
            ...(description === "" ? {} : { description }),
            input_schema: schema,
            ...(strict ? { strict } : {})
          }))
        }),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...(turn.user === undefined ? {} : { metadata: { user_id: turn.user } }),
    ...(thinking === "off" ? { thinking: { type: "disabled" } } : {}),
    ...(Object.keys(outputConfig).length === 0 ? {} : { output_config: outputConfig })
  }
  return { fields, dropped: dropped.map((name) => turn.names[name]) }
}

const droppedOf = ({ sampling, output, turns }: ChatTurn): ReadonlyArray<Droppable> => [
  ...(sampling.minP === undefined ? [] : (["minP"] as const)),
  ...(sampling.seed === undefined ? [] : (["seed"] as const)),
  ...(sampling.frequencyPenalty === undefined ? [] : (["frequencyPenalty"] as const)),
  ...(sampling.presencePenalty === undefined ? [] : (["presencePenalty"] as const)),
  ...(sampling.repeatPenalty === undefined ? [] : (["repeatPenalty"] as const)),
  ...(sampling.logprobs === undefined && sampling.topLogprobs === undefined ? [] : (["logprobs"] as const)),
  ...(output.kind === "json" ? (["output"] as const) : []),
  ...(turns.some((each) => each.role === "assistant" && each.reasoning !== "" && each.signature === undefined)
    ? (["reasoning"] as const)
    : [])
]

const choiceOf = ({ choice, parallel }: ChatTurn): JsonRecord | undefined => {
  const alone = parallel === false ? { disable_parallel_tool_use: true } : {}
  if (choice === undefined) return parallel === false ? { type: "auto", ...alone } : undefined
  if (typeof choice === "object") return { type: "tool", name: choice.name, ...alone }
  return choice === "none" ? { type: "none" } : { type: choice === "required" ? "any" : "auto", ...alone }
}

const blocksOf = (turn: Turn): ReadonlyArray<JsonRecord> | Complaint => {
  switch (turn.role) {
    case "user":
      return partBlocks(turn.parts)
    case "tool":
      return resultBlock(turn)
    case "assistant":
      return assistantBlocks(turn)
  }
}

/** Servers of this API check whose reasoning it is: what nobody signed would be refused. */
const assistantBlocks = ({ reasoning, signature, text, calls }: AssistantTurn): ReadonlyArray<JsonRecord> => [
  ...(reasoning === "" || signature === undefined ? [] : [{ type: "thinking", thinking: reasoning, signature }]),
  ...(text === "" ? [] : [{ type: "text", text }]),
  ...calls.map(({ id, name, input }) => ({ type: "tool_use", id, name, input: recordOf(parseJson(input)) ?? {} }))
]

const resultBlock = ({ call, text, media, failed }: ToolTurn): ReadonlyArray<JsonRecord> | Complaint => {
  const blocks = partBlocks(media)
  if (blocks instanceof Complaint) return blocks
  const content = blocks.length === 0 ? text : [...(text === "" ? [] : [{ type: "text", text }]), ...blocks]
  return [{ type: "tool_result", tool_use_id: call, content, ...(failed ? { is_error: true } : {}) }]
}

const dataUrl = /^data:([^;,]*)(?:;[^,]*)?;base64,(.*)$/s

const partBlocks = (parts: ReadonlyArray<Part>): ReadonlyArray<JsonRecord> | Complaint => {
  const out: Array<JsonRecord> = []
  for (const part of parts) {
    const data = part.kind === "image" ? dataUrl.exec(part.url) : part.kind === "file" ? dataUrl.exec(part.data) : null
    if (part.kind === "text") out.push({ type: "text", text: part.text })
    else if (part.kind === "image")
      out.push({
        type: "image",
        source: data === null ? { type: "url", url: part.url } : { type: "base64", media_type: data[1], data: data[2] }
      })
    else if (part.kind === "file" && data?.[1] === "application/pdf")
      out.push({ type: "document", title: part.name, source: { type: "base64", media_type: data[1], data: data[2] } })
    else
      return new Complaint(
        part.kind === "audio" ? "audio is not supported by the endpoints of this model" : `the file '${part.name}' is no PDF`
      )
  }
  return out
}

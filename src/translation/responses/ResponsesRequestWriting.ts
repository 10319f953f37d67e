/** A turn in no dialect as the body of a Responses request, for servers that speak nothing else. */
import type { ChatTurn, Droppable, Part, Turn } from "../ChatTurn.ts"
import type { JsonRecord } from "../JsonValue.ts"

export interface ResponsesWriting {
  /** Everything but `model`, which has another name on each endpoint. */
  readonly fields: JsonRecord
  /** What the API has no place for, as paths in the client's dialect. */
  readonly dropped: ReadonlyArray<string>
}

export const writeResponses = (turn: ChatTurn): ResponsesWriting => {
  const { sampling, tools, output, thinking } = turn
  const effort = thinking === "off" ? "none" : thinking === "unset" || thinking === "on" ? undefined : thinking
  const fields = {
    stream: turn.stream,
    store: false,
    ...(turn.system.length === 0 ? {} : { instructions: turn.system.join("\n\n") }),
    input: itemsOf(turn.turns),
    ...given("max_output_tokens", sampling.maxTokens),
    ...given("temperature", sampling.temperature),
    ...given("top_p", sampling.topP),
    ...(sampling.logprobs === undefined ? {} : { include: ["message.output_text.logprobs"] }),
    ...given("top_logprobs", sampling.topLogprobs),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, schema, strict }) => ({
            type: "function",
            name,
            ...(description === "" ? {} : { description }),
            parameters: schema,
            // What is not said is strict there.
            strict
          }))
        }),
    ...(tools.length === 0
      ? {}
      : given("tool_choice", typeof turn.choice === "object" ? { type: "function", name: turn.choice.name } : turn.choice)),
    ...(tools.length === 0 ? {} : given("parallel_tool_calls", turn.parallel)),
    ...(output.kind === "text" ? {} : { text: { format: formatOf(output) } }),
    ...(effort === undefined ? {} : { reasoning: { effort } }),
    ...given("user", turn.user),
    ...given("prompt_cache_key", turn.cacheKey)
  }
  return { fields, dropped: droppedOf(turn).map((name) => turn.names[name]) }
}

const given = (name: string, value: unknown): JsonRecord => (value === undefined ? {} : { [name]: value })

const formatOf = (output: Exclude<ChatTurn["output"], { readonly kind: "text" }>): JsonRecord =>
  output.kind === "json"
    ? { type: "json_object" }
    : { type: "json_schema", name: output.name, schema: output.schema, strict: output.strict }

const droppedOf = ({ sampling, stops }: ChatTurn): ReadonlyArray<Droppable> => {
  const absent: ReadonlyArray<readonly [Droppable, unknown]> = [
    ["topK", sampling.topK],
    ["minP", sampling.minP],
    ["seed", sampling.seed],
    ["stops", stops.length === 0 ? undefined : stops],
    ["frequencyPenalty", sampling.frequencyPenalty],
    ["presencePenalty", sampling.presencePenalty],
    ["repeatPenalty", sampling.repeatPenalty]
  ]
  return absent.flatMap(([name, value]) => (value === undefined ? [] : [name]))
}

const itemsOf = (turns: ReadonlyArray<Turn>): ReadonlyArray<JsonRecord> => {
  const out: Array<JsonRecord> = []
  for (const turn of turns) {
    if (turn.role === "user") out.push({ type: "message", role: "user", content: turn.parts.map(partOf) })
    else if (turn.role === "tool") out.push(resultOf(turn))
    else {
      if (turn.reasoning !== "")
        // By its place, so that equal conversations give equal bytes.
        out.push({ type: "reasoning", id: `rs_${out.length}`, summary: [{ type: "summary_text", text: turn.reasoning }] })
      if (turn.text !== "") out.push({ type: "message", role: "assistant", content: [{ type: "output_text", text: turn.text }] })
      for (const { id, name, input } of turn.calls) out.push({ type: "function_call", call_id: id, name, arguments: input })
    }
  }
  return out
}

const resultOf = ({ call, text, media, failed }: Extract<Turn, { readonly role: "tool" }>): JsonRecord => {
  const said = failed && !/^error/i.test(text) ? `Error: ${text}` : text
  const output = media.length === 0 ? said : [...(said === "" ? [] : [{ type: "input_text", text: said }]), ...media.map(partOf)]
  return { type: "function_call_output", call_id: call, output }
}

const partOf = (part: Part): JsonRecord => {
  switch (part.kind) {
    case "text":
      return { type: "input_text", text: part.text }
    case "image":
      return { type: "input_image", image_url: part.url, detail: "auto" }
    case "file":
      return { type: "input_file", filename: part.name, file_data: part.data }
    case "audio":
      return { type: "input_audio", input_audio: { data: part.data, format: part.format } }
  }
}

/** A scripted turn as servers of OpenAI's Responses and of Ollama's API say it, written after their public descriptions. */
export interface Turn {
  readonly thinking?: ReadonlyArray<string>
  readonly text?: ReadonlyArray<string>
  readonly tools?: ReadonlyArray<{ readonly id: string; readonly name: string; readonly input: ReadonlyArray<string> }>
  readonly stop: "end_turn" | "tool_use" | "max_tokens" | "stop_sequence" | "refusal"
  readonly stopSequence?: string
  readonly usage?: { readonly prompt: number; readonly completion: number; readonly cached: number }
}

const usageOf = (turn: Turn) => turn.usage ?? { prompt: 40, completion: 7, cached: 30 }
const said = (pieces: ReadonlyArray<string> | undefined) => (pieces ?? []).join("")

const responseItems = (turn: Turn): ReadonlyArray<object> => [
  ...(turn.thinking === undefined
    ? []
    : [{ type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: said(turn.thinking) }], status: "completed" }]),
  ...(turn.text === undefined
    ? []
    : [
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: said(turn.text), annotations: [] }]
        }
      ]),
  ...(turn.tools ?? []).map(({ id, name, input }) => ({
    type: "function_call",
    id: `fc_${id}`,
    call_id: id,
    name,
    arguments: said(input),
    status: "completed"
  }))
]

export const response = (turn: Turn, model: string, status?: string): object => {
  const { prompt, completion, cached } = usageOf(turn)
  const ended = turn.stop === "max_tokens" ? "incomplete" : "completed"
  return {
    id: "resp_native",
    object: "response",
    created_at: 1,
    model,
    status: status ?? ended,
    error: null,
    incomplete_details: ended === "incomplete" ? { reason: "max_output_tokens" } : null,
    output: status === undefined ? responseItems(turn) : [],
    usage:
      status === undefined
        ? {
            input_tokens: prompt,
            input_tokens_details: { cached_tokens: cached },
            output_tokens: completion,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: prompt + completion
          }
        : null
  }
}

export const responseStream = (turn: Turn, model: string): string => {
  let number = 0
  const event = (type: string, fields: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number++, ...fields })}\n\n`
  let out = event("response.created", { response: response(turn, model, "in_progress") })
  // biome-ignore lint/suspicious/noExplicitAny: items of every kind
  for (const [output_index, item] of responseItems(turn).entries() as IterableIterator<[number, any]>) {
    const where = { item_id: item.id, output_index }
    out += event("response.output_item.added", { output_index, item: { ...item, arguments: "", content: [], summary: [] } })
    if (item.type === "reasoning") {
      out += event("response.reasoning_summary_part.added", { ...where, summary_index: 0, part: { type: "summary_text", text: "" } })
      for (const delta of turn.thinking ?? []) out += event("response.reasoning_summary_text.delta", { ...where, summary_index: 0, delta })
      out += event("response.reasoning_summary_text.done", { ...where, summary_index: 0, text: said(turn.thinking) })
    } else if (item.type === "message") {
      out += event("response.content_part.added", { ...where, content_index: 0, part: { type: "output_text", text: "", annotations: [] } })
      for (const delta of turn.text ?? []) out += event("response.output_text.delta", { ...where, content_index: 0, delta })
      out += event("response.output_text.done", { ...where, content_index: 0, text: said(turn.text) })
    } else {
      const tool = (turn.tools ?? []).find(({ id }) => id === item.call_id)
      for (const delta of tool?.input ?? []) out += event("response.function_call_arguments.delta", { ...where, delta })
      out += event("response.function_call_arguments.done", { ...where, name: item.name, arguments: item.arguments })
    }
    out += event("response.output_item.done", { output_index, item })
  }
  return out + event(turn.stop === "max_tokens" ? "response.incomplete" : "response.completed", { response: response(turn, model) })
}

const callOf = ({ id, name, input }: NonNullable<Turn["tools"]>[number], index: number) => ({
  id,
  function: { index, name, arguments: JSON.parse(said(input)) as unknown }
})

const line = (model: string, message: object, more: object = { done: false }) => ({
  model,
  created_at: "2026-01-01T00:00:00.000000Z",
  message: { role: "assistant", content: "", ...message },
  ...more
})

const last = (turn: Turn) => ({
  done: true,
  done_reason: turn.stop === "max_tokens" ? "length" : "stop",
  total_duration: 1_000_000,
  load_duration: 1,
  prompt_eval_count: usageOf(turn).prompt,
  prompt_eval_duration: 1,
  eval_count: usageOf(turn).completion,
  eval_duration: 1
})

export const ollamaMessage = (turn: Turn, model: string): object =>
  line(
    model,
    {
      content: said(turn.text),
      ...(turn.thinking === undefined ? {} : { thinking: said(turn.thinking) }),
      ...(turn.tools === undefined ? {} : { tool_calls: turn.tools.map(callOf) })
    },
    last(turn)
  )

export const ollamaStream = (turn: Turn, model: string): string =>
  [
    ...(turn.thinking ?? []).map((thinking) => line(model, { thinking })),
    ...(turn.text ?? []).map((content) => line(model, { content })),
    ...(turn.tools ?? []).map((tool, index) => line(model, { tool_calls: [callOf(tool, index)] })),
    line(model, {}, last(turn))
  ]
    .map((each) => `${JSON.stringify(each)}\n`)
    .join("")

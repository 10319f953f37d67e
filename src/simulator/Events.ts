/** The events of streamed answers, each as the bytes that go over the wire. */
import { anthropicMessage, chatChunk, ollamaChat, ollamaGenerate, response, timings, toolCall, usage } from "./Answers.ts"
import type { BackendKind } from "./Kind.ts"

/** What was asked, as far as it shapes the answer. */
export interface Asked {
  readonly kind: BackendKind
  readonly model: string
  /** Name of the first tool that the client offers: it is called. */
  readonly tool: string | undefined
  readonly wantsUsage: boolean
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`
const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`
const event = (type: string, fields: Record<string, unknown>): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

export const chatEvents = ({ kind, model, tool, wantsUsage }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  const chunk = (delta: Record<string, unknown>, finish: string | null) => chatChunk(kind, model, delta, finish)
  const { function: fn, ...call } = toolCall(tool ?? "")
  const content =
    tool === undefined
      ? tokens.map((token) => chunk({ content: token }, null))
      : [
          chunk({ tool_calls: [{ index: 0, ...call, function: { name: fn.name, arguments: "" } }] }, null),
          chunk({ tool_calls: [{ index: 0, function: { arguments: fn.arguments.slice(0, 6) } }] }, null),
          chunk({ tool_calls: [{ index: 0, function: { arguments: fn.arguments.slice(6) } }] }, null)
        ]
  const last = wantsUsage ? [{ ...chunk({}, null), choices: [], usage: usage(tokens.length), ...timings(kind, tokens.length) }] : []
  return [
    ...[
      chunk({ role: "assistant", content: kind === "llamacpp" ? null : "" }, null),
      ...content,
      chunk({}, tool === undefined ? "stop" : "tool_calls"),
      ...last
    ].map(data),
    "data: [DONE]\n\n"
  ]
}

export const completionEvents = ({ model, wantsUsage }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  const chunk = (text: string, finish: string | null) => ({
    id: "cmpl-simulated",
    object: "text_completion",
    model,
    choices: [{ index: 0, text, finish_reason: finish }]
  })
  return [
    ...tokens.map((token) => data(chunk(token, null))),
    data(chunk("", "stop")),
    ...(wantsUsage ? [data({ ...chunk("", null), choices: [], usage: usage(tokens.length) })] : []),
    "data: [DONE]\n\n"
  ]
}

export const messageEvents = ({ model, tool }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  const message = { ...anthropicMessage(model, "", 0, undefined), content: [], stop_reason: null }
  const block = tool === undefined ? { type: "text", text: "" } : { type: "tool_use", id: "toolu_simulated", name: tool, input: {} }
  const deltas =
    tool === undefined
      ? tokens.map((token) => ({ type: "text_delta", text: token }))
      : [{ type: "input_json_delta", partial_json: '{"city":"Perth"}' }]
  return [
    event("message_start", { message }),
    event("content_block_start", { index: 0, content_block: block }),
    ...deltas.map((delta) => event("content_block_delta", { index: 0, delta })),
    event("content_block_stop", { index: 0 }),
    event("message_delta", {
      delta: { stop_reason: tool === undefined ? "end_turn" : "tool_use", stop_sequence: null },
      usage: { output_tokens: tokens.length }
    }),
    event("message_stop", {})
  ]
}

export const responseEvents = ({ model }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  const whole = response(model, tokens.join(""), tokens.length)
  return [
    event("response.created", { response: { ...whole, status: "in_progress", output: [], usage: null } }),
    ...tokens.map((delta) => event("response.output_text.delta", { item_id: "msg_simulated", output_index: 0, content_index: 0, delta })),
    event("response.completed", { response: whole })
  ]
}

export const ollamaChatLines = ({ model }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...tokens.map((token) => line(ollamaChat(model, token, false, 0))),
  line(ollamaChat(model, "", true, tokens.length))
]

export const ollamaGenerateLines = ({ model }: Asked, tokens: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...tokens.map((token) => line(ollamaGenerate(model, token, false, 0))),
  line(ollamaGenerate(model, "", true, tokens.length))
]

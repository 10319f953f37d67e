/** What each kind of server answers to inference requests, whole and refused, in its own shape. */
import type { BackendKind } from "./Kind.ts"
import { created } from "./Listings.ts"

/** Status and body of a refusal; a text body is sent as plain text. */
export interface Refusal {
  readonly status: number
  readonly document: unknown
}

export const unknownModel = (kind: BackendKind, path: string, model: string): Refusal => {
  if (kind === "ollama" && path.startsWith("/api/")) return { status: 404, document: { error: `model '${model}' not found` } }
  if (kind === "ollama")
    return { status: 404, document: { error: { message: `model '${model}' not found`, type: "not_found_error", param: null, code: null } } }
  if (kind === "litellm") {
    const message = `${path}: Invalid model name passed in model=${model}. Call \`/v1/models\` to view available models for your key.`
    return {
      status: 400,
      document: {
        error: { message, type: "invalid_request_error", param: null, code: "400", provider_specific_fields: { error: message } }
      }
    }
  }
  const message = `The model \`${model}\` does not exist.`
  return { status: 404, document: { error: { message, type: "NotFoundError", param: "model", code: 404 } } }
}

export const unknownPath = (kind: BackendKind, method: string, path: string): Refusal => {
  if (kind === "ollama") return { status: 404, document: "404 page not found" }
  // LM Studio says so with a 200.
  if (kind === "lm-studio") return { status: 200, document: { error: `Unexpected endpoint or method. (${method} ${path})` } }
  if (kind === "llamacpp") return { status: 404, document: { error: { message: "File Not Found", type: "not_found_error", code: 404 } } }
  return { status: 404, document: { detail: "Not Found" } }
}

export const badJson = (kind: BackendKind): Refusal => {
  const message = "invalid character 'b' looking for beginning of object key string"
  const error =
    kind === "ollama"
      ? { message, type: "invalid_request_error", param: null, code: null }
      : { code: 400, message, type: "invalid_request_error" }
  return { status: 400, document: { error } }
}

export const unauthorised = (): Refusal => ({
  status: 401,
  document: { error: { message: "Unauthorized", type: "authentication_error", code: 401 } }
})

export const usage = (completion: number) => ({ prompt_tokens: 29, completion_tokens: completion, total_tokens: 29 + completion })

const fingerprint = (kind: BackendKind): { readonly system_fingerprint?: string } =>
  kind === "ollama" ? { system_fingerprint: "fp_ollama" } : kind === "llamacpp" ? { system_fingerprint: "b11434-simulated" } : {}

/** llama-server tells how fast it was. */
export const timings = (kind: BackendKind, tokens: number): { readonly timings?: Readonly<Record<string, number>> } =>
  kind === "llamacpp"
    ? {
        timings: {
          cache_n: 0,
          prompt_n: 29,
          prompt_ms: 10,
          prompt_per_token_ms: 10 / 29,
          prompt_per_second: 2900,
          predicted_n: tokens,
          predicted_ms: tokens * 20,
          predicted_per_token_ms: 20,
          predicted_per_second: 50
        }
      }
    : {}

export const chatChunk = (kind: BackendKind, model: string, delta: Record<string, unknown>, finish: string | null) => ({
  id: "chatcmpl-simulated",
  object: "chat.completion.chunk",
  created,
  model,
  ...fingerprint(kind),
  choices: [{ index: 0, delta, finish_reason: finish }]
})

export const toolCall = (name: string) => ({ id: "call_simulated", type: "function", function: { name, arguments: '{"city":"Perth"}' } })

export const chatCompletion = (kind: BackendKind, model: string, content: string, tokens: number, tool: string | undefined) => ({
  id: "chatcmpl-simulated",
  object: "chat.completion",
  created,
  model,
  ...fingerprint(kind),
  choices: [
    {
      index: 0,
      message: tool === undefined ? { role: "assistant", content } : { role: "assistant", content: null, tool_calls: [toolCall(tool)] },
      finish_reason: tool === undefined ? "stop" : "tool_calls"
    }
  ],
  usage: usage(tokens),
  ...timings(kind, tokens)
})

export const textCompletion = (model: string, text: string, tokens: number) => ({
  id: "cmpl-simulated",
  object: "text_completion",
  created,
  model,
  choices: [{ index: 0, text, finish_reason: "stop" }],
  usage: usage(tokens)
})

export const embeddings = (model: string, inputs: number) => ({
  object: "list",
  model,
  data: Array.from({ length: inputs }, (_, index) => ({ object: "embedding", index, embedding: [0.1, 0.2, 0.3, 0.4] })),
  usage: { prompt_tokens: 4, total_tokens: 4 }
})

export const rerank = (model: string, documents: number) => ({
  id: "rerank-simulated",
  model,
  results: Array.from({ length: documents }, (_, index) => ({ index, relevance_score: 1 / (index + 1) })),
  usage: { total_tokens: 12 }
})

export const response = (model: string, text: string, tokens: number) => ({
  id: "resp_simulated",
  object: "response",
  created_at: created,
  status: "completed",
  model,
  output: [
    {
      id: "msg_simulated",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", annotations: [], logprobs: [], text }]
    }
  ],
  usage: { input_tokens: 29, output_tokens: tokens, total_tokens: 29 + tokens, input_tokens_details: { cached_tokens: 0 } }
})

export const ollamaChat = (model: string, content: string, done: boolean, tokens: number) => ({
  model,
  created_at: "2026-11-23T17:03:14.5Z",
  message: { role: "assistant", content },
  done,
  ...(done
    ? {
        done_reason: "stop",
        total_duration: 12_000_000,
        load_duration: 1_000_000,
        prompt_eval_count: 29,
        prompt_eval_duration: 3_000_000,
        eval_count: tokens,
        eval_duration: 8_000_000
      }
    : {})
})

export const ollamaGenerate = (model: string, response: string, done: boolean, tokens: number) => {
  const { message: _, ...rest } = ollamaChat(model, "", done, tokens)
  return { ...rest, response }
}

export const anthropicMessage = (model: string, text: string, tokens: number, tool: string | undefined) => ({
  id: "msg_simulated",
  type: "message",
  role: "assistant",
  model,
  content:
    tool === undefined ? [{ type: "text", text }] : [{ type: "tool_use", id: "toolu_simulated", name: tool, input: { city: "Perth" } }],
  stop_reason: tool === undefined ? "end_turn" : "tool_use",
  stop_sequence: null,
  usage: { input_tokens: 29, output_tokens: tokens }
})

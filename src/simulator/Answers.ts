/** What each kind of server answers, in its own shape (recorded from real ones where there is a recording). */
import type { BackendKind } from "./Backend.ts"

const created = 1_795_453_397

/** Where each kind answers health probes and lists its models. */
export const pathsOf: Readonly<
  Record<BackendKind, { readonly health: string; readonly listing: string; readonly chat: string; readonly messages?: string }>
> = {
  ollama: { health: "/", listing: "/api/tags", chat: "/v1/chat/completions", messages: "/v1/messages" },
  "lm-studio": { health: "/v1/models", listing: "/api/v0/models", chat: "/v1/chat/completions", messages: "/v1/messages" },
  vllm: { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions", messages: "/v1/messages" },
  "vllm-mlx": { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions", messages: "/v1/messages" },
  sglang: { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions" },
  lmdeploy: { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions" },
  llamacpp: { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions", messages: "/v1/messages" },
  lemonade: { health: "/api/v1/health", listing: "/api/v1/models", chat: "/api/v1/chat/completions" },
  litellm: { health: "/health/liveness", listing: "/v1/models", chat: "/v1/chat/completions" },
  "docker-model-runner": {
    health: "/engines/v1/models",
    listing: "/engines/v1/models",
    chat: "/engines/v1/chat/completions",
    messages: "/anthropic/v1/messages"
  },
  omlx: { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions", messages: "/v1/messages" },
  "openai-compatible": { health: "/v1/models", listing: "/v1/models", chat: "/v1/chat/completions" }
}

const owners: Readonly<Partial<Record<BackendKind, string>>> = {
  vllm: "vllm",
  "vllm-mlx": "vllm-mlx",
  sglang: "sglang",
  lmdeploy: "lmdeploy",
  llamacpp: "llamacpp",
  "docker-model-runner": "docker",
  omlx: "omlx",
  litellm: "openai",
  ollama: "library"
}

const digest = (name: string): string => Buffer.from(name).toString("hex").padEnd(64, "0").slice(0, 64)

const ollamaEntry = (name: string) => ({
  name,
  model: name,
  modified_at: "2026-11-23T16:17:24.812345678Z",
  size: 4_920_753_328,
  digest: digest(name),
  details: { parent_model: "", format: "gguf", family: "llama", families: ["llama"], parameter_size: "8.0B", quantization_level: "Q4_K_M" }
})

export const ollamaTags = (models: ReadonlyArray<string>) => ({ models: models.map(ollamaEntry) })

const openAiEntry = (kind: BackendKind, id: string) => {
  const base = { id, object: "model", created, owned_by: owners[kind] ?? "organization-owner" }
  switch (kind) {
    case "vllm":
    case "sglang":
      return { ...base, root: id, parent: null, max_model_len: 32_768 }
    case "llamacpp":
      return {
        ...base,
        meta: { vocab_type: 1, n_vocab: 32_000, n_ctx_train: 4096, n_embd: 64, n_params: 8_030_261_312, size: 4_920_753_328 }
      }
    case "lemonade":
      return { ...base, checkpoint: `amd/${id}`, recipe: "llamacpp", downloaded: true }
    default:
      return base
  }
}

export const openAiModels = (kind: BackendKind, models: ReadonlyArray<string>) => {
  const data = models.map((id) => openAiEntry(kind, id))
  return kind === "llamacpp"
    ? { models: models.map((name) => ({ name, model: name, type: "model" })), object: "list", data }
    : { object: "list", data }
}

export const lmStudioModels = (models: ReadonlyArray<string>) => ({
  object: "list",
  data: models.map((id) => ({
    id,
    object: "model",
    type: /embed/.test(id) ? "embeddings" : /vl|llava/.test(id) ? "vlm" : "llm",
    publisher: "lmstudio-community",
    arch: "llama",
    compatibility_type: "gguf",
    quantization: "Q4_K_M",
    state: "loaded",
    max_context_length: 131_072
  }))
})

export const unknownModel = (kind: BackendKind, model: string) =>
  kind === "ollama"
    ? { error: { message: `model '${model}' not found`, type: "not_found_error", param: null, code: null } }
    : { error: { message: `The model \`${model}\` does not exist.`, type: "NotFoundError", param: "model", code: 404 } }

export const usage = (completion: number) => ({ prompt_tokens: 29, completion_tokens: completion, total_tokens: 29 + completion })

export const chatChunk = (model: string, delta: Record<string, unknown>, finish: string | null) => ({
  id: "chatcmpl-simulated",
  object: "chat.completion.chunk",
  created,
  model,
  choices: [{ index: 0, delta, finish_reason: finish }]
})

export const toolCall = (name: string) => ({ id: "call_simulated", type: "function", function: { name, arguments: '{"city":"Perth"}' } })

export const chatCompletion = (model: string, content: string, tokens: number, tool: string | undefined) => ({
  id: "chatcmpl-simulated",
  object: "chat.completion",
  created,
  model,
  choices: [
    {
      index: 0,
      message: tool === undefined ? { role: "assistant", content } : { role: "assistant", content: null, tool_calls: [toolCall(tool)] },
      finish_reason: tool === undefined ? "stop" : "tool_calls"
    }
  ],
  usage: usage(tokens)
})

export const embeddings = (model: string, inputs: number) => ({
  object: "list",
  model,
  data: Array.from({ length: inputs }, (_, index) => ({ object: "embedding", index, embedding: [0.1, 0.2, 0.3, 0.4] })),
  usage: { prompt_tokens: 4, total_tokens: 4 }
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

/** The kinds of server that can be simulated, and where each of them answers what. */

export type BackendKind =
  | "ollama"
  | "lm-studio"
  | "vllm"
  | "vllm-mlx"
  | "sglang"
  | "lmdeploy"
  | "llamacpp"
  | "lemonade"
  | "litellm"
  | "docker-model-runner"
  | "omlx"
  | "openai-compatible"

export interface KindPaths {
  readonly health: string
  readonly listing: string
  readonly chat: string
  /** Native Anthropic Messages. */
  readonly messages?: string
  /** Native `<messages>/count_tokens`; the others answer it like any unknown path. */
  readonly countsTokens?: true
  /** OpenAI's Responses API. */
  readonly responses?: string
}

const openAi: KindPaths = { health: "/health", listing: "/v1/models", chat: "/v1/chat/completions" }

export const pathsOf: Readonly<Record<BackendKind, KindPaths>> = {
  ollama: { ...openAi, health: "/", listing: "/api/tags", messages: "/v1/messages", responses: "/v1/responses" },
  "lm-studio": { ...openAi, health: "/v1/models", listing: "/api/v0/models", messages: "/v1/messages" },
  vllm: { ...openAi, messages: "/v1/messages", responses: "/v1/responses" },
  "vllm-mlx": { ...openAi, messages: "/v1/messages", countsTokens: true },
  sglang: openAi,
  lmdeploy: openAi,
  llamacpp: { ...openAi, messages: "/v1/messages", countsTokens: true, responses: "/v1/responses" },
  lemonade: { health: "/api/v1/health", listing: "/api/v1/models", chat: "/api/v1/chat/completions" },
  litellm: { ...openAi, health: "/health/liveness" },
  "docker-model-runner": {
    health: "/engines/v1/models",
    listing: "/engines/v1/models",
    chat: "/engines/v1/chat/completions",
    messages: "/anthropic/v1/messages",
    countsTokens: true
  },
  omlx: { ...openAi, messages: "/v1/messages", countsTokens: true, responses: "/v1/responses" },
  "openai-compatible": { ...openAi, health: "/v1/models" }
}

export const backendKinds = Object.keys(pathsOf) as ReadonlyArray<BackendKind>

/** Other paths of the same kind that mean the chat path: explicit engines, short forms. */
const otherChatPaths: Readonly<Partial<Record<BackendKind, RegExp>>> = {
  "docker-model-runner": /^\/engines\/(?:llama\.cpp|vllm)\/v1\/chat\/completions$/,
  litellm: /^\/chat\/completions$/,
  sglang: /^\/v1\/chat\/completions\/vision$/,
  lemonade: /^\/v1\/chat\/completions$/
}

export const isChat = (kind: BackendKind, path: string): boolean => path === pathsOf[kind].chat || otherChatPaths[kind]?.test(path) === true

const otherListings: Readonly<Partial<Record<BackendKind, RegExp>>> = {
  "docker-model-runner": /^\/engines\/(?:llama\.cpp|vllm)\/v1\/models$/,
  litellm: /^\/models$/,
  lemonade: /^\/v1\/models$/
}

/** Lists models in OpenAI's form (LM Studio's and Ollama's own lists are told apart by path). */
export const isOpenAiListing = (kind: BackendKind, path: string): boolean =>
  kind === "docker-model-runner" || kind === "lemonade"
    ? path === pathsOf[kind].listing || otherListings[kind]?.test(path) === true
    : path === "/v1/models" || otherListings[kind]?.test(path) === true

/** Asks a model to do something: what most faults and the record of inference requests are about. */
export const isInference = (path: string): boolean =>
  /\/(?:chat\/completions(?:\/vision)?|completions?|embeddings?|embed|messages|responses|rerank|generate|chat|count_tokens)$/.test(path)

export const isListing = (kind: BackendKind, path: string): boolean => path === pathsOf[kind].listing || isOpenAiListing(kind, path)

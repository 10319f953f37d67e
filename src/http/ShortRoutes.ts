/** The short routes of every API as data, for the description of all routes: at the root, and below `/olla`. */
import type { BackendRoute } from "./BackendRoutes.ts"
import { AnthropicModel, AnthropicModels, listedEntry, listingDocuments, TokenCount } from "./documents/ListingDocuments.ts"

const forwarding = [404, 405, 429, 502, 503, 504]

const turn = (path: string, summary: string): BackendRoute => ({
  path,
  methods: ["post"],
  others: "refused",
  tag: "proxy",
  summary,
  errors: forwarding
})

/** Errors come as the clients of each API read them. */
export const shortRoutes = {
  chatCompletions: turn("/v1/chat/completions", "A turn of OpenAI's chat, on every endpoint that has the model"),
  completions: turn("/v1/completions", "Forwarded to any endpoint that can serve it"),
  embeddings: turn("/v1/embeddings", "Embeddings in OpenAI's form, on every endpoint that makes some"),
  responses: turn("/v1/responses", "A turn of OpenAI's Responses, on every endpoint that has the model"),
  responsesTokens: turn("/v1/responses/input_tokens", "How many tokens a request of OpenAI's Responses has"),
  responsesCompact: {
    ...turn("/v1/responses/compact", "Makes a conversation shorter, where a server of the model can"),
    translator: "responses"
  },
  keptResponse: {
    path: "/v1/responses/{id}",
    methods: ["get", "delete"],
    others: "refused",
    tag: "proxy",
    translator: "responses",
    summary: "An answer that a server keeps, asked for there",
    description: "`POST …/cancel` and `GET …/input_items` go the same way.",
    parameters: { id: "Of an answer that was relayed within the last hour" },
    errors: forwarding
  },
  shortMessages: {
    ...turn("/v1/messages", "A message of Anthropic's API, on every endpoint that has the model"),
    tag: "anthropic",
    dialect: "anthropic"
  },
  shortCount: {
    ...turn("/v1/messages/count_tokens", "How many tokens a request of Anthropic's Messages has"),
    tag: "anthropic",
    dialect: "anthropic",
    documents: [TokenCount],
    errors: [405, 429]
  },
  shortModels: {
    path: "/v1/models",
    methods: ["get"],
    others: "refused",
    tag: "models",
    summary: "Models of the whole fleet in OpenAI's form; in Anthropic's with the header `anthropic-version`",
    documents: [listingDocuments.openai, AnthropicModels],
    errors: [405, 429]
  },
  shortModel: {
    path: "/v1/models/{id}",
    methods: ["get"],
    others: "refused",
    tag: "models",
    summary: "One model of that list, in the same form",
    parameters: { id: "As the list has it, in any letter case; may contain slashes" },
    documents: [listedEntry, AnthropicModel],
    errors: [404, 405, 429]
  },
  ollamaChat: { ...turn("/api/chat", "A turn of Ollama's chat, on every endpoint that has the model"), translator: "ollama" },
  ollamaGenerate: { ...turn("/api/generate", "A completion in Ollama's form, on every endpoint that has the model"), translator: "ollama" },
  ollamaEmbed: { ...turn("/api/embed", "Embeddings in Ollama's form, on every endpoint that makes some"), translator: "ollama" },
  ollamaEmbeddings: { ...turn("/api/embeddings", "One embedding in Ollama's older form"), translator: "ollama" },
  ollamaShow: { ...turn("/api/show", "What is known of a model, in Ollama's form"), translator: "ollama" },
  ollamaTags: {
    path: "/api/tags",
    methods: ["get"],
    others: "refused",
    tag: "models",
    translator: "ollama",
    summary: "Models of the whole fleet in Ollama's form",
    documents: [listingDocuments.ollama],
    errors: [405, 429]
  },
  ollamaLoaded: {
    path: "/api/ps",
    methods: ["get"],
    others: "refused",
    tag: "models",
    translator: "ollama",
    summary: "Models that servers hold in memory, in Ollama's form",
    errors: [405, 429]
  },
  ollamaVersion: {
    path: "/api/version",
    methods: ["get"],
    others: "refused",
    tag: "models",
    translator: "ollama",
    summary: "The version of Ollama whose API this is",
    errors: [405, 429]
  }
} as const satisfies Readonly<Record<string, BackendRoute>>

/**
 * The routes that need the fleet, as data: `Routes.ts` asks them in this order and has a handler for each, `TranslatorRoutes.ts` serves
 * those of a dialect, and docs/openapi.yaml is written from them. A further route is a row here, and the compiler asks for its handler.
 */
import type { DocumentSchema } from "./documents/Encoding.ts"
import { AnthropicModel, AnthropicModels, listedEntry, listingDocuments, TokenCount } from "./documents/ListingDocuments.ts"
import { InventoryDocument, ModelDocument } from "./documents/ModelsDocument.ts"

export interface QueryParameter {
  readonly name: string
  readonly description: string
  readonly values?: ReadonlyArray<string>
}

/** One route that needs the fleet. */
export interface BackendRoute {
  /** `{provider}` is a prefix or name of a kind, and a list under it stands for each list of the kind; `{id}` and `{path}` may have slashes. */
  readonly path: string
  readonly methods: ReadonlyArray<"get" | "post" | "put" | "patch" | "delete">
  /** Answer to other methods: 405, the same, or whatever a later row says. */
  readonly others: "refused" | "answered" | "forwarded"
  readonly tag: "models" | "proxy" | "anthropic"
  readonly summary: string
  readonly description?: string
  readonly parameters?: Readonly<Record<string, string>>
  readonly query?: ReadonlyArray<QueryParameter>
  /** Absent: what the backend answers. */
  readonly documents?: ReadonlyArray<DocumentSchema>
  readonly dialect?: "anthropic"
  /** Without this section of `translators` there is no such route; absent: that of `dialect`, or there always is. */
  readonly translator?: "responses" | "ollama"
  /** Statuses of Olla's own beyond those that any route can have. */
  readonly errors: ReadonlyArray<number>
}

/** Every method is; these are the ones that APIs use. */
const forwarded = ["get", "post", "put", "patch", "delete"] as const
const forwarding = [404, 429, 501, 502, 503, 504]
const provider = "A prefix of a backend's profile, or its name: `ollama`, `vllm`, `openai`, …"
const rest = "Rest of the path, as the backend knows it; every method is forwarded"

const listedId = "As the list has it, in any letter case; may contain slashes"

export const backendRoutes = {
  models: {
    path: "/olla/models",
    methods: ["get"],
    others: "refused",
    tag: "models",
    summary: "Models of the whole fleet, in the form that `format` names",
    description:
      "Filters combine. Without the unifier (`model_registry.enable_unifier: false`) the inventory of `/internal/status/models`.",
    query: [
      { name: "format", description: "`unified` when absent; also a profile's prefix or name", values: Object.keys(listingDocuments) },
      { name: "endpoint", description: "Models that this endpoint has" },
      { name: "family", description: "Models of this family" },
      { name: "type", description: "`llm`, `vlm`, `embeddings`, or what the backend calls it" },
      { name: "capability", description: "Older form of `type`: `vision`, `embedding`, `chat`, …" },
      { name: "available", description: "Can a healthy endpoint serve it now?", values: ["true", "false"] },
      { name: "include_unavailable", description: "Also models that no endpoint can serve now", values: ["true"] }
    ],
    documents: [...Object.values(listingDocuments), InventoryDocument],
    errors: [405]
  },
  model: {
    path: "/olla/models/{id}",
    methods: ["get"],
    others: "refused",
    tag: "models",
    summary: "One model by unified id or alias",
    parameters: { id: "Unified id or alias in any letter case; may contain slashes" },
    documents: [ModelDocument],
    errors: [404, 405, 501]
  },
  proxyModels: {
    path: "/olla/proxy/v1/models",
    methods: ["get"],
    others: "forwarded",
    tag: "models",
    summary: "Models of the whole fleet in OpenAI's form",
    documents: [listingDocuments.openai],
    errors: []
  },
  proxyModel: {
    path: "/olla/proxy/v1/models/{id}",
    methods: ["get"],
    others: "forwarded",
    tag: "models",
    summary: "One model of that list, or an alias that somebody can serve",
    parameters: { id: listedId },
    documents: [listedEntry],
    errors: [404]
  },
  proxy: {
    path: "/olla/proxy/{path}",
    methods: forwarded,
    others: "forwarded",
    tag: "proxy",
    summary: "Forwarded to any endpoint that can serve it",
    parameters: { path: rest },
    errors: forwarding
  },
  providerModels: {
    path: "/olla/{provider}/v1/models",
    methods: ["get"],
    others: "answered",
    tag: "models",
    summary: "Models of one kind of backend in OpenAI's form; `/olla/ollama/api/tags` and the like in its own",
    parameters: { provider },
    documents: [listingDocuments.openai],
    errors: [404]
  },
  providerModel: {
    path: "/olla/{provider}/v1/models/{id}",
    methods: ["get"],
    others: "forwarded",
    tag: "models",
    summary: "One model of that list, or an alias that somebody can serve",
    parameters: { provider, id: listedId },
    documents: [listedEntry],
    errors: [404]
  },
  provider: {
    path: "/olla/{provider}/{path}",
    methods: forwarded,
    others: "forwarded",
    tag: "proxy",
    summary: "Forwarded to an endpoint of this kind; `openai` takes every kind that speaks its API",
    parameters: { provider, path: rest },
    errors: forwarding
  },
  messages: {
    path: "/olla/anthropic/v1/messages",
    methods: ["post"],
    others: "refused",
    tag: "anthropic",
    summary: "A message, whole or streamed; natively where the backend speaks the API, else in translation",
    dialect: "anthropic",
    errors: [404, 405, 429, 502, 503, 504]
  },
  countTokens: {
    path: "/olla/anthropic/v1/messages/count_tokens",
    methods: ["post"],
    others: "refused",
    tag: "anthropic",
    summary: "How many tokens a request has",
    documents: [TokenCount],
    dialect: "anthropic",
    errors: [405, 429]
  },
  anthropicModels: {
    path: "/olla/anthropic/v1/models",
    methods: ["get"],
    others: "refused",
    tag: "anthropic",
    summary: "Models in Anthropic's form",
    query: [
      { name: "limit", description: "1 to 1000; all when absent" },
      { name: "after_id", description: "Entries after this one" },
      { name: "before_id", description: "Entries directly before this one" }
    ],
    documents: [AnthropicModels],
    dialect: "anthropic",
    errors: [405]
  },
  anthropicModel: {
    path: "/olla/anthropic/v1/models/{id}",
    methods: ["get"],
    others: "refused",
    tag: "anthropic",
    summary: "One model in Anthropic's form",
    parameters: { id: "As the list has it; may contain slashes" },
    documents: [AnthropicModel],
    dialect: "anthropic",
    errors: [404, 405]
  }
} as const satisfies Readonly<Record<string, BackendRoute>>

/** Those that `Routes.ts` has handlers for; the others are a dialect's. */
export type RoutedName = {
  [Name in keyof typeof backendRoutes]: (typeof backendRoutes)[Name] extends { readonly dialect: string } ? never : Name
}[keyof typeof backendRoutes]

const isRouted = (name: string): name is RoutedName => !("dialect" in backendRoutes[name as keyof typeof backendRoutes])

export const routedNames: ReadonlyArray<RoutedName> = Object.keys(backendRoutes).filter(isRouted)

/** Model listings of every kind, read into one record. Malformed JSON fails the list; an odd entry is skipped, an odd field counts as absent. */
import type { ListedModel, ListedModelDetails } from "./ListedModel.ts"
import type { ListingFormat } from "./ListingFormats.ts"

export type ListingReading =
  | {
      readonly _tag: "ok"
      readonly models: ReadonlyArray<ListedModel>
      /** The list's key, where the answer had no list at all: it comes from another kind of server, or tells of an error. */
      readonly missing: "models" | "data" | undefined
      /** Entries without a usable name. */
      readonly skipped: number
    }
  | { readonly _tag: "error"; readonly message: string }

type Entry = { readonly [key: string]: unknown }

export const listingLabels: Readonly<Record<ListingFormat, string>> = {
  ollama: "Ollama",
  lmstudio: "LM Studio",
  openai: "OpenAI-compatible",
  vllm: "vLLM",
  "vllm-mlx": "vLLM-MLX",
  sglang: "SGLang",
  lmdeploy: "LMDeploy",
  lemonade: "Lemonade",
  llamacpp: "llama.cpp",
  "docker-model-runner": "Docker Model Runner"
}

/** Owners that say nothing about who made the model. */
const defaultOwners: Readonly<Partial<Record<ListingFormat, ReadonlyArray<string>>>> = {
  vllm: ["vllm"],
  sglang: ["sglang"],
  lmdeploy: ["lmdeploy"],
  "vllm-mlx": ["vllm-mlx", "vllm"],
  llamacpp: ["llamacpp"],
  "docker-model-runner": ["docker"]
}

const isEntry = (value: unknown): value is Entry => typeof value === "object" && value !== null && !Array.isArray(value)
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)
const positive = (value: unknown): number | undefined =>
  typeof value === "number" && value > 0 && Number.isSafeInteger(Math.trunc(value)) ? Math.trunc(value) : undefined

/** Entries read between two steps. */
const perStep = 64

/** `value`: the answer's JSON, `undefined` for an empty body, which is no list: models that were known stay. `now`: epoch milliseconds of the answer. In steps, for long lists. */
export function* readListing(format: ListingFormat, value: unknown, now: number): Generator<void, ListingReading> {
  if (value === undefined) return { _tag: "error", message: "the body is empty" }
  if (!isEntry(value)) return { _tag: "error", message: "not a JSON object" }
  const key = format === "ollama" ? "models" : "data"
  const list = value[key]
  if (!Array.isArray(list)) return { _tag: "ok", models: [], missing: key, skipped: 0 }
  const models: Array<ListedModel> = []
  for (const [n, item] of list.entries()) {
    const name = isEntry(item) ? text(item[format === "ollama" ? "name" : "id"]) : undefined
    if (name !== undefined) models.push(read(format, name, item, now))
    if (n % perStep === perStep - 1) yield
  }
  return { _tag: "ok", models, missing: undefined, skipped: list.length - models.length }
}

const read = (format: ListingFormat, name: string, entry: Entry, now: number): ListedModel => {
  if (format === "ollama") return readOllama(name, entry, now)
  if (format === "lmstudio") return readLmStudio(name, entry, now)
  const created = positive(entry["created"])
  const owner = text(entry["owned_by"])
  const details = compact({
    modified_at: created === undefined ? undefined : created * 1000,
    publisher: format === "lemonade" || owner === undefined || defaultOwners[format]?.includes(owner) === true ? undefined : owner,
    max_context_length: contextOf(entry),
    parent_model: format === "vllm" || format === "sglang" || format === "lmdeploy" ? (text(entry["parent"]) ?? rootOf(entry)) : undefined,
    // Docker Model Runner serves GGUF and safetensors, and does not say which.
    format: format === "vllm-mlx" ? "mlx" : format === "llamacpp" ? "gguf" : undefined,
    ...(format === "sglang" ? sglang(entry) : {}),
    ...(format === "lemonade" ? lemonade(entry) : {}),
    ...(format === "llamacpp" ? llamacpp(entry) : {})
  })
  const size = format === "llamacpp" && isEntry(entry["meta"]) ? positive(entry["meta"]["size"]) : undefined
  return {
    name,
    ...optional("aliases", aliasesOf(name, entry)),
    ...optional("type", format === "openai" ? text(entry["object"]) : format),
    ...optional("size", size),
    ...optional("created", created),
    lastSeen: now,
    ...(details === undefined ? {} : { details })
  }
}

/** Names of one model that are read, and their longest, in characters. */
const maxAliases = 32
const longestAlias = 200

/** llama.cpp lists the names that it was given for a model beside its id. */
const aliasesOf = (name: string, entry: Entry): ReadonlyArray<string> | undefined => {
  const list = entry["aliases"]
  if (!Array.isArray(list)) return undefined
  const others = new Set(list.filter((one): one is string => text(one) !== undefined && one !== name && one.length <= longestAlias))
  return others.size === 0 ? undefined : [...others].slice(0, maxAliases)
}

/** What a served name stands for, where it is another name and no path on the server's disk. */
const rootOf = (entry: Entry): string | undefined => {
  const root = text(entry["root"])
  return root === entry["id"] || root === undefined || /^[./~]/.test(root) ? undefined : root
}

/** What a request and its answer may have together, by the names that servers give it; what a server runs with comes before what a model was trained for. */
const contextOf = (entry: Entry): number | undefined => {
  const meta = isEntry(entry["meta"]) ? entry["meta"] : {}
  return (
    positive(entry["max_model_len"]) ??
    positive(entry["context_length"]) ??
    positive(entry["max_context_length"]) ??
    positive(entry["context_window"]) ??
    positive(meta["n_ctx"]) ??
    positive(meta["n_ctx_train"])
  )
}

const flag = (value: unknown): boolean | undefined => (typeof value === "boolean" ? value : undefined)

const sglang = (entry: Entry): Partial<Loose> => ({
  supports_vision: flag(entry["supports_vision"]),
  radix_cache_size: positive(entry["radix_cache_size"]),
  speculative_decoding: flag(entry["spec_decoding"]),
  frontend_enabled: flag(entry["frontend_enabled"])
})

const readOllama = (name: string, entry: Entry, now: number): ListedModel => {
  const inner = isEntry(entry["details"]) ? entry["details"] : {}
  const modified = Date.parse(text(entry["modified_at"]) ?? "")
  const families = Array.isArray(inner["families"])
    ? inner["families"].filter((family): family is string => typeof family === "string")
    : []
  const details = compact({
    digest: text(entry["digest"]),
    modified_at: Number.isNaN(modified) ? undefined : modified,
    parameter_size: text(inner["parameter_size"]),
    quantization_level: text(inner["quantization_level"]),
    family: text(inner["family"]),
    format: text(inner["format"]),
    parent_model: text(inner["parent_model"]),
    max_context_length: positive(inner["context_length"]),
    embedding_length: positive(inner["embedding_length"]),
    families: families.length === 0 ? undefined : families
  })
  return {
    name,
    ...optional("size", positive(entry["size"])),
    ...optional("description", text(entry["description"])),
    ...optional("created", Number.isNaN(modified) || modified <= 0 ? undefined : Math.trunc(modified / 1000)),
    lastSeen: now,
    ...(details === undefined ? {} : { details })
  }
}

/** Words of one list that are read, and their longest, in characters. */
const maxWords = 16
const longestWord = 50

const wordsOf = (list: unknown): ReadonlyArray<string> | undefined => {
  if (!Array.isArray(list)) return undefined
  const words = list.filter((one): one is string => text(one) !== undefined && one.length <= longestWord)
  return words.length === 0 ? undefined : words.slice(0, maxWords)
}

const readLmStudio = (name: string, entry: Entry, now: number): ListedModel => {
  const publisher = text(entry["publisher"])
  const arch = text(entry["arch"])
  const details = compact({
    type: text(entry["type"]),
    publisher,
    parent_model: publisher,
    quantization_level: text(entry["quantization"]),
    family: arch,
    families: arch === undefined ? undefined : [arch],
    format: text(entry["compatibility_type"]),
    state: text(entry["state"]),
    max_context_length: positive(entry["max_context_length"]),
    loaded_context_length: positive(entry["loaded_context_length"]),
    capabilities: wordsOf(entry["capabilities"])
  })
  return { name, ...optional("type", text(entry["object"])), lastSeen: now, ...(details === undefined ? {} : { details }) }
}

const lemonade = (entry: Entry): Partial<Loose> => {
  const checkpoint = text(entry["checkpoint"])
  const recipe = text(entry["recipe"])
  const slash = checkpoint?.indexOf("/") ?? -1
  return {
    checkpoint,
    recipe,
    publisher: slash > 0 ? checkpoint?.slice(0, slash) : undefined,
    format: recipe?.startsWith("oga-") === true ? "onnx" : recipe === "llamacpp" || recipe === "flm" ? "gguf" : undefined,
    state: entry["downloaded"] === true ? "available" : undefined
  }
}

/** Of a server that loads models on demand. */
const routedState = (status: unknown): string | undefined => {
  if (!isEntry(status)) return undefined
  const value = text(status["value"])
  return status["failed"] === true ? "failed" : value === "unloaded" ? "not-loaded" : value
}

const llamacpp = (entry: Entry): Partial<Loose> => {
  const meta = isEntry(entry["meta"]) ? entry["meta"] : {}
  return { parameter_count: positive(meta["n_params"]), embedding_length: positive(meta["n_embd"]), state: routedState(entry["status"]) }
}

type Loose = { [K in keyof ListedModelDetails]: ListedModelDetails[K] | undefined }

const compact = (fields: Partial<Loose>): ListedModelDetails | undefined => {
  const known: Record<string, unknown> = {}
  let some = false
  for (const key in fields) {
    const value = fields[key as keyof ListedModelDetails]
    if (value === undefined) continue
    known[key] = value
    some = true
  }
  return some ? (known as ListedModelDetails) : undefined
}

const optional = <K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } =>
  value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V })

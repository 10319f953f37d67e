/**
 * Model lists in every backend's own format (backend-profiles.md 9, http-api.md 12). Pure: records in, plain objects out,
 * ascending by the id that is shown. In steps: a list of a hundred thousand models would hold the loop for long.
 */
import { compareBytes, sortInSteps } from "./NameOrder.ts"

/** What a list needs to know of a model; the catalogue's unified models fit. */
export interface WritableModel {
  readonly id: string
  readonly family: string
  readonly variant: string
  readonly parameterSize: string
  readonly quantization: string
  /** As discovered; `undefined`: none. */
  readonly families: ReadonlyArray<string> | undefined
  readonly maxContextLength: number | undefined
  readonly aliases: ReadonlyArray<{ readonly name: string; readonly source: string }>
  readonly sources: ReadonlyArray<{
    readonly nativeName: string
    readonly platform: string
    readonly state: string
    readonly diskSize: number
  }>
  readonly capabilities: ReadonlyArray<string>
  readonly diskSize: number
  /** Epoch milliseconds. */
  readonly lastSeen: number
  /** Unix seconds. */
  readonly created: number
  readonly metadata: Readonly<Record<string, unknown>>
}

type Entry = Readonly<Record<string, unknown>>

/** Canonical profile name behind each format. */
const platforms: Readonly<Record<string, string>> = {
  ollama: "ollama",
  lmstudio: "lm-studio",
  vllm: "vllm",
  "vllm-mlx": "vllm-mlx",
  sglang: "sglang",
  lmdeploy: "lmdeploy",
  lemonade: "lemonade",
  llamacpp: "llamacpp",
  "docker-model-runner": "docker-model-runner"
}

const formatAliases: Readonly<Record<string, string>> = {
  "": "unified",
  "lm-studio": "lmstudio",
  lm_studio: "lmstudio",
  "openai-compatible": "openai",
  litellm: "openai",
  omlx: "openai",
  dmr: "docker-model-runner"
}

export const supportedFormats: ReadonlyArray<string> = [
  ...new Set(["unified", "openai", ...Object.keys(platforms), ...Object.keys(formatAliases).filter((name) => name !== "")])
].sort()

/** The format behind a name; `undefined`: there is none. */
export const formatOf = (name: string): string | undefined => {
  const format = formatAliases[name] ?? name
  return format === "unified" || format === "openai" || platforms[format] !== undefined ? format : undefined
}

const compact = (fields: Record<string, unknown>): Entry =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

interface Listed {
  readonly id: string
  readonly entry: Entry
}

/** Ascending by id; equal ids in the order in which they came. `once`: what two models are both called stands there once. */
function* ordered(entries: ReadonlyArray<Listed>, isSorted: boolean, once: boolean): Generator<void, ReadonlyArray<Entry>> {
  const sorted = isSorted ? entries : yield* sortInSteps(entries, (a, b) => compareBytes(a.id, b.id))
  const out: Array<Entry> = []
  let last: string | undefined
  for (const { id, entry } of sorted) {
    if (!once || id !== last) out.push(entry)
    last = id
    if (out.length % 1024 === 0) yield
  }
  return out
}

/** What a list is to have, and how it names it. */
export interface ListingView<A extends WritableModel> {
  /** Those of some models that it is to have. */
  readonly select: (models: ReadonlyArray<A>) => ReadonlyArray<A>
  /** Whose names it shows where it shows all of a model's; absent: everybody's. */
  readonly names?: (source: A["sources"][number]) => boolean
  readonly availabilityOf: (model: A) => Availability
}

/** Distinct names under which a model is asked for, first-named first. */
const names = (model: WritableModel): ReadonlyArray<string> => [
  ...new Set(model.aliases.length > 0 ? model.aliases.map((alias) => alias.name) : [model.id])
]

const firstName = (model: WritableModel): string => model.aliases[0]?.name ?? model.id

const nameFrom = (model: WritableModel, platform: string): string | undefined =>
  model.aliases.find((alias) => alias.source === platform)?.name

const organisations =
  "openai anthropic google meta microsoft amazon xai apple cohere ai21 databricks snowflake ibm salesforce nvidia mistral qwen alibaba deepseek zhipuai tii 01ai baichuan stability eleutherai mosaicml bigcode servicenow cerebras nomic huggingface openrouter together replicate fireworks perplexity groq".split(
    " "
  )

/** A known organisation, or its name with letters after it (`mistralai`); not what only contains one (`qwen2.5`). */
const organisation = new RegExp(`^(?:${organisations.join("|")})[a-z]*$`, "i")

export const ownerOf = (id: string, fallback: string): string => {
  const slash = id.indexOf("/")
  if (slash >= 0) return slash === 0 ? fallback : id.slice(0, slash)
  const dash = id.indexOf("-")
  const start = dash < 0 ? "" : id.slice(0, dash)
  return start.length >= 3 && start.length <= 20 && organisation.test(start) ? start : fallback
}

const quantizationNames: Readonly<Record<string, string>> = {
  q4km: "Q4_K_M",
  q4ks: "Q4_K_S",
  q3kl: "Q3_K_L",
  q3km: "Q3_K_M",
  q3ks: "Q3_K_S",
  q5km: "Q5_K_M",
  q5ks: "Q5_K_S",
  q6k: "Q6_K",
  q8: "Q8_0",
  q4: "Q4_0",
  q5: "Q5_0",
  f16: "F16",
  f32: "F32",
  unk: "unknown"
}

const shownQuantization = (text: string): string => quantizationNames[text] ?? text

const permission = (id: string, created: number): Entry => ({
  group: null,
  id: `modelperm-olla-${id.replaceAll("/", "-")}`,
  object: "model_permission",
  organization: "*",
  created,
  allow_create_engine: false,
  allow_sampling: true,
  allow_logprobs: true,
  allow_search_indices: false,
  allow_view: true,
  allow_fine_tuning: false,
  is_blocking: false
})

const isLoaded = (model: WritableModel): boolean =>
  model.sources.some((source) => source.state === "available" || source.state === "loaded")

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

/** Where a model is: each endpoint once, by name; `offline` where it cannot be used right now. */
export type Availability = ReadonlyArray<{ readonly endpoint: string; readonly state: string }>

const unified = (model: WritableModel, availability: Availability): Listed => {
  const id = firstName(model)
  return {
    id,
    entry: {
      olla: compact({
        max_context_length: model.maxContextLength,
        family: model.family,
        variant: model.variant,
        parameter_size: model.parameterSize,
        quantization: model.quantization,
        aliases: names(model),
        availability,
        capabilities: model.capabilities
      }),
      id,
      object: "model",
      owned_by: "olla",
      created: model.created
    }
  }
}

const ollama = (model: WritableModel) =>
  [...new Set(model.aliases.filter((alias) => alias.source === "ollama").map((alias) => alias.name))].map((name) => {
    const source = model.sources.find((one) => one.nativeName === name && one.diskSize > 0)
    return {
      id: name,
      entry: {
        name,
        model: name,
        modified_at: new Date(model.lastSeen).toISOString().replace(/\.\d+Z$/, "Z"),
        digest: textOf(model.metadata["digest"]) ?? "",
        size: source?.diskSize ?? model.diskSize,
        details: compact({
          format: textOf(model.metadata["format"]),
          family: model.family,
          families: model.families,
          parameter_size: model.parameterSize,
          quantization_level: shownQuantization(model.quantization)
        })
      }
    }
  })

const lmstudio = (model: WritableModel) => {
  const id = nameFrom(model, "lm-studio")
  if (id === undefined) return []
  const has = (name: string) => model.capabilities.includes(name)
  return [
    {
      id,
      entry: compact({
        id,
        object: "model",
        type:
          textOf(model.metadata["model_type"]) ?? (has("vision") ? "vlm" : has("embeddings") || has("embedding") ? "embeddings" : "llm"),
        publisher: textOf(model.metadata["publisher"]) ?? textOf(model.metadata["vendor"]),
        arch: textOf(model.family),
        quantization: textOf(shownQuantization(model.quantization)),
        state: model.sources.find((source) => source.platform === "lm-studio")?.state ?? "not-loaded",
        max_context_length: model.maxContextLength
      })
    }
  ]
}

const provider = (format: string, model: WritableModel): Listed => {
  const id = nameFrom(model, platforms[format] ?? format) ?? firstName(model)
  const created = model.created
  const base = { id, object: "model", owned_by: ownerOf(id, format === "docker-model-runner" ? "docker" : format) }
  const context = model.maxContextLength
  switch (format) {
    case "vllm":
      return { id, entry: compact({ max_model_len: context, ...base, root: id, permission: [permission(id, created)], created }) }
    case "lmdeploy":
      return { id, entry: { ...base, permission: [permission(id, created)], created } }
    case "sglang":
      return {
        id,
        entry: compact({
          max_model_len: context,
          ...base,
          root: id,
          parent: textOf(model.metadata["parent_model"]),
          supports_vision: model.capabilities.includes("vision") || model.metadata["supports_vision"] === true ? true : undefined,
          radix_cache_size: model.metadata["radix_cache_size"],
          spec_decoding: model.metadata["speculative_decoding"],
          frontend_enabled: model.metadata["frontend_enabled"],
          created
        })
      }
    case "lemonade":
      return {
        id,
        entry: {
          ...base,
          checkpoint: textOf(model.metadata["checkpoint"]) ?? "",
          recipe: textOf(model.metadata["recipe"]) ?? "",
          created,
          downloaded: isLoaded(model)
        }
      }
    default:
      return { id, entry: { ...base, created } }
  }
}

const namesShown = <A extends WritableModel>(model: A, { names: shows }: ListingView<A>): ReadonlyArray<string> =>
  shows === undefined ? names(model) : [...new Set(model.sources.filter(shows).map((source) => source.nativeName))]

/** What one model adds to a list. */
const entriesOf = <A extends WritableModel>(format: string, model: A, view: ListingView<A>): ReadonlyArray<Listed> => {
  switch (format) {
    case "unified":
      return [unified(model, view.availabilityOf(model))]
    case "openai":
      return namesShown(model, view).map((id) => ({ id, entry: { id, object: "model", owned_by: "olla", created: model.created } }))
    case "ollama":
      return ollama(model)
    case "lmstudio":
      return lmstudio(model)
    default:
      return [provider(format, model)]
  }
}

/** Models that are selected at a time. */
const perStep = 16
/** Places of models between two steps: a fraction of a millisecond. */
const placesPerStep = 500

/** `format` as `formatOf` gives it. */
export function* writeListing<A extends WritableModel>(
  format: string,
  models: ReadonlyArray<A>,
  view: ListingView<A>
): Generator<void, Entry> {
  const entries: Array<Listed> = []
  // Mostly they come in order: as models are listed, so they are named.
  let isSorted = true
  let places = 0
  for (let i = 0; i < models.length; i += perStep) {
    for (const model of view.select(models.slice(i, i + perStep))) {
      for (const one of entriesOf(format, model, view)) {
        const last = entries[entries.length - 1]
        if (last !== undefined && compareBytes(last.id, one.id) > 0) isSorted = false
        entries.push(one)
      }
      places += model.sources.length
    }
    places += perStep
    if (places < placesPerStep) continue
    places = 0
    yield
  }
  const data = yield* ordered(entries, isSorted, format !== "unified")
  switch (format) {
    case "ollama":
      return { models: data }
    case "llamacpp":
      return { object: "list", data, models: data }
    default:
      return { object: "list", data }
  }
}

/** What one model looks like in each form of a list. Pure: a record in, plain objects out. */
import type { ListingFormat } from "./ListingFormats.ts"

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
    /** Its name without a tag that says nothing (Ollama's `:latest`); absent: it has none. */
    readonly untagged?: string | undefined
    /** Other names that the server takes for it. */
    readonly ownAliases?: ReadonlyArray<string>
  }>
  readonly capabilities: ReadonlyArray<string>
  readonly diskSize: number
  /** Epoch milliseconds. */
  readonly lastSeen: number
  /** Unix seconds. */
  readonly created: number
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Where a model is: each endpoint once, by name; `offline` where it cannot be used right now. */
export type Availability = ReadonlyArray<{ readonly endpoint: string; readonly state: string }>

export type Entry = Readonly<Record<string, unknown>>

export interface Listed {
  readonly id: string
  readonly entry: Entry
}

const compact = (fields: Record<string, unknown>): Entry =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** Distinct names under which a model is asked for, first-named first. */
export const names = (model: WritableModel): ReadonlyArray<string> => [
  ...new Set(model.aliases.length > 0 ? model.aliases.map((alias) => alias.name) : [model.id])
]

/** Of names under which a model is asked for: not `m:latest` where `m` is one too, since they mean the same. */
export const withoutTwins = (all: ReadonlyArray<string>, sources: WritableModel["sources"]): ReadonlyArray<string> => {
  const tagged = sources.filter(({ untagged }) => untagged !== undefined)
  if (all.length < 2 || tagged.length === 0) return all
  const known = new Set(all.map((name) => name.toLowerCase()))
  const twins = new Set(tagged.filter(({ untagged = "" }) => known.has(untagged.toLowerCase())).map(({ nativeName }) => nativeName))
  return twins.size === 0 ? all : all.filter((name) => !twins.has(name))
}

const firstName = (model: WritableModel): string => model.aliases[0]?.name ?? model.id

/** What the first of these kinds that has the model calls it. */
const nameFrom = (model: WritableModel, kinds: ReadonlySet<string>): string | undefined =>
  model.aliases.find((alias) => kinds.has(alias.source))?.name

/** Tokens that a request and its answer may have together, under the names that vLLM and the hosted APIs gave it. */
const context = ({ maxContextLength }: WritableModel): Entry =>
  maxContextLength === undefined ? {} : { max_model_len: maxContextLength, context_length: maxContextLength }

export const openAi = (id: string, model: WritableModel): Listed => ({
  id,
  entry: { id, object: "model", owned_by: "olla", created: model.created, ...context(model) }
})

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

export const unified = (model: WritableModel, availability: Availability): Listed => {
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
      created: model.created,
      ...context(model)
    }
  }
}

const ollama = (model: WritableModel, kinds: ReadonlySet<string>): ReadonlyArray<Listed> =>
  [...new Set(model.aliases.filter((alias) => kinds.has(alias.source)).map((alias) => alias.name))].map((name) => {
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

/** Which of the two forms that LM Studio runs. */
const compatibility = (model: WritableModel): string => (textOf(model.metadata["format"])?.toLowerCase() === "mlx" ? "mlx" : "gguf")

/** Its clients read most of these without asking whether they are there. */
const lmstudio = (model: WritableModel, kinds: ReadonlySet<string>, assumedContext: number | undefined): ReadonlyArray<Listed> => {
  const id = nameFrom(model, kinds)
  if (id === undefined) return []
  const has = (name: string) => model.capabilities.includes(name)
  const state = model.sources.find((source) => kinds.has(source.platform))?.state ?? "unknown"
  return [
    {
      id,
      entry: compact({
        id,
        object: "model",
        type:
          textOf(model.metadata["model_type"]) ?? (has("vision") ? "vlm" : has("embeddings") || has("embedding") ? "embeddings" : "llm"),
        publisher: textOf(model.metadata["publisher"]) ?? textOf(model.metadata["vendor"]) ?? ownerBefore(id),
        arch: model.family,
        compatibility_type: compatibility(model),
        quantization: shownQuantization(model.quantization),
        state: state === "unknown" ? "not-loaded" : state,
        max_context_length: model.maxContextLength ?? assumedContext,
        loaded_context_length: model.metadata["loaded_context_length"],
        capabilities: model.metadata["listed_capabilities"]
      })
    }
  ]
}

const ownerBefore = (id: string): string => {
  const slash = id.indexOf("/")
  return slash > 0 ? id.slice(0, slash) : "unknown"
}

/** What llama.cpp says of the models that it loads on demand, in its own words. */
const served = (id: string, model: WritableModel, kinds: ReadonlySet<string>): Record<string, unknown> => {
  const own = model.sources.filter(({ platform }) => kinds.has(platform))
  const aliases = [...new Set(own.flatMap(({ ownAliases = [] }) => ownAliases))].filter((alias) => alias !== id)
  const states = own.map(({ state }) => state).filter((state) => state !== "unknown" && state !== "available")
  const state = states.includes("loaded") ? "loaded" : states[0]
  return {
    aliases: aliases.length === 0 ? undefined : aliases,
    status: state === undefined ? undefined : { value: state === "not-loaded" ? "unloaded" : state }
  }
}

const provider = (format: ListingFormat, model: WritableModel, kinds: ReadonlySet<string>): Listed => {
  const id = nameFrom(model, kinds) ?? firstName(model)
  const created = model.created
  const base = { id, object: "model", owned_by: ownerOf(id, format === "docker-model-runner" ? "docker" : format), ...context(model) }
  switch (format) {
    case "vllm":
      return { id, entry: { ...base, root: id, permission: [permission(id, created)], created } }
    case "lmdeploy":
      return { id, entry: { ...base, permission: [permission(id, created)], created } }
    case "sglang":
      return {
        id,
        entry: compact({
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
    case "llamacpp":
      return { id, entry: compact({ ...base, created, ...served(id, model, kinds) }) }
    default:
      return { id, entry: { ...base, created } }
  }
}

/** A model as the servers list it whose form this is; nothing where the form has only what they themselves have. */
export const listedAs = (
  format: ListingFormat,
  model: WritableModel,
  kinds: ReadonlySet<string>,
  assumedContext?: number
): ReadonlyArray<Listed> => {
  switch (format) {
    case "ollama":
      return ollama(model, kinds)
    case "lmstudio":
      return lmstudio(model, kinds, assumedContext)
    default:
      return [provider(format, model, kinds)]
  }
}

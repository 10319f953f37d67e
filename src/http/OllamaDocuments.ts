/** Models as Ollama's clients read them: its list, and what `show` tells of one. Every text is there, empty where it is not known. */
import { createHash } from "node:crypto"
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { names, withoutTwins } from "../profile/ListingEntries.ts"
import { compareBytes } from "../profile/NameOrder.ts"

type Document = Readonly<Record<string, unknown>>

const textOf = (value: unknown): string => (typeof value === "string" ? value : "")

const detailsOf = (model: UnifiedModel): Document => ({
  parent_model: textOf(model.metadata["parent_model"]),
  format: model.format,
  family: model.family,
  families: model.families ?? (model.family === "" ? [] : [model.family]),
  parameter_size: textOf(model.metadata["parameter_size"]) || model.parameterSize,
  quantization_level: textOf(model.metadata["quantization_level"])
})

/** Of its last change where a server tells it, else of when it was last listed. */
const modifiedAt = (model: UnifiedModel): string => textOf(model.metadata["modified_at"]) || new Date(model.lastSeen).toISOString()

/** Models without one get one that stays the same. */
const digestOf = (model: UnifiedModel, name: string): string =>
  textOf(model.metadata["digest"]) || createHash("sha256").update(name).digest("hex")

const sizeOf = (model: UnifiedModel, name: string): number =>
  model.sources.find((source) => source.nativeName === name && source.diskSize > 0)?.diskSize ?? model.diskSize

const entryOf = (model: UnifiedModel, name: string): Document => ({
  name,
  model: name,
  modified_at: modifiedAt(model),
  size: sizeOf(model, name),
  digest: digestOf(model, name),
  details: detailsOf(model)
})

/** `aliases`: further names, each with the model behind it. */
export const tagsDocument = (
  models: ReadonlyArray<UnifiedModel>,
  aliases: ReadonlyArray<readonly [name: string, model: UnifiedModel]>
): Document => {
  const entries = new Map<string, Document>()
  for (const model of models) for (const name of withoutTwins(names(model), model.sources)) entries.set(name, entryOf(model, name))
  for (const [name, model] of aliases) if (!entries.has(name)) entries.set(name, entryOf(model, name))
  return { models: [...entries].sort(([a], [b]) => compareBytes(a, b)).map(([, entry]) => entry) }
}

/** Ollama is asked itself. LM Studio loads on demand too and lists what it has loaded; others have everything in memory. */
const isLoaded = ({ endpoint: { profile }, state }: UnifiedModel["sources"][number]): boolean =>
  profile?.ollama !== true && (profile?.listingFormat !== "lmstudio" || state === "loaded")

/** What is in memory of servers other than Ollama. */
export const loadedEntries = (models: ReadonlyArray<UnifiedModel>, assumedContext: number): ReadonlyArray<Document> =>
  models.flatMap((model) =>
    [...new Set(model.sources.filter(isLoaded).map(({ nativeName }) => nativeName))].map((name) => ({
      ...entryOf(model, name),
      // It stays as long as its server runs.
      expires_at: "2318-01-01T00:00:00Z",
      size_vram: sizeOf(model, name),
      context_length: model.maxContextLength ?? assumedContext
    }))
  )

/** Few listings say so: it shows when it answers. */
const hasThought = ({ endpoint, nativeName }: UnifiedModel["sources"][number]): boolean => endpoint.thinking.has(nativeName)

/** In Ollama's words. */
export const capabilitiesOf = (model: UnifiedModel): ReadonlyArray<string> => {
  const listed = model.metadata["listed_capabilities"]
  const all: ReadonlyArray<unknown> = [...model.capabilities, ...(Array.isArray(listed) ? listed : [])]
  const has = (...words: ReadonlyArray<string>) => words.some((word) => all.includes(word))
  const type = model.metadata["model_type"]
  if (type === "embeddings" || type === "embedding" || (has("embedding", "embeddings") && !has("chat", "completion"))) return ["embedding"]
  return [
    "completion",
    "tools",
    ...(type === "vlm" || has("vision", "image") ? ["vision"] : []),
    ...(has("thinking", "reasoning") || model.sources.some(hasThought) ? ["thinking"] : [])
  ]
}

/** Clients size their prompts by the context length and choose their features by the capabilities. */
export const showDocument = (model: UnifiedModel, name: string, assumedContext: number): Document => {
  const architecture = model.family === "" ? "unknown" : model.family
  const embedding = model.metadata["embedding_length"]
  return {
    license: "",
    modelfile: "",
    parameters: "",
    template: "",
    system: "",
    details: detailsOf(model),
    model_info: {
      "general.architecture": architecture,
      "general.basename": name,
      ...(model.parameterCount > 0 ? { "general.parameter_count": Math.round(model.parameterCount) } : {}),
      [`${architecture}.context_length`]: model.maxContextLength ?? assumedContext,
      ...(typeof embedding === "number" ? { [`${architecture}.embedding_length`]: embedding } : {})
    },
    capabilities: capabilitiesOf(model),
    modified_at: modifiedAt(model)
  }
}

/**
 * Which models a list shows. Pure over a snapshot and the endpoints'
 * states; how they are written is the profile room's business.
 */
import { accepts } from "../endpoint/Endpoint.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import type { Profile } from "../profile/Profile.ts"
import type { InventoryEntry } from "./Inventory.ts"
import type { ModelSource, UnifiedModel } from "./ModelOffer.ts"
import { displayId } from "./ModelOrder.ts"

/** A provider's route; routing's `ProviderScope` fits. */
export interface ListingScope {
  /** Takes every OpenAI-compatible kind. */
  readonly inclusive: boolean
  readonly profile: Profile
}

export interface ListingFilter {
  /** Name, or raw URL. */
  readonly endpoint?: string
  readonly family?: string
  /** `llm`, `vlm`, `embeddings`, or any type that a backend states. */
  readonly type?: string
  /** Some source on a routable endpoint that is ready (`loaded` or `available`), or none. */
  readonly ready?: boolean
}

const isUp = (source: ModelSource): boolean => accepts(source.endpoint)

/** Can somebody serve it right now? */
export const isServable = (model: UnifiedModel): boolean => model.sources.some(isUp)

/** Its name for the model is one that the provider's own route takes. */
export const isOfScope =
  ({ inclusive, profile }: ListingScope) =>
  ({ endpoint, platform }: ModelSource): boolean => {
    if (endpoint.isAuto) return true
    return inclusive ? endpoint.profile?.openaiCompatible === true : endpoint.profile === profile || platform === profile.name
  }

const inScope = (model: UnifiedModel, scope: ListingScope): boolean => model.sources.some(isOfScope(scope))

/** Models of a provider (all of them without a scope), in the order in which they came. */
export const listedFor = (
  models: ReadonlyArray<UnifiedModel>,
  scope: ListingScope | undefined,
  { servableOnly }: { readonly servableOnly: boolean }
): ReadonlyArray<UnifiedModel> =>
  models.filter((model) => (!servableOnly || isServable(model)) && (scope === undefined || inScope(model, scope)))

/** What the legacy `capability` query stands for; `undefined`: ignored. */
export const typeOfCapability = (capability: string): string | undefined => {
  switch (capability.toLowerCase()) {
    case "vision":
    case "multimodal":
      return "vlm"
    case "embedding":
    case "embeddings":
    case "vector_search":
      return "embeddings"
    case "chat":
    case "text_generation":
    case "completion":
      return "llm"
    default:
      return undefined
  }
}

const isOfType = (model: UnifiedModel, type: string): boolean => {
  const can = (...names: ReadonlyArray<string>) => names.some((name) => model.capabilities.includes(name))
  if (model.metadata["model_type"] === type || model.metadata["type"] === type) return true
  if (type === "vlm") return can("vision")
  if (type === "embeddings") return can("embedding", "embeddings")
  return type === "llm" && can("chat", "completion")
}

const isReady = (model: UnifiedModel): boolean =>
  model.sources.some((source) => isUp(source) && (source.state === "loaded" || source.state === "available"))

/** All given conditions together; an empty text counts as not given. */
export const filtered = (models: ReadonlyArray<UnifiedModel>, filter: ListingFilter): ReadonlyArray<UnifiedModel> => {
  const { endpoint = "", family = "", type = "", ready } = filter
  return models.filter(
    (model) =>
      (endpoint === "" || model.sources.some((source) => source.endpoint.name === endpoint || source.endpoint.url === endpoint)) &&
      (family === "" || model.family === family) &&
      (type === "" || isOfType(model, type)) &&
      (ready === undefined || isReady(model) === ready)
  )
}

/** One place for each endpoint that has the model, in configuration order; of several tags there the readiest state. */
export const availabilityOf = (model: UnifiedModel): ReadonlyArray<{ readonly endpoint: string; readonly state: string }> => {
  const states = new Map<ModelSource["endpoint"], string>()
  for (const source of model.sources) {
    const state = isUp(source) ? source.state : "offline"
    if (!states.has(source.endpoint) || state === "loaded") states.set(source.endpoint, state)
  }
  return [...states].map(([endpoint, state]) => ({ endpoint: endpoint.name, state }))
}

/** Each name once for each kind that has it, as first listed. */
const namesOf = (sources: ReadonlyArray<ModelSource>): UnifiedModel["aliases"] => {
  const all = sources.flatMap(({ nativeName, ownAliases, platform }) =>
    [nativeName, ...ownAliases].map((name) => ({ name, source: platform }))
  )
  return [...new Map(all.map((alias) => [`${alias.source} ${alias.name}`, alias])).values()]
}

/** Without the unifier: one record for each native name, from the plain lists. */
export const modelsOfInventory = (inventory: ReadonlyArray<InventoryEntry>): ReadonlyArray<UnifiedModel> => {
  const byName = new Map<string, { readonly entry: InventoryEntry; readonly model: InventoryEntry["models"][number] }[]>()
  for (const entry of inventory)
    for (const model of entry.models) {
      const holders = byName.get(model.name)
      if (holders === undefined) byName.set(model.name, [{ entry, model }])
      else holders.push({ entry, model })
    }
  const models = [...byName].map(([name, holders]): UnifiedModel => {
    const sources = holders.map(
      ({ entry, model }): ModelSource => ({
        endpoint: entry.endpoint,
        nativeName: name,
        untagged: undefined,
        ownAliases: model.aliases ?? [],
        otherNames: (model.aliases ?? []).map((alias) => alias.toLowerCase()),
        platform: entry.platform,
        state: model.details?.state ?? ((model.size ?? 0) > 0 ? "available" : "unknown"),
        diskSize: model.size ?? 0,
        lastSeen: Math.max(model.lastSeen, entry.endpoint.modelsSyncedAt)
      })
    )
    const first = <T>(get: (model: InventoryEntry["models"][number]) => T | undefined): T | undefined => {
      for (const { model } of holders) {
        const value = get(model)
        if (value !== undefined && value !== "") return value
      }
      return undefined
    }
    const format = first((model) => model.details?.format)
    return {
      id: name,
      family: first((model) => model.details?.family) ?? "",
      variant: "",
      parameterSize: first((model) => model.details?.parameter_size) ?? "",
      parameterCount: first((model) => model.details?.parameter_count) ?? 0,
      quantization: first((model) => model.details?.quantization_level) ?? "",
      format: format ?? "",
      families: first((model) => model.details?.families),
      maxContextLength: first((model) => model.details?.max_context_length),
      aliases: namesOf(sources),
      sources,
      capabilities: [],
      diskSize: sources.reduce((sum, source) => sum + source.diskSize, 0),
      lastSeen: sources.reduce((latest, source) => Math.max(latest, source.lastSeen), 0),
      created: first((model) => model.created) ?? Math.trunc((holders[0]?.model.lastSeen ?? 0) / 1000),
      metadata: Object.fromEntries(
        Object.entries({
          digest: first((model) => model.details?.digest),
          format,
          families: first((model) => model.details?.families)
        }).filter(([, value]) => value !== undefined)
      )
    }
  })
  return models.sort((a, b) => compareBytes(displayId(a), displayId(b)))
}

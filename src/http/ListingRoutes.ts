/** Model lists: the unified one with its filters, the providers' own, and one model (http-api.md 12, 13, backend-profiles.md 7.5). */
import type { Catalogue } from "../catalogue/Catalogue.ts"
import type { UnifiedModel } from "../catalogue/Snapshot.ts"
import type { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import { formatOf, supportedFormats, writeListing } from "../profile/ListingWriting.ts"
import type { Profile } from "../profile/Profile.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { inScope } from "../routing/Routing.ts"
import { inventoryAsModels, modelDocument, modelsDocument, writable } from "./ModelDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"

export interface ListingServices {
  readonly settings: Settings["Service"]
  readonly fleet: Fleet["Service"]
  readonly catalogue: Catalogue["Service"]
}

const everything = (services: ListingServices): ReadonlyArray<UnifiedModel> =>
  services.settings.current().model_registry.enable_unifier
    ? services.catalogue.snapshot().unified
    : inventoryAsModels(services.fleet.endpoints)

const available = (model: UnifiedModel): boolean => model.sources.some((source) => isRoutable(source.endpoint.state.status))

/** What a provider's list shows: models somebody of it has, and somebody can serve. */
export const providerModels = (services: ListingServices, scope: ProviderScope | undefined): ReadonlyArray<UnifiedModel> =>
  everything(services).filter(
    (model) =>
      available(model) &&
      (scope === undefined ||
        inScope(
          model.sources.map((source) => source.endpoint),
          { ...scope, inclusive: false }
        ).length > 0 ||
        (scope.inclusive && compatible(model)))
  )

const compatible = (model: UnifiedModel): boolean =>
  model.sources.some(({ endpoint }) => endpoint.isAuto || endpoint.profile?.openaiCompatible === true)

export const listing = (services: ListingServices, context: RequestContext, scope: ProviderScope | undefined, format: string): void =>
  context.json(writeListing(format, providerModels(services, scope).map(writable)))

/** The listing paths that Olla answers itself under a provider's prefix, by path without slash, with their format. */
export const interceptsOf = (profile: Profile): ReadonlyMap<string, string> => {
  const out = new Map<string, string>()
  const own = formatOf(profile.listingFormat) ?? "openai"
  const discovery = profile.modelDiscoveryPath.replace(/^\/+/, "")
  if (discovery !== "") out.set(discovery, profile.name === "ollama" ? "ollama" : profile.name === "lm-studio" ? "lmstudio" : own)
  if (profile.openaiCompatible) out.set("v1/models", "openai")
  if (profile.name === "lm-studio") out.set("api/v1/models", "openai").set("api/v0/models", "lmstudio")
  return out
}

/** `?type=`, also by what a model can do. */
const isType = (model: UnifiedModel, type: string): boolean => {
  const has = (...names: ReadonlyArray<string>) => names.some((name) => model.capabilities.includes(name))
  if (model.metadata["model_type"] === type || model.metadata["type"] === type) return true
  if (type === "vlm") return has("vision")
  if (type === "embeddings") return has("embedding", "embeddings")
  return type === "llm" && has("chat", "completion")
}

const typeOfCapability = (capability: string): string | undefined => {
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

const isReady = (model: UnifiedModel): boolean =>
  model.sources.some(({ endpoint, state }) => isRoutable(endpoint.state.status) && (state === "loaded" || state === "available"))

export const modelsRoute = (services: ListingServices, context: RequestContext): void => {
  const query = new URLSearchParams(context.exchange.query)
  if (!services.settings.current().model_registry.enable_unifier) {
    context.json(modelsDocument(services.fleet.endpoints, services.catalogue.snapshot(), Date.now(), false))
    return
  }
  const asked = query.get("format") ?? ""
  const format = formatOf(asked)
  if (format === undefined) {
    context.error("badQuery", {
      what: `invalid query parameter format=${asked.slice(0, 100)}: unsupported format. Supported formats: ${supportedFormats.join(", ")}`
    })
    return
  }
  const ready = query.get("available") ?? ""
  if (ready !== "" && ready !== "true" && ready !== "false") {
    context.error("badQuery", { what: "invalid value for 'available' parameter. Use 'true' or 'false'" })
    return
  }
  const endpoint = query.get("endpoint") ?? ""
  const family = query.get("family") ?? ""
  const type = typeOfCapability(query.get("capability") ?? "") ?? query.get("type") ?? ""
  const all = query.get("include_unavailable") === "true"
  const models = services.catalogue
    .snapshot()
    .unified.filter(
      (model) =>
        (all || available(model)) &&
        (endpoint === "" || model.sources.some((source) => source.endpoint.name === endpoint || source.endpoint.url === endpoint)) &&
        (family === "" || model.family === family) &&
        (type === "" || isType(model, type)) &&
        (ready === "" || isReady(model) === (ready === "true"))
    )
  context.json(writeListing(format, models.map(writable)))
}

/** `id`: the rest of the path, percent-encoding as received. */
export const modelRoute = (services: ListingServices, context: RequestContext, id: string): void => {
  if (!services.settings.current().model_registry.enable_unifier) {
    context.error("noUnifier")
    return
  }
  let name = id
  try {
    name = decodeURIComponent(id)
  } catch {
    // Looked up as it stands.
  }
  if (name === "") {
    context.error("badQuery", { what: "Model ID or alias required" })
    return
  }
  const snapshot = services.catalogue.snapshot()
  const model = snapshot.find(name) ?? snapshot.unified.find((one) => one.id.toLowerCase() === name.toLowerCase())
  if (model === undefined) context.error("unknownModel")
  else context.json(modelDocument(model, Date.now()))
}

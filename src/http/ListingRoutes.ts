/** Model lists: the unified one with its filters, the providers' own, and one model. */
import type { Catalogue } from "../catalogue/Catalogue.ts"
import { availabilityOf, filtered, isOfScope, listedFor, modelsOfInventory, typeOfCapability } from "../catalogue/Listing.ts"
import type { ModelSource, UnifiedModel } from "../catalogue/ModelOffer.ts"
import type { Settings } from "../config/Settings.ts"
import { accepts } from "../endpoint/Endpoint.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import type { WrittenFormat } from "../profile/ListingFormats.ts"
import { formatNamed, formatNames, kindsThatList } from "../profile/ListingNames.ts"
import { writeListing } from "../profile/ListingWriting.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { codexCatalogue } from "./CodexCatalogue.ts"
import { answerDocument } from "./DocumentAnswer.ts"
import { type DocumentSchema, encodeDocument } from "./documents/Encoding.ts"
import { listingDocuments } from "./documents/ListingDocuments.ts"
import { InventoryDocument, ModelDocument } from "./documents/ModelsDocument.ts"
import { answerListing } from "./ListingAnswer.ts"
import { modelDocument, modelsDocument } from "./ModelDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"
import { answerInSteps, type WrittenAnswer } from "./SlicedAnswer.ts"
import { keepPrivate, permitOf, visible, visibleSnapshot } from "./VisibleModels.ts"

export interface ListingServices {
  readonly settings: Settings["Service"]
  readonly fleet: Fleet["Service"]
  readonly catalogue: Catalogue["Service"]
  readonly profiles: ProfileSet
}

/** All that this reader may see. */
const everything = (services: ListingServices, context: RequestContext): ReadonlyArray<UnifiedModel> => {
  keepPrivate(context)
  const snapshot = visibleSnapshot(services.catalogue.snapshot(), permitOf(context))
  // Without the unifier lists are made from the inventory, name by name as listed.
  return services.settings.current().model_registry.enable_unifier ? snapshot.unified : modelsOfInventory(snapshot.inventory)
}

/** Aliases that somebody can serve, each with a model behind it. */
const servedAliases = (services: ListingServices, context: RequestContext): ReadonlyArray<readonly [name: string, model: UnifiedModel]> => {
  const config = services.settings.current()
  const permit = permitOf(context)
  const snapshot = services.catalogue.snapshot()
  const seen = visibleSnapshot(snapshot, permit)
  const all = config.model_registry.enable_unifier ? undefined : modelsOfInventory(seen.inventory)
  return Object.keys(config.model_aliases).flatMap((alias) => {
    for (const { endpoint, nativeName } of snapshot.alias(alias)?.offer.holders ?? []) {
      if (!accepts(endpoint) || permit?.allowsEndpoint(endpoint) === false || permit?.allowsModel(alias, nativeName) === false) continue
      const model = all === undefined ? snapshot.find(nativeName) : all.find(({ id }) => id === nativeName)
      if (model !== undefined) return [[alias, model] as const]
    }
    return []
  })
}

const listed = (
  services: ListingServices,
  context: RequestContext,
  scope: ProviderScope | undefined,
  format: WrittenFormat,
  aliases: ReadonlyArray<readonly [name: string, model: UnifiedModel]>,
  beside: Readonly<Record<string, unknown>>
): void =>
  answerListing(
    context,
    format,
    everything(services, context),
    {
      select: (models) => listedFor(models, scope, { servableOnly: true }),
      kinds: kindsThatList(services.profiles, format),
      aliases,
      assumedContext: services.settings.current().translation.assumed_context,
      // A name that only another kind uses is none of this provider's.
      ...(scope === undefined ? {} : { names: isOfScope(scope) })
    },
    beside
  )

export const listing = (
  services: ListingServices,
  context: RequestContext,
  scope: ProviderScope | undefined,
  format: WrittenFormat
): void => listed(services, context, scope, format, [], {})

/** Every name that a request of the short routes may use, aliases as well. `forCodex`: its catalogue stands beside the list. */
export const namesListing = (services: ListingServices, context: RequestContext, forCodex: boolean): void => {
  const aliases = servedAliases(services, context)
  const { settings } = services
  const catalogue = () =>
    codexCatalogue({
      instructions: settings.codexInstructions(),
      models: listedFor(everything(services, context), undefined, { servableOnly: true }),
      aliases,
      assumedContext: settings.current().translation.assumed_context
    })
  listed(services, context, undefined, "openai", aliases, forCodex ? { models: catalogue() } : {})
}

/** One entry of the list that `listing` gives, by a name in any case; an alias that somebody can serve is one too. */
export const listedModel = (
  services: ListingServices,
  context: RequestContext,
  scope: ProviderScope | undefined,
  format: WrittenFormat,
  id: string
): void => {
  const low = id.toLowerCase()
  const snapshot = services.catalogue.snapshot()
  const inScope = scope === undefined ? () => true : isOfScope(scope)
  const permit = permitOf(context)
  const alias = snapshot.alias(id)
  const named = alias?.targets.find((target) =>
    snapshot
      .offer(target)
      ?.holders.some(
        ({ endpoint, nativeName }) =>
          accepts(endpoint) && permit?.allowsEndpoint(endpoint) !== false && permit?.allowsModel(id, nativeName) !== false
      )
  )
  const wanted = new Set([low, ...(named === undefined ? [] : [named.toLowerCase()])])
  const listed = listedFor(everything(services, context), scope, { servableOnly: true })
  const having = (names: (source: ModelSource) => ReadonlyArray<string>) =>
    listed.find((one) => one.sources.some((source) => inScope(source) && names(source).some((name) => wanted.has(name))))
  const model = having(({ nativeName }) => [nativeName.toLowerCase()]) ?? having(({ otherNames }) => otherNames)
  const entry = model === undefined ? undefined : entryOf(services, scope, format, model, wanted)
  if (entry === undefined) context.fail(404, `model_not_found: the list has no model "${id}"`, "model_not_found")
  else context.json({ ...entry, ...(alias === undefined || named === undefined ? {} : { id: alias.name }) })
}

const entryOf = (
  services: ListingServices,
  scope: ProviderScope | undefined,
  format: WrittenFormat,
  model: UnifiedModel,
  wanted: ReadonlySet<string>
): Readonly<Record<string, unknown>> | undefined => {
  const writing = writeListing(format, [model], {
    select: (models) => models,
    kinds: kindsThatList(services.profiles, format),
    availabilityOf,
    assumedContext: services.settings.current().translation.assumed_context,
    ...(scope === undefined ? {} : { names: isOfScope(scope) })
  })
  let step = writing.next()
  while (step.done !== true) step = writing.next()
  const schema: DocumentSchema = listingDocuments[format]
  const { data } = encodeDocument(schema, step.value) as { readonly data?: ReadonlyArray<Readonly<Record<string, unknown>>> }
  return data?.find((one) => wanted.has(String(one["id"]).toLowerCase())) ?? data?.[0]
}

/** Without the unifier: what `/internal/status/models` says. */
function* plainInventory({ fleet, catalogue }: ListingServices, context: RequestContext): Generator<void, WrittenAnswer> {
  const permit = permitOf(context)
  const endpoints = permit === undefined ? fleet.endpoints : fleet.endpoints.filter((endpoint) => permit.allowsEndpoint(endpoint))
  const document = yield* modelsDocument(endpoints, visibleSnapshot(catalogue.snapshot(), permit), Date.now(), false)
  return { status: 200, body: Buffer.from(JSON.stringify(encodeDocument(InventoryDocument, document))), headers: [] }
}

export const modelsRoute = (services: ListingServices, context: RequestContext): void => {
  const query = new URLSearchParams(context.exchange.query)
  if (!services.settings.current().model_registry.enable_unifier) {
    keepPrivate(context)
    answerInSteps(context, plainInventory(services, context))
    return
  }
  const asked = query.get("format") ?? ""
  const format = formatNamed(services.profiles, asked)
  if (format === undefined) {
    context.error("badQuery", {
      what: `invalid query parameter format=${asked.slice(0, 100)}: unsupported format. Supported formats: ${formatNames(services.profiles).join(", ")}`
    })
    return
  }
  const ready = query.get("available") ?? ""
  if (ready !== "" && ready !== "true" && ready !== "false") {
    context.error("badQuery", { what: "invalid value for 'available' parameter. Use 'true' or 'false'" })
    return
  }
  const all = query.get("include_unavailable") === "true"
  const filter = {
    endpoint: query.get("endpoint") ?? "",
    family: query.get("family") ?? "",
    type: typeOfCapability(query.get("capability") ?? "") ?? query.get("type") ?? "",
    ...(ready === "" ? {} : { ready: ready === "true" })
  }
  keepPrivate(context)
  answerListing(context, format, visible(services.catalogue.snapshot().unified, permitOf(context)), {
    kinds: kindsThatList(services.profiles, format),
    assumedContext: services.settings.current().translation.assumed_context,
    select: (models) => filtered(listedFor(models, undefined, { servableOnly: !all }), filter)
  })
}

/** `id`: the rest of the path, decoded; may contain slashes. */
export const modelRoute = (services: ListingServices, context: RequestContext, id: string): void => {
  if (!services.settings.current().model_registry.enable_unifier) {
    context.error("noUnifier")
    return
  }
  if (id === "") {
    context.error("noModelId")
    return
  }
  keepPrivate(context)
  const found = services.catalogue.snapshot().find(id)
  const [model] = found === undefined ? [] : visible([found], permitOf(context))
  if (model === undefined) context.error("unknownModel")
  else answerDocument(context, ModelDocument, modelDocument(model, Date.now()))
}

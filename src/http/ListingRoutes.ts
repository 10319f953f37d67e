/** Model lists: the unified one with its filters, the providers' own, and one model. */
import type { Catalogue } from "../catalogue/Catalogue.ts"
import { filtered, isOfScope, listedFor, modelsOfInventory, typeOfCapability } from "../catalogue/Listing.ts"
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import type { Settings } from "../config/Settings.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import type { WrittenFormat } from "../profile/ListingFormats.ts"
import { formatNamed, formatNames, kindsThatList } from "../profile/ListingNames.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { answerDocument } from "./DocumentAnswer.ts"
import { encodeDocument } from "./documents/Encoding.ts"
import { InventoryDocument, ModelDocument } from "./documents/ModelsDocument.ts"
import { answerListing } from "./ListingAnswer.ts"
import { modelDocument, modelsDocument } from "./ModelDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"
import { answerInSteps, type WrittenAnswer } from "./SlicedAnswer.ts"

export interface ListingServices {
  readonly settings: Settings["Service"]
  readonly fleet: Fleet["Service"]
  readonly catalogue: Catalogue["Service"]
  readonly profiles: ProfileSet
}

const everything = (services: ListingServices): ReadonlyArray<UnifiedModel> => {
  const snapshot = services.catalogue.snapshot()
  // Without the unifier lists are made of the plain inventory.
  return services.settings.current().model_registry.enable_unifier ? snapshot.unified : modelsOfInventory(snapshot.inventory)
}

export const listing = (
  services: ListingServices,
  context: RequestContext,
  scope: ProviderScope | undefined,
  format: WrittenFormat
): void =>
  answerListing(context, format, everything(services), {
    select: (models) => listedFor(models, scope, { servableOnly: true }),
    kinds: kindsThatList(services.profiles, format),
    // A name that only another kind uses is none of this provider's.
    ...(scope === undefined ? {} : { names: isOfScope(scope) })
  })

/** Without the unifier: what `/internal/status/models` says. */
function* plainInventory({ fleet, catalogue }: ListingServices): Generator<void, WrittenAnswer> {
  const document = yield* modelsDocument(fleet.endpoints, catalogue.snapshot(), Date.now(), false)
  return { status: 200, body: Buffer.from(JSON.stringify(encodeDocument(InventoryDocument, document))), headers: [] }
}

export const modelsRoute = (services: ListingServices, context: RequestContext): void => {
  const query = new URLSearchParams(context.exchange.query)
  if (!services.settings.current().model_registry.enable_unifier) {
    answerInSteps(context, plainInventory(services))
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
  answerListing(context, format, services.catalogue.snapshot().unified, {
    kinds: kindsThatList(services.profiles, format),
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
  const model = services.catalogue.snapshot().find(id)
  if (model === undefined) context.error("unknownModel")
  else answerDocument(context, ModelDocument, modelDocument(model, Date.now()))
}

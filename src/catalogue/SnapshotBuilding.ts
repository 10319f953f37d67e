/** From the endpoints' lists to the snapshot, in steps: offers, unified models, aliases, capabilities. Pure but for `firstSeen`. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import { CapabilityIndex } from "./CapabilityIndex.ts"
import { displayId, sortInSteps } from "./ModelOrder.ts"
import { nativeNameFor, OfferIndex, offerOf } from "./OfferIndex.ts"
import { type AliasOffer, type InventoryEntry, type ModelOffer, noOffer, type Snapshot, type UnifiedModel } from "./Snapshot.ts"
import { type UnifyInput, unify } from "./Unification.ts"

export interface BuildInput extends UnifyInput {
  readonly aliases: Readonly<Record<string, ReadonlyArray<string>>>
  /** Off: names are still found, but nothing is linked, merged or judged by what it can do. */
  readonly unify: boolean
  readonly version: number
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 200

export function* buildSnapshot(input: BuildInput): Generator<void, Snapshot> {
  const offers = yield* offersOf(input.listings, input.unify)
  const entries = input.unify ? yield* unify(input) : []
  const byId = new Map<string, UnifiedModel>()
  const byAlias = new Map<string, UnifiedModel>()
  const byLowId = new Map<string, UnifiedModel>()
  const capabilities = new CapabilityIndex()
  let n = 0
  // Oldest first: it keeps a name that several entries share.
  for (const model of entries) {
    byId.set(model.id, model)
    for (const { name } of model.aliases) putNew(byAlias, name.toLowerCase(), model)
    const lowId = model.id.toLowerCase()
    if (byAlias.get(lowId) !== model) putNew(byLowId, lowId, model)
    // The id of a twin with another digest is no listed name, but clients may use it.
    if (!offers.has(lowId)) offers.set(lowId, offerOf(firstNames(model)))
    capabilities.add(
      model.capabilities,
      model.sources.map((source) => source.endpoint)
    )
    n += 1 + model.sources.length / 4
    if (n >= perStep) {
      n = 0
      yield
    }
  }
  const aliases = new Map<string, AliasOffer>()
  for (const [name, targets] of Object.entries(input.aliases)) {
    aliases.set(name.toLowerCase(), { name, targets, offer: aliasOffer(targets, offers) })
    yield
  }
  const unified = yield* sortInSteps(entries, (a, b) => compareBytes(displayId(a), displayId(b)))
  return {
    version: input.version,
    offer: (name) => offers.get(name.toLowerCase()),
    alias: (name) => aliases.get(name.toLowerCase()),
    unified,
    find: (name) => byId.get(name) ?? byAlias.get(name.toLowerCase()) ?? byLowId.get(name.toLowerCase()),
    capable: (required) => capabilities.find(required),
    inventory: input.listings
  }
}

function* offersOf(listings: ReadonlyArray<InventoryEntry>, linked: boolean): Generator<void, Map<string, ModelOffer>> {
  const index = new OfferIndex()
  let n = 0
  for (const { endpoint, platform, models } of listings) {
    for (const model of models) {
      index.add(endpoint, platform, model.name, linked ? model.details?.digest : undefined)
      if (++n % perStep === 0) yield
    }
  }
  yield* index.link()
  return yield* index.offers()
}

const putNew = (map: Map<string, UnifiedModel>, key: string, model: UnifiedModel): void => {
  if (!map.has(key)) map.set(key, model)
}

const firstNames = (model: UnifiedModel): ReadonlyArray<readonly [Endpoint, string]> => {
  const names = new Map<Endpoint, string>()
  for (const { endpoint, nativeName } of model.sources) if (!names.has(endpoint)) names.set(endpoint, nativeName)
  return [...names]
}

/** First listed target wins on an endpoint that has several (9.2). */
const aliasOffer = (targets: ReadonlyArray<string>, offers: ReadonlyMap<string, ModelOffer>): ModelOffer => {
  const byEndpoint = new Map<Endpoint, string>()
  for (const target of targets) {
    const offer = offers.get(target.toLowerCase())
    if (offer === undefined) continue
    for (const holder of offer.holders)
      if (!byEndpoint.has(holder.endpoint)) byEndpoint.set(holder.endpoint, nativeNameFor(offer, holder, target))
  }
  return byEndpoint.size === 0 ? noOffer : offerOf([...byEndpoint])
}

/** From the endpoints' lists to the snapshot, in steps: offers, unified models, aliases, capabilities. Pure but for `firstSeen`. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import { CapabilityIndex } from "./CapabilityIndex.ts"
import { displayId, sortInSteps } from "./ModelOrder.ts"
import { NameMap } from "./NameMap.ts"
import { nativeNameFor, OfferIndex, offerOf } from "./OfferIndex.ts"
import {
  type AliasOffer,
  type InventoryEntry,
  type ModelHolder,
  type ModelOffer,
  noOffer,
  type Snapshot,
  type UnifiedModel
} from "./Snapshot.ts"
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
  const byName = new NameMap<UnifiedModel>()
  /** Entries whose id, in any case, is first another entry's name. */
  const hidden = new Map<string, UnifiedModel>()
  const hiddenInAnyCase = new Map<string, UnifiedModel>()
  const capabilities = new CapabilityIndex()
  let n = 0
  // Oldest first: it keeps a name that several entries share.
  for (const model of entries) {
    for (const { name } of model.aliases) {
      const low = name.toLowerCase()
      if (!byName.has(low)) byName.set(low, model)
    }
    const low = model.id.toLowerCase()
    if (byName.get(low) !== model) {
      hidden.set(model.id, model)
      if (!hiddenInAnyCase.has(low)) hiddenInAnyCase.set(low, model)
      // The id of a twin with another digest is no listed name, but clients may use it.
      if (!offers.has(low)) offers.set(low, offerOf(firstOfEach(model)))
    }
    capabilities.add(model)
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
    find: (name) => hidden.get(name) ?? byName.get(name.toLowerCase()) ?? hiddenInAnyCase.get(name.toLowerCase()),
    capable: (required) => capabilities.find(required),
    inventory: input.listings
  }
}

function* offersOf(listings: ReadonlyArray<InventoryEntry>, linked: boolean): Generator<void, NameMap<ModelOffer>> {
  const index = new OfferIndex()
  let n = 0
  for (const { sources } of listings) {
    for (const source of sources) {
      index.add(source, linked)
      if (++n % perStep === 0) yield
    }
  }
  yield* index.link()
  return index.offers
}

const firstOfEach = (model: UnifiedModel): ReadonlyArray<ModelHolder> => {
  const holders = new Map<Endpoint, ModelHolder>()
  for (const source of model.sources) if (!holders.has(source.endpoint)) holders.set(source.endpoint, source)
  return [...holders.values()]
}

/** First listed target wins on an endpoint that has several (9.2). */
const aliasOffer = (targets: ReadonlyArray<string>, offers: NameMap<ModelOffer>): ModelOffer => {
  const holders = new Map<Endpoint, ModelHolder>()
  for (const target of targets) {
    const offer = offers.get(target.toLowerCase())
    if (offer === undefined) continue
    for (const holder of offer.holders)
      if (!holders.has(holder.endpoint))
        holders.set(holder.endpoint, { endpoint: holder.endpoint, nativeName: nativeNameFor(offer, holder, target) })
  }
  return holders.size === 0 ? noOffer : offerOf([...holders.values()])
}

/** From the endpoints' lists to the snapshot, in steps: offers, unified models, aliases, capabilities. Pure but for `firstSeen`. */
import { type AliasConfig, policyOf, targetsOf } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { compareBytes, sortInSteps } from "../profile/NameOrder.ts"
import { CapabilityIndex } from "./CapabilityIndex.ts"
import { type InventoryEntry, Source } from "./Inventory.ts"
import type { AliasHolder, AliasHolders, AliasOffer, ModelHolder, ModelOffer, UnifiedModel } from "./ModelOffer.ts"
import { displayId } from "./ModelOrder.ts"
import { NameMap } from "./NameMap.ts"
import { variantsOf } from "./NameVariants.ts"
import { nativeNameFor, OfferIndex, offerOf } from "./OfferIndex.ts"
import type { Snapshot } from "./Snapshot.ts"
import { type Unified, type UnifyInput, unify } from "./Unification.ts"
import { Merged, type Pass } from "./UnifiedModel.ts"

export interface BuildInput extends UnifyInput {
  readonly aliases: Readonly<Record<string, AliasConfig>>
  /** Off: names are still found, but nothing is linked, merged or judged by what it can do. */
  readonly unify: boolean
  readonly version: number
  /** The last snapshot's models: what is taken over from it need not be sorted again. */
  readonly before?: ReadonlyArray<UnifiedModel>
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 200

const nothingUnified: Unified = { models: [], byName: new NameMap(), hidden: [], pass: {} }

export function* buildSnapshot(input: BuildInput): Generator<void, Snapshot> {
  const offers = yield* offersOf(input.listings, input.unify)
  const { models, byName, hidden: hiddenModels, pass } = input.unify ? yield* unify(input) : nothingUnified
  const hidden = new Map<string, UnifiedModel>()
  const hiddenInAnyCase = new Map<string, UnifiedModel>()
  for (const model of hiddenModels) {
    const low = model.id.toLowerCase()
    hidden.set(model.id, model)
    if (!hiddenInAnyCase.has(low)) hiddenInAnyCase.set(low, model)
    // The id of a twin with another digest is no listed name, but clients may use it.
    if (!offers.has(low)) offers.set(low, offerOf(firstOfEach(model)))
  }
  const capabilities = new CapabilityIndex()
  let n = 0
  for (const model of models) {
    capabilities.add(model)
    n += 1 + model.sources.length / 4
    if (n >= perStep) {
      n = 0
      yield
    }
  }
  const aliases = new Map<string, AliasOffer>()
  for (const [name, alias] of Object.entries(input.aliases)) {
    aliases.set(name.toLowerCase(), aliasOffer(name, alias, offers))
    yield
  }
  /** The name itself where anything is called so. */
  const meant = (name: string): string => {
    const low = name.toLowerCase()
    const isKnown = (one: string) => offers.has(one) || aliases.has(one)
    return isKnown(low) ? low : (variantsOf(low).find(isKnown) ?? low)
  }
  const unified = yield* inOrder(input.before ?? [], models, pass)
  return {
    version: input.version,
    meant,
    offer: (name) => offers.get(meant(name)),
    alias: (name) => aliases.get(meant(name)),
    unified,
    find: (name) => hidden.get(name) ?? byName.get(name.toLowerCase()) ?? hiddenInAnyCase.get(name.toLowerCase()),
    capable: (required) => capabilities.find(required),
    inventory: input.listings
  }
}

/** Twins with other digests share the name that is shown. */
const byDisplayId = (a: UnifiedModel, b: UnifiedModel): number => compareBytes(displayId(a), displayId(b)) || compareBytes(a.id, b.id)

/** By client-facing id. What was there before is in order already: only what is new is sorted, and put between. */
function* inOrder(
  before: ReadonlyArray<UnifiedModel>,
  models: ReadonlyArray<Merged>,
  pass: Pass
): Generator<void, ReadonlyArray<UnifiedModel>> {
  const kept: Array<Merged> = []
  const placed: Pass = {}
  for (const model of before) {
    if (!(model instanceof Merged) || !model.isOf(pass)) continue
    model.stamp(placed)
    kept.push(model)
    if (kept.length % perStep === 0) yield
  }
  if (kept.length === models.length) return kept
  const added = models.filter((model) => !model.isOf(placed))
  yield
  const fresh = yield* sortInSteps(added, byDisplayId)
  if (kept.length === 0) return fresh
  const out: Array<UnifiedModel> = []
  let next = 0
  for (const model of kept) {
    for (let one = fresh[next]; one !== undefined && byDisplayId(one, model) < 0; one = fresh[++next]) out.push(one)
    out.push(model)
    if (out.length % perStep === 0) yield
  }
  for (; next < fresh.length; next++) out.push(fresh[next] as UnifiedModel)
  return out
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

const aliasOffer = (name: string, alias: AliasConfig, offers: NameMap<ModelOffer>): AliasOffer => {
  const targets = targetsOf(alias)
  const { policy = "pool", on = [] } = policyOf(alias) ?? {}
  const byTarget = targets.map((target) => holdersOf(target, offers))
  const seen = new Map<Endpoint, Set<string>>()
  const all: Array<AliasHolder> = []
  for (const { holders } of byTarget)
    for (const holder of holders) {
      const names = seen.get(holder.endpoint) ?? new Set()
      seen.set(holder.endpoint, names)
      if (names.has(holder.nativeName)) continue
      names.add(holder.nativeName)
      all.push(holder)
    }
  // The sort is stable: an endpoint's own stay in order of targets.
  all.sort((a, b) => a.endpoint.index - b.endpoint.index)
  const first = all.filter((holder, index) => holder.endpoint !== all[index - 1]?.endpoint)
  const offerBy = (holders: ReadonlyArray<AliasHolder>): AliasHolders => ({ holders, spellings: undefined })
  return { name, targets, policy, on, offer: offerBy(first), all: offerBy(all), byTarget }
}

const holdersOf = (target: string, offers: NameMap<ModelOffer>): AliasHolders => {
  const offer = offers.get(target.toLowerCase())
  const holders = (offer?.holders ?? []).map((holder): AliasHolder => {
    const { endpoint } = holder
    const nativeName = offer === undefined ? holder.nativeName : nativeNameFor(offer, holder, target)
    const listed = holder instanceof Source && nativeName === holder.nativeName ? holder.model : modelNamed(endpoint, nativeName)
    return { endpoint, nativeName, target, contextLength: listed?.details?.max_context_length }
  })
  return { holders, spellings: undefined }
}

const modelNamed = ({ models }: Endpoint, name: string) => models.find((model) => model.name === name)

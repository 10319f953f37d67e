/**
 * Who has a model under which name: one entry for every name that a client may use, lower-cased. Where one endpoint has
 * several that fit, the closest wins: the same name ignoring case, then the tag that its kind implies (Ollama's `:latest`) or an
 * alias of the server's own, then a copy with the same digest.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { Source } from "./Inventory.ts"
import type { ModelHolder, ModelOffer } from "./ModelOffer.ts"
import { NameMap } from "./NameMap.ts"

/** Work between two steps: a fraction of a millisecond. */
const perStep = 500

class Offer implements ModelOffer {
  holders: Array<ModelHolder>
  spellings: Map<Endpoint, Array<string>> | undefined

  constructor(holders: Array<ModelHolder>) {
    this.holders = holders
    this.spellings = undefined
  }

  /** `low`: the name that this offer is for. Endpoints come in configuration order. */
  add(low: string, source: Source): void {
    const last = this.holders[this.holders.length - 1]
    if (last?.endpoint !== source.endpoint) {
      this.holders.push(source)
      return
    }
    if (source.lowName !== low) return
    if (last.nativeName.toLowerCase() !== low) this.holders[this.holders.length - 1] = source
    else if (last.nativeName !== source.nativeName) this.#spell(last, source)
  }

  #spell({ endpoint, nativeName }: ModelHolder, other: Source): void {
    this.spellings ??= new Map()
    const known = this.spellings.get(endpoint)
    if (known === undefined) this.spellings.set(endpoint, [nativeName, other.nativeName])
    else known.push(other.nativeName)
  }
}

/** Of holders with distinct endpoints, in any order. */
export const offerOf = (holders: ReadonlyArray<ModelHolder>): ModelOffer =>
  new Offer([...holders].sort((a, b) => a.endpoint.index - b.endpoint.index))

interface Blob {
  /** The first name of each endpoint that has it. */
  readonly holders: Array<Source>
  readonly names: Set<string>
}

/** One name and one blob are the rule: what links nothing costs one object. */
interface Lone {
  readonly source: Source
  readonly low: string
}

export class OfferIndex {
  /** A model that one endpoint has is offered by that source itself: in large fleets most are. */
  readonly offers = new NameMap<Offer | Source>()
  readonly #lone = new NameMap<Lone | Blob>()
  readonly #blobs: Array<Blob> = []

  /** Endpoints come one after the other, in configuration order. `linked`: digests count. */
  add(source: Source, linked: boolean): void {
    const low = source.lowName
    this.#put(low, source)
    const others = source.otherNames
    for (const other of others) this.#put(other, source)
    const digest = linked ? source.model.details?.digest : undefined
    if (digest !== undefined && digest !== "") this.#remember(digest, low, others, source)
  }

  #remember(digest: string, low: string, others: ReadonlyArray<string>, source: Source): void {
    const known = this.#lone.get(digest)
    if (known === undefined && others.length === 0) {
      this.#lone.set(digest, { source, low })
      return
    }
    let blob: Blob
    if (known === undefined) blob = { holders: [], names: new Set() }
    else if ("names" in known) blob = known
    else blob = { holders: [known.source], names: new Set([known.low]) }
    if (blob !== known) {
      this.#lone.set(digest, blob)
      this.#blobs.push(blob)
    }
    if (blob.holders[blob.holders.length - 1]?.endpoint !== source.endpoint) blob.holders.push(source)
    blob.names.add(low)
    for (const other of others) blob.names.add(other)
  }

  /** Digest links, drawn when all holders are known. */
  *link(): Generator<void> {
    let n = 0
    for (const { holders, names } of this.#blobs) {
      if (++n % perStep === 0) yield
      if (names.size === 1) continue
      for (const name of names) {
        this.#link(name, holders)
        n += holders.length
        if (n >= perStep) {
          n = 0
          yield
        }
      }
    }
  }

  #link(name: string, holders: ReadonlyArray<Source>): void {
    const offer = this.offers.get(name) as Offer | Source
    const all = merged(offer.holders, holders)
    if (all.length === offer.holders.length) return
    if (offer instanceof Offer) offer.holders = all
    else this.offers.set(name, new Offer(all))
  }

  #put(low: string, source: Source): void {
    const known = this.offers.get(low)
    if (known === undefined) this.offers.set(low, source)
    else if (known instanceof Offer) known.add(low, source)
    else {
      const offer = new Offer([known])
      offer.add(low, source)
      const [only] = offer.holders
      this.offers.set(low, offer.holders.length === 1 && offer.spellings === undefined && only instanceof Source ? only : offer)
    }
  }
}

/** Both in configuration order; of one endpoint the first list's holder. */
const merged = (named: ReadonlyArray<ModelHolder>, linked: ReadonlyArray<ModelHolder>): Array<ModelHolder> => {
  const out: Array<ModelHolder> = []
  let i = 0
  for (const link of linked) {
    while (i < named.length && (named[i] as ModelHolder).endpoint.index < link.endpoint.index) out.push(named[i++] as ModelHolder)
    if (named[i]?.endpoint !== link.endpoint) out.push(link)
  }
  while (i < named.length) out.push(named[i++] as ModelHolder)
  return out
}

/** What a holder calls the model: of names that differ in case only, the client's own spelling. */
export const nativeNameFor = (offer: ModelOffer, holder: ModelHolder, spelling: string): string =>
  offer.spellings?.get(holder.endpoint)?.includes(spelling) === true ? spelling : holder.nativeName

/**
 * Who has a model under which name: one entry for every name that a client may use, lower-cased (models-and-routing.md
 * 2.4 and B3). Where one endpoint has several that fit, the closest wins: the same name ignoring case, then Ollama's
 * `:latest`, then a copy with the same digest.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ModelOffer } from "./Snapshot.ts"

const closeness = { name: 0, latest: 1, digest: 2 } as const

interface Holder {
  readonly endpoint: Endpoint
  native: string
  rank: number
  /** More than one only where the endpoint's names differ in case. */
  spellings: Array<string> | undefined
}

interface Blob {
  readonly holders: Map<Endpoint, string>
  readonly names: Set<string>
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 500

class Offer implements ModelOffer {
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly nativeNames: ReadonlyArray<string>
  readonly spellings: ReadonlyMap<Endpoint, ReadonlyArray<string>> | undefined
  #holders: ModelOffer["holders"] | undefined

  constructor(
    endpoints: ReadonlyArray<Endpoint>,
    nativeNames: ReadonlyArray<string>,
    spellings: ReadonlyMap<Endpoint, ReadonlyArray<string>> | undefined
  ) {
    this.endpoints = endpoints
    this.nativeNames = nativeNames
    this.spellings = spellings
  }

  /** Made when first asked for: most names are never asked for. */
  get holders(): ModelOffer["holders"] {
    this.#holders ??= this.endpoints.map((endpoint, i) => ({ endpoint, nativeName: this.nativeNames[i] as string }))
    return this.#holders
  }
}

const offerOfHolders = (holders: ReadonlyArray<Holder>): ModelOffer => {
  let spellings: Map<Endpoint, ReadonlyArray<string>> | undefined
  for (const holder of holders) {
    if (holder.spellings === undefined) continue
    spellings ??= new Map()
    spellings.set(holder.endpoint, holder.spellings)
  }
  return new Offer(
    holders.map((holder) => holder.endpoint),
    holders.map((holder) => holder.native),
    spellings
  )
}

/** Of pairs with distinct endpoints, in any order. */
export const offerOf = (pairs: ReadonlyArray<readonly [Endpoint, string]>): ModelOffer => {
  const sorted = [...pairs].sort(([a], [b]) => a.index - b.index)
  return new Offer(
    sorted.map(([endpoint]) => endpoint),
    sorted.map(([, native]) => native),
    undefined
  )
}

export class OfferIndex {
  /** Holders in configuration order. */
  readonly #names = new Map<string, Array<Holder>>()
  readonly #blobs = new Map<string, Blob>()

  /** Endpoints come one after the other, in configuration order. */
  add(endpoint: Endpoint, platform: string, name: string, digest: string | undefined): void {
    const low = name.toLowerCase()
    this.#put(low, endpoint, name, closeness.name)
    const twin = platform === "ollama" ? latestTwin(low) : undefined
    if (twin !== undefined) this.#put(twin, endpoint, name, closeness.latest)
    if (digest === undefined || digest === "") return
    let blob = this.#blobs.get(digest)
    if (blob === undefined) {
      blob = { holders: new Map(), names: new Set() }
      this.#blobs.set(digest, blob)
    }
    if (!blob.holders.has(endpoint)) blob.holders.set(endpoint, name)
    blob.names.add(low)
    if (twin !== undefined) blob.names.add(twin)
  }

  /** Digest links, drawn when all holders are known. */
  *link(): Generator<void> {
    let n = 0
    for (const { holders, names } of this.#blobs.values()) {
      if (++n % perStep === 0) yield
      if (names.size === 1) continue
      for (const name of names) {
        const known = this.#names.get(name) ?? []
        const listed = new Set(known.map((holder) => holder.endpoint))
        const linked: Array<Holder> = []
        for (const [endpoint, native] of holders) {
          if (!listed.has(endpoint)) linked.push({ endpoint, native, rank: closeness.digest, spellings: undefined })
          n++
        }
        if (linked.length > 0) {
          this.#names.set(
            name,
            [...known, ...linked].sort((a, b) => a.endpoint.index - b.endpoint.index)
          )
        }
        if (n >= perStep) {
          n = 0
          yield
        }
      }
    }
  }

  *offers(): Generator<void, Map<string, ModelOffer>> {
    const out = new Map<string, ModelOffer>()
    let n = 0
    for (const [name, holders] of this.#names) {
      out.set(name, offerOfHolders(holders))
      n += 1 + holders.length
      if (n >= perStep) {
        n = 0
        yield
      }
    }
    return out
  }

  #put(name: string, endpoint: Endpoint, native: string, rank: number): void {
    const holders = this.#names.get(name)
    if (holders === undefined) {
      this.#names.set(name, [{ endpoint, native, rank, spellings: undefined }])
      return
    }
    const last = holders[holders.length - 1] as Holder
    if (last.endpoint !== endpoint) {
      holders.push({ endpoint, native, rank, spellings: undefined })
      return
    }
    if (rank < last.rank) {
      last.native = native
      last.rank = rank
    } else if (rank === closeness.name && rank === last.rank && native !== last.native) {
      last.spellings ??= [last.native]
      if (!last.spellings.includes(native)) last.spellings.push(native)
    }
  }
}

/** Ollama takes `m` for `m:latest`, and the other way round. */
const latestTwin = (low: string): string | undefined =>
  low.endsWith(":latest") ? low.slice(0, -":latest".length) : low.includes(":") ? undefined : `${low}:latest`

/** What a holder calls the model: of names that differ in case only, the client's own spelling. */
export const nativeNameFor = (offer: ModelOffer, holder: ModelOffer["holders"][number], spelling: string): string =>
  offer.spellings?.get(holder.endpoint)?.includes(spelling) === true ? spelling : holder.nativeName

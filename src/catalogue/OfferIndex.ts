/**
 * Who has a model under which name: one entry for every name that a client may use, lower-cased (models-and-routing.md
 * 2.4 and B3). Where one endpoint has several that fit, the closest wins: the same name ignoring case, then Ollama's
 * `:latest`, then a copy with the same digest.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ModelOffer } from "./Snapshot.ts"

const rank = { name: 0, latest: 1, digest: 2 } as const

interface Named {
  readonly native: string
  readonly rank: number
}

export class OfferIndex {
  readonly #names = new Map<string, Map<Endpoint, Named>>()
  readonly #digests = new Map<string, Map<Endpoint, string>>()
  readonly #namesOfDigest = new Map<string, Set<string>>()

  /** Endpoints come in configuration order, which stays the order of offers. */
  add(endpoint: Endpoint, platform: string, name: string, digest: string | undefined): void {
    const low = name.toLowerCase()
    this.#put(low, endpoint, name, rank.name)
    if (platform === "ollama") {
      if (low.endsWith(":latest")) this.#put(low.slice(0, -":latest".length), endpoint, name, rank.latest)
      else if (!low.includes(":")) this.#put(`${low}:latest`, endpoint, name, rank.latest)
    }
    if (digest === undefined) return
    const holders = this.#digests.get(digest) ?? new Map<Endpoint, string>()
    if (!holders.has(endpoint)) holders.set(endpoint, name)
    this.#digests.set(digest, holders)
    const names = this.#namesOfDigest.get(digest) ?? new Set<string>()
    names.add(low)
    this.#namesOfDigest.set(digest, names)
  }

  /** Digest links are drawn last, when all holders are known. */
  *link(): Generator<void> {
    for (const [digest, names] of this.#namesOfDigest) {
      const holders = this.#digests.get(digest)
      if (holders === undefined || (names.size === 1 && holders.size === 1)) continue
      for (const name of names) for (const [endpoint, native] of holders) this.#put(name, endpoint, native, rank.digest)
      yield
    }
  }

  *offers(): Generator<void, Map<string, ModelOffer>> {
    const out = new Map<string, ModelOffer>()
    let n = 0
    for (const [name, byEndpoint] of this.#names) {
      out.set(name, offerOf([...byEndpoint].map(([endpoint, named]) => [endpoint, named.native])))
      if (++n % 200 === 0) yield
    }
    return out
  }

  #put(name: string, endpoint: Endpoint, native: string, rank: number): void {
    const byEndpoint = this.#names.get(name) ?? new Map<Endpoint, Named>()
    this.#names.set(name, byEndpoint)
    const known = byEndpoint.get(endpoint)
    if (known === undefined || rank < known.rank) byEndpoint.set(endpoint, { native, rank })
  }
}

export const offerOf = (pairs: ReadonlyArray<readonly [Endpoint, string]>): ModelOffer => {
  const sorted = [...pairs].sort(([a], [b]) => a.index - b.index)
  return { endpoints: sorted.map(([endpoint]) => endpoint), nativeNames: sorted.map(([, native]) => native), nativeNameOn: new Map(sorted) }
}

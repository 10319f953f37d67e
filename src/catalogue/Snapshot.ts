/**
 * What models exist where, at one moment: built off the request path, swapped whole, never changed. A request costs one
 * map lookup for its model, whatever the fleet's size. What an endpoint is like right now (its status, when it was last
 * heard of) is not in here: it is read where it lives.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Source } from "./Inventory.ts"

/** An endpoint that has a model, and what it calls it: a candidate as routing wants it. */
export interface ModelHolder {
  readonly endpoint: Endpoint
  readonly nativeName: string
}

/** Who has a model, and what each of them calls it. */
export interface ModelOffer {
  /** In configuration order, whatever their status, each endpoint once. */
  readonly holders: ReadonlyArray<ModelHolder>
  /** Only where an endpoint lists several names that differ in case: all of them, so that the client's own spelling is kept. */
  readonly spellings: ReadonlyMap<Endpoint, ReadonlyArray<string>> | undefined
}

/** A configured alias. */
export interface AliasOffer {
  /** As configured. */
  readonly name: string
  /** Configured targets, in order. */
  readonly targets: ReadonlyArray<string>
  /** Who has one of them; no holders when nobody is known to. */
  readonly offer: ModelOffer
}

/** What one endpoint listed last, as long as it counts (models-and-routing.md 3.9). */
export interface InventoryEntry {
  readonly endpoint: Endpoint
  /** Canonical profile name of the endpoint when it was listed. */
  readonly platform: string
  readonly models: ReadonlyArray<ListedModel>
  /** One for each name that it lists. */
  readonly sources: ReadonlyArray<Source>
}

/** One entry for the same model on several endpoints (models-and-routing.md 3.1). */
export interface UnifiedModel {
  readonly id: string
  readonly family: string
  readonly variant: string
  readonly parameterSize: string
  readonly parameterCount: number
  readonly quantization: string
  readonly format: string
  /** As the backend that names any lists them; `undefined`: nobody does. */
  readonly families: ReadonlyArray<string> | undefined
  readonly maxContextLength: number | undefined
  /** First-named first; `source` is the canonical profile name that reported it. */
  readonly aliases: ReadonlyArray<{ readonly name: string; readonly source: string }>
  readonly sources: ReadonlyArray<ModelSource>
  /** Sorted. */
  readonly capabilities: ReadonlyArray<string>
  readonly diskSize: number
  /** Epoch milliseconds; follows the endpoints' later listings. */
  readonly lastSeen: number
  /** Unix seconds: the backend's value, else when it was first seen. */
  readonly created: number
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface ModelSource {
  readonly endpoint: Endpoint
  readonly nativeName: string
  /** Canonical profile name of the endpoint when it was listed. */
  readonly platform: string
  /** Raw state: `loaded`, `not-loaded`, `available`, `unknown`, ... */
  readonly state: string
  readonly diskSize: number
  readonly lastSeen: number
}

export interface Snapshot {
  /** Rises by one with each swap. */
  readonly version: number
  /** By client name in any case, digest links and Ollama's `:latest` rule included. */
  readonly offer: (model: string) => ModelOffer | undefined
  /** A configured alias in any case, with each endpoint's native name (first listed target wins). */
  readonly alias: (model: string) => AliasOffer | undefined
  /** Sorted by client-facing id, by bytes. Empty with the unifier off. */
  readonly unified: ReadonlyArray<UnifiedModel>
  /** By id, else alias name, else id in any case. */
  readonly find: (idOrAlias: string) => UnifiedModel | undefined
  /** Endpoints that have one model with all these capabilities; `undefined`: nothing is known. */
  readonly capable: (required: ReadonlyArray<ReadonlyArray<string>>) => ReadonlySet<Endpoint> | undefined
  /** The plain lists, in configuration order: what listings are made of with the unifier off. */
  readonly inventory: ReadonlyArray<InventoryEntry>
}

/** Nobody has it. */
export const noOffer: ModelOffer = { holders: [], spellings: undefined }

export const emptySnapshot: Snapshot = {
  version: 0,
  offer: () => undefined,
  alias: () => undefined,
  unified: [],
  find: () => undefined,
  capable: () => undefined,
  inventory: []
}

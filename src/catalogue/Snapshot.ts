/**
 * What models exist where, at one moment: built off the request path, swapped whole, never changed. A request costs one
 * map lookup for its model, whatever the fleet's size. What an endpoint is like right now (its status, when it was last
 * heard of) is not in here: it is read where it lives.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { InventoryEntry } from "./Inventory.ts"
import type { AliasOffer, ModelOffer, UnifiedModel } from "./ModelOffer.ts"

export interface Snapshot {
  /** Rises by one with each swap. */
  readonly version: number
  /** The name of a model or alias that a client's name stands for, lower-cased; itself where there is none. */
  readonly meant: (name: string) => string
  /** By client name in any case, digest links, Ollama's `:latest` rule and other ways of writing it (`NameVariants.ts`) included. */
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

export const emptySnapshot: Snapshot = {
  version: 0,
  meant: (name) => name.toLowerCase(),
  offer: () => undefined,
  alias: () => undefined,
  unified: [],
  find: () => undefined,
  capable: () => undefined,
  inventory: []
}

/** Owner of the routing snapshot. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Snapshot } from "./Snapshot.ts"

export class Catalogue extends Context.Service<
  Catalogue,
  {
    /** The current snapshot: a field read. */
    readonly snapshot: () => Snapshot
    /** Something has been registered that is not in the snapshot yet. */
    readonly isBehind: () => boolean
    /** Resolves once every listing registered so far is in the snapshot. */
    readonly settled: Effect.Effect<void>
  }
>()("olla/catalogue/Catalogue") {}

/** Going over to what the configuration's files say now, without a restart: the port of everybody who asks for it. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Diagnostic } from "./Diagnostic.ts"

export type ReloadTrigger = "sighup" | "post" | "watch"

/** `Reloaded`: in force. `Refused`: something is wrong with it, and what was in force before still is. */
export type ReloadOutcome =
  | {
      readonly _tag: "Reloaded"
      readonly generation: number
      /** Keys, in the Schema's order; empty: everything is as it was, and so is the generation. */
      readonly changed: ReadonlyArray<string>
      /** Keys that are otherwise than at the start and do not count before the next one. */
      readonly restartNeeded: ReadonlyArray<string>
    }
  | { readonly _tag: "Refused"; readonly message: string; readonly findings: ReadonlyArray<Diagnostic> }

export interface ConfigStatus {
  readonly generation: number
  /** Epoch milliseconds. */
  readonly loadedAt: number
  /** Path of the file; empty: built-in defaults and variables. */
  readonly source: string
  /** Of the last reload, if it was refused. */
  readonly lastError: { readonly at: number; readonly message: string; readonly findings: ReadonlyArray<Diagnostic> } | undefined
  readonly restartNeeded: ReadonlyArray<string>
}

export class Reload extends Context.Service<
  Reload,
  {
    /** Waits for a reload that is under way, and then reads the files as they are. Several who wait share one reading. */
    readonly reload: (trigger: ReloadTrigger) => Effect.Effect<ReloadOutcome>
    readonly status: () => ConfigStatus
  }
>()("olla/config/Reload") {}

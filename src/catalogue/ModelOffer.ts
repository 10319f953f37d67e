/** Who has a model: as routing asks for it, one offer for each name, and as lists show it, one entry for each model. */
import type { AliasPolicy } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"

/** An endpoint that has a model, and what it calls it: a candidate as routing wants it. */
export interface ModelHolder {
  readonly endpoint: Endpoint
  readonly nativeName: string
  /** Of an alias: the target that this is, as configured. */
  readonly target?: string
}

/** A holder of an alias's target. */
export interface AliasHolder extends ModelHolder {
  readonly target: string
  /** Tokens that the model takes there, as far as its server tells. */
  readonly contextLength: number | undefined
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
  readonly policy: AliasPolicy["policy"]
  /** What makes a chain go on. */
  readonly on: AliasPolicy["on"]
  /** Who has one of them, each endpoint once, with the first listed that it has; no holders when nobody is known to. */
  readonly offer: ModelOffer
  /** Every target on every endpoint that has it: by endpoint in configuration order, its own in order of targets. */
  readonly all: AliasHolders
  /** The same for each target by itself. */
  readonly byTarget: ReadonlyArray<AliasHolders>
}

export interface AliasHolders extends ModelOffer {
  readonly holders: ReadonlyArray<AliasHolder>
}

/** One entry for the same model on several endpoints. */
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
  /** Other names, lower-cased, that mean it there: without or with an implied tag, and the server's own aliases. */
  readonly otherNames: ReadonlyArray<string>
  readonly untagged: string | undefined
  readonly ownAliases: ReadonlyArray<string>
}

/**
 * Which endpoints may serve a request, and why: inspect, constrain, decide. Synchronous and pure over the snapshot and
 * the endpoints' states, but for one named case (a refresh on a miss).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ModelMove, RoutingVerdict } from "../exchange/Exchange.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Chain, PromptSize } from "./Chain.ts"
import type { RequestRules } from "./Rules.ts"

/** What the body says, as far as routing needs it. */
export interface Inspection {
  /** Trimmed, lower-cased; empty: none. */
  readonly model: string
  /** The spelling in the body, byte for byte. */
  readonly spelling: string
  /** Which field supplied the name, so that the rewriter changes that one. */
  readonly field: "model" | "messages" | "form" | "none"
  /** Byte ranges of the body that name the model, where they are known already: a long body is not read for them twice. */
  readonly spans?: ReadonlyArray<readonly [start: number, end: number]>
  readonly stream: boolean | undefined
  /** Where the conversation begins, byte offsets of the values as a scan has them; absent: the body was short, or no JSON. */
  readonly conversation?: { readonly messagesAt: number; readonly promptAt: number }
  /** Absent as above. */
  readonly prompt?: PromptPlaces
  /** Tokens that the answer may have; absent: the body does not say. */
  readonly mostTokens?: number | undefined
  /** Groups of synonyms, one group per required capability; empty: nothing required. */
  readonly capabilities: ReadonlyArray<ReadonlyArray<string>>
}

/** Where a body has its prompt: byte ranges in the order in which servers put them together. */
export interface PromptPlaces {
  readonly spans: ReadonlyArray<readonly [start: number, end: number]>
  readonly hasImage: boolean
}

/** The provider whose route was taken; `undefined` on `/olla/proxy/` and translator routes. */
export interface ProviderScope {
  /** As it stands in "No <provider> endpoints available". */
  readonly label: string
  /** `openai` and `openai-compatible` take every OpenAI-compatible kind and widen instead of failing closed. */
  readonly inclusive: boolean
  readonly profile: Profile
}

/** What a client may use. */
export interface Permit {
  readonly allowsEndpoint: (endpoint: Endpoint) => boolean
  /** `native`: the name that it would run as there; empty: as it is asked for. */
  readonly allowsModel: (asked: string, native: string) => boolean
}

export interface RouteRequest {
  /** Absent: everything. */
  readonly permit?: Permit | undefined
  readonly scope: ProviderScope | undefined
  /** Stripped path, no query; `undefined` skips path compatibility (translator routes). */
  readonly path: string | undefined
  readonly inspection: Inspection
  /** Those that are for this request; absent: none is. */
  readonly rules?: RequestRules | undefined
  /** Asked for the length of the prompt where that decides. */
  readonly prompted?: { readonly promptSize: () => PromptSize }
}

/** An endpoint that may serve this exchange, and what it calls the model (empty: leave the body as it is). */
export interface Candidate {
  readonly endpoint: Endpoint
  readonly nativeName: string
  /** Of an alias: the target that this is, as configured. */
  readonly target?: string
  /** Tokens that the model takes there, where somebody may ask. */
  readonly contextLength?: number | undefined
}

export interface Decision {
  /** Configuration order. Empty: nobody. */
  readonly candidates: ReadonlyArray<Candidate>
  /** Absent when no model was named, or model discovery is off. */
  readonly verdict: RoutingVerdict | undefined
  /** Nobody is of a kind that knows the path, and that was not held against anybody. */
  readonly widened?: { readonly supportedBy: ReadonlyArray<string>; readonly total: number }
  /** Targets of the alias that somebody has who cannot serve now: the true cause of a refusal. */
  readonly down?: ReadonlyArray<string>
  /** The candidates are those of one of its targets. */
  readonly chain?: Chain<Candidate>
  /** Why that is none of the first. */
  readonly moved?: ModelMove
}

export class Router extends Context.Service<
  Router,
  {
    /** A `Decision` at once, or an Effect in the one case that waits (strategy `discovery`, refresh on a miss). */
    readonly decide: (request: RouteRequest) => Decision | Effect.Effect<Decision>
  }
>()("olla/routing/Router") {}

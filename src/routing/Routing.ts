/**
 * The rules of routing, pure over a snapshot and the endpoints' states: capabilities, aliases
 * and the three strategies. Which endpoints are compatible at all is decided by `Eligibility`.
 */
import type { AliasOffer, ModelOffer } from "../catalogue/ModelOffer.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ModelMove, RoutingVerdict } from "../exchange/Exchange.ts"
import { Chain, type PromptSize } from "./Chain.ts"
import type { Eligibility } from "./Eligibility.ts"
import { admitted, unsatisfied } from "./Placement.ts"
import type { Candidate, Decision } from "./Router.ts"
import type { RequestRules } from "./Rules.ts"

export type FallbackBehavior = "compatible_only" | "none" | "all"

const verdict = (strategy: RoutingVerdict["strategy"], action: RoutingVerdict["action"], reason: string): RoutingVerdict => ({
  strategy,
  action,
  reason,
  status: action !== "rejected" ? 200 : reason === "model_not_found" ? 404 : 503
})

const routed = {
  strict: verdict("strict", "routed", "model_found"),
  optimistic: verdict("optimistic", "routed", "model_found"),
  discovery: verdict("discovery", "routed", "model_found_no_refresh"),
  refreshed: verdict("discovery", "routed", "model_found")
}

const rejected = (strategy: RoutingVerdict["strategy"], reason: string): Decision => ({
  candidates: [],
  verdict: verdict(strategy, "rejected", reason)
})

/** `all`: every candidate of the earlier stages, never one outside the scope; its body goes as it came. */
const fallback = (eligibility: Eligibility, strategy: RoutingVerdict["strategy"], reason: string): Decision => ({
  candidates: plain(eligibility.standIns),
  verdict: verdict(strategy, "fallback", reason)
})

const plain = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<Candidate> => endpoints.map((endpoint) => ({ endpoint, nativeName: "" }))

/** Without a model: whoever fits, narrowed by what the request needs if anybody is known to have it. */
export const decideWithoutModel = (eligibility: Eligibility): Decision => {
  const { compatible, inspection, snapshot } = eligibility
  const capable = inspection.capabilities.length === 0 ? undefined : snapshot.capable(inspection.capabilities)
  const narrowed = capable === undefined ? compatible : compatible.filter((endpoint) => capable.has(endpoint))
  return { candidates: plain(narrowed.length > 0 ? narrowed : compatible), verdict: undefined }
}

/** An endpoint may be there several times, each time with another of its models. */
const aliasDecision = (name: string, candidates: ReadonlyArray<Candidate>): Decision => ({
  candidates,
  verdict: verdict("alias", "routed", `alias "${name}" resolved to ${countEndpoints(candidates)} endpoint(s)`)
})

const countEndpoints = (candidates: ReadonlyArray<Candidate>): number =>
  candidates.reduce((count, { endpoint }, index) => (candidates[index - 1]?.endpoint === endpoint ? count : count + 1), 0)

const aliasOf = ({ snapshot, inspection }: Eligibility): AliasOffer | undefined => snapshot.alias(inspection.model)

/**
 * A configured alias that somebody here can serve; `undefined`: judge the name as a plain one. `everyTarget`: an endpoint that has
 * several of the targets may be asked for any of them.
 */
export const decideAlias = (eligibility: Eligibility, everyTarget: boolean): Decision | undefined => {
  const alias = aliasOf(eligibility)
  // A chain that nobody of can serve is no pool.
  if (alias === undefined || (everyTarget && alias.policy === "chain")) return undefined
  const candidates = eligibility.serving(everyTarget ? alias.all : alias.offer, "")
  return candidates.length === 0 ? undefined : aliasDecision(alias.name, candidates)
}

/** With model discovery off nobody is known to have anything: an alias is its first target everywhere. */
export const decideAliasBlindly = (eligibility: Eligibility): Decision | undefined => {
  const alias = aliasOf(eligibility)
  const candidates = alias === undefined ? [] : blindly(eligibility, alias, 0)
  return alias === undefined || candidates.length === 0 ? undefined : aliasDecision(alias.name, candidates)
}

/** Everybody, as if they had the target at this place. */
const blindly = (eligibility: Eligibility, { targets }: AliasOffer, place: number): ReadonlyArray<Candidate> => {
  const target = targets[place]
  return target === undefined || !eligibility.permits(target)
    ? []
    : eligibility.compatible.map((endpoint) => ({ endpoint, nativeName: target, target }))
}

export interface ChainRequest {
  /** With the path's preference, and without it. */
  readonly preferring: Eligibility
  readonly anyPath: () => Eligibility
  readonly rules: RequestRules | undefined
  readonly prompted: { readonly promptSize: () => PromptSize } | undefined
  /** False: nobody is known to have anything. */
  readonly discovers: boolean
}

const nothingToRead: PromptSize = { bytes: 0, hasImage: false }

/** An alias whose targets are a chain: the first that somebody can serve. `undefined`: it is none, or nobody can serve any. */
export const decideChain = ({ preferring, anyPath, rules, prompted, discovers }: ChainRequest): Decision | undefined => {
  const alias = aliasOf(preferring)
  if (alias?.policy !== "chain") return undefined
  let isKeptOut = false
  const chain = new Chain<Candidate>(alias, {
    prompt: () => prompted?.promptSize() ?? nothingToRead,
    serving: (place, any) => {
      const eligibility = any ? anyPath() : preferring
      const offer = alias.byTarget[place]
      const found = !discovers ? blindly(eligibility, alias, place) : offer === undefined ? [] : eligibility.serving(offer, "")
      const kept = admitted(found, rules)
      if (kept.length > 0 || found.length === 0) return kept
      isKeptOut = true
      // Others than those whose kind lists the path may be admitted.
      return any ? kept : admitted(anyPath().serving(offer ?? noHolders, ""), rules)
    }
  })
  const begun = chain.begin()
  if (begun === undefined) return isKeptOut ? unsatisfied("alias") : undefined
  const { candidates, moved } = begun
  if (moved === undefined) return { ...aliasDecision(alias.name, candidates), chain }
  return { candidates, chain, moved, verdict: verdictOfMove(moved) }
}

const noHolders: ModelOffer = { holders: [], spellings: undefined }

export const verdictOfMove = ({ alias, to, reason }: ModelMove): RoutingVerdict =>
  verdict("alias", "fallback", `alias "${alias}" fell back to "${to}": ${reason}`)

/** Targets of an alias that some endpoint has, though none can serve now: the true cause of the refusal. */
export const downTargets = (eligibility: Eligibility): ReadonlyArray<string> => {
  const alias = eligibility.snapshot.alias(eligibility.inspection.model)
  return alias === undefined ? [] : alias.targets.filter((target) => eligibility.snapshot.offer(target) !== undefined)
}

const offerOf = ({ snapshot, inspection }: Eligibility): ModelOffer | undefined => snapshot.offer(inspection.model)

const serving = (eligibility: Eligibility, offer: ModelOffer | undefined): ReadonlyArray<Candidate> =>
  offer === undefined ? [] : eligibility.serving(offer, eligibility.inspection.spelling.trim())

/** 404 only where it is certain that nobody has it. While an endpoint is down or was never read it may have the model: 503, try again. */
const isUnknown = (eligibility: Eligibility, offer: ModelOffer | undefined): boolean => offer === undefined && !eligibility.isUncertain

export const strict = (eligibility: Eligibility): Decision => {
  const offer = offerOf(eligibility)
  const candidates = serving(eligibility, offer)
  if (candidates.length > 0) return { candidates, verdict: routed.strict }
  return rejected("strict", isUnknown(eligibility, offer) ? "model_not_found" : "model_unavailable")
}

export const optimistic = (eligibility: Eligibility, behavior: FallbackBehavior): Decision => {
  const offer = offerOf(eligibility)
  const candidates = serving(eligibility, offer)
  if (candidates.length > 0) return { candidates, verdict: routed.optimistic }
  if (behavior === "all")
    return fallback(eligibility, "optimistic", offer === undefined ? "model_not_found_fallback" : "all_healthy_fallback")
  if (isUnknown(eligibility, offer)) return rejected("optimistic", "model_not_found")
  return rejected("optimistic", behavior === "none" ? "model_unavailable_no_fallback" : "model_unavailable_compatible_only")
}

/** Before a refresh: `undefined` says that one is due. */
export const discoveryFirst = (eligibility: Eligibility, refreshOnMiss: boolean): Decision | undefined => {
  const candidates = serving(eligibility, offerOf(eligibility))
  if (candidates.length > 0) return { candidates, verdict: routed.discovery }
  return refreshOnMiss ? undefined : rejected("discovery", "model_unavailable_no_refresh")
}

/** After it; `refreshed`: it was over in time, and some list was read. */
export const discoveryAfter = (eligibility: Eligibility, refreshed: boolean, behavior: FallbackBehavior): Decision => {
  const offer = offerOf(eligibility)
  const candidates = serving(eligibility, offer)
  if (candidates.length > 0) return { candidates, verdict: routed.refreshed }
  if (!refreshed) {
    if (behavior === "all") return fallback(eligibility, "discovery", "discovery_failed_all_fallback")
    return rejected("discovery", behavior === "none" ? "discovery_failed_no_fallback" : "discovery_failed_compatible_only")
  }
  if (eligibility.compatible.length === 0) return rejected("discovery", "no_healthy_after_discovery")
  if (behavior === "all") return fallback(eligibility, "discovery", "all_healthy_after_discovery")
  return rejected("discovery", isUnknown(eligibility, offer) ? "model_not_found" : "model_unavailable_after_discovery")
}

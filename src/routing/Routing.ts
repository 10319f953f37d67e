/**
 * The rules of routing, pure over a snapshot and the endpoints' states: capabilities, aliases
 * and the three strategies. Which endpoints are compatible at all is decided by `Eligibility`.
 */
import type { ModelOffer } from "../catalogue/ModelOffer.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { RoutingVerdict } from "../exchange/Exchange.ts"
import type { Eligibility } from "./Eligibility.ts"
import type { Candidate, Decision } from "./Router.ts"

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
  candidates: plain(eligibility.compatible),
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

const aliasDecision = (name: string, candidates: ReadonlyArray<Candidate>): Decision => ({
  candidates,
  verdict: verdict("alias", "routed", `alias "${name}" resolved to ${candidates.length} endpoint(s)`)
})

/** A configured alias that somebody here can serve; `undefined`: judge the name as a plain one. */
export const decideAlias = (eligibility: Eligibility): Decision | undefined => {
  const alias = eligibility.snapshot.alias(eligibility.inspection.model)
  if (alias === undefined) return undefined
  const candidates = eligibility.serving(alias.offer, "")
  return candidates.length === 0 ? undefined : aliasDecision(alias.name, candidates)
}

/** With model discovery off nobody is known to have anything: an alias is its first target everywhere. */
export const decideAliasBlindly = (eligibility: Eligibility): Decision | undefined => {
  const alias = eligibility.snapshot.alias(eligibility.inspection.model)
  const nativeName = alias?.targets[0]
  if (alias === undefined || nativeName === undefined || eligibility.compatible.length === 0) return undefined
  return aliasDecision(
    alias.name,
    eligibility.compatible.map((endpoint) => ({ endpoint, nativeName }))
  )
}

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

/**
 * The rules of routing, pure over a snapshot and the endpoints' states (models-and-routing.md 7 to 9): type compatibility,
 * capabilities, model. A request costs a lookup for its path and one for its model; then only its candidates are looked at.
 */
import type { Snapshot } from "../catalogue/Snapshot.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { RoutingVerdict } from "../exchange/Exchange.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Candidate, Decision, Inspection, ProviderScope } from "./Router.ts"

export type FallbackBehavior = "compatible_only" | "none" | "all"

export const routable = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<Endpoint> =>
  endpoints.filter((endpoint) => isRoutable(endpoint.state.status))

/** Endpoints of a provider's scope; exclusive scopes fail closed, the inclusive one widens. */
export const inScope = (endpoints: ReadonlyArray<Endpoint>, scope: ProviderScope): ReadonlyArray<Endpoint> => {
  if (!scope.inclusive) return endpoints.filter((endpoint) => endpoint.isAuto || endpoint.profile === scope.profile)
  const compatible = endpoints.filter((endpoint) => endpoint.isAuto || endpoint.profile?.openaiCompatible === true)
  return compatible.length > 0 ? compatible : endpoints
}

/** Endpoints whose kind knows this path; nobody's path, or nobody's left: all of them. */
export const knowsPath = (endpoints: ReadonlyArray<Endpoint>, profiles: ReadonlySet<Profile>): ReadonlyArray<Endpoint> => {
  if (profiles.size === 0) return endpoints
  const fits = endpoints.filter((endpoint) => endpoint.isAuto || (endpoint.profile !== undefined && profiles.has(endpoint.profile)))
  return fits.length > 0 ? fits : endpoints
}

const verdict = (strategy: RoutingVerdict["strategy"], action: RoutingVerdict["action"], reason: string): RoutingVerdict => ({
  strategy,
  action,
  reason,
  status: action !== "rejected" ? 200 : reason === "model_not_found" ? 404 : 503
})

export interface Situation {
  readonly snapshot: Snapshot
  /** Routable, in scope, of a fitting kind; configuration order. */
  readonly compatible: ReadonlyArray<Endpoint>
  readonly inspection: Inspection
}

const plain = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<Candidate> => endpoints.map((endpoint) => ({ endpoint, nativeName: "" }))

/** Without a model: whoever fits, narrowed by what the request needs if anybody is known to have it. */
export const decideWithoutModel = ({ snapshot, compatible, inspection }: Situation): Decision => {
  const capable = inspection.capabilities.length === 0 ? undefined : snapshot.capable(inspection.capabilities)
  const narrowed = capable === undefined ? compatible : compatible.filter((endpoint) => capable.has(endpoint))
  return { candidates: plain(narrowed.length > 0 ? narrowed : compatible), verdict: undefined }
}

/** A configured alias that somebody here can serve; `undefined`: judge the name as a plain one. */
export const decideAlias = ({ snapshot, compatible, inspection }: Situation): Decision | undefined => {
  const alias = snapshot.alias(inspection.model)
  if (alias === undefined) return undefined
  const candidates = having(compatible, alias.offer.nativeNameOn)
  if (candidates.length === 0) return undefined
  return { candidates, verdict: verdict("alias", "routed", `alias "${alias.name}" resolved to ${candidates.length} endpoint(s)`) }
}

const having = (compatible: ReadonlyArray<Endpoint>, names: ReadonlyMap<Endpoint, string>): ReadonlyArray<Candidate> => {
  const out: Array<Candidate> = []
  for (const endpoint of compatible) {
    const nativeName = names.get(endpoint)
    if (nativeName !== undefined) out.push({ endpoint, nativeName })
  }
  return out
}

const offered = ({ snapshot, compatible, inspection }: Situation): { readonly known: boolean; readonly here: ReadonlyArray<Candidate> } => {
  const offer = snapshot.offer(inspection.model)
  return { known: offer !== undefined, here: offer === undefined ? [] : having(compatible, offer.nativeNameOn) }
}

export const strict = (situation: Situation): Decision => {
  const { known, here } = offered(situation)
  if (here.length > 0) return { candidates: here, verdict: verdict("strict", "routed", "model_found") }
  return { candidates: [], verdict: verdict("strict", "rejected", known ? "model_unavailable" : "model_not_found") }
}

export const optimistic = (situation: Situation, fallback: FallbackBehavior): Decision => {
  const { known, here } = offered(situation)
  if (here.length > 0) return { candidates: here, verdict: verdict("optimistic", "routed", "model_found") }
  if (fallback === "all") {
    const reason = known ? "all_healthy_fallback" : "model_not_found_fallback"
    return { candidates: plain(situation.compatible), verdict: verdict("optimistic", "fallback", reason) }
  }
  const reason = !known ? "model_not_found" : fallback === "none" ? "model_unavailable_no_fallback" : "model_unavailable_compatible_only"
  return { candidates: [], verdict: verdict("optimistic", "rejected", reason) }
}

/** Before a refresh: `undefined` says that one is due. */
export const discoveryFirst = (situation: Situation, refreshOnMiss: boolean): Decision | undefined => {
  const { here } = offered(situation)
  if (here.length > 0) return { candidates: here, verdict: verdict("discovery", "routed", "model_found_no_refresh") }
  if (!refreshOnMiss) return { candidates: [], verdict: verdict("discovery", "rejected", "model_unavailable_no_refresh") }
  return undefined
}

/** After it (models-and-routing.md 8.3, steps 3 to 7); `refreshed`: every listing was read in time. */
export const discoveryAfter = (situation: Situation, refreshed: boolean, fallback: FallbackBehavior): Decision => {
  const { known, here } = offered(situation)
  if (here.length > 0) return { candidates: here, verdict: verdict("discovery", "routed", "model_found") }
  const reject = (reason: string): Decision => ({ candidates: [], verdict: verdict("discovery", "rejected", reason) })
  if (!refreshed) {
    if (fallback === "all")
      return { candidates: plain(situation.compatible), verdict: verdict("discovery", "fallback", "discovery_failed_all_fallback") }
    return reject(fallback === "none" ? "discovery_failed_no_fallback" : "discovery_failed_compatible_only")
  }
  if (situation.compatible.length === 0) return reject("no_healthy_after_discovery")
  if (fallback === "all")
    return { candidates: plain(situation.compatible), verdict: verdict("discovery", "fallback", "all_healthy_after_discovery") }
  return reject(known ? "model_unavailable_after_discovery" : "model_not_found")
}

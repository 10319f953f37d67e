/**
 * One request against the fleet as it is now. Endpoints that have the model are looked at first, and only where none of
 * them fits is the whole fleet: a request that finds its model costs the same whatever the fleet's size.
 */

import type { ModelOffer } from "../catalogue/ModelOffer.ts"
import { nativeNameFor } from "../catalogue/OfferIndex.ts"
import type { Snapshot } from "../catalogue/Snapshot.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Profile } from "../profile/Profile.ts"
import type { Candidate, Inspection, Permit, ProviderScope } from "./Router.ts"

export interface Constraints {
  readonly scope: ProviderScope | undefined
  /** Kinds that know the path; empty: no restriction. */
  readonly profiles: ReadonlySet<Profile>
  /** What the client may use; absent: everything. Whoever he may not use is not there for him. */
  readonly permit?: Permit | undefined
}

export const unconstrained: Constraints = { scope: undefined, profiles: new Set() }

/** Is it of the kind that the path names? */
export const inScope = (endpoint: Endpoint, scope: ProviderScope): boolean =>
  endpoint.isAuto || (scope.inclusive ? endpoint.profile?.openaiCompatible === true : endpoint.profile === scope.profile)

const knowsPath = ({ isAuto, profile }: Endpoint, profiles: ReadonlySet<Profile>): boolean =>
  isAuto || (profile !== undefined && (profiles.has(profile) || (profile.genericPaths && hasGeneric(profiles))))

const hasGeneric = (profiles: ReadonlySet<Profile>): boolean => {
  for (const { generic } of profiles) if (generic) return true
  return false
}

export class Eligibility {
  readonly snapshot: Snapshot
  readonly inspection: Inspection
  /** The preference of the path fell away because nobody who could serve is of a kind that lists it. */
  widened = false
  readonly #fleet: ReadonlyArray<Endpoint>
  readonly #constraints: Constraints
  #compatible: ReadonlyArray<Endpoint> | undefined

  constructor(snapshot: Snapshot, fleet: ReadonlyArray<Endpoint>, constraints: Constraints, inspection: Inspection) {
    this.snapshot = snapshot
    this.inspection = inspection
    const { permit } = constraints
    this.#fleet = permit === undefined ? fleet : fleet.filter((endpoint) => permit.allowsEndpoint(endpoint))
    this.#constraints = constraints
  }

  /**
   * Who may serve a request whatever its model: routable, in scope, of a kind that lists the path; configuration order.
   * Exclusive scopes fail closed; where nobody fits an inclusive scope or a path, that restriction falls away.
   */
  get compatible(): ReadonlyArray<Endpoint> {
    this.#compatible ??= this.#survey()
    return this.#compatible
  }

  /** Those who may be asked for the model by the very name that the client says, whether they have it or not. */
  get standIns(): ReadonlyArray<Endpoint> {
    const { permit } = this.#constraints
    const { model } = this.inspection
    return permit === undefined || model === "" || permit.allowsModel(model, "") ? this.compatible : []
  }

  /** May the client have it run as `nativeName`? */
  permits(nativeName: string): boolean {
    return this.#constraints.permit?.allowsModel(this.inspection.model, nativeName) !== false
  }

  /** An exclusive scope without anybody: the provider's own 404, never a model's. */
  get deserted(): boolean {
    const { scope } = this.#constraints
    return scope !== undefined && !scope.inclusive && this.compatible.length === 0
  }

  /** Those who have the model and may serve this request, each with its own name for it; configuration order. */
  serving(offer: ModelOffer, spelling: string): ReadonlyArray<Candidate> {
    const holders = this.#permitted(offer.holders)
    let found = keep(holders, (endpoint) => this.#fits(endpoint))
    if (found.length === 0 && holders.length > 0) found = this.#unpreferred(holders)
    if (offer.spellings === undefined) return found
    return found.map((holder) => {
      const nativeName = nativeNameFor(offer, holder, spelling)
      return nativeName === holder.nativeName ? holder : { endpoint: holder.endpoint, nativeName }
    })
  }

  #permitted(holders: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> {
    const { permit } = this.#constraints
    if (permit === undefined) return holders
    const { model } = this.inspection
    return holders.filter(({ endpoint, nativeName }) => permit.allowsEndpoint(endpoint) && permit.allowsModel(model, nativeName))
  }

  /** No holder is of a kind that lists the path: any of them may know it all the same. Nobody is in an inclusive scope: it falls away. */
  #unpreferred(holders: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> {
    const { scope, profiles } = this.#constraints
    if (profiles.size === 0 && scope?.inclusive !== true) return []
    const falls = scope?.inclusive === true && !this.#fleet.some((endpoint) => accepts(endpoint) && inScope(endpoint, scope))
    const found = keep(holders, (endpoint) => accepts(endpoint) && (scope === undefined || falls || inScope(endpoint, scope)))
    if (profiles.size > 0 && found.length > 0) this.widened = true
    return found
  }

  /**
   * Somebody of the scope is down, or was never read: a model that nobody is known to have may be there. Of one that is drained and
   * well its list is known.
   */
  get isUncertain(): boolean {
    const { scope } = this.#constraints
    return this.#fleet.some(
      (endpoint) => (scope === undefined || inScope(endpoint, scope)) && !(isRoutable(endpoint.state.status) && endpoint.isRead)
    )
  }

  /**
   * Who may have the model without anybody knowing: not in rotation, or never read. Empty where somebody who can serve is known to
   * have it, whatever the request's scope.
   */
  get unsettled(): ReadonlyArray<Endpoint> {
    const { snapshot, inspection } = this
    const has = ({ holders }: ModelOffer): boolean => holders.some(({ endpoint }) => accepts(endpoint))
    const alias = snapshot.alias(inspection.model)
    // Those that a chain does not lead on to are no help.
    const offers = [snapshot.offer(inspection.model), alias?.policy === "chain" ? undefined : alias?.offer]
    if (offers.some((offer) => offer !== undefined && has(offer))) return []
    return this.#fleet.filter((endpoint) => endpoint.inService && (!accepts(endpoint) || !endpoint.isRead))
  }

  /** Not in rotation, and not for good. */
  get away(): ReadonlyArray<Endpoint> {
    return this.#fleet.filter((endpoint) => endpoint.inService && !accepts(endpoint))
  }

  #fits(endpoint: Endpoint): boolean {
    if (!accepts(endpoint)) return false
    const { scope, profiles } = this.#constraints
    return (scope === undefined || inScope(endpoint, scope)) && (profiles.size === 0 || knowsPath(endpoint, profiles))
  }

  #survey(): ReadonlyArray<Endpoint> {
    const { scope, profiles } = this.#constraints
    let endpoints = this.#fleet.filter((endpoint) => accepts(endpoint))
    if (scope !== undefined) {
      const scoped = endpoints.filter((endpoint) => inScope(endpoint, scope))
      if (scoped.length > 0 || !scope.inclusive) endpoints = scoped
    }
    if (profiles.size === 0) return endpoints
    const fitting = endpoints.filter((endpoint) => knowsPath(endpoint, profiles))
    if (fitting.length > 0) return fitting
    this.widened = endpoints.length > 0
    return endpoints
  }
}

/** The same list when nothing is left out. */
const keep = (holders: ReadonlyArray<Candidate>, fits: (endpoint: Endpoint) => boolean): ReadonlyArray<Candidate> => {
  let i = 0
  while (i < holders.length && fits((holders[i] as Candidate).endpoint)) i++
  if (i === holders.length) return holders
  const out = holders.slice(0, i)
  for (i++; i < holders.length; i++) {
    const holder = holders[i] as Candidate
    if (fits(holder.endpoint)) out.push(holder)
  }
  return out
}

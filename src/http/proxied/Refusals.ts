/** What surfaces say when a request cannot be served, as far as they say the same. */
import { nearestNames, nearestText } from "../../catalogue/NearestName.ts"
import { accepts, type Endpoint } from "../../endpoint/Endpoint.ts"
import { isRoutable } from "../../endpoint/EndpointState.ts"
import { reachability, unreadLists } from "../../endpoint/Reachability.ts"
import type { Failure } from "../../exchange/Failure.ts"
import type { ModelPermit } from "../../guard/keys/ModelPermit.ts"
import { inScope } from "../../routing/Eligibility.ts"
import type { ProviderScope } from "../../routing/Router.ts"
import { rejectionText } from "../ErrorTable.ts"
import type { Services } from "../Services.ts"
import { visibleSnapshot } from "../VisibleModels.ts"

/** Seconds until somebody who is down is looked at again: the hint of a 503, as header pairs. */
export const retryAfter = ({ fleet }: Services): ReadonlyArray<string> => {
  let earliest = Number.POSITIVE_INFINITY
  for (const { state } of fleet.endpoints) if (!isRoutable(state.status)) earliest = Math.min(earliest, state.nextCheck)
  if (fleet.endpoints.length === 0) return []
  const seconds = earliest === Number.POSITIVE_INFINITY ? 1 : Math.ceil((earliest - fleet.now()) / 1000)
  return ["Retry-After", String(Math.min(60, Math.max(1, seconds)))]
}

/**
 * Where an open breaker was why: a second, since one request a second is let through where nobody else can be asked. Descriptors come
 * back with the end of any other connection.
 */
export const shortWait = ({ kind }: Failure): ReadonlyArray<string> =>
  kind === "breaker_open" || kind === "descriptors" ? ["Retry-After", "1"] : []

const allowed = (endpoints: ReadonlyArray<Endpoint>, permit: ModelPermit | undefined): ReadonlyArray<Endpoint> =>
  permit === undefined ? endpoints : endpoints.filter((endpoint) => permit.allowsEndpoint(endpoint))

/** What is near a name that nobody has, and who cannot be asked why; empty: neither. */
const detailOf = ({ catalogue, settings, fleet }: Services, reason: string, model: string, permit: ModelPermit | undefined): string => {
  const whole = catalogue.snapshot()
  const snapshot = visibleSnapshot(whole, permit)
  const endpoints = allowed(fleet.endpoints, permit)
  const aliases = Object.keys(settings.current().model_aliases).filter((alias) => permit?.mayAsk(whole, alias) !== false)
  const known = snapshot.offer(model) !== undefined
  const near = known ? [] : nearestNames(snapshot, model, aliases)
  const isElsewhere = reason !== "model_not_found"
  const isAnybodyOut = isElsewhere && !endpoints.every(accepts)
  return [nearestText(near), isAnybodyOut ? reachability(endpoints) : "", isElsewhere && !known ? unreadLists(endpoints) : ""]
    .filter((text) => text !== "")
    .join("; ")
}

export interface Rejection {
  /** For the client: the table's sentence and the detail. */
  readonly sentence: string
  /** For the log. */
  readonly detail: string
}

/** `permit`: of who reads it; nobody hears of what is not his. */
export const describeRejection = (services: Services, reason: string, model: string, permit: ModelPermit | undefined): Rejection => {
  const detail = detailOf(services, reason, model, permit)
  return { sentence: `${rejectionText(reason, model)}${detail === "" ? "" : `; ${detail}`}`, detail }
}

/** How many there are of those that a request could have gone to, and why none of them can be asked. */
export const describeShortage = ({ fleet }: Services, scope: ProviderScope | undefined, permit: ModelPermit | undefined): string =>
  scope === undefined
    ? reachability(allowed(fleet.endpoints, permit))
    : reachability(
        allowed(fleet.endpoints, permit).filter((endpoint) => inScope(endpoint, scope)),
        scope.label
      )

/** Requests of the Responses API that only some servers can answer: about an answer that one keeps, or for those that speak the API themselves. */
import { accepts, type Endpoint } from "../../endpoint/Endpoint.ts"
import type { Candidate, Decision } from "../../routing/Router.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { PlainSurface, type ProxyTarget } from "./PlainSurface.ts"
import { retryAfter } from "./Refusals.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"

/** About one answer. */
export class KeptResponseSurface extends PlainSurface {
  readonly #services: Services
  readonly #owner: Endpoint

  /** `owner`: who made it. */
  constructor(services: Services, context: RequestContext, target: ProxyTarget, owner: Endpoint) {
    super(services, context, target)
    this.#services = services
    this.#owner = owner
  }

  override plan(walk: Settling, _asked: Asked, _body: Body, { candidates }: Decision): Plan | undefined {
    const { context } = this
    const mineOf = (all: ReadonlyArray<Candidate>) => ({ candidates: all.filter(({ endpoint }) => endpoint === this.#owner) })
    const mine = mineOf(candidates)
    if (mine.candidates.length > 0)
      return { target: this.route.target, ...mine, regroup: mineOf, dialect: undefined, refusesRedirects: true }
    const isAway = !accepts(this.#owner)
    walk.settle({ _tag: "rejected", status: isAway ? 503 : 404, reason: isAway ? "responseAway" : "noSuchResponse" })
    if (isAway) context.error("responseAway", { endpoint: this.#owner.name }, [...retryAfter(this.#services), ...context.decisionHeaders()])
    else context.error("noSuchResponse", {}, context.decisionHeaders())
    return undefined
  }
}

/** For the servers that speak the API themselves, whichever has the model. */
export class NativeResponsesSurface extends PlainSurface {
  override plan(walk: Settling, _asked: Asked, _body: Body, { candidates }: Decision): Plan | undefined {
    const { context } = this
    const nativesOf = (all: ReadonlyArray<Candidate>) => ({
      candidates: all.filter(({ endpoint: { profile } }) => profile?.responses?.enabled === true)
    })
    const natives = nativesOf(candidates)
    if (natives.candidates.length > 0)
      return { target: this.route.target, ...natives, regroup: nativesOf, dialect: undefined, refusesRedirects: true }
    walk.settle({ _tag: "rejected", status: 404, reason: "notCompacted" })
    context.error("notCompacted", {}, context.decisionHeaders())
    return undefined
  }
}

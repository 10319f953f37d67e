/**
 * The plain surface for requests that nearly every server takes as they come: what is asked of such a one is relayed without being
 * parsed, and only for the others it is said in other words.
 */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { CandidateGroups } from "../../proxy/Carrier.ts"
import type { Dialect } from "../../proxy/Dialect.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision } from "../../routing/Router.ts"
import { Complaint } from "../../translation/Complaint.ts"
import { isRecord, type JsonRecord, parseJson } from "../../translation/JsonValue.ts"
import type { Body } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { preferredParts } from "./Conversing.ts"
import { PlainSurface, type ProxyTarget } from "./PlainSurface.ts"
import type { Asked, Plan, Settling } from "./Surface.ts"
import { shapeProblem, textOfBody } from "./TranslatedRequest.ts"

/** Other words for one request; made on first need. */
export interface OtherWords {
  /** Why this endpoint cannot be asked; `undefined`: it can. */
  readonly complaintFor: (candidate: Candidate) => Complaint | undefined
  readonly speak: Dialect["speak"]
  readonly target: Dialect["target"]
  /** For an endpoint that has not got the path by which it was asked; `undefined`: nothing can be said to it. */
  readonly translated?: Dialect["speak"]
}

export abstract class RewordedSurface extends PlainSurface {
  protected readonly services: Services
  #words: OtherWords | undefined
  #isMisshapen = false

  constructor(services: Services, context: RequestContext, target: ProxyTarget) {
    super(services, context, target)
    this.services = services
  }

  /** Is it asked as the client asked? */
  protected abstract isRelayed(endpoint: Endpoint): boolean

  /** `request`: empty where the body is no JSON object, or too large or too deep to be read. */
  protected abstract reworded(request: JsonRecord, asked: Asked, body: Body): OtherWords

  /** Largest body that is read, bytes. */
  protected abstract get readable(): number

  protected abstract errorBody(status: number, message: string, details: JsonRecord | undefined): string

  override understand(walk: Settling, body: Body, seen: BodyInspector): Asked {
    this.#isMisshapen = shapeProblem(seen) !== undefined
    return super.understand(walk, body, seen)
  }

  override plan(walk: Settling, asked: Asked, body: Body, decision: Decision): Plan | undefined {
    const plain = super.plan(walk, asked, body, decision)
    const plan = plain && { ...plain, refusesRedirects: this.context.exchange.method === "POST" }
    const isRelayed = ({ endpoint }: Candidate) => this.isRelayed(endpoint)
    if (plan === undefined || this.services.fleet.endpoints.every((endpoint) => this.isRelayed(endpoint))) return plan
    const words = () => this.otherWords(asked, body)
    const canBeAsked = (candidate: Candidate) => isRelayed(candidate) || words().complaintFor(candidate) === undefined
    const grouped = ({ candidates, nextChoice = () => [] }: CandidateGroups): CandidateGroups => {
      const parts = preferredParts(this.services, candidates, walk.rules)
      const groups = parts.flatMap((part) => [() => part.filter(isRelayed), () => part.filter((candidate) => !isRelayed(candidate))])
      const later = [...groups, nextChoice]
      const next = () => {
        for (let group = later.shift(); group !== undefined; group = later.shift()) {
          const able = group().filter(canBeAsked)
          if (able.length > 0) return able
        }
        return []
      }
      return { candidates: next(), nextChoice: next }
    }
    const groups = grouped(plan)
    if (groups.candidates.length === 0) return this.#refuse(walk, plan.candidates, words())
    return {
      ...plan,
      ...groups,
      regroup: (candidates) => grouped(plan.regroup(candidates)),
      dialect: {
        speak: (endpoint, nativeName) => {
          if (!this.isRelayed(endpoint)) return words().speak(endpoint, nativeName)
          // A former attempt may have been in other words.
          this.context.exchange.translator = undefined
          return this.#words?.speak(endpoint, nativeName)
        },
        target: (endpoint, nativeName) => (this.isRelayed(endpoint) ? this.#words : words())?.target(endpoint, nativeName)
      }
    }
  }

  #refuse(walk: Settling, candidates: ReadonlyArray<Candidate>, { complaintFor }: OtherWords): undefined {
    const [complaint = new Complaint("nobody can be asked")] = candidates.flatMap((candidate) => complaintFor(candidate) ?? [])
    const { message, status, details } = complaint
    this.context.errors = (_context, told, text) => ({ contentType: "application/json", body: this.errorBody(told, text, details) })
    walk.settle({ _tag: "rejected", status, reason: "badMessage" })
    this.context.fail(status, message, null)
  }

  protected otherWords(asked: Asked, body: Body): OtherWords {
    if (this.#words === undefined) {
      const parsed = this.#isMisshapen || body.size > this.readable ? undefined : parseJson(textOfBody(body))
      this.#words = this.reworded(isRecord(parsed) ? parsed : {}, asked, body)
    }
    return this.#words
  }
}

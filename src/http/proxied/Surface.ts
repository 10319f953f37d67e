/**
 * What clients see on a group of routes: how much of a body is taken, how it is understood, how it is spoken to a backend, and
 * how a refusal looks. All surfaces go through the same walk (`ProxiedExchange`). One object serves one request.
 */
import type { Outcome } from "../../exchange/Exchange.ts"
import type { BodyLimit } from "../../guard/SizeLimits.ts"
import type { CandidateGroups, Refused, TurnedAway } from "../../proxy/Carrier.ts"
import type { AnswerTranslator, Dialect } from "../../proxy/Dialect.ts"
import type { EarlyForm } from "../../proxy/EarlyStream.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision, Inspection, RouteRequest } from "../../routing/Router.ts"
import type { RequestRules } from "../../routing/Rules.ts"
import type { RequestDetails } from "../../telemetry/requests/RequestLog.ts"
import type { Body, BodyProblem } from "../listener/RequestBody.ts"

/** What the walk offers to its surface. A surface that answers the request itself settles it first. */
export interface Settling {
  /** That are for this request; `undefined`: none is. */
  readonly rules: RequestRules | undefined
  readonly settle: (outcome: Outcome) => void
}

/** What a request asks for. */
export interface Asked {
  readonly inspection: Inspection
  /** As it goes into the records; `undefined`: not said. */
  readonly stream: boolean | undefined
}

/** How a request is carried. */
export interface Plan extends CandidateGroups {
  /** Path and query of a request that is relayed as it came; a dialect has targets of its own. */
  readonly target: string
  /** The same for other candidates: those of another model that an alias leads on to, or who can serve it by now. */
  readonly regroup: (candidates: ReadonlyArray<Candidate>) => CandidateGroups
  /** Decides for each endpoint in which words it is asked; absent: all are asked as it came. */
  readonly dialect: Dialect | undefined
  /** An answer that sends the client elsewhere is none: it would be asked again there without Olla. Absent: it is relayed. */
  readonly refusesRedirects?: boolean
  /** Who keeps the client of a relayed stream waiting before it begins; absent: nobody does. */
  readonly waited?: (candidate?: Candidate) => AnswerTranslator
  /** Who asks an endpoint in other words that has not got the path of a relayed request; `undefined`: nobody can. */
  readonly otherwise?: (candidate: Candidate) => AnswerTranslator | undefined
  /** Milliseconds after which the surface does without an answer; absent: there is no end but the proxy's own limits. */
  readonly within?: number
}

/** Of a body that is translated: as it came, as it was parsed, and as it is written for a backend. */
export const copiesInTranslation = 3

export interface Surface {
  /** Largest body. */
  readonly bodyLimit: BodyLimit
  /** How many times a body is kept, in one form or another, before it is known how it will be spoken to a backend. */
  readonly copies: number
  /** The content type by which the body is looked at. */
  readonly contentType: string
  /** For routing: whose routes these are, and the path that a backend must know. */
  readonly route: Pick<RouteRequest, "scope" | "path">
  /** The request keeps the limits: from now on it counts for this surface. */
  readonly admitted?: () => void
  /** For the debug record of a request that has been routed. */
  readonly details: RequestDetails | undefined
  /** The body is no good. */
  readonly unread: (walk: Settling, problem: BodyProblem) => void
  /** `undefined`: settled and answered. */
  readonly understand: (walk: Settling, body: Body, seen: BodyInspector) => Asked | undefined
  /** The words of its streams, where one may begin before anybody has answered; absent, `undefined`: none may. Asked for once at most. */
  readonly early?: (asked: Asked) => EarlyForm | undefined
  /** Routing found nobody. */
  readonly nobody: (walk: Settling, asked: Asked, decision: Decision) => void
  /** Routing found somebody. `undefined`: settled and answered all the same. */
  readonly plan: (walk: Settling, asked: Asked, body: Body, decision: Decision) => Plan | undefined
  /** Nobody could answer, or not in time. Settled already; nothing was sent to the client. */
  readonly refused: (refused: Refused) => void
  /** Nobody had room for it. Settled already; nothing was sent to the client. */
  readonly turnedAway: (end: TurnedAway) => void
  /** The exchange has ended, whatever its end was. */
  readonly settled?: () => void
}

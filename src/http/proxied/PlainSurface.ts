/** `/olla/proxy/` and the provider routes: a request goes to a backend as it came, and its answer to the client. */
import * as Effect from "effect/Effect"
import { ruleOf } from "../../exchange/Failure.ts"
import type { BodyLimit } from "../../guard/SizeLimits.ts"
import type { Refused, TurnedAway } from "../../proxy/Carrier.ts"
import type { EarlyForm } from "../../proxy/EarlyStream.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import type { Candidate, Decision, ProviderScope } from "../../routing/Router.ts"
import type { RequestRules } from "../../routing/Rules.ts"
import type { RequestDetails } from "../../telemetry/requests/RequestLog.ts"
import type { Opened } from "../../translation/KeepAlive.ts"
import { errorTable, fill, queueRefusals } from "../ErrorTable.ts"
import type { Body, BodyProblem } from "../listener/RequestBody.ts"
import type { RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { bodyRefusal } from "../SizeRefusal.ts"
import { permitOf } from "../VisibleModels.ts"
import { earlyFormOf } from "./EarlyForms.ts"
import { describeRejection, describeShortage, retryAfter, shortWait } from "./Refusals.ts"
import type { Asked, Plan, Settling, Surface } from "./Surface.ts"

export interface ProxyTarget {
  readonly scope: ProviderScope | undefined
  /** Stripped path with its query, percent-encoding as received. */
  readonly target: string
  /** Stripped path for the path table; `undefined` skips path compatibility. */
  readonly path: string | undefined
  /** A surface of its own; absent: the plain one. */
  readonly surface?: (context: RequestContext, target: ProxyTarget) => Surface
}

/** Whoever was chosen is told once; then there is nobody. */
const once = (choose: () => ReadonlyArray<Candidate>): (() => ReadonlyArray<Candidate>) => {
  let chosen = false
  return () => {
    if (chosen) return []
    chosen = true
    return choose()
  }
}

export class PlainSurface implements Surface {
  readonly #services: Services
  protected readonly context: RequestContext
  readonly route: ProxyTarget
  readonly copies = 1
  #opened: Opened | undefined

  constructor(services: Services, context: RequestContext, target: ProxyTarget) {
    this.#services = services
    this.context = context
    this.route = target
  }

  /** Shared by all that may send the head of its stream. */
  protected get opened(): Opened {
    this.#opened ??= { sent: false }
    return this.#opened
  }

  early({ inspection }: Asked): EarlyForm | undefined {
    return earlyFormOf(this.route.path ?? this.route.target.split("?", 1)[0] ?? "", inspection.spelling, this.opened)
  }

  get bodyLimit(): BodyLimit {
    return this.#services.guard.bodyLimit(this.copies)
  }

  get contentType(): string {
    return this.context.head.contentType
  }

  get details(): RequestDetails {
    return { target: this.route.target, contentType: this.contentType }
  }

  unread(walk: Settling, problem: BodyProblem): void {
    const context = this.context
    const { bodyLimit } = this
    if (problem === "tooLarge") this.#services.guard.bodyOverflow(context.exchange, bodyLimit.bytes)
    walk.settle({ _tag: "rejected", status: errorTable[problem].status, reason: problem })
    context.refuseUpload(problem === "tooLarge" ? bodyRefusal(problem, bodyLimit, context) : { name: problem })
  }

  understand(_walk: Settling, body: Body, seen: BodyInspector): Asked {
    const inspection = seen.end(body.chunks, this.route.path ?? "")
    return { inspection, stream: inspection.stream }
  }

  plan({ rules }: Settling, asked: Asked, _body: Body, { candidates, chain }: Decision): Plan | undefined {
    const { target } = this.route
    if (chain !== undefined) {
      const regroup = (all: ReadonlyArray<Candidate>) => ({ candidates: all, nextChoice: once(() => chain.others(all)) })
      return { target, ...regroup(candidates), regroup, dialect: undefined }
    }
    const regroup = (all: ReadonlyArray<Candidate>) => ({ candidates: all, nextChoice: once(() => this.#others(asked, rules, all)) })
    return { target, ...regroup(candidates), regroup, dialect: undefined }
  }

  /** The path is a preference: whoever else may serve the request, of whatever kind. */
  #others({ inspection }: Asked, rules: RequestRules | undefined, preferred: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> {
    const { scope, path } = this.route
    if (path === undefined) return []
    const decided = this.#services.router.decide({ scope, path: undefined, inspection, rules, permit: permitOf(this.context) })
    if (Effect.isEffect(decided)) return []
    return decided.candidates.filter(({ endpoint }) => preferred.every((other) => other.endpoint !== endpoint))
  }

  nobody(walk: Settling, { inspection }: Asked, { verdict }: Decision): void {
    const context = this.context
    const services = this.#services
    const headers = context.decisionHeaders()
    if (verdict !== undefined && verdict.status >= 400) {
      const { status, reason } = verdict
      if (status === 503) headers.push(...retryAfter(services))
      const { sentence, detail } = describeRejection(services, reason, inspection.model, permitOf(context))
      walk.settle({ _tag: "rejected", status, reason, detail })
      this.#answerToken(status, reason, sentence, headers)
      return
    }
    const { scope } = this.route
    const detail = describeShortage(services, scope, permitOf(context))
    if (scope !== undefined) {
      walk.settle({ _tag: "rejected", status: 404, reason: "no_provider", detail })
      context.error("noProvider", { provider: scope.label }, headers, detail)
      return
    }
    walk.settle({ _tag: "rejected", status: 503, reason: "no_endpoints", detail })
    context.error("noEndpoints", {}, [...headers, ...retryAfter(services)], detail)
  }

  turnedAway({ code, status, retryAfter: seconds }: TurnedAway): void {
    this.#answerToken(status, code, queueRefusals[code].text, ["Retry-After", String(seconds), ...this.context.decisionHeaders()])
  }

  /** Plain text is the token alone; JSON has room for a sentence. */
  #answerToken(status: number, token: string, sentence: string, headers: ReadonlyArray<string>): void {
    const context = this.context
    let rendered = context.renderError(status, token, token)
    if (!rendered.contentType.startsWith("text/plain")) rendered = context.renderError(status, `${token}: ${sentence}`, token)
    context.answer(status, rendered.contentType, rendered.body, ["X-Content-Type-Options", "nosniff", ...headers])
  }

  /** Every attempt failed before its first byte. */
  refused({ failure, message, code }: Refused): void {
    const context = this.context
    if (failure.kind === "internal") {
      context.error("internal", { id: context.exchange.id }, context.decisionHeaders())
      return
    }
    const { status } = ruleOf(failure)
    const plain = context.renderError(status, fill("proxy", { detail: message }), code ?? null)
    context.answer(status, plain.contentType, plain.body, [
      "X-Content-Type-Options",
      "nosniff",
      ...shortWait(failure),
      ...context.decisionHeaders()
    ])
  }
}

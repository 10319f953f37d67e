/**
 * One request for a backend, from its head to its end: admit, receive, understand, decide, carry. Whatever ends it (a refusal, an
 * answer, a client that leaves, a deadline, a fault of ours), ends it here: this is the one place that settles an exchange, hears that
 * its connection has taken everything or is gone, tells observers of its end then, and holds its deadline. What differs between groups
 * of routes is its surface's. Callbacks all the way, since most requests wait for nothing but bytes.
 */
import { performance } from "node:perf_hooks"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { stickyKeyOf } from "../../balancing/StickyKey.ts"
import { accepts } from "../../endpoint/Endpoint.ts"
import type { Exchange, Outcome } from "../../exchange/Exchange.ts"
import { failure } from "../../exchange/Failure.ts"
import { headersOf } from "../../exchange/RawHeaders.ts"
import { BodyShare } from "../../guard/BodyBudget.ts"
import type { RunningRequest } from "../../guard/keys/Access.ts"
import type { ModelPermit } from "../../guard/keys/ModelPermit.ts"
import { type CandidateGroups, type Carrying, type Ended, outcomeOf, queueStatuses, type TurnedAway } from "../../proxy/Carrier.ts"
import { EarlyStream } from "../../proxy/EarlyStream.ts"
import { classOf, patienceOf, shareOf } from "../../proxy/InLine.ts"
import { decisionHeaders } from "../../proxy/ReplyHeaders.ts"
import type { PromptSize } from "../../routing/Chain.ts"
import { BodyInspector, nothingInspected } from "../../routing/Inspecting.ts"
import { Prompt } from "../../routing/Prompt.ts"
import { withoutBillingMark } from "../../routing/PromptHygiene.ts"
import type { Candidate, Decision, Inspection } from "../../routing/Router.ts"
import type { RequestRules } from "../../routing/Rules.ts"
import { endRevoked, type ModelRefusal, refuseModel } from "../AccessRefusals.ts"
import { errorTable } from "../ErrorTable.ts"
import { endConnection } from "../listener/ConnectionEnd.ts"
import { type Body, type BodyProblem, type BodyReader, readBody, releaseBody } from "../listener/RequestBody.ts"
import { rateCode, refuseRate } from "../RateRefusal.ts"
import type { ContextOwner, RequestContext } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { fullRefusal, oversizeRefusal } from "../SizeRefusal.ts"
import { permitOf } from "../VisibleModels.ts"
import { Holding } from "./Holding.ts"
import { inATurnOfItsOwn } from "./LongSteps.ts"
import { promptEstimate } from "./PromptEstimate.ts"
import { type Asked, copiesInTranslation, type Plan, type Settling, type Surface } from "./Surface.ts"

/** Bytes of a session's id that are echoed and logged; it is recognised by all of them. */
const longestSessionId = 256

/** Bytes from which a step with a body is no matter of a millisecond. */
const longBody = 256 * 1024

/** Whatever a surface has in mind: only those that the client may use. */
const within = (plan: Plan, permit: ModelPermit): Plan => {
  const allowed = (candidates: ReadonlyArray<Candidate>) => candidates.filter(({ endpoint }) => permit.allowsEndpoint(endpoint))
  const among = ({ candidates, nextChoice }: CandidateGroups): CandidateGroups => ({
    candidates: allowed(candidates),
    nextChoice: nextChoice === undefined ? undefined : () => allowed(nextChoice())
  })
  return { ...plan, ...among(plan), regroup: (candidates) => among(plan.regroup(candidates)) }
}

const leftEarly: Outcome = { _tag: "cancelled", status: 499, committed: false }

export class ProxiedExchange implements ContextOwner, BodyReader, Settling, RunningRequest {
  place = -1
  readonly #services: Services
  readonly #context: RequestContext
  readonly #surface: Surface
  readonly #exchange: Exchange
  readonly #inspector: BodyInspector
  /** Of the memory for all bodies. */
  readonly #share: BodyShare
  /** While it is needed; as it came. */
  #body: Body | undefined
  /** As it is sent, and what it says. */
  #sent: Body | undefined
  #inspection: Inspection = nothingInspected
  #promptSize: PromptSize | undefined
  rules: RequestRules | undefined
  #over = false
  #told = false
  /** A decision that is waited for. */
  #deciding: Fiber.Fiber<Decision> | undefined
  #holding: Holding | undefined
  #carrying: Carrying | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(services: Services, context: RequestContext, surface: Surface) {
    this.#services = services
    this.#context = context
    this.#surface = surface
    this.#exchange = context.exchange
    this.#inspector = new BodyInspector(surface.contentType)
    this.#share = new BodyShare(services.guard.bodies)
    context.owner = this
  }

  /** Throws nothing: a fault of ours ends this exchange only. */
  start(): void {
    try {
      const { head } = this.#context
      this.#exchange.userAgent = head.userAgent
      this.#services.tracing.accepted(this.#exchange, head.traceparent)
      if (this.#exchange.client !== undefined) this.#services.access.running.add(this)
      if (!this.#admit()) return
      this.#surface.admitted?.()
      if (this.#context.res.closed) this.closed()
      else {
        const { bodyLimit, copies } = this.#surface
        readBody(this.#context, { limit: bodyLimit.bytes, share: this.#share, copies }, this.#inspector, this)
      }
    } catch (error) {
      this.#context.fault(error)
    }
  }

  /** Limits come before anything is read: rate first, then size. False: it has been refused. */
  #admit(): boolean {
    const context = this.#context
    const { guard } = this.#services
    const admission = guard.admit(this.#exchange)
    for (const part of admission.headers) context.extra.push(part)
    if (!admission.allowed) {
      this.#reject(429, rateCode(admission))
      refuseRate(context, admission)
      return false
    }
    const over = guard.oversized(this.#exchange, context.head)
    if (over === undefined) return true
    guard.giveBack(this.#exchange)
    const refusal = oversizeRefusal(over, context)
    this.#reject(errorTable[refusal.name].status, refusal.name)
    context.refuseUpload(refusal)
    return false
  }

  unread(problem: BodyProblem): void {
    if (this.#over) return
    try {
      if (problem === "bodiesFull") this.#refuseForWantOfRoom()
      else this.#surface.unread(this, problem)
    } catch (error) {
      this.#context.fault(error)
    }
  }

  /** The rest of the body is not read. */
  #refuseForWantOfRoom(): void {
    const { guard } = this.#services
    guard.bodiesFull(this.#exchange)
    this.#reject(errorTable.bodiesFull.status, "bodiesFull")
    this.#context.refuseUpload(fullRefusal(guard.bodies.limit, this.#context))
  }

  received(body: Body): void {
    if (this.#over) return
    this.#body = body
    this.#exchange.requestBytes = body.size
    this.#exchange.timings.received = performance.now()
    if (this.#exchange.client !== undefined) this.#services.guard.reserve(this.#exchange, promptEstimate(body))
    const sent = this.#hygienic(body)
    this.#sent = sent
    this.#step(body, () => {
      const asked = this.#surface.understand(this, sent, this.#inspector)
      if (asked !== undefined) this.#step(body, () => this.#decide(asked, sent))
    })
  }

  /** What of the prompt only keeps caches from helping is made equal, where that is wanted. */
  #hygienic(body: Body): Body {
    const { enabled, hygiene } = this.#services.settings.current().traffic
    if (!enabled || !hygiene.includes("claude-code")) return body
    const chunks = withoutBillingMark(body.chunks)
    if (chunks === undefined) return body
    this.#exchange.hygiene = "claude-code"
    return { chunks, size: body.size, original: body.chunks }
  }

  /** Steps of a long body leave the loop to others in between: where it is translated each of them may take a tenth of a second. */
  #step(body: Body, step: () => void, isLong = this.#surface.copies > 1): void {
    if (body.size < longBody || !isLong) this.#context.guarded(step)
    else
      inATurnOfItsOwn(() => {
        if (!this.#over) this.#context.guarded(step)
      })
  }

  /** At once, or after endpoints have been asked for their models. */
  #decide(asked: Asked, body: Body): void {
    const { inspection } = asked
    this.#exchange.model = this.#services.catalogue.snapshot().meant(inspection.model)
    this.#exchange.stream = asked.stream
    const permit = permitOf(this.#context)
    if (permit !== undefined && !this.#mayUse(permit, asked, body)) return
    this.#inspection = inspection
    this.rules = this.#rulesFor(inspection, body)
    this.#keepWaiting(asked)
    const decided = this.#route(inspection)
    if (!Effect.isEffect(decided)) {
      this.#decided(asked, body, decided)
      return
    }
    this.#deciding = this.#services.fork(decided)
    this.#deciding.addObserver((exit) => {
      // Called off.
      if (this.#deciding === undefined) return
      this.#deciding = undefined
      try {
        if (Exit.isSuccess(exit)) this.#decided(asked, body, exit.value)
        else this.#context.fault(Cause.squash(exit.cause))
      } catch (error) {
        this.#context.fault(error)
      }
    })
  }

  /** From now on its client hears something whenever it has heard nothing for so long. */
  #keepWaiting(asked: Asked): void {
    const { enabled, queue } = this.#services.settings.current().traffic
    const context = this.#context
    const exchange = this.#exchange
    if (queue.keep_alive === 0 || !enabled || asked.stream !== true || exchange.method !== "POST" || context.early !== undefined) return
    const form = this.#surface.early?.(asked)
    if (form === undefined) return
    context.early = new EarlyStream(form, context.res, exchange, queue.keep_alive, () => {
      endConnection(context.req.socket)
      const head = ["X-Olla-Request-ID", exchange.id, ...context.extra]
      decisionHeaders(exchange, head)
      return head
    })
  }

  #rulesFor(inspection: Inspection, body: Body): RequestRules | undefined {
    const { rules } = this.#services.rules
    const exchange = this.#exchange
    let tokens: number | undefined
    return rules?.forRequest({
      asked: inspection.model,
      model: exchange.model,
      client: exchange.clientIp,
      key: exchange.client?.name ?? "",
      headers: (name) => headersOf(this.#context.req.rawHeaders, name),
      promptTokens: () => (tokens ??= new Prompt(inspection, body.chunks, body.size).tokens)
    })
  }

  promptSize(): PromptSize {
    const body = this.#sent
    if (body !== undefined) this.#promptSize ??= new Prompt(this.#inspection, body.chunks, body.size).extent
    return this.#promptSize ?? { bytes: 0, hasImage: false }
  }

  /** Every model that the request names counts, whichever of them a backend would read. False: it has been refused. */
  #mayUse(permit: ModelPermit, { inspection }: Asked, body: Body): boolean {
    const snapshot = this.#services.catalogue.snapshot()
    if (!permit.restrictsModels) {
      if (inspection.model === "" || permit.mayAsk(snapshot, inspection.model)) return true
      return this.#refuseModel("model_not_allowed", inspection.spelling)
    }
    const { query } = this.#exchange
    const inBody = this.#inspector.named(inspection, (this.#body ?? body).chunks)
    const named = inBody === undefined || query === "" ? inBody : [...inBody, ...new URLSearchParams(query).getAll("model")]
    const names = [inspection.model, ...(named ?? [])].filter((name) => name.trim() !== "")
    if (named === undefined || names.length === 0) return this.#refuseModel("model_required", "")
    const wrong = names.find((name) => !permit.mayAsk(snapshot, name.trim().toLowerCase()))
    return wrong === undefined || this.#refuseModel("model_not_allowed", wrong)
  }

  #refuseModel(code: ModelRefusal, model: string): false {
    this.#reject(403, code)
    refuseModel(this.#services, this.#context, code, model)
    return false
  }

  #decided(asked: Asked, body: Body, decision: Decision): void {
    const exchange = this.#exchange
    if (exchange.timings.routed === 0) exchange.timings.routed = performance.now()
    exchange.verdict = decision.verdict
    exchange.candidates = decision.candidates.length
    exchange.moved = decision.moved
    if (decision.moved !== undefined) this.#services.observer.movedOn?.(exchange, decision.moved)
    this.#log(decision)
    if (decision.candidates.length === 0) {
      if (!this.#hold(asked, body)) this.#surface.nobody(this, asked, decision)
      return
    }
    const given = this.#surface.plan(this, asked, body, decision)
    if (given === undefined) return
    const permit = permitOf(this.#context)
    const plan = permit === undefined ? given : within(given, permit)
    if (plan.candidates.length === 0) {
      this.#refuseModel("model_not_allowed", asked.inspection.spelling)
      return
    }
    if (plan.dialect === undefined || this.#share.reserve(body.size * copiesInTranslation))
      // The system copies what is sent, which takes milliseconds for every ten megabytes.
      this.#step(body, () => this.#carry(asked, body, plan, decision), true)
    else this.#refuseForWantOfRoom()
  }

  /** Somebody has the model, and may come back. False: it is not waited for. */
  #hold(asked: Asked, body: Body): boolean {
    const { settings, carrier, catalogue } = this.#services
    const { enabled, queue } = settings.current().traffic
    const exchange = this.#exchange
    const { model } = asked.inspection
    if (!enabled || queue.hold === 0 || model === "" || this.#holding !== undefined) return false
    const snapshot = catalogue.snapshot()
    if (snapshot.offer(model) === undefined && snapshot.alias(model) === undefined) return false
    const holding = new Holding({
      exchange,
      wish: { client: shareOf(exchange), urgency: classOf(exchange, this.rules?.of().class), cost: 1, bytes: body.size },
      hold: patienceOf(queue.hold, this.#context.header("x-olla-max-wait")),
      decide: () => {
        const decided = this.#decideNow(asked)
        return decided !== undefined && decided.candidates.length > 0 ? decided : undefined
      },
      decided: (decision) => this.#context.guarded(() => this.#decided(asked, body, decision)),
      refused: () => this.#context.guarded(() => this.#decide(asked, body))
    })
    this.#context.early?.waitsAt(carrier.queue, holding.place)
    const refusal = carrier.queue.wait(holding.place)
    this.#holding = holding
    if (refusal === undefined) holding.begin()
    else if (refusal.code === "nobody") return false
    else {
      const { code, retryAfter } = refusal
      this.#ended({ _tag: "turned_away", code, status: queueStatuses[code], retryAfter })
    }
    return true
  }

  #route(inspection: Inspection): Decision | Effect.Effect<Decision> {
    const { scope, path } = this.#surface.route
    const permit = permitOf(this.#context)
    return this.#services.router.decide({ scope, path, inspection, rules: this.rules, permit, prompted: this })
  }

  /** `undefined`: somebody would have to be asked for his models first. */
  #decideNow({ inspection }: Asked): Decision | undefined {
    const decided = this.#route(inspection)
    return Effect.isEffect(decided) ? undefined : decided
  }

  #log({ verdict, candidates, widened, down }: Decision): void {
    const { log, logsRequests, fleet } = this.#services
    const exchange = this.#exchange
    const logs = logsRequests()
    if (logs && verdict?.strategy === "alias") log.aliasResolved(exchange, candidates, fleet.endpoints.filter(accepts).length)
    if (down !== undefined) log.downTargets(exchange, down)
    if (widened !== undefined) log.widened(exchange, widened)
    if (verdict?.action === "fallback" && exchange.moved === undefined && candidates.length > 0) log.fellBack(exchange)
    if (logs) log.received(exchange, this.#context.head.userAgent, this.#surface.details)
  }

  #carry(
    asked: Asked,
    body: Body,
    { target, candidates, nextChoice, regroup, dialect, refusesRedirects, waited, otherwise, within }: Plan,
    { chain }: Decision
  ): void {
    const { carrier, wantsUsage, settings } = this.#services
    const { inspection } = asked
    const { req, res, trustedPeer, extra, early } = this.#context
    const exchange = this.#exchange
    exchange.wantsUsage = exchange.isSampled || exchange.client !== undefined || wantsUsage()
    const carrying = carrier.start(
      {
        exchange,
        target,
        rawHeaders: req.rawHeaders,
        trustedPeer,
        body: body.chunks,
        bodySize: body.size,
        original: body.original,
        inspection,
        candidates,
        nextChoice,
        chain,
        regroup,
        rules: this.rules,
        mayWait: settings.current().traffic.enabled,
        // A chain knows itself who may serve it by now; that whoever is away is looked at comes of being routed.
        again: () => {
          if (chain === undefined) return this.#regrouped(asked, regroup)
          this.#decideNow(asked)
          return undefined
        },
        sticky: this.#sticky(body, inspection),
        dialect,
        refusesRedirects: refusesRedirects === true,
        waited: early?.form.relayed ?? waited,
        early,
        otherwise,
        replyHeaders: extra,
        response: res,
        bodyTaken: (byOne) => this.#giveBack(byOne)
      },
      (end) => {
        this.#ended(end)
      }
    )
    if (this.#over) return
    this.#carrying = carrying
    if (res.closed) this.closed()
    else if (within !== undefined) this.#deadline = setTimeout(() => this.#giveUp(carrying, within), within)
  }

  #regrouped(asked: Asked, regroup: Plan["regroup"]): CandidateGroups | undefined {
    const decided = this.#decideNow(asked)
    return decided === undefined || decided.candidates.length === 0 ? undefined : regroup(decided.candidates)
  }

  #sticky(body: Body, { model, conversation }: Inspection) {
    const sticky = this.#services.settings.current().proxy.sticky_sessions
    if (!sticky.enabled) return undefined
    const context = this.#context
    const { client } = this.#exchange
    this.#exchange.sessionId = context.header("x-olla-session-id").slice(0, longestSessionId)
    return stickyKeyOf(sticky, {
      // A rotated key keeps its conversations.
      header: (name) => (name === "authorization" && client?.isAnonymous === false ? client.name : context.header(name)),
      body: body.chunks,
      conversation,
      model,
      peer: this.#exchange.peer
    })
  }

  #ended(end: Ended): void {
    if (this.#over) return
    if (end._tag === "turned_away") this.#noteTurnedAway(end)
    this.settle(outcomeOf(end))
    if (end._tag === "refused") this.#context.guarded(() => this.#surface.refused(end))
    else if (end._tag === "turned_away") this.#context.guarded(() => this.#surface.turnedAway(end))
  }

  /** What was decided holds no more. */
  #noteTurnedAway({ code, status }: TurnedAway): void {
    const exchange = this.#exchange
    const strategy = exchange.verdict?.strategy ?? this.#services.settings.current().model_registry.routing_strategy.type
    exchange.verdict = { strategy, action: "rejected", reason: code, status }
  }

  /** Turned away before an endpoint was chosen. */
  #reject(status: number, reason: string): void {
    this.settle({ _tag: "rejected", status, reason })
  }

  /** The connection is gone: with its answer, or with its client. */
  closed(): void {
    const { timings } = this.#exchange
    if (timings.ended === 0) timings.ended = performance.now()
    if (this.#over) this.#tell()
    else if (!this.#context.res.writableFinished) this.settle(this.#stop() ?? leftEarly)
  }

  /** An answer that is whole is left to its way. */
  left(): boolean {
    if (this.#over || this.#context.res.writableEnded) return false
    this.#exchange.timings.ended = performance.now()
    this.settle(this.#stop() ?? leftEarly)
    this.#tell()
    return true
  }

  get clientName(): string {
    return this.#exchange.client?.name ?? ""
  }

  /** Its client's key is good no more, and what runs with it ends. */
  revoke(): void {
    if (this.#over) return
    const context = this.#context
    const committed = context.res.headersSent
    this.#stop()
    this.settle({ _tag: "cancelled", status: committed ? context.res.statusCode : 401, committed, reason: "key_revoked" })
    endRevoked(context, this.clientName)
  }

  #giveUp(carrying: Carrying, within: number): void {
    if (this.#over) return
    // What has begun is not taken back.
    if (this.#context.res.headersSent) return
    this.#carrying = undefined
    carrying.abort()
    const why = failure("response_timeout", `not waited for longer than ${within} ms`, within)
    this.#ended({ _tag: "refused", failure: why, message: why.detail })
  }

  faulted(detail: string): void {
    if (this.#over) return
    this.#stop()
    this.settle({ _tag: "failed", status: 500, failure: failure("internal", detail), committed: this.#context.res.headersSent })
  }

  /** Whatever is under way for this exchange ends. */
  #stop(): Outcome | undefined {
    const deciding = this.#deciding
    this.#deciding = undefined
    deciding?.interruptUnsafe()
    if (this.#holding !== undefined) this.#services.carrier.queue.cancel(this.#holding.place)
    const carrying = this.#carrying
    this.#carrying = undefined
    return carrying?.abort()
  }

  /** Nobody will ask for the body any more. `unread`: nor is anybody reading it, so its memory can go at once. */
  #giveBack(unread: boolean): void {
    const body = this.#body
    this.#body = this.#sent = undefined
    this.#share.release()
    if (unread && body !== undefined) releaseBody(body)
  }

  settle(outcome: Outcome): void {
    if (!this.#exchange.settle(this.#asTold(outcome))) return
    this.#over = true
    this.#context.early?.stop()
    clearTimeout(this.#deadline)
    // No attempt was made: no backend reads the body.
    this.#giveBack(this.#exchange.attempts.length === 0)
    this.#surface.settled?.()
    if (this.#context.res.closed) this.#tell()
  }

  /** Whoever was kept waiting by a good head was told of its failure behind it. */
  #asTold(outcome: Outcome): Outcome {
    return outcome._tag === "failed" && this.#context.early?.isAlone === true ? { ...outcome, status: 200, committed: true } : outcome
  }

  /** The outcome stands, and the client has what it gets. */
  #tell(): void {
    if (this.#told) return
    this.#told = true
    if (this.place >= 0) this.#services.access.running.delete(this)
    this.#services.observer.ended(this.#exchange)
  }
}

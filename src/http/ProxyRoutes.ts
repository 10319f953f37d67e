/**
 * The life of a proxied request: admit, read, inspect, decide, carry, answer. Each phase is a function; translator routes
 * use the same ones with a dialect of their own.
 */
import { performance } from "node:perf_hooks"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Balancer } from "../balancing/Balancer.ts"
import { stickyKeyOf } from "../balancing/StickyKey.ts"
import type { Catalogue } from "../catalogue/Catalogue.ts"
import { nearestNames, nearestText } from "../catalogue/NearestName.ts"
import type { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import { ruleOf } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { Guard } from "../guard/Guard.ts"
import type { Carrier, CarryRequest, Refused } from "../proxy/Carrier.ts"
import type { Dialect } from "../proxy/Dialect.ts"
import { BodyInspector } from "../routing/Inspecting.ts"
import type { Candidate, Decision, Inspection, ProviderScope, Router } from "../routing/Router.ts"
import type { RequestLog } from "../telemetry/RequestLog.ts"
import type { Statistics } from "../telemetry/Statistics.ts"
import { CarriedExchange } from "./CarriedExchange.ts"
import { errorTable, fill, rejectionText } from "./ErrorTable.ts"
import { rateCode, refuseRate } from "./RateRefusal.ts"
import { type Body, readBody } from "./RequestBody.ts"
import type { RequestContext } from "./RequestContext.ts"

export interface ProxyServices {
  readonly settings: Settings["Service"]
  readonly fleet: Fleet["Service"]
  readonly catalogue: Catalogue["Service"]
  readonly router: Router["Service"]
  readonly balancer: Balancer["Service"]
  readonly carrier: Carrier["Service"]
  readonly guard: Guard["Service"]
  readonly statistics: Statistics["Service"]
  readonly log: RequestLog
  readonly observer: ExchangeObserver
  /** Forks with the daemon's own context. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Is any record of requests written at all? */
  readonly logsRequests: () => boolean
  /** Does anybody read usage figures? */
  readonly wantsUsage: () => boolean
}

export interface ProxyTarget {
  readonly scope: ProviderScope | undefined
  /** Stripped path with its query, percent-encoding as received. */
  readonly target: string
  /** Stripped path for the path table; `undefined` skips path compatibility. */
  readonly path: string | undefined
}

/** False: the request has been refused. Limits come before anything is read: rate first, then size. */
export const admit = (services: ProxyServices, context: RequestContext): boolean => {
  const { exchange } = context
  context.admitted = true
  const admission = services.guard.admit(exchange)
  for (const part of admission.headers) context.extra.push(part)
  if (!admission.allowed) {
    reject(services, context, 429, rateCode(admission))
    refuseRate(context, admission)
    return false
  }
  const over = services.guard.oversized(exchange, context.req.rawHeaders)
  if (over === undefined) return true
  const name = over === "body" ? "tooLarge" : "headersTooLarge"
  reject(services, context, errorTable[name].status, name)
  context.refuseUpload(name)
  return false
}

/** The whole body, or an answered error. */
export const receive = (
  services: ProxyServices,
  context: RequestContext,
  inspector: BodyInspector,
  limit: number,
  done: (body: Body) => void
): void =>
  readBody(
    context,
    limit,
    inspector,
    (body) => {
      context.exchange.requestBytes = body.size
      context.exchange.timings.received = performance.now()
      done(body)
    },
    (problem) => {
      if (problem === "tooLarge") services.guard.bodyOverflow(context.exchange, limit)
      reject(services, context, errorTable[problem].status, problem)
      context.refuseUpload(problem)
    }
  )

const routableCount = (fleet: Fleet["Service"]): number =>
  fleet.endpoints.reduce((count, { state }) => (isRoutable(state.status) ? count + 1 : count), 0)

/** The decision, at once or after a refresh; `then` runs with it. */
export const decide = (
  services: ProxyServices,
  context: RequestContext,
  target: ProxyTarget,
  inspection: Inspection,
  then: (decision: Decision) => void
): void => {
  const { exchange } = context
  exchange.model = inspection.model
  exchange.stream = inspection.stream
  const decided = services.router.decide({ scope: target.scope, path: target.path, inspection })
  const use = (decision: Decision) => {
    exchange.timings.routed = performance.now()
    exchange.verdict = decision.verdict
    exchange.candidates = decision.candidates.length
    if (decision.verdict?.strategy === "alias" && services.logsRequests())
      services.log.aliasResolved(exchange, decision.candidates, routableCount(services.fleet))
    if (decision.widened !== undefined) services.log.widened(exchange, decision.widened)
    if (decision.verdict?.action === "fallback" && decision.candidates.length > 0) services.log.fellBack(exchange)
    then(decision)
  }
  if (!Effect.isEffect(decided)) {
    use(decided)
    return
  }
  const fiber = services.fork(
    Effect.onExit(
      Effect.flatMap(decided, (decision) => Effect.sync(() => use(decision))),
      (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) return
          if (!Exit.hasInterrupts(exit)) {
            context.onFault?.(context, Cause.squash(exit.cause))
            return
          }
          exchange.settle({ _tag: "cancelled", status: 499, committed: false })
          services.observer.ended(exchange)
        })
    )
  )
  context.res.once("close", () => fiber.interruptUnsafe())
}

/** Bytes of a session's id that are echoed and logged; it is recognised by all of them (security.md 6). */
const longestSessionId = 256

export const stickyOf = (services: ProxyServices, context: RequestContext, body: Body, inspection: Inspection) => {
  const sticky = services.settings.current().proxy.sticky_sessions
  if (!sticky.enabled) return undefined
  const { exchange } = context
  exchange.sessionId = context.header("x-olla-session-id").slice(0, longestSessionId)
  return stickyKeyOf(sticky, { header: (name) => context.header(name), body: body.chunks, model: inspection.model, peer: exchange.peer })
}

/** Carries the exchange; what happens when nobody could answer is the caller's. */
export const carry = (
  services: ProxyServices,
  context: RequestContext,
  carried: {
    readonly target: string
    readonly body: Body
    readonly inspection: Inspection
    readonly candidates: ReadonlyArray<Candidate>
    readonly secondChoice?: () => ReadonlyArray<Candidate>
    readonly dialect: Dialect | undefined
    /** Milliseconds after which the caller does without an answer. */
    readonly within?: number
  },
  refused: (refusal: Refused) => void
): void => {
  const { exchange, req } = context
  exchange.wantsUsage = services.wantsUsage()
  const request: CarryRequest = {
    exchange,
    target: carried.target,
    rawHeaders: req.rawHeaders,
    trustedPeer: context.trustedPeer,
    body: carried.body.chunks,
    bodySize: carried.body.size,
    inspection: carried.inspection,
    candidates: carried.candidates,
    secondChoice: carried.secondChoice,
    sticky: stickyOf(services, context, carried.body, carried.inspection),
    dialect: carried.dialect,
    replyHeaders: context.extra,
    response: context.res
  }
  new CarriedExchange(services, context, carried.body, refused).start(request, carried.within)
}

/** An exchange that ends before an endpoint was chosen. */
export const reject = (services: ProxyServices, context: RequestContext, status: number, reason: string): void => {
  context.exchange.settle({ _tag: "rejected", status, reason })
  services.observer.ended(context.exchange)
}

/** Seconds until somebody who is down is looked at again: the hint of a 503 (http-api.md 17.34). */
export const retryAfter = (services: ProxyServices): ReadonlyArray<string> => {
  let earliest = Number.POSITIVE_INFINITY
  for (const { state } of services.fleet.endpoints) if (!isRoutable(state.status)) earliest = Math.min(earliest, state.nextCheck)
  if (services.fleet.endpoints.length === 0) return []
  const seconds = earliest === Number.POSITIVE_INFINITY ? 1 : Math.ceil((earliest - services.fleet.now()) / 1000)
  return ["Retry-After", String(Math.min(60, Math.max(1, seconds)))]
}

/** Why nobody can serve it, as this surface says it (models-and-routing.md 10). */
const refuseDecision = (services: ProxyServices, context: RequestContext, target: ProxyTarget, decision: Decision): void => {
  const { verdict } = decision
  const headers = context.decisionHeaders()
  if (verdict !== undefined && verdict.status >= 400) {
    if (verdict.status === 503) headers.push(...retryAfter(services))
    reject(services, context, verdict.status, verdict.reason)
    let rendered = context.renderError(verdict.status, verdict.reason, verdict.reason)
    // Plain text is the token alone; JSON has room for a sentence.
    if (!rendered.contentType.startsWith("text/plain")) {
      const sentence = describe(services, verdict.reason, context.exchange.model)
      rendered = context.renderError(verdict.status, `${verdict.reason}: ${sentence}`, verdict.reason)
    }
    context.answer(verdict.status, rendered.contentType, rendered.body, ["X-Content-Type-Options", "nosniff", ...headers])
    return
  }
  if (target.scope !== undefined) {
    reject(services, context, 404, "no_provider")
    context.error("noProvider", { provider: target.scope.label }, headers)
    return
  }
  reject(services, context, 503, "no_endpoints")
  context.error("noEndpoints", {}, [...headers, ...retryAfter(services)])
}

/** The table's sentence, and what is near a name that nobody has. */
export const describe = (services: ProxyServices, reason: string, model: string): string => {
  const snapshot = services.catalogue.snapshot()
  const known = snapshot.offer(model) !== undefined
  const near = known ? [] : nearestNames(snapshot, model, Object.keys(services.settings.current().model_aliases))
  return `${rejectionText(reason, model)}${nearestText(near)}`
}

/** The answer when every attempt failed before its first byte. */
export const refusal = (context: RequestContext, refused: Refused): void => {
  if (refused.failure.kind === "internal") {
    context.error("internal", { id: context.exchange.id }, context.decisionHeaders())
    return
  }
  const { status } = ruleOf(refused.failure)
  const plain = context.renderError(status, fill("proxy", { detail: refused.message }), null)
  context.answer(status, plain.contentType, plain.body, ["X-Content-Type-Options", "nosniff", ...context.decisionHeaders()])
}

/** One proxied request from its head to its answer. */
export const proxy = (services: ProxyServices, context: RequestContext, target: ProxyTarget): void => {
  if (!admit(services, context)) return
  const inspector = new BodyInspector(context.known.contentType)
  receive(services, context, inspector, services.guard.maxBodySize(), (body) => {
    const inspection = inspector.end(body.chunks, target.path ?? "")
    decide(services, context, target, inspection, (decision) => {
      if (services.logsRequests())
        services.log.received(context.exchange, context.header("user-agent"), {
          target: target.target,
          contentType: context.header("content-type")
        })
      if (decision.candidates.length === 0) {
        refuseDecision(services, context, target, decision)
        return
      }
      carry(
        services,
        context,
        { target: target.target, body, inspection, candidates: decision.candidates, dialect: undefined },
        (refused) => refusal(context, refused)
      )
    })
  })
}

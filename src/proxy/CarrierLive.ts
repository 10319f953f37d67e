/**
 * One exchange from its candidates to its last byte: lease, send, and on to the next candidate while nothing is committed
 * (proxying.md 9). Plain functions around one fiber; the usual case is one lease, one send, one report.
 */
import { performance } from "node:perf_hooks"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Balancer, type Lease } from "../balancing/Balancer.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import type { Attempt } from "../exchange/Exchange.ts"
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import { type ExchangeObserver, silent } from "../exchange/Observer.ts"
import { rewriteModel } from "../routing/ModelRewrite.ts"
import type { Candidate } from "../routing/Router.ts"
import { Carrier, type CarryRequest, type Refused } from "./Carrier.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { Spoken } from "./Dialect.ts"
import type { Engine, PhaseTimeouts, Sending } from "./Engine.ts"
import { EngineBreakers } from "./EngineBreakers.ts"
import { failureText } from "./FailureText.ts"
import { flushes } from "./FlushMode.ts"
import { headerValue } from "./HeaderRules.ts"
import { outboundHeaders } from "./Outbound.ts"
import { replyHeaders } from "./ReplyHeaders.ts"
import { outboundPath } from "./TargetUrl.ts"

/** Who is told of attempts; telemetry provides it. */
export const Observer = Context.Reference<ExchangeObserver>("olla/proxy/Observer", { defaultValue: () => silent })

/** The engines by name, built by whoever wires the rooms. */
export class Engines extends Context.Service<Engines, { readonly byName: (name: string) => Engine }>()("olla/proxy/Engines") {}

/** How an attempt was let through: no breaker, a closed one (`undefined`), or the one trial of a half-open one. */
type Token = number | undefined

/** What is left to try, and what happened so far. */
interface Trip {
  readonly request: CarryRequest
  remaining: ReadonlyArray<Candidate>
  firstSent: number
  last: { readonly failure: Failure; readonly name: string } | undefined
  allConnection: boolean
  /** The second choice has been called up. */
  reserved: boolean
}

const orDefault = (value: number, fallback: number): number => (value === 0 ? fallback : value)

/** A generation that is answered whole: backends send their headers when it is finished. */
const isWholeAnswer = ({ inspection, bodySize, rawHeaders }: CarryRequest): boolean => {
  if (inspection.stream === true || bodySize === 0) return false
  if (inspection.field !== "none") return true
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(headerValue(rawHeaders, "content-type"))
}

/** proxying.md 6 and B7. `firstSent`: `performance.now()` of the first dispatch. */
export const timeoutsOf = (proxy: OllaConfig["proxy"], request: CarryRequest, firstSent: number): PhaseTimeouts => {
  const set = proxy.response_header_timeout
  return {
    connect: orDefault(proxy.connection_timeout, 60_000),
    tls: orDefault(proxy.tls_handshake_timeout, 10_000),
    keepAlive: orDefault(proxy.connection_keep_alive, 30_000),
    // Where nobody set it, an answer that comes whole has all the time that there is.
    headers: set === undefined ? (isWholeAnswer(request) ? 0 : 30_000) : set < 0 ? 0 : orDefault(set, 30_000),
    response: proxy.response_timeout > 0 ? firstSent + proxy.response_timeout : 0,
    idle: proxy.read_timeout
  }
}

export const layer: Layer.Layer<Carrier, never, Settings | Balancer | Fleet | Engines> = Layer.effect(
  Carrier,
  Effect.gen(function* () {
    const settings = yield* Settings
    const balancer = yield* Balancer
    const fleet = yield* Fleet
    const engines = yield* Engines
    const observer = yield* Observer
    const clock = yield* Clock.Clock
    const engine = engines.byName(settings.current().proxy.engine)
    const breakers = engine.name === "olla" ? new EngineBreakers(() => clock.currentTimeMillisUnsafe()) : undefined
    const off = fleet.onEvent((event) => {
      if (event._tag === "StatusChanged" && event.to.status === "healthy" && !isRoutable(event.from.status))
        breakers?.reset(event.endpoint.url)
    })
    yield* Effect.addFinalizer(() => Effect.sync(off))

    /** The next lease. Candidates whose breaker is open are passed over; `undefined`: nobody can be asked. */
    const lease = (trip: Trip): Lease | undefined => {
      const { remaining } = trip
      if (breakers === undefined || remaining.every(({ endpoint }) => breakers.wouldAdmit(endpoint.url)))
        return balancer.acquire(remaining, trip.request.sticky)
      const admitting = remaining.filter(({ endpoint }) => breakers.wouldAdmit(endpoint.url))
      return admitting.length > 0 ? balancer.acquire(admitting, trip.request.sticky) : undefined
    }

    /** Nobody could be leased. Where open breakers are why, the one refusal that the client hears of is on record. */
    const refusedByBreaker = (trip: Trip): void => {
      const { exchange } = trip.request
      const candidate = trip.remaining.at(-1)
      if (candidate === undefined || breakers === undefined || breakers.wouldAdmit(candidate.endpoint.url)) return
      const record = attemptOf(candidate, performance.now())
      record.ended = record.started
      record.failure = failure("breaker_open", "circuit breaker open")
      exchange.attempts.push(record)
      observer.attemptEnded(exchange, record)
      trip.last = { failure: record.failure, name: candidate.endpoint.name }
    }

    const attemptOf = (candidate: Candidate, started: number): Attempt => ({
      endpointUrl: candidate.endpoint.url,
      endpointName: candidate.endpoint.name,
      endpointType: candidate.endpoint.type,
      profileName: candidate.endpoint.profile?.name ?? "",
      model: candidate.nativeName,
      started,
      ended: 0,
      status: 0,
      bytes: 0,
      failure: undefined
    })

    const send = (trip: Trip, held: Lease, attempt: Attempt, token: Token, spoken: Spoken | undefined) => {
      const { request } = trip
      const { endpoint, nativeName } = held.candidate
      const config = settings.current()
      const rename = nativeName !== "" && nativeName !== request.inspection.spelling
      const body = spoken !== undefined ? spoken.body : rename ? rewriteModel(request.body, request.inspection, nativeName) : request.body
      const size = body === request.body ? request.bodySize : body.reduce((sum, chunk) => sum + chunk.length, 0)
      if (trip.firstSent === 0) trip.firstSent = attempt.started
      const sending: Sending = {
        exchange: request.exchange,
        attempt,
        endpoint,
        method: request.exchange.method,
        path: outboundPath(spoken?.target ?? request.target, endpoint.origin.basePath, endpoint.preservePath),
        headers: outboundHeaders(request, endpoint, size, spoken),
        body,
        bodySize: size,
        timeouts: timeoutsOf(config.proxy, request, trip.firstSent),
        reply: (_status, raw) => {
          breakers?.succeed(endpoint.url, token)
          return replyHeaders(request.exchange, endpoint, raw, request.replyHeaders, config.server.cors.enabled)
        },
        relayed: held.release,
        flushes: (contentType) => flushes(config.proxy.profile, contentType, request.inspection.stream),
        translator: spoken?.answer?.(),
        response: request.response,
        bufferSize: config.proxy.stream_buffer_size
      }
      return engine.send(sending)
    }

    /** The end of one attempt, whatever it was: the slot is given back and everyone concerned is told, once. */
    const report = (trip: Trip, held: Lease, attempt: Attempt, token: Token, wallStart: number, exit: Exit.Exit<unknown, Failure>) => {
      held.release()
      attempt.ended = performance.now()
      const { endpoint } = held.candidate
      if (!Exit.isSuccess(exit)) {
        const failed = firstFailure(exit.cause)
        if (failed !== undefined) attempt.failure = namingItsKey(failed, settings.current().proxy)
        else if (!Exit.hasInterrupts(exit)) attempt.failure = failure("internal", "an error inside Olla")
        else if (attempt.status === 0) attempt.failure = failure("client_gone", "the client left before an answer")
        const rule = attempt.failure === undefined ? undefined : ruleOf(attempt.failure)
        if (rule?.trips === true) breakers?.fail(endpoint.url, token)
        // Nothing was learned of the backend: a trial's place is free again.
        else breakers?.release(endpoint.url, token)
        if (rule?.demote === true && attempt.failure !== undefined)
          endpoint.attemptFailed({ failure: attempt.failure, startedAt: wallStart })
      }
      observer.attemptEnded(trip.request.exchange, attempt)
    }

    const attempt = (trip: Trip, held: Lease): Effect.Effect<unknown, Failure> => {
      const { exchange, dialect } = trip.request
      const { endpoint, nativeName } = held.candidate
      exchange.timings.leased = performance.now()
      exchange.sticky = held.sticky
      const admission = breakers?.admit(endpoint.url)
      if (admission?._tag === "Denied") {
        held.release()
        return Effect.fail(failure("breaker_open", "circuit breaker open"))
      }
      const token = admission?.token
      const record = attemptOf(held.candidate, exchange.timings.leased)
      const wallStart = clock.currentTimeMillisUnsafe()
      exchange.attempts.push(record)
      observer.dispatched(exchange, record)
      const again = (spoken: Spoken | undefined): Effect.Effect<void, Failure> =>
        Effect.flatMap(send(trip, held, record, token, spoken), (next) => (next === undefined ? Effect.void : again(next)))
      const sent: Effect.Effect<unknown, Failure> = Effect.suspend(() =>
        dialect === undefined ? send(trip, held, record, token, undefined) : again(dialect.speak(endpoint, nativeName))
      )
      return Effect.onExit(sent, (exit) => Effect.sync(() => report(trip, held, record, token, wallStart, exit)))
    }

    const next = (trip: Trip): Effect.Effect<unknown, Refused> => {
      const held = lease(trip)
      if (held === undefined) {
        if (callReserve(trip)) return next(trip)
        refusedByBreaker(trip)
        return Effect.fail(refuse(trip))
      }
      return Effect.catch(attempt(trip, held), (failed: Failure) => {
        const { exchange, response } = trip.request
        const why = namingItsKey(failed, settings.current().proxy)
        trip.last = { failure: why, name: held.candidate.endpoint.name }
        if (response.headersSent) {
          exchange.outcome = { _tag: "failed", status: toldStatus(trip.request), failure: why, committed: true }
          return Effect.void
        }
        if (!ruleOf(why).failover) {
          trip.allConnection = false
          return Effect.fail(refuse(trip))
        }
        trip.remaining = trip.remaining.filter((candidate) => candidate !== held.candidate)
        return trip.remaining.length > 0 || callReserve(trip) ? next(trip) : Effect.fail(refuse(trip))
      })
    }

    /** False: there is no second choice, or it has been tried. */
    const callReserve = (trip: Trip): boolean => {
      if (trip.reserved || trip.request.reserve === undefined) return false
      trip.reserved = true
      const reserve = trip.request.reserve()
      if (reserve.length > 0) trip.remaining = reserve
      return reserve.length > 0
    }

    const refuse = (trip: Trip): Refused => {
      const { exchange } = trip.request
      if (trip.last === undefined) {
        const why = trip.request.candidates.length === 0 ? "no endpoints available" : "no routable endpoints available"
        trip.last = { failure: failure("unreachable", why), name: "" }
        return { _tag: "Refused", failure: trip.last.failure, message: `endpoint selection failed: ${why}` }
      }
      const { failure: why, name } = trip.last
      const text = failureText(why, name, performance.now() - exchange.timings.accepted)
      const wrap = trip.allConnection && why.kind !== "breaker_open"
      return { _tag: "Refused", failure: why, message: wrap ? `all endpoints failed with connection errors: ${text}` : text }
    }

    return Carrier.of({
      carry: (request) => {
        const { exchange } = request
        const trip: Trip = { request, remaining: request.candidates, firstSent: 0, last: undefined, allConnection: true, reserved: false }
        return Effect.onExit(next(trip), (exit) =>
          Effect.sync(() => {
            if (exchange.outcome !== undefined) return
            const { response } = request
            const status = toldStatus(request)
            if (Exit.isSuccess(exit)) exchange.outcome = { _tag: "completed", status }
            else if (Exit.hasInterrupts(exit))
              exchange.outcome = { _tag: "cancelled", status: status === 0 ? 499 : status, committed: response.headersSent }
            else {
              const last = Exit.hasDies(exit) ? failure("internal", "an error inside Olla") : (trip.last?.failure ?? internal)
              const committed = response.headersSent
              exchange.outcome = { _tag: "failed", status: committed ? status : ruleOf(last).status, failure: last, committed }
              if (committed) cutAfterFlush(response)
            }
          })
        )
      },
      breakerOf: (url) => breakers?.phaseOf(url)
    })
  })
)

const internal = failure("internal", "no attempt was made")

/** What the client was told, which in translation need not be what the backend said; the backend's before anything was. */
const toldStatus = ({ exchange, response }: CarryRequest): number =>
  response.headersSent ? response.statusCode : (exchange.lastAttempt?.status ?? 0)

/** The deadline over all attempts fired: the limit is what an operator has set. */
const namingItsKey = (failed: Failure, proxy: OllaConfig["proxy"]): Failure =>
  failed.kind === "response_timeout" ? { ...failed, limitMs: proxy.response_timeout } : failed

const firstFailure = (cause: Cause.Cause<Failure>): Failure | undefined => {
  for (const reason of cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}

/**
 * One exchange on its way through the candidates: lease, send, and on to the next one while nothing is committed
 * (proxying.md 9). A state machine without effects of its own, since most exchanges are one lease, one send, one report.
 */
import { performance } from "node:perf_hooks"
import type { Balancer, Lease } from "../balancing/Balancer.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Attempt } from "../exchange/Exchange.ts"
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { Candidate } from "../routing/Router.ts"
import { AttemptSending } from "./AttemptSending.ts"
import type { CarryRequest, Refused } from "./Carrier.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { Spoken } from "./Dialect.ts"
import type { AttemptEnd, Engine, Running } from "./Engine.ts"
import { failureText } from "./FailureText.ts"

/** What all journeys share. */
export interface Roads {
  readonly config: () => OllaConfig
  readonly balancer: Balancer["Service"]
  readonly engine: Engine
  /** The engine has breakers: its attempts report to those of the endpoints. */
  readonly hasBreakers: boolean
  readonly observer: ExchangeObserver
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
}

/** How an attempt was let through: no breaker, a closed one (`undefined`), or the one trial of a half-open one. */
type Token = number | undefined

export class Journey implements AttemptEnd {
  readonly #roads: Roads
  readonly #request: CarryRequest
  /** `undefined`: carried to its end, whatever that was. */
  readonly #arrived: (refused: Refused | undefined) => void
  #remaining: ReadonlyArray<Candidate>
  /** `performance.now()` of the first dispatch. */
  #firstSent = 0
  #last: { readonly failure: Failure; readonly name: string } | undefined = undefined
  #allConnection = true
  /** The second choice has been called up. */
  #reserved = false
  #held: Lease | undefined = undefined
  #attempt: Attempt | undefined = undefined
  #token: Token = undefined
  #startedAt = 0
  #running: Running | undefined = undefined
  /** Counts what was sent: an engine may be through before it returns. */
  #sent = 0
  #over = false

  constructor(roads: Roads, request: CarryRequest, arrived: (refused: Refused | undefined) => void) {
    this.#roads = roads
    this.#request = request
    this.#arrived = arrived
    this.#remaining = request.candidates
  }

  /** On to whoever is left. */
  next(): void {
    const held = this.#lease()
    if (held !== undefined) this.#begin(held)
    else if (this.#callReserve()) this.next()
    else {
      this.#refusedByBreaker()
      this.#refuse()
    }
  }

  /** The client is gone: the backend notices at once. */
  abort(): void {
    if (this.#over) return
    this.#running?.abort()
    this.#report(undefined, true)
    const { exchange, response } = this.#request
    const status = this.#toldStatus()
    this.#arrive({ _tag: "cancelled", status: status === 0 ? 499 : status, committed: response.headersSent }, exchange)
  }

  done(again: Spoken | undefined): void {
    if (this.#over) return
    if (again !== undefined) {
      this.#attempt?.restart()
      this.#send(again)
      return
    }
    this.#report(undefined, false)
    this.#complete()
  }

  failed(failed: Failure): void {
    const held = this.#held
    if (this.#over || held === undefined) return
    this.#report(failed, false)
    this.#onFailure(failed, held.candidate)
  }

  #onFailure(failed: Failure, candidate: Candidate): void {
    const { exchange, response } = this.#request
    const why = namingItsKey(failed, this.#roads.config().proxy)
    this.#last = { failure: why, name: candidate.endpoint.name }
    if (response.headersSent) {
      exchange.settle({ _tag: "failed", status: this.#toldStatus(), failure: why, committed: true })
      this.#complete()
    } else if (!ruleOf(why).failover) {
      this.#allConnection = false
      this.#refuse()
    } else {
      this.#remaining = this.#remaining.filter((each) => each !== candidate)
      if (this.#remaining.length > 0 || this.#callReserve()) this.next()
      else this.#refuse()
    }
  }

  /** The next lease. Candidates whose breaker is open are passed over; `undefined`: nobody can be asked. */
  #lease(): Lease | undefined {
    const { balancer, hasBreakers } = this.#roads
    const { sticky } = this.#request
    const remaining = this.#remaining
    if (!hasBreakers || allAdmitted(remaining)) return balancer.acquire(remaining, sticky)
    const admitting = remaining.filter(({ endpoint }) => endpoint.breaker.wouldAdmit)
    return admitting.length > 0 ? balancer.acquire(admitting, sticky) : undefined
  }

  /** False: there is no second choice, or it has been tried. */
  #callReserve(): boolean {
    const { reserve } = this.#request
    if (this.#reserved || reserve === undefined) return false
    this.#reserved = true
    const second = reserve()
    if (second.length > 0) this.#remaining = second
    return second.length > 0
  }

  #begin(held: Lease): void {
    const { hasBreakers, observer, now } = this.#roads
    const { exchange, dialect } = this.#request
    const { endpoint, nativeName } = held.candidate
    const leased = performance.now()
    exchange.sticky = held.sticky
    const admission = hasBreakers ? endpoint.breaker.admit() : undefined
    if (admission?._tag === "Denied") {
      held.release()
      this.#onFailure(failure("breaker_open", "circuit breaker open"), held.candidate)
      return
    }
    this.#held = held
    this.#token = admission?.token
    this.#startedAt = now()
    const record = attemptOf(held.candidate, leased)
    this.#attempt = record
    if (this.#firstSent === 0) this.#firstSent = leased
    exchange.attempts.push(record)
    observer.dispatched(exchange, record)
    let spoken: Spoken | undefined
    try {
      spoken = dialect?.speak(endpoint, nativeName)
    } catch (error) {
      this.#fault(error)
      return
    }
    this.#send(spoken)
  }

  #send(spoken: Spoken | undefined): void {
    const held = this.#held
    const attempt = this.#attempt
    if (held === undefined || attempt === undefined) return
    const sent = ++this.#sent
    this.#running = undefined
    try {
      const sending = new AttemptSending(this.#roads, this.#request, held, attempt, this.#token, this.#firstSent, spoken)
      const running = this.#roads.engine.start(sending, this)
      if (sent === this.#sent) this.#running = running
    } catch (error) {
      if (sent === this.#sent) this.#fault(error)
    }
  }

  /** A fault of ours ends this exchange only. */
  #fault(error: unknown): void {
    const { response } = this.#request
    if (response.headersSent) cutAfterFlush(response)
    this.failed(failure("internal", error instanceof Error ? (error.stack ?? error.message) : String(error)))
  }

  /** The end of one attempt, whatever it was: the slot is given back and everyone concerned is told, once. */
  #report(failed: Failure | undefined, interrupted: boolean): void {
    const held = this.#held
    const attempt = this.#attempt
    if (held === undefined || attempt === undefined) return
    this.#held = undefined
    this.#attempt = undefined
    this.#running = undefined
    // Whatever an engine still has to say of it is nobody's business any more.
    this.#sent++
    const { hasBreakers, observer, config } = this.#roads
    held.release()
    attempt.ended = performance.now()
    const { endpoint } = held.candidate
    if (failed !== undefined || interrupted) {
      if (failed !== undefined) attempt.failure = namingItsKey(failed, config().proxy)
      else if (attempt.status === 0) attempt.failure = failure("client_gone", "the client left before an answer")
      const rule = attempt.failure === undefined ? undefined : ruleOf(attempt.failure)
      if (hasBreakers && rule?.trips === true) endpoint.breaker.fail(this.#token)
      // Nothing was learned of the backend: a trial's place is free again.
      else if (hasBreakers) endpoint.breaker.release(this.#token)
      if (rule?.demote === true && attempt.failure !== undefined)
        endpoint.attemptFailed({ failure: attempt.failure, startedAt: this.#startedAt })
    }
    observer.attemptEnded(this.#request.exchange, attempt)
  }

  /** Nobody could be leased. Where open breakers are why, the one refusal that the client hears of is on record. */
  #refusedByBreaker(): void {
    const { hasBreakers, observer } = this.#roads
    const { exchange } = this.#request
    const candidate = this.#remaining.at(-1)
    if (candidate === undefined || !hasBreakers || candidate.endpoint.breaker.wouldAdmit) return
    const record = attemptOf(candidate, performance.now())
    record.ended = record.timings.leased
    record.failure = failure("breaker_open", "circuit breaker open")
    exchange.attempts.push(record)
    observer.attemptEnded(exchange, record)
    this.#last = { failure: record.failure, name: candidate.endpoint.name }
  }

  #complete(): void {
    const { exchange } = this.#request
    this.#arrive({ _tag: "completed", status: this.#toldStatus() }, exchange)
    this.#arrived(undefined)
  }

  #refuse(): void {
    const { exchange, response } = this.#request
    const refused = this.#refusal()
    const { failure: why } = this.#last ?? refused
    const committed = response.headersSent
    this.#arrive({ _tag: "failed", status: committed ? this.#toldStatus() : ruleOf(why).status, failure: why, committed }, exchange)
    if (committed) cutAfterFlush(response)
    this.#arrived(refused)
  }

  #arrive(outcome: NonNullable<CarryRequest["exchange"]["outcome"]>, exchange: CarryRequest["exchange"]): void {
    this.#over = true
    exchange.settle(outcome)
  }

  #refusal(): Refused {
    const { candidates, exchange } = this.#request
    if (this.#last === undefined) {
      const why = candidates.length === 0 ? "no endpoints available" : "no routable endpoints available"
      this.#last = { failure: failure("unreachable", why), name: "" }
      return { _tag: "Refused", failure: this.#last.failure, message: `endpoint selection failed: ${why}` }
    }
    const { failure: why, name } = this.#last
    const text = failureText(why, name, performance.now() - exchange.timings.accepted)
    const wrap = this.#allConnection && why.kind !== "breaker_open"
    return { _tag: "Refused", failure: why, message: wrap ? `all endpoints failed with connection errors: ${text}` : text }
  }

  /** What the client was told, which in translation need not be what the backend said; the backend's before anything was. */
  #toldStatus(): number {
    const { exchange, response } = this.#request
    return response.headersSent ? response.statusCode : (exchange.lastAttempt?.status ?? 0)
  }
}

const allAdmitted = (candidates: ReadonlyArray<Candidate>): boolean => {
  for (const { endpoint } of candidates) if (!endpoint.breaker.wouldAdmit) return false
  return true
}

const attemptOf = ({ endpoint, nativeName }: Candidate, leased: number): Attempt =>
  new Attempt(
    {
      endpointUrl: endpoint.url,
      endpointName: endpoint.name,
      endpointType: endpoint.type,
      profileName: endpoint.profile?.name ?? "",
      model: nativeName
    },
    leased
  )

/** The deadline over all attempts fired: the limit is what an operator has set. */
const namingItsKey = (failed: Failure, proxy: OllaConfig["proxy"]): Failure =>
  failed.kind === "response_timeout" ? { ...failed, limitMs: proxy.response_timeout } : failed

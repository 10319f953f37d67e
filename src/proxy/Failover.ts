/**
 * One exchange on its way through the candidates: lease, send, and on to the next one while nothing is committed. It alone
 * tells lease and breaker how an attempt went; how the exchange ended is returned, not settled here. A state machine without
 * effects, since most exchanges are one lease, one send, one report.
 */
import { performance } from "node:perf_hooks"
import type { Balancer } from "../balancing/Balancer.ts"
import { Claim } from "../balancing/Claim.ts"
import { hasRoomToEject } from "../balancing/EjectionCap.ts"
import type { Lease } from "../balancing/Lease.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { type AttemptVerdict, served, unjudged, verdictOfFailure } from "../exchange/AttemptVerdict.ts"
import { Attempt } from "../exchange/Exchange.ts"
import { endedUnanswered, type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import { newSpanId } from "../exchange/TraceContext.ts"
import { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"
import { type AttemptOwner, AttemptSending } from "./AttemptSending.ts"
import type { Cancelled, CarryRequest, Completed, Ended, Refused } from "./Carrier.ts"
import { cutAfterFlush, endBroken } from "./ClientSocket.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import type { AttemptEnd, Engine, Running } from "./Engine.ts"
import { failureText } from "./FailureText.ts"
import { endsWithLastWord } from "./LastWord.ts"
import { Opening } from "./Opening.ts"
import { pathOf, RemainingCandidates } from "./RemainingCandidates.ts"

/** What all exchanges share. */
export interface FailoverParts {
  readonly config: () => OllaConfig
  readonly balancer: Balancer["Service"]
  readonly engine: Engine
  /** The engine has breakers: its attempts report to those of the endpoints. */
  readonly hasBreakers: boolean
  readonly observer: ExchangeObserver
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
}

/** How a breaker let an attempt through: a closed one or none (`undefined`), or as the one trial of a half-open one. */
type TrialToken = number | undefined

/** Endpoints that may end the connection unanswered: a request that makes backends crash must not reach the whole fleet. */
const unansweredAtMost = 1

export class Failover implements AttemptEnd, AttemptOwner {
  readonly #parts: FailoverParts
  readonly #request: CarryRequest
  readonly #ended: (end: Ended) => void
  readonly #remaining: RemainingCandidates
  readonly #claim: Claim
  /** `performance.now()` of the first lease. */
  #firstLeased = 0
  #last: { readonly failure: Failure; readonly name: string } | undefined = undefined
  #allConnection = true
  #held: Lease | undefined = undefined
  #attempt: Attempt | undefined = undefined
  #trial: TrialToken = undefined
  #startedAt = 0
  #running: Running | undefined = undefined
  /** Of the attempt under way, while its backend has sent no head. */
  #opening: Opening | undefined = undefined
  /** Of the last attempt. */
  #translator: AnswerTranslator | undefined = undefined
  /** The dialect's request that was sent last; `undefined`: the client's own. */
  #spoken: Spoken | undefined = undefined
  /** Tells one start of the engine from the next: an engine may be through before it returns. */
  #turn = 0
  #over = false
  /** Backends that took the request and closed the connection without an answer. */
  #unanswered = 0

  constructor(parts: FailoverParts, request: CarryRequest, ended: (end: Ended) => void) {
    this.#parts = parts
    this.#request = request
    this.#ended = ended
    this.#remaining = new RemainingCandidates(request)
    const { exchange, inspection, sticky, candidates } = request
    this.#claim = new Claim({
      sticky,
      usesLanes: parts.config().traffic.enabled,
      stream: exchange.stream === true,
      mayRepeat: inspection.model !== "" || exchange.method === "GET" || exchange.method === "HEAD",
      client: exchange.clientIp,
      candidates,
      prompt: new Prompt(inspection, request.body, request.bodySize)
    })
  }

  /** Tries the next candidate. */
  next(): void {
    const held = this.#parts.balancer.acquire(this.#remaining.list, this.#claim)
    if (held !== undefined) this.#begin(held)
    else if (this.#remaining.advance()) this.next()
    else {
      this.#recordBreakerRefusal()
      this.#refuse()
    }
  }

  /** The client is gone: the backend notices at once. Called at most once, and not after the end. */
  abort(): Cancelled | Completed {
    this.#over = true
    this.#running?.abort()
    if (this.#attempt !== undefined && endsWithLastWord(this.#attempt.lastPiece)) {
      this.#noteServed()
      this.#report(undefined, false)
      return { _tag: "completed", status: this.#toldStatus() }
    }
    this.#report(undefined, true)
    const status = this.#toldStatus()
    return { _tag: "cancelled", status: status === 0 ? 499 : status, committed: this.#request.response.headersSent }
  }

  /** Where somebody has failed before, his failure says more than that the rest do not serve the path. */
  mayAskOther(): boolean {
    const held = this.#held
    return held !== undefined && (this.#last !== undefined || this.#remaining.hasOther(held.candidate))
  }

  answered(): void {
    this.#opening?.stop()
    const endpoint = this.#held?.candidate.endpoint
    if (endpoint === undefined) return
    endpoint.answered()
    if (this.#parts.hasBreakers) endpoint.breaker.succeed(this.#trial)
  }

  bodyTaken(once: boolean): void {
    const { dialect, exchange, bodyTaken } = this.#request
    // A dialect writes the next attempt's request from the body.
    if (dialect === undefined) bodyTaken(once && exchange.attempts.length === 1)
  }

  relayed(): void {
    this.#held?.release()
  }

  done(again: Spoken | undefined): void {
    if (this.#over) return
    if (again !== undefined) {
      this.#attempt?.restart()
      this.#send(again)
      return
    }
    this.#noteServed()
    this.#report(undefined, false)
    this.#end({ _tag: "completed", status: this.#toldStatus() })
  }

  failed(failed: Failure): void {
    const held = this.#held
    const attempt = this.#attempt
    if (this.#over || held === undefined || attempt === undefined) return
    const isHeadless = attempt.timings.headers === 0
    this.#report(failed, false)
    if (failed.kind === "path_unknown") this.#onUnservedPath(held.candidate, attempt.status)
    else this.#onFailure(failed, held.candidate, isHeadless)
  }

  /** `isHeadless`: the backend has sent no head. What the client has then only kept it waiting. */
  #onFailure(failed: Failure, candidate: Candidate, isHeadless: boolean): void {
    const why = namingItsKey(failed, this.#parts.config().proxy)
    this.#last = { failure: why, name: candidate.endpoint.name }
    if (this.#request.response.headersSent && !isHeadless)
      this.#end({ _tag: "failed", status: this.#toldStatus(), failure: why, committed: true })
    else if (!ruleOf(why).failover) {
      this.#allConnection = false
      this.#refuse()
    } else if (endedUnanswered(why.kind) && ++this.#unanswered > unansweredAtMost) this.#refuse()
    else this.#goOn(candidate)
  }

  #noteServed(): void {
    const held = this.#held
    const status = this.#attempt?.status ?? 0
    if (held === undefined || status < 200 || status > 299) return
    const { endpoint, nativeName } = held.candidate
    const { exchange, target } = this.#request
    endpoint.unserved.served(exchange.method, pathOf(this.#spoken?.target ?? target), nativeName)
  }

  /** 501 may hold for one model only (a feature that it lacks); other statuses hold for the path. */
  #onUnservedPath(candidate: Candidate, status: number): void {
    const { exchange, target } = this.#request
    const path = pathOf(this.#spoken?.target ?? target)
    const { endpoint, nativeName } = candidate
    if (status !== 501) endpoint.unserved.add(exchange.method, path, "")
    else if (nativeName !== "") endpoint.unserved.add(exchange.method, path, nativeName)
    this.#goOn(candidate)
  }

  #goOn(from: Candidate): void {
    this.#remaining.remove(from)
    if (this.#remaining.list.length > 0 || this.#remaining.advance()) this.next()
    else this.#refuse()
  }

  #begin(held: Lease): void {
    const { observer, now } = this.#parts
    const { exchange, dialect } = this.#request
    const { endpoint, nativeName } = held.candidate
    const leased = performance.now()
    exchange.sticky = held.sticky
    this.#held = held
    this.#trial = held.trial
    this.#startedAt = now()
    const attempt = attemptOf(held.candidate, leased)
    this.#attempt = attempt
    if (this.#firstLeased === 0) this.#firstLeased = leased
    if (exchange.isSampled) attempt.spanId = newSpanId()
    if (held.trial !== undefined) attempt.isTrial = true
    if (held.lane !== undefined) attempt.pick = held.pick
    attempt.listener = held.stint
    exchange.attempts.push(attempt)
    observer.dispatched(exchange, attempt)
    let spoken: Spoken | undefined
    try {
      spoken = dialect?.speak(endpoint, nativeName)
      if (spoken !== undefined) attempt.translating = performance.now() - leased
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
    const turn = ++this.#turn
    this.#running = undefined
    this.#spoken = spoken
    try {
      const sending = new AttemptSending(this.#parts.config(), this.#request, held.candidate, attempt, this.#firstLeased, spoken, this)
      this.#translator = sending.translator
      const waiting = sending.translator?.waiting
      this.#opening?.stop()
      this.#opening = waiting === undefined ? undefined : new Opening(sending, waiting.bind(sending.translator))
      const running = this.#parts.engine.start(sending, this)
      if (turn === this.#turn) this.#running = running
    } catch (error) {
      if (turn === this.#turn) this.#fault(error)
    }
  }

  /** A fault of ours ends this exchange only. */
  #fault(error: unknown): void {
    const { response } = this.#request
    if (response.headersSent && this.#attempt?.timings.headers !== 0) cutAfterFlush(response)
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
    this.#opening?.stop()
    // What an engine still reports of this attempt is ignored.
    this.#turn++
    const { hasBreakers, observer, config } = this.#parts
    held.release()
    held.stint?.end(failed === undefined && !interrupted && attempt.status >= 200 && attempt.status <= 299)
    attempt.ended = performance.now()
    const { endpoint } = held.candidate
    if (failed !== undefined || interrupted) {
      if (failed !== undefined) attempt.failure = namingItsKey(failed, config().proxy)
      else if (attempt.status === 0) attempt.failure = failure("client_gone", "the client left before an answer")
      const rule = attempt.failure === undefined ? undefined : ruleOf(attempt.failure)
      if (hasBreakers && rule?.trips === true && !this.#isOnlySlow(attempt.failure, endpoint)) endpoint.breaker.fail(this.#trial)
      // Nothing was learned of the backend: its breaker may admit another trial.
      else if (hasBreakers) endpoint.breaker.release(this.#trial)
      if (rule?.demote === true && attempt.failure !== undefined)
        endpoint.attemptFailed({ failure: attempt.failure, startedAt: this.#startedAt })
    }
    this.#judge(held, attempt)
    observer.attemptEnded(this.#request.exchange, attempt)
  }

  /** What the attempt's end says of the model there. */
  #judge({ lane, laneTrial }: Lease, attempt: Attempt): void {
    if (lane === undefined) return
    const { failure: why } = attempt
    const verdict: AttemptVerdict =
      why === undefined ? (attempt.status === 0 ? unjudged : served) : verdictOfFailure(why.kind, this.#request.response.headersSent)
    attempt.verdict = verdict
    const share = this.#parts.config().traffic.ejection.max_percent
    lane.judge(verdict, {
      startedAt: this.#startedAt,
      trial: laneTrial,
      hasRoom: () => hasRoomToEject(this.#claim.candidates, lane, share)
    })
  }

  /**
   * It did not answer in time although its probes do: it loads a model, or reads a long prompt. Where no other endpoint could serve,
   * opening the breaker would refuse every request because one had to wait.
   */
  #isOnlySlow(why: Failure | undefined, endpoint: Endpoint): boolean {
    if (why?.kind !== "header_timeout" && why?.kind !== "response_timeout") return false
    return (
      isRoutable(endpoint.state.status) &&
      !this.#request.candidates.some((other) => other.endpoint !== endpoint && accepts(other.endpoint) && other.endpoint.breaker.wouldAdmit)
    )
  }

  /** Nobody could be leased. Where open breakers are why, that is recorded as one failed attempt, which the client is told of. */
  #recordBreakerRefusal(): void {
    const { hasBreakers, observer } = this.#parts
    const { exchange } = this.#request
    const candidate = this.#remaining.list.at(-1)
    if (candidate === undefined || !hasBreakers || candidate.endpoint.breaker.wouldAdmit) return
    const record = attemptOf(candidate, performance.now())
    record.ended = record.timings.leased
    record.failure = failure("breaker_open", "circuit breaker open")
    exchange.attempts.push(record)
    observer.attemptEnded(exchange, record)
    this.#last = { failure: record.failure, name: candidate.endpoint.name }
  }

  #refuse(): void {
    const refusal = this.#refusal()
    const { response } = this.#request
    if (!response.headersSent) {
      this.#end(refusal)
      return
    }
    // The client was already sent something to keep it waiting: it is told as of an answer that breaks off.
    endBroken(response, this.#translator?.fail(refusal.failure))
    this.#end({ _tag: "failed", status: this.#toldStatus(), failure: refusal.failure, committed: true })
  }

  #end(end: Ended): void {
    this.#over = true
    this.#ended(end)
  }

  #refusal(): Refused {
    const { candidates, exchange } = this.#request
    if (this.#last === undefined) {
      const why = candidates.length === 0 ? "no endpoints available" : "no routable endpoints available"
      return { _tag: "refused", failure: failure("unreachable", why), message: `endpoint selection failed: ${why}` }
    }
    const { failure: why, name } = this.#last
    const text = failureText(why, name, performance.now() - exchange.timings.accepted)
    if (!this.#allConnection || why.kind === "breaker_open" || why.kind === "descriptors")
      return { _tag: "refused", failure: why, message: text }
    const isOnly = candidates.length === 1 && exchange.attempts.length === 1
    const who = isOnly ? `the only reachable endpoint ${exchange.model === "" ? "for this request" : "with this model"}` : "all endpoints"
    return { _tag: "refused", failure: why, message: `${who} failed with ${isOnly ? "a connection error" : "connection errors"}: ${text}` }
  }

  /** The status that the client got, which a translator may have changed; the backend's while nothing was sent. */
  #toldStatus(): number {
    const { exchange, response } = this.#request
    return response.headersSent ? response.statusCode : (exchange.lastAttempt?.status ?? 0)
  }
}

const attemptOf = ({ endpoint, nativeName }: Candidate, leased: number): Attempt =>
  new Attempt(
    {
      endpoint,
      endpointName: endpoint.name,
      endpointType: endpoint.type,
      profileName: endpoint.profile?.name ?? "",
      model: nativeName
    },
    leased
  )

/** The deadline over all attempts fired: the limit that is named is the configured one, not what was left of it. */
const namingItsKey = (failed: Failure, proxy: OllaConfig["proxy"]): Failure =>
  failed.kind === "response_timeout" ? { ...failed, limitMs: proxy.response_timeout } : failed

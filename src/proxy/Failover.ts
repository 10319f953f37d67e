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
import { pausedUntil } from "../balancing/Pauses.ts"
import type { Queue, QueueRefusal } from "../balancing/Queue.ts"
import type { RetryBudget } from "../balancing/RetryBudget.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Waiter } from "../endpoint/Patience.ts"
import type { AttemptVerdict } from "../exchange/AttemptVerdict.ts"
import { Attempt, clientOf } from "../exchange/Exchange.ts"
import { endedUnanswered, type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import { newSpanId } from "../exchange/TraceContext.ts"
import type { ChainReason } from "../routing/Chain.ts"
import { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"
import { verdictOfMove } from "../routing/Routing.ts"
import { AttemptJudging, brokenAtMost, mayHaveBroken } from "./AttemptJudging.ts"
import { type AttemptOwner, AttemptSending } from "./AttemptSending.ts"
import { type Cancelled, type CarryRequest, type Completed, type Ended, queueStatuses, type Refused } from "./Carrier.ts"
import { cutAfterFlush, endBroken } from "./ClientSocket.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import type { AttemptEnd, Engine, Running } from "./Engine.ts"
import { type HeldAnswer, writeHeld } from "./HeldAnswer.ts"
import { classOf, InLine } from "./InLine.ts"
import { endsWithLastWord } from "./LastWord.ts"
import { TargetEnds, whyNotToAsk } from "./LeavingTarget.ts"
import { Opening } from "./Opening.ts"
import { type LastFailure, refusedAfter, refusedAsCrashing, refusedUnasked } from "./RefusalText.ts"
import { pathOf, RemainingCandidates } from "./RemainingCandidates.ts"

/** What all exchanges share. */
export interface FailoverParts {
  readonly config: () => OllaConfig
  readonly balancer: Balancer["Service"]
  readonly engine: Engine
  /** The engine has breakers: its attempts report to those of the endpoints. */
  readonly hasBreakers: boolean
  readonly observer: ExchangeObserver
  readonly retries: RetryBudget
  readonly queue: Queue
  /** Epoch milliseconds. */
  readonly wall: () => number
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
}

/** What no rule says. */
const unruled = { class: undefined, maxWait: undefined }

/** How a breaker let an attempt through: a closed one or none (`undefined`), or as the one trial of a half-open one. */
type TrialToken = number | undefined

export class Failover implements AttemptEnd, AttemptOwner, Waiter {
  readonly #parts: FailoverParts
  readonly #request: CarryRequest
  readonly #ended: (end: Ended) => void
  readonly #remaining: RemainingCandidates
  readonly #claim: Claim
  /** `performance.now()` of the first lease. */
  #firstLeased = 0
  #last: LastFailure | undefined = undefined
  readonly #judging: AttemptJudging
  /** Of the attempt under way, where its lane has been told already. */
  #verdict: AttemptVerdict | undefined = undefined
  /** Who is asked next, leased before the attempt under way has ended. */
  #next: Lease | undefined = undefined
  /** Where it waits, or has waited. */
  #line: InLine | undefined = undefined
  /** The last answer that was held back: what the client gets when nobody has a better one. */
  #kept: { readonly answer: HeldAnswer; readonly attempt: Attempt } | undefined = undefined
  /** Attempts that were more than looking for somebody who can be reached. */
  #spent = 0
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
  /** Backends that took the request and closed the connection without an answer: they may have died of it. */
  #broken = 0
  /** What came of asking for the model in progress. */
  readonly #ends = new TargetEnds()
  #crashes = false

  constructor(parts: FailoverParts, request: CarryRequest, ended: (end: Ended) => void) {
    this.#parts = parts
    this.#request = request
    this.#ended = ended
    this.#remaining = new RemainingCandidates(request)
    const { exchange, inspection, sticky, candidates, rules, chain } = request
    this.#judging = new AttemptJudging(() => parts.config().traffic, inspection, parts.wall, chain?.goesOnFor("context") === true)
    this.#claim = new Claim({
      sticky,
      usesLanes: parts.config().traffic.enabled,
      stream: exchange.stream === true,
      mayRepeat: inspection.model !== "" || exchange.method === "GET" || exchange.method === "HEAD",
      client: clientOf(exchange),
      candidates,
      prompt: new Prompt(inspection, request.body, request.bodySize),
      rules
    })
  }

  /** Among those who wait for the head of an answer as long as their endpoint lives. */
  place = -1

  /** Its endpoint does not answer probes any more. One that may only be busy is left by those who have somebody else to ask. */
  giveUp(isLate: boolean): void {
    const held = this.#held
    if (held === undefined || (isLate && !this.#remaining.hasOther(held.candidate))) return
    this.#running?.abort()
    this.failed(failure("header_timeout", "no response headers, and its probes fail"))
  }

  /** Tries the next candidate. */
  next(): void {
    const { queue } = this.#parts
    if (queue.size > 0 && this.#claim.usesLanes) queue.settle()
    const held = this.#acquire()
    if (held !== undefined) this.#begin(held)
    else if (this.#claim.usesLanes) this.#wait()
    else this.#refuseUnasked()
  }

  #refuseUnasked(): void {
    this.#recordBreakerRefusal()
    this.#refuse()
  }

  /** Whoever could serve it has no room, or wants to be left alone: it is told when that has changed. */
  #wait(): void {
    const line = this.#inLine()
    this.#request.early?.waitsAt(this.#parts.queue, line.place)
    this.#uncount()
    const refusal = this.#parts.queue.wait(line.place)
    if (refusal === undefined) line.begin()
    else this.#turnAway(refusal)
  }

  #uncount(): void {
    if (this.#claim.uncount()) this.#parts.queue.changed()
  }

  /** One of those whom it could wait for will be able to take it in time, as far as is known. */
  #mayWait(): boolean {
    return this.#claim.usesLanes && this.#parts.queue.judge(this.#inLine()) === undefined
  }

  #inLine(): InLine {
    if (this.#line !== undefined) return this.#line
    const { config, hasBreakers } = this.#parts
    const { exchange, rawHeaders, bodySize, again } = this.#request
    const { prompt, rules } = this.#claim
    const { class: urgency, maxWait } = rules?.of(this.#remaining.everybody[0]?.target) ?? unruled
    this.#line = new InLine(
      { exchange, rawHeaders, bodySize, prompt, urgency: classOf(exchange, urgency), maxWait },
      config().traffic.queue,
      {
        everybody: () => this.#remaining.everybody,
        canBeAsked: (endpoint) => accepts(endpoint) && (!hasBreakers || endpoint.breaker.wouldAdmitAlone),
        mostAt: (candidate) => this.#claim.mostAt(candidate),
        renew: () => {
          const groups = again?.()
          if (groups === undefined) return
          this.#remaining.renew(groups)
          this.#claim.candidates = this.#remaining.lanes
        },
        take: () => {
          this.#remaining.restart()
          this.#next = this.#acquire()
          return this.#next !== undefined
        },
        served: () => {
          // What it waits here is no time of a backend's.
          const wait = exchange.waits.at(-1)
          if (this.#firstLeased > 0 && wait !== undefined) this.#firstLeased += wait.to - wait.from
          this.#goOnWithNext()
        },
        refused: (refusal) => this.#turnAway(refusal)
      }
    )
    return this.#line
  }

  #turnAway({ code, retryAfter }: QueueRefusal): void {
    if (code === "nobody") this.#refuseUnasked()
    else if (!this.#isEarly && (this.#kept !== undefined || this.#request.response.headersSent)) this.#refuse()
    else this.#end({ _tag: "turned_away", code, status: queueStatuses[code], retryAfter })
  }

  /** Its client has been sent nothing but comments. */
  get #isEarly(): boolean {
    return this.#request.early?.isAlone === true
  }

  #acquire(): Lease | undefined {
    for (;;) {
      const { list } = this.#remaining
      const why = this.#request.chain === undefined ? [] : whyNotToAsk(list)
      const held = why.length > 0 ? undefined : this.#lease(list)
      if (held !== undefined) return held
      if (this.#remaining.advance()) continue
      if (this.#leadsOn(why)) continue
      const free = list.length === 0 || why.includes("unavailable") ? undefined : this.#leadOnToFree()
      return free ?? (why.length === 0 ? undefined : this.#lease(list))
    }
  }

  #lease(candidates: ReadonlyArray<Candidate>): Lease | undefined {
    return this.#parts.balancer.acquire(candidates, this.#claim)
  }

  /** Whoever is asked would have to be waited for: another model of the alias is asked, where one is free. */
  #leadOnToFree(): Lease | undefined {
    return this.#entered(this.#remaining.leadOnTo(["saturated"], (candidates) => this.#lease(candidates)))
  }

  #leadsOn(reasons: ReadonlyArray<ChainReason>): boolean {
    return this.#entered(this.#remaining.leadOn(reasons))
  }

  #entered<T>(led: T): T {
    if (led !== undefined && led !== false) {
      this.#claim.candidates = this.#remaining.lanes
      this.#ends.clear()
    }
    return led
  }

  /** The client is gone: the backend notices at once. Called at most once, and not after the end. */
  abort(): Cancelled | Completed {
    this.#over = true
    this.#running?.abort()
    if (this.#line !== undefined) this.#parts.queue.cancel(this.#line.place)
    this.#uncount()
    if (this.#next !== undefined) this.#release(this.#next)
    if (this.#attempt !== undefined && endsWithLastWord(this.#attempt.lastPiece)) {
      this.#noteServed()
      this.#report(undefined, false)
      return { _tag: "completed", status: this.#toldStatus() }
    }
    this.#report(undefined, true)
    const status = this.#toldStatus()
    if (status === 0 || this.#isEarly) return { _tag: "cancelled", status: 499, committed: false }
    return { _tag: "cancelled", status, committed: this.#request.response.headersSent }
  }

  /** Where somebody has failed before, his failure says more than that the rest do not serve the path. */
  mayAskOther(): boolean {
    const held = this.#held
    return held !== undefined && (this.#last !== undefined || this.#remaining.hasOther(held.candidate))
  }

  withholds(status: number): boolean {
    return this.#claim.usesLanes && this.#judging.withholds(status)
  }

  /** Somebody else is leased here and now: whether an answer goes to the client depends on it. */
  goesOn(answer: HeldAnswer): boolean {
    const held = this.#held
    const attempt = this.#attempt
    if (held === undefined || attempt === undefined) return false
    const verdict = this.#judging.ofAnswer(answer, held.candidate.nativeName)
    this.#judge(held, attempt, verdict)
    if (verdict.again === "no" || !this.#claim.mayRepeat) return false
    if (verdict.again === "chain") this.#request.chain?.isTooLongFor(held.candidate.contextLength)
    this.#remaining.remove(held.candidate)
    // When it may be asked again, so may this request.
    if (verdict.lane._tag === "pause") this.#remaining.readmit(held.candidate)
    if (!this.#affords(verdict)) return false
    this.#release(held)
    this.#next = this.#acquire()
    if (this.#next === undefined && !this.#mayWait()) return false
    if (answer.isWhole) this.#kept = { answer, attempt }
    this.#last = { failure: failure("withheld", `answered with ${answer.status}`), name: held.candidate.endpoint.name }
    this.#allConnection = false
    return true
  }

  /** When those who may be asked again all want to be left alone for now: until the first of them may be. */
  retryAfter(status: number): number | undefined {
    if (status !== 429 && status !== 503) return undefined
    const until = pausedUntil(this.#claim.candidates)
    return until === undefined ? undefined : Math.max(1, Math.ceil((until - this.#parts.now()) / 1000))
  }

  answered(): void {
    this.#opening?.stop()
    const endpoint = this.#held?.candidate.endpoint
    if (endpoint === undefined) return
    endpoint.patience.delete(this)
    endpoint.answered()
    if (this.#parts.hasBreakers) endpoint.breaker.succeed(this.#trial)
  }

  bodyTaken(once: boolean): void {
    const { dialect, exchange, bodyTaken } = this.#request
    // A dialect writes the next attempt's request from the body.
    if (dialect === undefined) bodyTaken(once && exchange.attempts.length === 1)
  }

  relayed(): void {
    if (this.#held !== undefined) this.#release(this.#held)
  }

  #release(lease: Lease): void {
    lease.release()
    this.#parts.queue.freed(lease.candidate.endpoint.host)
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
    if (failed.kind === "withheld") {
      this.#goOnWithNext()
      return
    }
    this.#report(failed, false)
    if (failed.kind === "path_unknown") this.#onUnservedPath(held.candidate, attempt.status)
    else this.#onFailure(failed, held.candidate, attempt)
  }

  /** Its answer was complete, and is told of as such. */
  #goOnWithNext(): void {
    const next = this.#next
    this.#next = undefined
    this.#report(undefined, false)
    if (next !== undefined) this.#begin(next)
    else if (this.#claim.usesLanes) this.#wait()
    else this.#refuse()
  }

  #onFailure(failed: Failure, candidate: Candidate, attempt: Attempt): void {
    const why = this.#namingItsLimit(failed, candidate)
    this.#last = { failure: why, name: candidate.endpoint.name }
    if (!ruleOf(why).failover || why.kind === "redirected") this.#allConnection = false
    this.#remaining.remove(candidate)
    const { verdict } = attempt
    // It may come back while it is waited for.
    if (verdict !== undefined && this.#parts.config().traffic.queue.hold > 0 && !accepts(candidate.endpoint))
      this.#remaining.readmit(candidate)
    if (attempt.isCommitted) this.#end({ _tag: "failed", status: this.#toldStatus(), failure: why, committed: true })
    else if (verdict === undefined ? this.#mayGoOn(why) : this.#mayRepeat(why, attempt, verdict)) this.#goOn()
    else this.#refuse()
  }

  /** As configured, or as a rule says. */
  #firstTokenTimeout({ target }: Candidate): number {
    return this.#claim.rules?.of(target).firstTokenTimeout ?? this.#parts.config().traffic.first_token_timeout
  }

  /** A deadline fired: the limit that is named is the configured one, not what was left of it. */
  #namingItsLimit(failed: Failure, candidate: Candidate): Failure {
    if (failed.kind === "response_timeout") return { ...failed, limitMs: this.#parts.config().proxy.response_timeout }
    return failed.kind === "first_token_timeout" ? { ...failed, limitMs: this.#firstTokenTimeout(candidate) } : failed
  }

  /** Where no lanes are kept: only what could not be connected, or was closed unanswered once. */
  #mayGoOn(why: Failure): boolean {
    return ruleOf(why).failover && !(endedUnanswered(why.kind) && ++this.#broken >= brokenAtMost)
  }

  #mayRepeat(why: Failure, attempt: Attempt, verdict: AttemptVerdict): boolean {
    if (mayHaveBroken(why, attempt) && ++this.#broken >= brokenAtMost) this.#crashes = true
    return !this.#crashes && verdict.again === "yes" && (this.#claim.mayRepeat || ruleOf(why).failover) && this.#affords(verdict)
  }

  /** Somebody is left, and one more attempt is within what this request may have, and all of them together. */
  #affords({ isFree, again }: AttemptVerdict): boolean {
    const { retries, config, now } = this.#parts
    const { max_attempts: most, budget_percent: percent } = config().traffic.failover
    if (!isFree && this.#spent >= most) return false
    return this.#hasNext(again) && (isFree || retries.grants(now(), percent))
  }

  /** Somebody else who has the model, or the next model of an alias: now, or when he has room or may be asked again. */
  #hasNext(again: AttemptVerdict["again"] = "yes"): boolean {
    if (again !== "chain" && this.#remaining.goOn()) return true
    if (this.#leadsOn(this.#ends.reasons(this.#remaining.lanes))) return true
    if (again === "chain" || !this.#claim.usesLanes) return false
    this.#remaining.restart()
    return this.#remaining.everybody.length > 0 && this.#mayWait()
  }

  #noteServed(): void {
    const held = this.#held
    const status = this.#attempt?.status ?? 0
    if (held === undefined || status < 200 || status > 299) return
    const { endpoint, nativeName } = held.candidate
    const { exchange, target } = this.#request
    endpoint.unserved.served(exchange.method, pathOf(this.#spoken?.target ?? target), nativeName)
  }

  #onUnservedPath(candidate: Candidate, status: number): void {
    const { exchange, target } = this.#request
    const path = pathOf(this.#spoken?.target ?? target)
    const { endpoint, nativeName } = candidate
    endpoint.unserved.refused(status, exchange.method, path, nativeName)
    this.#remaining.remove(candidate)
    this.#goOn()
  }

  #goOn(): void {
    if (this.#hasNext()) this.next()
    else this.#refuse()
  }

  #begin(held: Lease): void {
    const { observer, now } = this.#parts
    const { exchange, dialect } = this.#request
    const { endpoint, nativeName } = held.candidate
    const leased = performance.now()
    exchange.sticky = held.sticky
    this.#claim.count(held.candidate)
    if (this.#claim.usesLanes && held.candidate.target !== undefined) this.#tellModel(held.candidate.target)
    this.#held = held
    this.#trial = held.trial
    // The same moment: nothing happened since.
    this.#startedAt = held.lane?.lastUsed ?? now()
    const attempt = attemptOf(held.candidate, leased)
    this.#attempt = attempt
    if (this.#firstLeased === 0) this.#firstLeased = leased
    if (held.lane !== undefined) this.#count()
    if (exchange.isSampled) attempt.spanId = newSpanId()
    if (held.trial !== undefined) attempt.isTrial = true
    if (held.lane !== undefined) noteChoice(attempt, held, held.lane, this.#claim)
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

  /** Of an alias: which of its models is asked, and why it is another one than before. */
  #tellModel(target: string): void {
    const { exchange } = this.#request
    exchange.servedModel = target
    const move = this.#remaining.takeMove()
    if (move === undefined) return
    exchange.moved = move
    exchange.verdict = verdictOfMove(move)
    this.#parts.observer.movedOn?.(exchange, move)
  }

  /** Whoever could not be reached, or does not serve the path, was no attempt. */
  #count(): void {
    const { retries, now } = this.#parts
    const { attempts } = this.#request.exchange
    const before = attempts.at(-1)
    if (before === undefined) retries.request(this.#startedAt)
    else if (before.verdict?.isFree === false) retries.spend(now())
  }

  #send(spoken: Spoken | undefined): void {
    const held = this.#held
    const attempt = this.#attempt
    if (held === undefined || attempt === undefined) return
    const turn = ++this.#turn
    this.#running = undefined
    this.#spoken = spoken
    try {
      const timed = {
        firstLeased: this.#firstLeased,
        leased: attempt.timings.leased,
        firstToken: this.#firstTokenTimeout(held.candidate),
        usesLanes: this.#claim.usesLanes,
        stream: this.#claim.stream,
        isCold: held.lane !== undefined && isCold(held.lane)
      }
      const sending = new AttemptSending(this.#parts.config(), this.#request, held.candidate, attempt, timed, spoken, this)
      this.#translator = sending.translator
      if (timed.usesLanes && sending.timeouts.headers === 0) held.candidate.endpoint.patience.add(this)
      const waiting =
        sending.translator === undefined ? firstNeeded(this.#request.waited) : sending.translator.waiting?.bind(sending.translator)
      this.#opening?.stop()
      this.#opening = waiting === undefined || this.#request.early !== undefined ? undefined : new Opening(sending, waiting)
      const running = this.#parts.engine.start(sending, this)
      if (turn === this.#turn) this.#running = running
    } catch (error) {
      if (turn === this.#turn) this.#fault(error)
    }
  }

  /** A fault of ours ends this exchange only. */
  #fault(error: unknown): void {
    const { response } = this.#request
    if (this.#attempt?.isCommitted === true) cutAfterFlush(response)
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
    const { hasBreakers, observer } = this.#parts
    this.#release(held)
    held.stint?.end(failed === undefined && !interrupted && attempt.status >= 200 && attempt.status <= 299)
    attempt.ended = performance.now()
    const { endpoint } = held.candidate
    endpoint.patience.delete(this)
    if (failed !== undefined || interrupted) {
      if (failed !== undefined) attempt.failure = this.#namingItsLimit(failed, held.candidate)
      else if (attempt.status === 0) attempt.failure = failure("client_gone", "the client left before an answer")
      const rule = attempt.failure === undefined ? undefined : ruleOf(attempt.failure)
      if (hasBreakers && rule?.trips === true && !this.#isOnlySlow(attempt.failure, endpoint)) endpoint.breaker.fail(this.#trial)
      // Nothing was learned of the backend: its breaker may admit another trial.
      else if (hasBreakers) endpoint.breaker.release(this.#trial)
      if (rule?.demote === true && attempt.failure !== undefined)
        endpoint.attemptFailed({ failure: attempt.failure, startedAt: this.#startedAt, secondDecides: this.#claim.usesLanes })
    }
    if (this.#verdict === undefined) this.#judge(held, attempt, this.#judging.ofEnd(attempt))
    this.#verdict = undefined
    observer.attemptEnded(this.#request.exchange, attempt)
  }

  /** What the attempt's end says of the model there. */
  #judge({ lane, laneTrial }: Lease, attempt: Attempt, verdict: AttemptVerdict): void {
    if (lane === undefined) return
    this.#verdict = verdict
    attempt.verdict = verdict
    this.#ends.add(verdict)
    if (!verdict.isFree) this.#spent++
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
      !this.#claim.candidates.some((other) => other.endpoint !== endpoint && accepts(other.endpoint) && other.endpoint.breaker.wouldAdmit)
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
    const kept = this.#kept
    // Within a stream that was begun to keep the client waiting an error has other words.
    if (kept !== undefined && !this.#crashes && !this.#request.response.headersSent) {
      this.#relayKept(kept)
      return
    }
    const refusal = this.#refusal()
    const { response } = this.#request
    if (!response.headersSent || this.#isEarly) {
      this.#end(refusal)
      return
    }
    // The client was already sent something to keep it waiting: it is told as of an answer that breaks off.
    endBroken(response, (this.#translator ?? this.#request.waited?.())?.fail(refusal.failure))
    this.#end({ _tag: "failed", status: this.#toldStatus(), failure: refusal.failure, committed: true })
  }

  /** The last answer that any attempt was given: an error, but what a backend said. */
  #relayKept({ answer, attempt }: { readonly answer: HeldAnswer; readonly attempt: Attempt }): void {
    const { response } = this.#request
    const { bytes, fault } = writeHeld(this.#request.exchange, response, answer)
    attempt.bytes = bytes
    const status = this.#toldStatus()
    this.#end(fault === undefined ? { _tag: "completed", status } : { _tag: "failed", status, failure: fault, committed: true })
  }

  #end(end: Ended): void {
    this.#over = true
    this.#uncount()
    this.#ended(end)
  }

  #refusal(): Refused {
    const { candidates, exchange } = this.#request
    if (this.#last === undefined) return refusedUnasked(candidates)
    return this.#crashes
      ? refusedAsCrashing(this.#last, exchange, this.#broken)
      : refusedAfter(this.#last, exchange, candidates.length, this.#allConnection)
  }

  /** The status that the client got, which a translator may have changed; the backend's while nothing was sent. */
  #toldStatus(): number {
    const { exchange, response } = this.#request
    return response.headersSent ? response.statusCode : (exchange.lastAttempt?.status ?? 0)
  }
}

/** Why it was chosen, for whoever tells of it. */
const noteChoice = (attempt: Attempt, held: Lease, lane: Lane, { prompt }: Claim): void => {
  attempt.pick = held.pick
  attempt.cost = held.cost
  attempt.residency = held.stint?.isLoad === true ? "cold" : lane.residency
  attempt.laneState = lane.state
  // Elsewhere nobody looks for what a backend has kept, and the prompt is not read for it.
  if (lane.work.prefix === undefined) return
  attempt.cachedTokens = held.cached
  attempt.promptTokens = Math.round(prompt.tokens)
}
/** The attempt has to wait for the model to be loaded. */
const isCold = ({ work }: Lane): boolean => work.residency === "cold" || work.residency === "loading"

/** Nearly no request waits so long that it is needed. */
const firstNeeded = (waited: CarryRequest["waited"]): AnswerTranslator["waiting"] => {
  if (waited === undefined) return undefined
  let made: AnswerTranslator | undefined
  return (head, milliseconds) => {
    made ??= waited()
    return made.waiting?.(head, milliseconds)
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

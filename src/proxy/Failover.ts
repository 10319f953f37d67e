/**
 * One exchange on its way through the candidates: lease, send, and on to the next one while nothing is committed. How the exchange
 * ended is returned, not settled here. A state machine without effects, since most exchanges are one lease, one send, one report.
 * Whom it asks next is known by `CandidateSearch`, what an attempt's end means to others is told by `LeasedAttempt`, what is said when
 * nobody is left by `FailuresSoFar`.
 */
import { performance } from "node:perf_hooks"
import type { Lease } from "../balancing/Lease.ts"
import { pausedUntil } from "../balancing/Pauses.ts"
import type { QueueRefusal } from "../balancing/Queue.ts"
import { accepts } from "../endpoint/Endpoint.ts"
import type { Waiter } from "../endpoint/Patience.ts"
import type { AttemptVerdict } from "../exchange/AttemptVerdict.ts"
import type { Attempt } from "../exchange/Exchange.ts"
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import { newSpanId } from "../exchange/TraceContext.ts"
import { verdictOfMove } from "../routing/Routing.ts"
import { AttemptJudging } from "./AttemptJudging.ts"
import { type AttemptOwner, AttemptSending } from "./AttemptSending.ts"
import { CandidateSearch, type Searcher } from "./CandidateSearch.ts"
import { type Cancelled, type CarryRequest, type Completed, type Ended, queueStatuses } from "./Carrier.ts"
import { cutAfterFlush, endBroken } from "./ClientSocket.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import type { AttemptEnd, Running } from "./Engine.ts"
import type { FailoverParts } from "./FailoverParts.ts"
import { FailuresSoFar, type KeptAnswer } from "./FailuresSoFar.ts"
import { type HeldAnswer, writeHeld } from "./HeldAnswer.ts"
import { endsWithLastWord } from "./LastWord.ts"
import { attemptOf, LeasedAttempt } from "./LeasedAttempt.ts"
import { firstNeeded, Opening } from "./Opening.ts"
import { pathOf } from "./RemainingCandidates.ts"

export class Failover implements AttemptEnd, AttemptOwner, Searcher, Waiter {
  readonly #parts: FailoverParts
  readonly #request: CarryRequest
  readonly #ended: (end: Ended) => void
  readonly #search: CandidateSearch
  readonly #failures = new FailuresSoFar()
  readonly #judging: AttemptJudging
  /** `performance.now()` of the first lease. */
  #firstLeased = 0
  /** Under way. */
  #current: LeasedAttempt | undefined = undefined
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

  constructor(parts: FailoverParts, request: CarryRequest, ended: (end: Ended) => void) {
    this.#parts = parts
    this.#request = request
    this.#ended = ended
    this.#search = new CandidateSearch(parts, request, this)
    const { inspection, chain } = request
    this.#judging = new AttemptJudging(() => parts.config().traffic, inspection, parts.wall, chain?.goesOnFor("context") === true)
  }

  /** Among those who wait for the head of an answer as long as their endpoint lives. */
  place = -1

  /** Its endpoint does not answer probes any more. One that may only be busy is left by those who have somebody else to ask. */
  giveUp(isLate: boolean): void {
    const current = this.#current
    if (current === undefined || (isLate && !this.#search.remaining.hasOther(current.candidate))) return
    this.#running?.abort()
    this.failed(failure("header_timeout", "no response headers, and its probes fail"))
  }

  /** Tries the next candidate. */
  next(): void {
    const { queue } = this.#parts
    const { usesLanes } = this.#search.claim
    if (queue.size > 0 && usesLanes) queue.settle()
    const held = this.#search.acquire()
    if (held !== undefined) this.#begin(held)
    else if (usesLanes) this.#search.wait()
    else this.#refuseUnasked()
  }

  served(waited: number): void {
    // That is no time of a backend's.
    if (this.#firstLeased > 0) this.#firstLeased += waited
    this.#goOnWithNext()
  }

  turnedAway({ code, retryAfter }: QueueRefusal): void {
    if (code === "nobody") this.#refuseUnasked()
    else if (!this.#isEarly && (this.#failures.kept !== undefined || this.#request.response.headersSent)) this.#refuse()
    else this.#end({ _tag: "turned_away", code, status: queueStatuses[code], retryAfter })
  }

  /** Its client has been sent nothing but comments. */
  get #isEarly(): boolean {
    return this.#request.early?.isAlone === true
  }

  /** The client is gone: the backend notices at once. Called at most once, and not after the end. */
  abort(): Cancelled | Completed {
    this.#over = true
    this.#running?.abort()
    this.#search.leave()
    if (this.#current !== undefined && endsWithLastWord(this.#current.attempt.lastPiece)) {
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
    const current = this.#current
    return current !== undefined && (!this.#failures.isEmpty || this.#search.remaining.hasOther(current.candidate))
  }

  withholds(status: number): boolean {
    return this.#search.claim.usesLanes && this.#judging.withholds(status)
  }

  /** Somebody else is leased here and now: whether an answer goes to the client depends on it. */
  goesOn(answer: HeldAnswer): boolean {
    const current = this.#current
    if (current === undefined) return false
    const { candidate, attempt } = current
    const { claim, remaining } = this.#search
    const verdict = this.#judging.ofAnswer(answer, candidate.nativeName)
    current.judge(verdict)
    if (verdict.again === "no" || !claim.mayRepeat) return false
    if (verdict.again === "chain") this.#request.chain?.isTooLongFor(candidate.contextLength)
    remaining.remove(candidate)
    // When it may be asked again, so may this request.
    if (verdict.lane._tag === "pause") remaining.readmit(candidate)
    if (!this.#search.affords(verdict)) return false
    current.release()
    if (!this.#search.reserve()) return false
    this.#failures.addWithheld(answer, attempt)
    return true
  }

  /** When those who may be asked again all want to be left alone for now: until the first of them may be. */
  retryAfter(status: number): number | undefined {
    if (status !== 429 && status !== 503) return undefined
    const until = pausedUntil(this.#search.claim.candidates)
    return until === undefined ? undefined : Math.max(1, Math.ceil((until - this.#parts.now()) / 1000))
  }

  answered(): void {
    this.#opening?.stop()
    this.#current?.answered(this)
  }

  bodyTaken(once: boolean): void {
    const { dialect, exchange, bodyTaken } = this.#request
    // A dialect writes the next attempt's request from the body.
    if (dialect === undefined) bodyTaken(once && exchange.attempts.length === 1)
  }

  relayed(): void {
    this.#current?.release()
  }

  done(again: Spoken | undefined): void {
    if (this.#over) return
    if (again !== undefined) {
      this.#current?.attempt.restart()
      this.#send(again)
      return
    }
    this.#noteServed()
    this.#report(undefined, false)
    this.#end({ _tag: "completed", status: this.#toldStatus() })
  }

  failed(failed: Failure): void {
    const current = this.#current
    if (this.#over || current === undefined) return
    if (failed.kind === "withheld") {
      this.#goOnWithNext()
      return
    }
    this.#report(failed, false)
    if (failed.kind === "path_unknown") this.#onUnservedPath(current)
    else this.#onFailure(current.attempt.failure ?? failed, current)
  }

  #refuseUnasked(): void {
    this.#recordBreakerRefusal()
    this.#refuse()
  }

  /** Its answer was complete, and is told of as such. */
  #goOnWithNext(): void {
    const next = this.#search.takeNext()
    this.#report(undefined, false)
    if (next !== undefined) this.#begin(next)
    else if (this.#search.claim.usesLanes) this.#search.wait()
    else this.#refuse()
  }

  #onFailure(why: Failure, { candidate, attempt }: LeasedAttempt): void {
    const { remaining } = this.#search
    this.#failures.add(why, candidate.endpoint.name)
    remaining.remove(candidate)
    const { verdict } = attempt
    // It may come back while it is waited for.
    if (verdict !== undefined && this.#parts.config().traffic.queue.hold > 0 && !accepts(candidate.endpoint)) remaining.readmit(candidate)
    if (attempt.isCommitted) this.#end({ _tag: "failed", status: this.#toldStatus(), failure: why, committed: true })
    else if (verdict === undefined ? this.#failures.mayGoOnWithoutLanes(why) : this.#mayRepeat(why, attempt, verdict)) this.#goOn()
    else this.#refuse()
  }

  #mayRepeat(why: Failure, attempt: Attempt, verdict: AttemptVerdict): boolean {
    const { claim } = this.#search
    return (
      this.#failures.mayCrashOthers(why, attempt) &&
      verdict.again === "yes" &&
      (claim.mayRepeat || ruleOf(why).failover) &&
      this.#search.affords(verdict)
    )
  }

  #noteServed(): void {
    const current = this.#current
    const status = current?.attempt.status ?? 0
    if (current === undefined || status < 200 || status > 299) return
    const { endpoint, nativeName } = current.candidate
    const { exchange, target } = this.#request
    endpoint.unserved.served(exchange.method, pathOf(this.#spoken?.target ?? target), nativeName)
  }

  #onUnservedPath({ candidate, attempt }: LeasedAttempt): void {
    const { exchange, target } = this.#request
    const { endpoint, nativeName } = candidate
    endpoint.unserved.refused(attempt.status, exchange.method, pathOf(this.#spoken?.target ?? target), nativeName)
    this.#search.remaining.remove(candidate)
    this.#goOn()
  }

  #goOn(): void {
    if (this.#search.hasNext()) this.next()
    else this.#refuse()
  }

  #begin(held: Lease): void {
    const { exchange, dialect } = this.#request
    const { endpoint, nativeName, target } = held.candidate
    const { claim } = this.#search
    const leased = performance.now()
    exchange.sticky = held.sticky
    claim.count(held.candidate)
    if (claim.usesLanes && target !== undefined) this.#tellModel(target)
    const current = new LeasedAttempt(this.#parts, this.#search, held, leased)
    const { attempt } = current
    this.#current = current
    if (this.#firstLeased === 0) this.#firstLeased = leased
    if (held.lane !== undefined) this.#count(current.startedAt)
    if (exchange.isSampled) attempt.spanId = newSpanId()
    exchange.attempts.push(attempt)
    this.#parts.observer.dispatched(exchange, attempt)
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
    const move = this.#search.remaining.takeMove()
    if (move === undefined) return
    exchange.moved = move
    exchange.verdict = verdictOfMove(move)
    this.#parts.observer.movedOn?.(exchange, move)
  }

  /** Whoever could not be reached, or does not serve the path, was no attempt. */
  #count(startedAt: number): void {
    const { retries, now } = this.#parts
    const { attempts } = this.#request.exchange
    const before = attempts.at(-1)
    if (before === undefined) retries.request(startedAt)
    else if (before.verdict?.isFree === false) retries.spend(now())
  }

  #send(spoken: Spoken | undefined): void {
    const current = this.#current
    if (current === undefined) return
    const { candidate, attempt } = current
    const turn = ++this.#turn
    this.#running = undefined
    this.#spoken = spoken
    try {
      const { usesLanes, stream } = this.#search.claim
      const timed = {
        firstLeased: this.#firstLeased,
        leased: attempt.timings.leased,
        firstToken: current.firstTokenTimeout,
        usesLanes,
        stream,
        isCold: current.isCold
      }
      const sending = new AttemptSending(this.#parts.config(), this.#request, candidate, attempt, timed, spoken, this)
      this.#translator = sending.translator
      if (usesLanes && sending.timeouts.headers === 0) candidate.endpoint.patience.add(this)
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
    if (this.#current?.attempt.isCommitted === true) cutAfterFlush(response)
    this.failed(failure("internal", error instanceof Error ? (error.stack ?? error.message) : String(error)))
  }

  /** The end of one attempt, whatever it was. */
  #report(failed: Failure | undefined, interrupted: boolean): void {
    const current = this.#current
    if (current === undefined) return
    this.#current = undefined
    this.#running = undefined
    this.#opening?.stop()
    // What an engine still reports of this attempt is ignored.
    this.#turn++
    current.end(failed, interrupted, this.#request.exchange, this, this.#judging)
  }

  /** Nobody could be leased. Where open breakers are why, that is recorded as one failed attempt, which the client is told of. */
  #recordBreakerRefusal(): void {
    const { hasBreakers, observer } = this.#parts
    const { exchange } = this.#request
    const candidate = this.#search.remaining.list.at(-1)
    if (candidate === undefined || !hasBreakers || candidate.endpoint.breaker.wouldAdmit) return
    const record = attemptOf(candidate, performance.now())
    record.ended = record.timings.leased
    record.failure = failure("breaker_open", "circuit breaker open")
    exchange.attempts.push(record)
    observer.attemptEnded(exchange, record)
    this.#failures.add(record.failure, candidate.endpoint.name)
  }

  #refuse(): void {
    const { candidates, exchange, response, waited } = this.#request
    const { kept, crashes } = this.#failures
    // Within a stream that was begun to keep the client waiting an error has other words.
    if (kept !== undefined && !crashes && !response.headersSent) {
      this.#relayKept(kept)
      return
    }
    const refusal = this.#failures.refusal(exchange, candidates)
    if (!response.headersSent || this.#isEarly) {
      this.#end(refusal)
      return
    }
    // The client was already sent something to keep it waiting: it is told as of an answer that breaks off.
    endBroken(response, (this.#translator ?? waited?.())?.fail(refusal.failure))
    this.#end({ _tag: "failed", status: this.#toldStatus(), failure: refusal.failure, committed: true })
  }

  /** The last answer that any attempt was given: an error, but what a backend said. */
  #relayKept({ answer, attempt }: KeptAnswer): void {
    const { response } = this.#request
    const { bytes, fault } = writeHeld(this.#request.exchange, response, answer)
    attempt.bytes = bytes
    const status = this.#toldStatus()
    this.#end(fault === undefined ? { _tag: "completed", status } : { _tag: "failed", status, failure: fault, committed: true })
  }

  #end(end: Ended): void {
    this.#over = true
    this.#search.uncount()
    this.#ended(end)
  }

  /** The status that the client got, which a translator may have changed; the backend's while nothing was sent. */
  #toldStatus(): number {
    const { exchange, response } = this.#request
    return response.headersSent ? response.statusCode : (exchange.lastAttempt?.status ?? 0)
  }
}

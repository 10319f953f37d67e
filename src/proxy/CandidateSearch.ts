/**
 * Whom one exchange is sent to next: somebody who is leased here and now, the next model of an alias, or whoever has room after a wait.
 * It alone knows who is left, what this request may still have, and where it waits.
 */
import { Claim } from "../balancing/Claim.ts"
import type { Lease } from "../balancing/Lease.ts"
import type { Queue, QueueRefusal } from "../balancing/Queue.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import type { AttemptVerdict } from "../exchange/AttemptVerdict.ts"
import { clientOf } from "../exchange/Exchange.ts"
import type { ChainReason } from "../routing/Chain.ts"
import { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"
import type { CarryRequest } from "./Carrier.ts"
import type { FailoverParts } from "./FailoverParts.ts"
import { classOf, InLine, type LineHolder } from "./InLine.ts"
import { TargetEnds, whyNotToAsk } from "./LeavingTarget.ts"
import { RemainingCandidates } from "./RemainingCandidates.ts"

/** What no rule says. */
const unruled = { class: undefined, maxWait: undefined }

/** The slot is free again, and whoever waits for one hears of it. */
export const giveBack = (queue: Queue, lease: Lease): void => {
  lease.release()
  queue.freed(lease.candidate.endpoint.host)
}

/** Whose request it is. */
export interface Searcher {
  /** It has waited for so many milliseconds, and somebody is leased: `takeNext` says whom. */
  served(waited: number): void
  turnedAway(refusal: QueueRefusal): void
}

export class CandidateSearch implements LineHolder {
  readonly claim: Claim
  readonly remaining: RemainingCandidates
  readonly #parts: FailoverParts
  readonly #request: CarryRequest
  readonly #searcher: Searcher
  /** What came of asking for the model in progress. */
  readonly #ends = new TargetEnds()
  /** Where it waits, or has waited. */
  #line: InLine | undefined = undefined
  /** Who is asked next, leased before the attempt under way has ended. */
  #next: Lease | undefined = undefined
  /** Attempts that were more than looking for somebody who can be reached. */
  #spent = 0

  constructor(parts: FailoverParts, request: CarryRequest, searcher: Searcher) {
    this.#parts = parts
    this.#request = request
    this.#searcher = searcher
    this.remaining = new RemainingCandidates(request)
    const { exchange, inspection, sticky, candidates, rules } = request
    this.claim = new Claim({
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

  /** Somebody who can be asked now. */
  acquire(): Lease | undefined {
    for (;;) {
      const { list } = this.remaining
      const why = this.#request.chain === undefined ? [] : whyNotToAsk(list)
      const held = why.length > 0 ? undefined : this.#lease(list)
      if (held !== undefined) return held
      if (this.remaining.advance()) continue
      if (this.#leadsOn(why)) continue
      const free = list.length === 0 || why.includes("unavailable") ? undefined : this.#leadOnToFree()
      return free ?? (why.length === 0 ? undefined : this.#lease(list))
    }
  }

  /** Somebody is leased before the attempt under way has ended, or may be waited for behind it. */
  reserve(): boolean {
    this.#next = this.acquire()
    return this.#next !== undefined || this.#mayWait()
  }

  /** Who is leased already; asked for once. */
  takeNext(): Lease | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }

  /** Whoever could serve it has no room, or wants to be left alone: it is told when that has changed. */
  wait(): void {
    const line = this.#inLine()
    this.#request.early?.waitsAt(this.#parts.queue, line.place)
    this.uncount()
    const refusal = this.#parts.queue.wait(line.place)
    if (refusal === undefined) line.begin()
    else this.#searcher.turnedAway(refusal)
  }

  /** It is not under way any more, as far as limits of rules are concerned. */
  uncount(): void {
    if (this.claim.uncount()) this.#parts.queue.changed()
  }

  /** The client is gone: it waits no longer, and whoever was leased ahead is free. */
  leave(): void {
    if (this.#line !== undefined) this.#parts.queue.cancel(this.#line.place)
    this.uncount()
    if (this.#next !== undefined) giveBack(this.#parts.queue, this.#next)
  }

  /** What an attempt's end says of who may be asked next. */
  learn(verdict: AttemptVerdict): void {
    this.#ends.add(verdict)
    if (!verdict.isFree) this.#spent++
  }

  /** Somebody is left, and one more attempt is within what this request may have, and all of them together. */
  affords({ isFree, again }: AttemptVerdict): boolean {
    const { retries, config, now } = this.#parts
    const { max_attempts: most, budget_percent: percent } = config().traffic.failover
    if (!isFree && this.#spent >= most) return false
    return this.hasNext(again) && (isFree || retries.grants(now(), percent))
  }

  /** Somebody else who has the model, or the next model of an alias: now, or when he has room or may be asked again. */
  hasNext(again: AttemptVerdict["again"] = "yes"): boolean {
    if (again !== "chain" && this.remaining.goOn()) return true
    if (this.#leadsOn(this.#ends.reasons(this.remaining.lanes))) return true
    if (again === "chain" || !this.claim.usesLanes) return false
    this.remaining.restart()
    return this.remaining.everybody.length > 0 && this.#mayWait()
  }

  everybody(): ReadonlyArray<Candidate> {
    return this.remaining.everybody
  }

  canBeAsked(endpoint: Endpoint): boolean {
    return accepts(endpoint) && (!this.#parts.hasBreakers || endpoint.breaker.wouldAdmitAlone)
  }

  mostAt(candidate: Candidate): number {
    return this.claim.mostAt(candidate)
  }

  renew(): void {
    const groups = this.#request.again?.()
    if (groups === undefined) return
    this.remaining.renew(groups)
    this.claim.candidates = this.remaining.lanes
  }

  take(): boolean {
    this.remaining.restart()
    this.#next = this.acquire()
    return this.#next !== undefined
  }

  served(): void {
    const wait = this.#request.exchange.waits.at(-1)
    this.#searcher.served(wait === undefined ? 0 : wait.to - wait.from)
  }

  refused(refusal: QueueRefusal): void {
    this.#searcher.turnedAway(refusal)
  }

  /** One of those whom it could wait for will be able to take it in time, as far as is known. */
  #mayWait(): boolean {
    return this.claim.usesLanes && this.#parts.queue.judge(this.#inLine()) === undefined
  }

  #inLine(): InLine {
    if (this.#line !== undefined) return this.#line
    const { exchange, rawHeaders, bodySize } = this.#request
    const { prompt, rules } = this.claim
    const { class: byRules, maxWait } = rules?.of(this.remaining.everybody[0]?.target) ?? unruled
    const urgency = classOf(exchange, byRules)
    this.#line = new InLine({ exchange, rawHeaders, bodySize, prompt, urgency, maxWait }, this.#parts.config().traffic.queue, this)
    return this.#line
  }

  #lease(candidates: ReadonlyArray<Candidate>): Lease | undefined {
    return this.#parts.balancer.acquire(candidates, this.claim)
  }

  /** Whoever is asked would have to be waited for: another model of the alias is asked, where one is free. */
  #leadOnToFree(): Lease | undefined {
    return this.#entered(this.remaining.leadOnTo(["saturated"], (candidates) => this.#lease(candidates)))
  }

  #leadsOn(reasons: ReadonlyArray<ChainReason>): boolean {
    return this.#entered(this.remaining.leadOn(reasons))
  }

  #entered<T>(led: T): T {
    if (led !== undefined && led !== false) {
      this.claim.candidates = this.remaining.lanes
      this.#ends.clear()
    }
    return led
  }
}

/** One attempt from its lease to its end: it alone tells lease, lane, breaker and endpoint what came of it. */
import { performance } from "node:perf_hooks"
import type { Claim } from "../balancing/Claim.ts"
import { hasRoomToEject } from "../balancing/EjectionCap.ts"
import type { Lease } from "../balancing/Lease.ts"
import { accepts } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Waiter } from "../endpoint/Patience.ts"
import type { AttemptVerdict } from "../exchange/AttemptVerdict.ts"
import { Attempt, type Exchange } from "../exchange/Exchange.ts"
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { Candidate } from "../routing/Router.ts"
import type { AttemptJudging } from "./AttemptJudging.ts"
import { type CandidateSearch, giveBack } from "./CandidateSearch.ts"
import type { FailoverParts } from "./FailoverParts.ts"

export class LeasedAttempt {
  readonly lease: Lease
  readonly attempt: Attempt
  readonly #parts: FailoverParts
  readonly #search: CandidateSearch
  /** Milliseconds of the monotonic clock. */
  readonly startedAt: number
  /** Its lane has been told already. */
  #isJudged = false

  /** `leased`: `performance.now()`. */
  constructor(parts: FailoverParts, search: CandidateSearch, lease: Lease, leased: number) {
    this.#parts = parts
    this.#search = search
    this.lease = lease
    // The same moment: nothing happened since.
    this.startedAt = lease.lane?.lastUsed ?? parts.now()
    this.attempt = attemptOf(lease.candidate, leased)
    if (lease.trial !== undefined) this.attempt.isTrial = true
    if (lease.lane !== undefined) noteChoice(this.attempt, lease, lease.lane, search.claim)
    this.attempt.listener = lease.stint
  }

  get candidate(): Candidate {
    return this.lease.candidate
  }

  /** The attempt has to wait for the model to be loaded. */
  get isCold(): boolean {
    const residency = this.lease.lane?.work.residency
    return residency === "cold" || residency === "loading"
  }

  /** Milliseconds, as configured or as a rule says. */
  get firstTokenTimeout(): number {
    return this.#search.claim.rules?.of(this.lease.candidate.target).firstTokenTimeout ?? this.#parts.config().traffic.first_token_timeout
  }

  /** The head of an answer is here. `waiter`: may have waited for it. */
  answered(waiter: Waiter): void {
    const { endpoint } = this.lease.candidate
    endpoint.patience.delete(waiter)
    endpoint.answered()
    if (this.#parts.hasBreakers) endpoint.breaker.succeed(this.lease.trial)
  }

  release(): void {
    giveBack(this.#parts.queue, this.lease)
  }

  /** What the attempt's end says of the model there. */
  judge(verdict: AttemptVerdict): void {
    const { lane, laneTrial } = this.lease
    if (lane === undefined) return
    this.#isJudged = true
    this.attempt.verdict = verdict
    this.#search.learn(verdict)
    const share = this.#parts.config().traffic.ejection.max_percent
    lane.judge(verdict, {
      startedAt: this.startedAt,
      trial: laneTrial,
      hasRoom: () => hasRoomToEject(this.#search.claim.candidates, lane, share)
    })
  }

  /** The slot is given back and everyone concerned is told: called once, whatever the end was. `interrupted`: the client is gone. */
  end(failed: Failure | undefined, interrupted: boolean, exchange: Exchange, waiter: Waiter, judging: AttemptJudging): void {
    const { lease, attempt } = this
    const { hasBreakers, observer } = this.#parts
    this.release()
    lease.stint?.end(failed === undefined && !interrupted && attempt.status >= 200 && attempt.status <= 299)
    attempt.ended = performance.now()
    const { endpoint } = lease.candidate
    endpoint.patience.delete(waiter)
    if (failed !== undefined || interrupted) {
      if (failed !== undefined) attempt.failure = this.#namingItsLimit(failed)
      else if (attempt.status === 0) attempt.failure = failure("client_gone", "the client left before an answer")
      const rule = attempt.failure === undefined ? undefined : ruleOf(attempt.failure)
      if (hasBreakers && rule?.trips === true && !this.#isOnlySlow(attempt.failure)) endpoint.breaker.fail(lease.trial)
      // Nothing was learned of the backend: its breaker may admit another trial.
      else if (hasBreakers) endpoint.breaker.release(lease.trial)
      if (rule?.demote === true && attempt.failure !== undefined)
        endpoint.attemptFailed({
          failure: attempt.failure,
          startedAt: this.startedAt,
          secondDecides: this.#search.claim.usesLanes
        })
    }
    if (!this.#isJudged) this.judge(judging.ofEnd(attempt))
    observer.attemptEnded(exchange, attempt)
  }

  /** A deadline fired: the limit that is named is the configured one, not what was left of it. */
  #namingItsLimit(failed: Failure): Failure {
    if (failed.kind === "response_timeout") return { ...failed, limitMs: this.#parts.config().proxy.response_timeout }
    return failed.kind === "first_token_timeout" ? { ...failed, limitMs: this.firstTokenTimeout } : failed
  }

  /**
   * It did not answer in time although its probes do: it loads a model, or reads a long prompt. Where no other endpoint could serve,
   * opening the breaker would refuse every request because one had to wait.
   */
  #isOnlySlow(why: Failure | undefined): boolean {
    if (why?.kind !== "header_timeout" && why?.kind !== "response_timeout") return false
    const { endpoint } = this.lease.candidate
    return (
      isRoutable(endpoint.state.status) &&
      !this.#search.claim.candidates.some(
        (other) => other.endpoint !== endpoint && accepts(other.endpoint) && other.endpoint.breaker.wouldAdmit
      )
    )
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

/** `leased`: `performance.now()`. */
export const attemptOf = ({ endpoint, nativeName }: Candidate, leased: number): Attempt =>
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

/** What the attempts of one exchange have failed of so far: what its client is told when no other is made. */
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { endedUnanswered, type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { Candidate } from "../routing/Router.ts"
import { brokenAtMost, mayHaveBroken } from "./AttemptJudging.ts"
import type { Refused } from "./Carrier.ts"
import type { HeldAnswer } from "./HeldAnswer.ts"
import { type LastFailure, refusedAfter, refusedAsCrashing, refusedUnasked } from "./RefusalText.ts"

export interface KeptAnswer {
  readonly answer: HeldAnswer
  readonly attempt: Attempt
}

export class FailuresSoFar {
  #last: LastFailure | undefined = undefined
  #allConnection = true
  /** Backends that took the request and closed the connection without an answer: they may have died of it. */
  #broken = 0
  #crashes = false
  #kept: KeptAnswer | undefined = undefined

  get isEmpty(): boolean {
    return this.#last === undefined
  }

  /** It is sent to nobody else, since servers may crash of it. */
  get crashes(): boolean {
    return this.#crashes
  }

  /** The last answer that was held back: what the client gets when nobody has a better one. */
  get kept(): KeptAnswer | undefined {
    return this.#kept
  }

  /** `name`: of the endpoint. */
  add(why: Failure, name: string): void {
    this.#last = { failure: why, name }
    if (!ruleOf(why).failover || why.kind === "redirected") this.#allConnection = false
  }

  /** Its answer is not passed on, since somebody else may have a better one. */
  addWithheld(answer: HeldAnswer, attempt: Attempt): void {
    if (answer.isWhole) this.#kept = { answer, attempt }
    this.#last = { failure: failure("withheld", `answered with ${answer.status}`), name: attempt.endpointName }
    this.#allConnection = false
  }

  /** Where no lanes are kept, only what could not be connected, or was closed unanswered once, goes on. */
  mayGoOnWithoutLanes(why: Failure): boolean {
    return ruleOf(why).failover && !(endedUnanswered(why.kind) && ++this.#broken >= brokenAtMost)
  }

  /** One more server may have crashed of it. False: that is enough. */
  mayCrashOthers(why: Failure, attempt: Attempt): boolean {
    if (mayHaveBroken(why, attempt) && ++this.#broken >= brokenAtMost) this.#crashes = true
    return !this.#crashes
  }

  /** `candidates`: all that routing named. */
  refusal(exchange: Exchange, candidates: ReadonlyArray<Candidate>): Refused {
    if (this.#last === undefined) return refusedUnasked(candidates)
    return this.#crashes
      ? refusedAsCrashing(this.#last, exchange, this.#broken)
      : refusedAfter(this.#last, exchange, candidates.length, this.#allConnection)
  }
}

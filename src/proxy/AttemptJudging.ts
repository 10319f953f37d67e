/** What the answers and failures of one exchange's attempts mean: the facts that the table of verdicts is asked with. */
import type { TrafficConfig } from "../config/OllaConfig.ts"
import { retryWindow } from "../endpoint/RetryAfter.ts"
import {
  type AttemptVerdict,
  type JudgedRequest,
  judgeHead,
  served,
  unjudged,
  verdictOfAnswer,
  verdictOfFailure
} from "../exchange/AttemptVerdict.ts"
import type { Attempt } from "../exchange/Exchange.ts"
import { endedUnanswered, type Failure } from "../exchange/Failure.ts"
import type { Inspection } from "../routing/Router.ts"
import type { HeldAnswer } from "./HeldAnswer.ts"

/** Endpoints that one request may break: a prompt that makes servers crash must not walk through the fleet. */
export const brokenAtMost = 2

export class AttemptJudging {
  readonly #traffic: () => TrafficConfig
  readonly #inspection: Inspection
  readonly #wall: () => number
  readonly #hasChain: boolean

  /** `wall`: epoch milliseconds. `hasChain`: another model may be asked where the prompt is too long for one. */
  constructor(traffic: () => TrafficConfig, inspection: Inspection, wall: () => number, hasChain: boolean) {
    this.#traffic = traffic
    this.#inspection = inspection
    this.#wall = wall
    this.#hasChain = hasChain
  }

  /** It is not passed on before all of it, or enough, is here. */
  withholds(status: number): boolean {
    return status >= 400 && judgeHead(status, this.#request()) === "withhold"
  }

  /** `nativeName`: what the endpoint calls the model. */
  ofAnswer(answer: HeldAnswer, nativeName: string): AttemptVerdict {
    const { status } = answer
    const { spelling, model } = this.#inspection
    const said = answer.retryAfter
    const window = said === undefined ? undefined : retryWindow(said, this.#wall())
    const retryAfter = window === undefined || window.defaulted !== undefined ? undefined : window.wait
    return verdictOfAnswer({ status, retryAfter }, answer.text ?? "", [nativeName, spelling, model], this.#request())
  }

  /** Of an attempt that has ended. */
  ofEnd({ failure, status, isCommitted }: Attempt): AttemptVerdict {
    if (failure !== undefined) return verdictOfFailure(failure.kind, isCommitted)
    return status === 0 ? unjudged : served
  }

  #request(): JudgedRequest {
    return { statuses: this.#traffic().failover.statuses, namesModel: this.#inspection.model !== "", hasChain: this.#hasChain }
  }
}

/** The request may have made the server crash: its connection ended without a byte of an answer's body. */
export const mayHaveBroken = ({ kind }: Failure, { timings }: Attempt): boolean =>
  endedUnanswered(kind) || (kind === "truncated" && timings.firstByte === 0)

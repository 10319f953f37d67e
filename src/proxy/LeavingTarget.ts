/** Why a request leaves one model of an alias for the next, most telling reason first. */
import { accepts } from "../endpoint/Endpoint.ts"
import type { AttemptVerdict } from "../exchange/AttemptVerdict.ts"
import type { ChainReason } from "../routing/Chain.ts"
import type { Candidate } from "../routing/Router.ts"

/** Nobody there is to be asked without a wait, or only in vain. Empty: somebody may be. */
export const whyNotToAsk = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<ChainReason> => {
  const serving = candidates.filter(
    ({ endpoint }) => accepts(endpoint) && (endpoint.breaker.wouldAdmit || endpoint.breaker.wouldAdmitAlone)
  )
  if (serving.length === 0) return candidates.length === 0 ? [] : ["unavailable"]
  const are = (state: "missing" | "paused") => serving.every(({ endpoint, nativeName }) => endpoint.lanes.of(nativeName).state === state)
  return are("missing") ? ["unavailable"] : are("paused") ? ["rate_limited"] : []
}

/** What the attempts for one target came to. */
export class TargetEnds {
  #paused = false
  #failed = false
  #last: ReadonlyArray<ChainReason> = []

  /** Why nobody is asked for it any more. `candidates`: whoever had it. */
  reasons(candidates: ReadonlyArray<Candidate>): ReadonlyArray<ChainReason> {
    const gone = candidates.some(({ endpoint }) => accepts(endpoint)) ? [] : (["unavailable"] as const)
    return [...this.#last, ...(this.#failed ? (["failed"] as const) : []), ...(this.#paused ? (["rate_limited"] as const) : []), ...gone]
  }

  add({ lane, again, reason }: AttemptVerdict): void {
    if (reason === "context") this.#last = ["context"]
    else if (lane._tag === "pause") {
      this.#paused = true
      this.#last = ["rate_limited"]
    } else if (lane._tag === "missing") this.#last = ["unavailable", "failed"]
    else if (again !== "no") {
      this.#failed = true
      this.#last = ["failed"]
    }
  }

  /** Another target has its turn. */
  clear(): void {
    this.#paused = this.#failed = false
    this.#last = []
  }
}

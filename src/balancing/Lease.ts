/**
 * The right to use one endpoint for one attempt. Whoever chooses makes it, the layers around write on it how it came about; its
 * holder gives the slot back.
 */
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Stint } from "../endpoint/lane/LaneWork.ts"
import type { StickyVerdict } from "../exchange/Exchange.ts"
import type { Candidate } from "../routing/Router.ts"

/** Why this lane, in the words of `X-Olla-Pick`. */
export type PickReason =
  | "sticky"
  | "trial"
  | "panic"
  | "only"
  | "rotation"
  | "resident"
  | "cached"
  | "cost"
  | "round-robin"
  | "least-connections"
  | "priority"

export class Lease {
  readonly candidate: Candidate
  /** `undefined`: no lanes are kept. */
  readonly lane: Lane | undefined
  pick: PickReason
  sticky: StickyVerdict | undefined = undefined
  /** How the endpoint's breaker let the attempt through, to be told with what comes of it; `undefined`: it is closed. */
  trial: number | undefined = undefined
  /** The attempt is its lane's trial; 0: it is none. */
  laneTrial = 0
  /** Its part of the lane's work; absent where no lanes are kept. */
  stint: Stint | undefined = undefined
  /** Leading tokens of the prompt that its backend has probably kept, and milliseconds to the first byte as expected; 0: not looked at. */
  cached = 0
  cost = 0
  #held = true

  /** Counts at once, so that parallel requests see each other. */
  constructor(candidate: Candidate, lane: Lane | undefined, pick: PickReason) {
    this.candidate = candidate
    this.lane = lane
    this.pick = pick
    candidate.endpoint.enter()
    lane?.enter()
  }

  /** Gives the slot back; the second call does nothing. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    this.lane?.leave()
    this.candidate.endpoint.leave()
  }
}

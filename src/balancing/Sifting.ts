/**
 * Candidates by what their lanes say now: who may be asked, who is due for a trial, and who is left when there is nobody else. Filled
 * anew for each choice and read at once, so that most choices allocate nothing.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Candidate } from "../routing/Router.ts"
import type { Claim } from "./Claim.ts"

const laneOf = ({ endpoint, nativeName }: Candidate) => endpoint.lanes.of(nativeName)

export class Sifting {
  /** The same list when nobody is left out. */
  usable: ReadonlyArray<Candidate> = []
  /** The first whose lane is to be tried again. */
  trial: Candidate | undefined
  /** Of those that are ejected, missing or tried by somebody else just now, the one that is back first. */
  last: Candidate | undefined
  /** One that nothing is held against has no room for now. */
  isAnyFull = false

  of(candidates: ReadonlyArray<Candidate>, canBeAsked: (endpoint: Endpoint) => boolean, claim: Claim): this {
    this.usable = candidates
    this.trial = this.last = undefined
    this.isAnyFull = false
    for (const candidate of candidates)
      if (!canBeAsked(candidate.endpoint) || !claim.hasRoomAt(candidate) || !laneOf(candidate).isOpen) {
        this.#sort(candidates, canBeAsked, claim)
        break
      }
    return this
  }

  #sort(candidates: ReadonlyArray<Candidate>, canBeAsked: (endpoint: Endpoint) => boolean, claim: Claim): void {
    const usable: Array<Candidate> = []
    let lastUntil = Number.POSITIVE_INFINITY
    for (const candidate of candidates) {
      if (!canBeAsked(candidate.endpoint)) continue
      const lane = laneOf(candidate)
      const { state } = lane
      const { until } = lane.condition
      if (!claim.hasRoomAt(candidate)) this.isAnyFull ||= lane.isOpen
      else if (state === "open" || state === "slow_start") usable.push(candidate)
      // The end of a pause, and of the trial that follows, is waited for.
      else if (state === "paused" || (state === "trial" && lane.isOnTrial && lane.condition.state === "paused")) continue
      else if (state === "trial" && !lane.isOnTrial) this.trial ??= candidate
      else {
        if (state === "missing") lane.passOver()
        if (this.last !== undefined && until >= lastUntil) continue
        this.last = candidate
        lastUntil = until
      }
    }
    this.usable = usable
  }
}

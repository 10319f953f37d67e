/**
 * Candidates by what their lanes say now: who may be asked, who is due for a trial, and who is left when there is nobody else. Filled
 * anew for each choice and read at once, so that most choices allocate nothing.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Candidate } from "../routing/Router.ts"

const laneOf = ({ endpoint, nativeName }: Candidate) => endpoint.lanes.of(nativeName)

export class Sifting {
  /** The same list when nobody is left out. */
  usable: ReadonlyArray<Candidate> = []
  /** The first whose lane is to be tried again. */
  trial: Candidate | undefined
  /** Of those that are ejected, missing or tried by somebody else just now, the one that is back first. */
  last: Candidate | undefined
  /** Of those that want to be left alone for now, the one that may be asked first. */
  paused: Candidate | undefined

  of(candidates: ReadonlyArray<Candidate>, canBeAsked: (endpoint: Endpoint) => boolean): this {
    this.usable = candidates
    this.trial = this.last = this.paused = undefined
    for (const candidate of candidates)
      if (!canBeAsked(candidate.endpoint) || !laneOf(candidate).isOpen) {
        this.#sort(candidates, canBeAsked)
        break
      }
    return this
  }

  #sort(candidates: ReadonlyArray<Candidate>, canBeAsked: (endpoint: Endpoint) => boolean): void {
    const usable: Array<Candidate> = []
    let lastUntil = Number.POSITIVE_INFINITY
    let pausedUntil = Number.POSITIVE_INFINITY
    for (const candidate of candidates) {
      if (!canBeAsked(candidate.endpoint)) continue
      const lane = laneOf(candidate)
      const { state } = lane
      const { until } = lane.condition
      if (state === "open" || state === "slow_start") usable.push(candidate)
      else if (state === "paused" || (state === "trial" && lane.isOnTrial && lane.condition.state === "paused")) {
        if (this.paused === undefined || until < pausedUntil) {
          this.paused = candidate
          pausedUntil = until
        }
      } else if (state === "trial" && !lane.isOnTrial) this.trial ??= candidate
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

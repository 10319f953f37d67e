/**
 * The endpoints that an exchange may still be sent to: those that routing prefers, then its next choices. One that lately refused the
 * path is asked only where there is no other at all.
 */
import { accepts } from "../endpoint/Endpoint.ts"
import type { ModelMove } from "../exchange/Exchange.ts"
import type { ChainReason } from "../routing/Chain.ts"
import type { Candidate } from "../routing/Router.ts"
import type { CandidateGroups, CarryRequest } from "./Carrier.ts"

/** A target without its query. */
export const pathOf = (target: string): string => {
  const query = target.indexOf("?")
  return query < 0 ? target : target.slice(0, query)
}

const asTheyAre = (candidates: ReadonlyArray<Candidate>): CandidateGroups => ({ candidates })

export class RemainingCandidates {
  readonly #request: CarryRequest
  #list: ReadonlyArray<Candidate>
  /** Asked for, and not yet at its turn. */
  #upcoming: ReadonlyArray<Candidate> | undefined
  /** They do not serve the path, as far as is known. */
  #refusing: ReadonlyArray<Candidate> = []
  #anybodyAsked = false
  #nextChoice: CandidateGroups["nextChoice"]
  #lanes: ReadonlyArray<Candidate>
  #move: ModelMove | undefined

  constructor(request: CarryRequest) {
    this.#request = request
    this.#nextChoice = request.nextChoice
    this.#lanes = request.candidates
    this.#list = this.#serving(request.candidates)
  }

  get list(): ReadonlyArray<Candidate> {
    return this.#list
  }

  /** All that routing named for the model in progress, whether they have had their turn or not. */
  get lanes(): ReadonlyArray<Candidate> {
    return this.#lanes
  }

  /** An alias led on to another model since this was asked for last. */
  takeMove(): ModelMove | undefined {
    const move = this.#move
    this.#move = undefined
    return move
  }

  /** The next model of the alias takes its turn, where one of these is a reason to go on. False: nobody is left. */
  leadOn(reasons: ReadonlyArray<ChainReason>): boolean {
    return this.leadOnTo(reasons, () => true) === true
  }

  /** The same with the first of the next models of which `take` can have somebody. `undefined`: everything stays. */
  leadOnTo<T>(reasons: ReadonlyArray<ChainReason>, take: (candidates: ReadonlyArray<Candidate>) => T | undefined): T | undefined {
    const { chain, regroup = asTheyAre } = this.#request
    const reason = reasons.find((each) => chain?.goesOnFor(each) === true)
    if (chain === undefined || reason === undefined) return undefined
    const step = chain.nextFor(reason, (lanes) => {
      const groups = regroup(lanes)
      const list = this.#serving(groups.candidates)
      const taken = list.length === 0 ? undefined : take(list)
      return taken === undefined ? undefined : { list, lanes, nextChoice: groups.nextChoice, taken }
    })
    if (step === undefined) return undefined
    const { list, lanes, nextChoice, taken } = step.taken
    this.#list = list
    this.#lanes = lanes
    this.#nextChoice = nextChoice
    this.#upcoming = undefined
    this.#refusing = []
    this.#anybodyAsked = false
    this.#move = this.#move === undefined ? step.moved : { ...this.#move, to: step.moved.to }
    return taken
  }

  /** It has had its turn. */
  remove(candidate: Candidate): void {
    this.#anybodyAsked = true
    this.#list = this.#list.filter((each) => each !== candidate)
  }

  /** Somebody is left, of this group or of the next, which then takes its turn. */
  goOn(): boolean {
    return this.#list.length > 0 || this.advance()
  }

  /** Whether somebody else than `candidate` could be asked now. */
  hasOther(candidate: Candidate): boolean {
    const canBeAsked = ({ endpoint }: Candidate) => endpoint !== candidate.endpoint && accepts(endpoint) && endpoint.breaker.wouldAdmit
    return this.#list.some(canBeAsked) || this.#next().some(canBeAsked)
  }

  /** The next group takes its turn. False: there is none. */
  advance(): boolean {
    const next = this.#next()
    this.#upcoming = next.length > 0 ? undefined : next
    if (next.length > 0) this.#list = next
    else if (!this.#anybodyAsked && this.#refusing.length > 0) {
      this.#list = this.#refusing
      this.#refusing = []
    } else return false
    return true
  }

  /** Asked for only where it is needed. Empty: nobody is left. */
  #next(): ReadonlyArray<Candidate> {
    while (this.#upcoming === undefined) {
      const next = this.#nextChoice?.() ?? []
      const serving = this.#serving(next)
      if (serving.length > 0 || next.length === 0) this.#upcoming = serving
    }
    return this.#upcoming
  }

  /** The same list where nobody is known to refuse. */
  #serving(candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> {
    if (candidates.every(({ endpoint }) => endpoint.unserved.isEmpty)) return candidates
    const refusing = candidates.filter((candidate) => this.#refuses(candidate))
    if (refusing.length === 0) return candidates
    this.#refusing = [...this.#refusing, ...refusing]
    return candidates.filter((candidate) => !refusing.includes(candidate))
  }

  #refuses({ endpoint, nativeName }: Candidate): boolean {
    if (endpoint.unserved.isEmpty) return false
    const { dialect, target, exchange } = this.#request
    return endpoint.unserved.has(exchange.method, pathOf(dialect?.target(endpoint, nativeName) ?? target), nativeName)
  }
}

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
const nobody: ReadonlyArray<Candidate> = []

export class RemainingCandidates {
  readonly #request: CarryRequest
  #source: CandidateGroups
  /** Who is left of each group that has had its turn or has it, and which of them that is. */
  #groups: ReadonlyArray<ReadonlyArray<Candidate>>
  #everybody: ReadonlyArray<Candidate> | undefined
  #at = 0
  /** Asked for, and not yet at its turn. */
  #upcoming: ReadonlyArray<Candidate> | undefined
  /** They do not serve the path, as far as is known. */
  #refusing: ReadonlyArray<Candidate> = nobody
  /** Who has had his turn. */
  #asked: ReadonlyArray<Candidate> = nobody
  #lanes: ReadonlyArray<Candidate>
  #move: ModelMove | undefined

  constructor(request: CarryRequest) {
    this.#request = request
    this.#source = request
    this.#lanes = request.candidates
    this.#groups = [this.#serving(request.candidates)]
  }

  get list(): ReadonlyArray<Candidate> {
    return this.#groups[this.#at] ?? nobody
  }

  /** All of whom it is known by now that they could be asked, whoever's turn it is. */
  get everybody(): ReadonlyArray<Candidate> {
    this.#everybody ??= this.#groups.flat()
    return this.#everybody
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
      return taken === undefined ? undefined : { list, lanes, groups, taken }
    })
    if (step === undefined) return undefined
    const { list, lanes, groups, taken } = step.taken
    this.#lanes = lanes
    this.#asked = this.#refusing = nobody
    this.#begin(groups, list)
    this.#move = this.#move === undefined ? step.moved : { ...this.#move, to: step.moved.to }
    return taken
  }

  /** It has had its turn. */
  remove(candidate: Candidate): void {
    this.#asked = [...this.#asked, candidate]
    this.#regroup(this.#groups.map((group) => group.filter((each) => each !== candidate)))
  }

  /** It may have another turn: it is not as it was then. */
  readmit(candidate: Candidate): void {
    this.#asked = this.#asked.filter((each) => !isSame(each, candidate))
    this.#regroup([...this.#groups.slice(0, -1), [...(this.#groups.at(-1) ?? nobody), candidate]])
  }

  /** From now on it may be sent to these instead; who has had his turn is none of them. */
  renew(source: CandidateGroups): void {
    this.#lanes = source.candidates
    this.#refusing = nobody
    this.#begin(source, this.#serving(this.#unasked(source.candidates)))
  }

  #begin(source: CandidateGroups, first: ReadonlyArray<Candidate>): void {
    this.#source = source
    this.#upcoming = undefined
    this.#regroup([first])
    this.#at = 0
  }

  /** The first group has its turn once more: who was passed over for want of room may have some. */
  restart(): void {
    this.#at = 0
  }

  /** Somebody is left, of this group or of the next, which then takes its turn. */
  goOn(): boolean {
    return this.list.length > 0 || this.advance()
  }

  /** Whether somebody else than `candidate` could be asked now. */
  hasOther(candidate: Candidate): boolean {
    const canBeAsked = ({ endpoint }: Candidate) => endpoint !== candidate.endpoint && accepts(endpoint) && endpoint.breaker.wouldAdmit
    return this.list.some(canBeAsked) || this.#next().some(canBeAsked)
  }

  /** The next group takes its turn. False: there is none. */
  advance(): boolean {
    if (this.#at < this.#groups.length - 1) {
      this.#at++
      return true
    }
    const next = this.#next()
    this.#upcoming = next.length > 0 ? undefined : next
    if (next.length > 0) this.#take(next)
    else if (this.#asked.length === 0 && this.#refusing.length > 0) {
      this.#take(this.#refusing)
      this.#refusing = nobody
    } else return false
    return true
  }

  #take(group: ReadonlyArray<Candidate>): void {
    this.#regroup([...this.#groups, group])
    this.#at = this.#groups.length - 1
  }

  #regroup(groups: ReadonlyArray<ReadonlyArray<Candidate>>): void {
    this.#groups = groups
    this.#everybody = undefined
  }

  /** Asked for only where it is needed. Empty: nobody is left. */
  #next(): ReadonlyArray<Candidate> {
    while (this.#upcoming === undefined) {
      const next = this.#source.nextChoice?.() ?? []
      const serving = this.#serving(this.#unasked(next))
      if (serving.length > 0 || next.length === 0) this.#upcoming = serving
    }
    return this.#upcoming
  }

  /** The same list where nobody has had his turn. */
  #unasked(candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> {
    const asked = this.#asked
    return asked.length === 0 ? candidates : candidates.filter((candidate) => !asked.some((each) => isSame(each, candidate)))
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

const isSame = (a: Candidate, b: Candidate): boolean => a.endpoint === b.endpoint && a.nativeName === b.nativeName

/**
 * The endpoints that an exchange may still be sent to: those that routing prefers, then its next choices. One that lately refused the
 * path is asked only where there is no other at all.
 */
import { accepts } from "../endpoint/Endpoint.ts"
import type { Candidate } from "../routing/Router.ts"
import type { CarryRequest } from "./Carrier.ts"

/** A target without its query. */
export const pathOf = (target: string): string => {
  const query = target.indexOf("?")
  return query < 0 ? target : target.slice(0, query)
}

export class RemainingCandidates {
  readonly #request: CarryRequest
  #list: ReadonlyArray<Candidate>
  /** Asked for, and not yet at its turn. */
  #upcoming: ReadonlyArray<Candidate> | undefined
  /** They do not serve the path, as far as is known. */
  #refusing: ReadonlyArray<Candidate> = []
  #anybodyAsked = false

  constructor(request: CarryRequest) {
    this.#request = request
    this.#list = this.#serving(request.candidates)
  }

  get list(): ReadonlyArray<Candidate> {
    return this.#list
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
      const next = this.#request.nextChoice?.() ?? []
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

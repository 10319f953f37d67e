/** The `olla` engine's breakers, one for each endpoint URL (proxying.md 10, B9). Time is epoch milliseconds of the Clock. */
import {
  type Admission,
  admit,
  type BreakerPhase,
  type BreakerState,
  closedBreaker,
  enginePolicy,
  fail,
  phaseOf,
  release,
  succeed,
  wouldAdmit
} from "../endpoint/CircuitBreaker.ts"

/** A closed breaker is forgotten when its endpoint has had nothing to tell for this long, in milliseconds. */
const forgetAfter = 5 * 60_000

export class EngineBreakers {
  /** Only endpoints with something to remember: a closed breaker without failures has no entry. */
  readonly #states = new Map<string, BreakerState>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  wouldAdmit(url: string): boolean {
    // The usual case costs one lookup in an empty map.
    const state = this.#states.get(url)
    return state === undefined || state.phase === "closed" || wouldAdmit(state, this.#now(), enginePolicy)
  }

  admit(url: string): Admission {
    const { state, admission } = admit(this.#known(url), this.#now(), enginePolicy)
    if (state !== closedBreaker) this.#states.set(url, state)
    return admission
  }

  succeed(url: string, token: number | undefined): void {
    const state = this.#states.get(url)
    if (state === undefined) return
    const next = succeed(state, token)
    if (next.phase === "closed" && next.failures === 0) this.#states.delete(url)
    else this.#states.set(url, next)
  }

  fail(url: string, token: number | undefined): void {
    this.#states.set(url, fail(this.#known(url), token, this.#now(), enginePolicy))
  }

  release(url: string, token: number | undefined): void {
    const state = this.#states.get(url)
    if (state !== undefined) this.#states.set(url, release(state, token))
  }

  #known(url: string): BreakerState {
    const state = this.#states.get(url)
    if (state === undefined) return closedBreaker
    if (state.phase !== "closed" || this.#now() - state.lastFailure <= forgetAfter) return state
    this.#states.delete(url)
    return closedBreaker
  }

  /** A probe found the endpoint healthy again after it had been out of rotation. */
  reset(url: string): void {
    this.#states.delete(url)
  }

  phaseOf(url: string): BreakerPhase {
    const state = this.#states.get(url)
    return state === undefined ? "closed" : phaseOf(state, this.#now(), enginePolicy)
  }
}

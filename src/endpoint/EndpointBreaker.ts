/**
 * The breaker that the `olla` engine's attempts report to, one on each endpoint. The rules are pure (`CircuitBreaker.ts`); here
 * is the one place that stores what they return.
 */
import * as MutableRef from "effect/MutableRef"
import * as Ref from "effect/Ref"
import {
  type Admission,
  admit,
  admitAlone,
  admitsAloneFrom,
  type BreakerPhase,
  type BreakerState,
  closedBreaker,
  enginePolicy,
  fail,
  forgotten,
  phaseOf,
  probed,
  release,
  succeed,
  wouldAdmit
} from "./CircuitBreaker.ts"

export type { Admission } from "./CircuitBreaker.ts"

/** A closed breaker forgets its failures when none came for this long, in milliseconds. */
const forgetAfter = 5 * 60_000

export class EndpointBreaker {
  readonly #state: Ref.Ref<BreakerState> = Ref.makeUnsafe(closedBreaker)
  readonly #now: () => number
  readonly #turned: (isClosed: boolean) => void

  /** `now`: milliseconds. `turned` hears of the first refusal and of the end of them, not of trials between. */
  constructor(now: () => number, turned: (isClosed: boolean) => void = () => {}) {
    this.#now = now
    this.#turned = turned
  }

  /** Whether `admit` would let an attempt through. Changes nothing, and costs a field read while closed. */
  get wouldAdmit(): boolean {
    const state = Ref.getUnsafe(this.#state)
    return state.phase === "closed" || wouldAdmit(state, this.#now(), enginePolicy)
  }

  /** The same for an attempt that has nobody else to ask. */
  get wouldAdmitAlone(): boolean {
    const state = Ref.getUnsafe(this.#state)
    return wouldAdmit(state, this.#now(), enginePolicy) || this.#now() >= admitsAloneFrom(state, enginePolicy)
  }

  get phase(): BreakerPhase {
    const state = Ref.getUnsafe(this.#state)
    return state.phase === "closed" ? "closed" : phaseOf(state, this.#now(), enginePolicy)
  }

  /** Asks for one attempt. Its token goes with what it reports: `undefined` while closed, else the one of a trial. */
  admit(): Admission {
    const { state, admission } = admit(this.#known(), this.#now(), enginePolicy)
    this.#become(state)
    return admission
  }

  /** Asks for one attempt that has nobody else to ask. */
  admitAlone(): Admission {
    const { state, admission } = admitAlone(this.#known(), this.#now(), enginePolicy)
    this.#become(state)
    return admission
  }

  /** The backend answered. */
  succeed(token: number | undefined): void {
    const state = Ref.getUnsafe(this.#state)
    if (state.phase !== "closed" || state.failures > 0) this.#become(succeed(state, token))
  }

  fail(token: number | undefined): void {
    this.#become(fail(this.#known(), token, this.#now(), enginePolicy))
  }

  /** The attempt ended without saying anything about the backend. */
  release(token: number | undefined): void {
    this.#become(release(Ref.getUnsafe(this.#state), token))
  }

  /** A health probe ended. */
  probed(isGood: boolean): void {
    this.#become(probed(Ref.getUnsafe(this.#state), isGood))
  }

  #known(): BreakerState {
    const state = Ref.getUnsafe(this.#state)
    return state.phase === "closed" && state.failures > 0 && this.#now() - state.lastFailure > forgetAfter ? forgotten(state) : state
  }

  #become(next: BreakerState): void {
    const wasClosed = Ref.getUnsafe(this.#state).phase === "closed"
    MutableRef.set(this.#state.ref, next)
    const isClosed = next.phase === "closed"
    if (isClosed !== wasClosed) this.#turned(isClosed)
  }
}

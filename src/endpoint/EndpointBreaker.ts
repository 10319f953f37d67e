/**
 * The breaker that the `olla` engine's attempts report to, one on each endpoint. The rules are pure (`CircuitBreaker.ts`); here
 * is the one place that stores what they return.
 */
import * as MutableRef from "effect/MutableRef"
import * as Ref from "effect/Ref"
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
} from "./CircuitBreaker.ts"

/** A closed breaker forgets its failures when none came for this long, in milliseconds. */
const forgetAfter = 5 * 60_000

export class EndpointBreaker {
  readonly #state: Ref.Ref<BreakerState> = Ref.makeUnsafe(closedBreaker)
  readonly #now: () => number

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Whether `admit` would let an attempt through. Changes nothing, and costs a field read while closed. */
  get wouldAdmit(): boolean {
    const state = Ref.getUnsafe(this.#state)
    return state.phase === "closed" || wouldAdmit(state, this.#now(), enginePolicy)
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

  /** Closed, whatever it counted. Trials that are still under way count for nothing any more. */
  reset(): void {
    this.#become(forgotten(Ref.getUnsafe(this.#state)))
  }

  #known(): BreakerState {
    const state = Ref.getUnsafe(this.#state)
    return state.phase === "closed" && state.failures > 0 && this.#now() - state.lastFailure > forgetAfter ? forgotten(state) : state
  }

  #become(next: BreakerState): void {
    MutableRef.set(this.#state.ref, next)
  }
}

/** Tokens are never handed out twice. */
const forgotten = ({ lastToken }: BreakerState): BreakerState => ({ ...closedBreaker, lastToken })

/**
 * Passes on only candidates that can be asked now: the one place where one is left out for its endpoint's condition, its breaker, or
 * what is known of the model there, or for want of room. With no other candidate, an endpoint whose breaker is open still gets one request a second: its
 * recovery is then noticed by the first of them, not only when the breaker's time is over. Models that were ejected or are missing are
 * asked when nobody else is left: that alone never fails a request.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Settings } from "../config/Settings.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import type { Admission } from "../endpoint/EndpointBreaker.ts"
import type { Candidate } from "../routing/Router.ts"
import { Balancer } from "./Balancer.ts"
import type { Claim } from "./Claim.ts"
import { firstOfEach } from "./FirstOfEach.ts"
import type { Lease } from "./Lease.ts"
import { Sifting } from "./Sifting.ts"

/** The same list when nobody is left out. */
const those = (candidates: ReadonlyArray<Candidate>, are: (endpoint: Endpoint) => boolean): ReadonlyArray<Candidate> => {
  for (const { endpoint } of candidates) if (!are(endpoint)) return candidates.filter((candidate) => are(candidate.endpoint))
  return candidates
}

const isUsable = (endpoint: Endpoint): boolean => accepts(endpoint) && endpoint.breaker.wouldAdmit
const isWorthATrial = (endpoint: Endpoint): boolean => accepts(endpoint) && endpoint.breaker.wouldAdmitAlone

const isAmong = (candidates: ReadonlyArray<Candidate>, preferred: Endpoint | undefined): boolean =>
  preferred !== undefined && candidates.some(({ endpoint }) => endpoint === preferred)

/** Those that a rule wants to be asked before others, where any of them can be. The same list where no rule does. */
const upperTier = (candidates: ReadonlyArray<Candidate>, { rules }: Claim): ReadonlyArray<Candidate> => {
  if (rules === undefined) return candidates
  const preferred = candidates.filter(({ endpoint, target }) => rules.of(target).prefers(endpoint))
  return preferred.length > 0 ? preferred : candidates
}

/** The attempt is the one by which its lane comes back, or not. */
const onTrial = (lease: Lease | undefined): Lease | undefined => {
  if (lease?.lane === undefined) return lease
  lease.laneTrial = lease.lane.beginTrial()
  lease.pick = "trial"
  return lease
}

const inPanic = (lease: Lease | undefined): Lease | undefined => {
  if (lease !== undefined) lease.pick = "panic"
  return lease
}

export const over = <R>(inner: Layer.Layer<Balancer, never, R>): Layer.Layer<Balancer, never, R | Settings> =>
  Layer.effect(
    Balancer,
    Effect.gen(function* () {
      const balancer = yield* Balancer
      const settings = yield* Settings
      const sifting = new Sifting()

      /** With how the breaker let it through; it was asked just before, and nothing happened since. */
      const admitted = (lease: Lease | undefined, ask: (endpoint: Endpoint) => Admission): Lease | undefined => {
        if (lease === undefined) return undefined
        const admission = ask(lease.candidate.endpoint)
        if (admission._tag === "Admitted") lease.trial = admission.token
        return lease
      }

      /** Of those that can be asked, by their lanes where such are kept. */
      const chosen = (
        candidates: ReadonlyArray<Candidate>,
        can: (endpoint: Endpoint) => boolean,
        claim: Claim,
        preferred: Endpoint | undefined
      ): Lease | undefined => {
        if (!claim.usesLanes) {
          const usable = those(candidates, can)
          return usable.length === 0 ? undefined : balancer.acquire(usable, claim, preferred)
        }
        const { usable, trial, last, isAnyFull } = sifting.of(candidates, can, claim)
        // A trial is for requests that somebody else can serve if it fails, unless there is nobody else.
        if (trial !== undefined && (usable.length === 0 || (claim.mayRepeat && !isAmong(usable, preferred))))
          return onTrial(balancer.acquire([trial], claim))
        if (usable.length > 0)
          return balancer.acquire(
            isAmong(usable, preferred) ? firstOfEach(usable) : upperTier(firstOfEach(usable), claim),
            claim,
            preferred
          )
        // Whoever has no room now is waited for.
        return last === undefined || isAnyFull ? undefined : inPanic(balancer.acquire([last], claim))
      }

      return Balancer.of({
        acquire: (candidates, claim, preferred) => {
          // The `sherpa` engine has no breakers, and ignores what the other engine has counted.
          if (settings.current().proxy.engine !== "olla") return chosen(candidates, accepts, claim, preferred)
          const lease = admitted(chosen(candidates, isUsable, claim, preferred), ({ breaker }) => breaker.admit())
          if (lease !== undefined) return lease
          const alone = admitted(chosen(candidates, isWorthATrial, claim, preferred), ({ breaker }) => breaker.admitAlone())
          if (alone !== undefined) return alone
          // On record with those who would have been asked: a good probe of theirs closes the breaker.
          for (const { endpoint } of candidates) if (accepts(endpoint) && !endpoint.breaker.wouldAdmit) endpoint.breaker.admitAlone()
          return undefined
        },
        stickyStats: balancer.stickyStats
      })
    })
  ).pipe(Layer.provide(inner))

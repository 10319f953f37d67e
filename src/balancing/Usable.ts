/**
 * Passes on only candidates that can be asked now: the one place where one is left out for its condition or its breaker. With no
 * other candidate, an endpoint whose breaker is open still gets one request a second: its recovery is then noticed by the first
 * of them, not only when the breaker's time is over.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Settings } from "../config/Settings.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import type { Admission } from "../endpoint/EndpointBreaker.ts"
import type { Candidate } from "../routing/Router.ts"
import { Balancer, type Lease } from "./Balancer.ts"

/** The same list when nobody is left out. */
const those = (candidates: ReadonlyArray<Candidate>, are: (endpoint: Endpoint) => boolean): ReadonlyArray<Candidate> => {
  for (const { endpoint } of candidates) if (!are(endpoint)) return candidates.filter((candidate) => are(candidate.endpoint))
  return candidates
}

const isUsable = (endpoint: Endpoint): boolean => accepts(endpoint) && endpoint.breaker.wouldAdmit
const isWorthATrial = (endpoint: Endpoint): boolean => accepts(endpoint) && endpoint.breaker.wouldAdmitAlone

export const over = <R>(inner: Layer.Layer<Balancer, never, R>): Layer.Layer<Balancer, never, R | Settings> =>
  Layer.effect(
    Balancer,
    Effect.gen(function* () {
      const balancer = yield* Balancer
      const settings = yield* Settings

      /** With how the breaker let it through; it was asked just before, and nothing happened since. */
      const admitted = (lease: Lease | undefined, ask: (endpoint: Endpoint) => Admission): Lease | undefined => {
        if (lease === undefined) return undefined
        const admission = ask(lease.candidate.endpoint)
        return admission._tag === "Admitted" && admission.token !== undefined ? { ...lease, trial: admission.token } : lease
      }

      return Balancer.of({
        acquire: (candidates, sticky, preferred) => {
          // The `sherpa` engine has no breakers, and ignores what the other engine has counted.
          if (settings.current().proxy.engine !== "olla") return balancer.acquire(those(candidates, accepts), sticky, preferred)
          const usable = those(candidates, isUsable)
          if (usable.length > 0) return admitted(balancer.acquire(usable, sticky, preferred), ({ breaker }) => breaker.admit())
          const alone = candidates.filter(({ endpoint }) => isWorthATrial(endpoint))
          if (alone.length > 0) return admitted(balancer.acquire(alone, sticky, preferred), ({ breaker }) => breaker.admitAlone())
          // On record with those who would have been asked: a good probe of theirs closes the breaker.
          for (const { endpoint } of candidates) if (accepts(endpoint)) endpoint.breaker.admitAlone()
          return undefined
        },
        stickyStats: balancer.stickyStats
      })
    })
  ).pipe(Layer.provide(inner))

/** Sends a session to where it was before, as long as that endpoint can be asked. Everything else is the inner balancer's choice. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Settings } from "../config/Settings.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { monotonicOf } from "../endpoint/Monotonic.ts"
import type { StickyVerdict } from "../exchange/Exchange.ts"
import { Balancer } from "./Balancer.ts"
import type { Lease } from "./Lease.ts"
import { SessionStore } from "./SessionStore.ts"

export const over = <R>(inner: Layer.Layer<Balancer, never, R>): Layer.Layer<Balancer, never, R | Settings | Fleet> =>
  Layer.effect(
    Balancer,
    Effect.gen(function* () {
      const balancer = yield* Balancer
      const settings = yield* Settings
      const fleet = yield* Fleet
      const clock = yield* Clock.Clock
      const config = () => settings.current().proxy.sticky_sessions
      const sessions = new SessionStore<Endpoint>(
        () => config().max_sessions,
        () => config().idle_ttl_seconds * 1000,
        () => monotonicOf(clock)
      )
      const off = fleet.onEvent((event) => {
        if (!accepts(event.endpoint)) sessions.purge(event.endpoint)
      })
      // Stickiness was switched off by a reload: its sessions are dropped.
      const unlisten = settings.onReplace(() => {
        if (!config().enabled) sessions.clear()
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          off()
          unlisten()
        })
      )

      const as = (lease: Lease, outcome: StickyVerdict["outcome"], source: StickyVerdict["source"]): Lease => {
        lease.sticky = { outcome, source }
        return lease
      }

      return Balancer.of({
        acquire: (candidates, claim) => {
          if (!config().enabled) return balancer.acquire(candidates, claim)
          const by = claim.sticky
          if (by === undefined || by.key === "") {
            const lease = balancer.acquire(candidates, claim)
            return lease === undefined ? undefined : as(lease, "disabled", "none")
          }
          const pinned = sessions.find(by.key)
          const lease = balancer.acquire(candidates, claim, pinned)
          if (lease === undefined) return undefined
          const { endpoint } = lease.candidate
          if (endpoint === pinned) return as(lease, "hit", by.source)
          sessions.pin(by.key, endpoint)
          return as(lease, pinned === undefined ? "miss" : "repin", by.source)
        },
        stickyStats: () => {
          const { enabled, max_sessions, idle_ttl_seconds } = config()
          if (!enabled) return undefined
          const { active, insertions, hits, misses, evictions } = sessions
          return { active_sessions: active, insertions, hits, misses, evictions, max_sessions, idle_ttl_seconds }
        }
      })
    })
  ).pipe(Layer.provide(inner))

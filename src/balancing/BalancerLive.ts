/** The configured balancer, with stickiness around it where that is on. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import type { StickyVerdict } from "../exchange/Exchange.ts"
import type { Candidate } from "../routing/Router.ts"
import { Balancer, type Lease, type StickyKey } from "./Balancer.ts"
import { leastConnections, type Pick, priority, roundRobin } from "./Picking.ts"
import { SessionStore } from "./SessionStore.ts"

const lease = (candidate: Candidate, sticky: StickyVerdict | undefined): Lease => {
  candidate.endpoint.enter()
  let held = true
  return {
    candidate,
    sticky,
    release: () => {
      if (!held) return
      held = false
      candidate.endpoint.leave()
    }
  }
}

const stillRoutable = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  for (const { endpoint } of candidates)
    if (!isRoutable(endpoint.state.status)) return candidates.filter((candidate) => isRoutable(candidate.endpoint.state.status))
  return candidates
}

export const layer: Layer.Layer<Balancer, never, Settings | Fleet> = Layer.effect(
  Balancer,
  Effect.gen(function* () {
    const settings = yield* Settings
    const fleet = yield* Fleet
    const clock = yield* Clock.Clock
    const picks: Readonly<Record<string, Pick>> = {
      priority: priority(Math.random),
      "round-robin": roundRobin(),
      "least-connections": leastConnections()
    }
    const sticky = settings.current().proxy.sticky_sessions
    const sessions = sticky.enabled
      ? new SessionStore(sticky.max_sessions, sticky.idle_ttl_seconds * 1000, () => clock.currentTimeMillisUnsafe())
      : undefined
    const off = fleet.onEvent((event) => {
      if (event._tag !== "StatusChanged" || !isRoutable(event.from.status) || isRoutable(event.to.status)) return
      sessions?.purge(new Set(fleet.endpoints.filter((endpoint) => isRoutable(endpoint.state.status)).map((endpoint) => endpoint.url)))
    })
    yield* Effect.addFinalizer(() => Effect.sync(off))

    const pick: Pick = (candidates) => picks[settings.current().proxy.load_balancer]?.(candidates)

    const acquireSticky = (store: SessionStore, candidates: ReadonlyArray<Candidate>, by: StickyKey): Lease | undefined => {
      const pinned = store.find(by.key)
      const same = pinned === undefined ? undefined : candidates.find(({ endpoint }) => endpoint.url === pinned)
      if (same !== undefined) return lease(same, { outcome: "hit", source: by.source })
      const picked = pick(candidates)
      if (picked === undefined) return undefined
      store.pin(by.key, picked.endpoint.url)
      return lease(picked, { outcome: pinned === undefined ? "miss" : "repin", source: by.source })
    }

    return Balancer.of({
      acquire: (all, by) => {
        const candidates = stillRoutable(all)
        if (sessions !== undefined && by !== undefined && by.key !== "") return acquireSticky(sessions, candidates, by)
        const picked = pick(candidates)
        return picked === undefined
          ? undefined
          : lease(picked, sessions === undefined ? undefined : { outcome: "disabled", source: "none" })
      },
      stickyStats: () =>
        sessions === undefined
          ? undefined
          : {
              active_sessions: sessions.active,
              insertions: sessions.insertions,
              hits: sessions.hits,
              misses: sessions.misses,
              evictions: sessions.evictions,
              max_sessions: sticky.max_sessions,
              idle_ttl_seconds: sticky.idle_ttl_seconds
            }
    })
  })
)

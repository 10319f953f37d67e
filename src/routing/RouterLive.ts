/** The Router over the live fleet: picks the strategy, and owns the one case that waits, a refresh on a miss. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Catalogue } from "../catalogue/Catalogue.ts"
import { Settings } from "../config/Settings.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { Profiles } from "../profile/Profiles.ts"
import { type Decision, type RouteRequest, Router } from "./Router.ts"
import {
  decideAlias,
  decideWithoutModel,
  discoveryAfter,
  discoveryFirst,
  inScope,
  knowsPath,
  optimistic,
  routable,
  type Situation,
  strict
} from "./Routing.ts"

/** After a refresh for a name, the same unknown name starts no other for this long, in milliseconds. */
const rememberMiss = 5_000
/** Names remembered; clients choose them. */
const maxMisses = 1_000

export const layer: Layer.Layer<Router, never, Settings | Fleet | Catalogue | Profiles> = Layer.effect(
  Router,
  Effect.gen(function* () {
    const settings = yield* Settings
    const fleet = yield* Fleet
    const catalogue = yield* Catalogue
    const profiles = yield* Profiles
    const clock = yield* Clock.Clock
    const misses = new Map<string, number>()

    const compatible = (request: RouteRequest): ReadonlyArray<Endpoint> => {
      let endpoints = routable(fleet.endpoints)
      if (request.scope !== undefined) endpoints = inScope(endpoints, request.scope)
      return request.path === undefined ? endpoints : knowsPath(endpoints, profiles.forPath(request.path))
    }

    const refresh = Effect.fnUntraced(function* (
      request: RouteRequest,
      situation: Situation,
      fallback: "compatible_only" | "none" | "all",
      timeout: number
    ) {
      const name = request.inspection.model
      const now = clock.currentTimeMillisUnsafe()
      const last = misses.get(name)
      let refreshed = true
      if (last === undefined || now - last >= rememberMiss) {
        const done = yield* fleet.refreshModels(situation.compatible).pipe(Effect.timeoutOption(timeout))
        refreshed = Option.getOrElse(done, () => false)
        yield* catalogue.settled
        if (misses.size >= maxMisses) misses.clear()
        misses.set(name, clock.currentTimeMillisUnsafe())
      }
      return discoveryAfter(
        { snapshot: catalogue.snapshot(), compatible: compatible(request), inspection: request.inspection },
        refreshed,
        fallback
      )
    })

    const decide = (request: RouteRequest): Decision | Effect.Effect<Decision> => {
      const situation: Situation = { snapshot: catalogue.snapshot(), compatible: compatible(request), inspection: request.inspection }
      // An exclusive scope without anybody is the provider's own 404, never a model's.
      if (request.scope !== undefined && !request.scope.inclusive && situation.compatible.length === 0)
        return { candidates: [], verdict: undefined }
      if (request.inspection.model === "") return decideWithoutModel(situation)
      const alias = decideAlias(situation)
      if (alias !== undefined) return alias
      const config = settings.current()
      if (!config.discovery.model_discovery.enabled) return decideWithoutModel(situation)
      const { type, options } = config.model_registry.routing_strategy
      switch (type) {
        case "strict":
          return strict(situation)
        case "optimistic":
          return optimistic(situation, options.fallback_behavior)
        case "discovery": {
          const first = discoveryFirst(situation, options.discovery_refresh_on_miss)
          if (first !== undefined) return first
          return refresh(request, situation, options.fallback_behavior, options.discovery_timeout > 0 ? options.discovery_timeout : 2_000)
        }
      }
    }
    return { decide }
  })
)

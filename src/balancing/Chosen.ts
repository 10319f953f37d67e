/** The innermost balancer: the rule that `proxy.load_balancer` names, asked for at each use, so that a reload may change it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { Balancer, type Pick } from "./Balancer.ts"
import { Lease } from "./Lease.ts"
import { leastConnections } from "./LeastConnections.ts"
import { priority } from "./Priority.ts"
import { roundRobin } from "./RoundRobin.ts"

export const layer: Layer.Layer<Balancer, never, Settings> = Layer.effect(
  Balancer,
  Effect.gen(function* () {
    const settings = yield* Settings
    const rules: Readonly<Record<OllaConfig["proxy"]["load_balancer"], Pick>> = {
      priority: priority(Math.random),
      "round-robin": roundRobin(),
      "least-connections": leastConnections(),
      adaptive: leastConnections()
    }
    return Balancer.of({
      acquire: (candidates, claim, preferred) => {
        const rule = settings.current().proxy.load_balancer
        const wanted = preferred === undefined ? undefined : candidates.find(({ endpoint }) => endpoint === preferred)
        const picked = wanted ?? rules[rule](candidates, claim)
        if (picked === undefined) return undefined
        const lane = claim.usesLanes ? picked.endpoint.lanes.of(picked.nativeName) : undefined
        return new Lease(picked, lane, wanted !== undefined ? "sticky" : rule === "adaptive" ? "cost" : rule)
      },
      stickyStats: () => undefined
    })
  })
)

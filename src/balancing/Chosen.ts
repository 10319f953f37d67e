/** The innermost balancer: the rule that `proxy.load_balancer` names, asked for at each use, so that a reload may change it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import type { Candidate } from "../routing/Router.ts"
import { Balancer, type Lease, type Pick } from "./Balancer.ts"
import { leastConnections } from "./LeastConnections.ts"
import { priority } from "./Priority.ts"
import { roundRobin } from "./RoundRobin.ts"

const leaseOf = (candidate: Candidate): Lease => {
  const { endpoint } = candidate
  endpoint.enter()
  let held = true
  return {
    candidate,
    sticky: undefined,
    trial: undefined,
    release: () => {
      if (!held) return
      held = false
      endpoint.leave()
    }
  }
}

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
      acquire: (candidates, _sticky, preferred) => {
        const wanted = preferred === undefined ? undefined : candidates.find(({ endpoint }) => endpoint === preferred)
        const picked = wanted ?? rules[settings.current().proxy.load_balancer](candidates)
        return picked === undefined ? undefined : leaseOf(picked)
      },
      stickyStats: () => undefined
    })
  })
)

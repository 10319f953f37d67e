/** The innermost balancer: the rule that `proxy.load_balancer` names, asked for at each use, so that a reload may change it. */
import { randomInt } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { PrefixTable } from "../endpoint/lane/PrefixTable.ts"
import { monotonicOf } from "../endpoint/Monotonic.ts"
import { Adaptive } from "./adaptive/Adaptive.ts"
import { Balancer, type Pick } from "./Balancer.ts"
import { Lease } from "./Lease.ts"
import { leastConnections } from "./LeastConnections.ts"
import { priority } from "./Priority.ts"
import { roundRobin } from "./RoundRobin.ts"

const random32 = (): number => randomInt(2 ** 32)

export const layer: Layer.Layer<Balancer, never, Settings> = Layer.effect(
  Balancer,
  Effect.gen(function* () {
    const settings = yield* Settings
    const clock = yield* Clock.Clock
    const adaptive = new Adaptive({
      now: () => monotonicOf(clock),
      random: Math.random,
      prefixes: new PrefixTable(() => settings.current().traffic.prefix.memory),
      seed: [random32(), random32()]
    })
    const rules: Readonly<Record<OllaConfig["proxy"]["load_balancer"], Pick>> = {
      priority: priority(Math.random),
      "round-robin": roundRobin(),
      "least-connections": leastConnections(),
      adaptive: (candidates, claim) => adaptive.choose(candidates, claim)
    }
    return Balancer.of({
      acquire: (candidates, claim, preferred) => {
        const rule = settings.current().proxy.load_balancer
        const wanted = preferred === undefined ? undefined : candidates.find(({ endpoint }) => endpoint === preferred)
        const picked = wanted ?? rules[rule](candidates, claim)
        if (picked === undefined) return undefined
        const lane = claim.usesLanes ? picked.endpoint.lanes.of(picked.nativeName) : undefined
        const lease = new Lease(picked, lane, wanted !== undefined ? "sticky" : rule === "adaptive" ? adaptive.reason : rule)
        if (lane === undefined) return lease
        if (rule === "adaptive") {
          adaptive.begin(lease, lane, claim)
          if (wanted === undefined) lease.cost = adaptive.cost
        }
        picked.endpoint.makesRoomFor(lane)
        const { prompt, stream } = claim
        const expected = Math.min(prompt.mostTokens ?? Number.POSITIVE_INFINITY, Math.round(lane.work.answer))
        lease.stint = lane.work.begin(Math.max(0, prompt.tokens - lease.cached), expected, stream, lane.lastUsed)
        return lease
      },
      stickyStats: () => undefined
    })
  })
)

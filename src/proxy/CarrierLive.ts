/** The carrier of the daemon: one journey for each exchange. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Balancer } from "../balancing/Balancer.ts"
import { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { type ExchangeObserver, silent } from "../exchange/Observer.ts"
import { Carrier } from "./Carrier.ts"
import type { Engine } from "./Engine.ts"
import { EngineBreakers } from "./EngineBreakers.ts"
import { Journey, type Roads } from "./Journey.ts"

/** Who is told of attempts; telemetry provides it. */
export const Observer = Context.Reference<ExchangeObserver>("olla/proxy/Observer", { defaultValue: () => silent })

/** The engines by name, built by whoever wires the rooms. */
export class Engines extends Context.Service<Engines, { readonly byName: (name: string) => Engine }>()("olla/proxy/Engines") {}

export const layer: Layer.Layer<Carrier, never, Settings | Balancer | Fleet | Engines> = Layer.effect(
  Carrier,
  Effect.gen(function* () {
    const settings = yield* Settings
    const balancer = yield* Balancer
    const fleet = yield* Fleet
    const engines = yield* Engines
    const observer = yield* Observer
    const clock = yield* Clock.Clock
    const engine = engines.byName(settings.current().proxy.engine)
    const breakers = engine.name === "olla" ? new EngineBreakers(() => clock.currentTimeMillisUnsafe()) : undefined
    const off = fleet.onEvent((event) => {
      if (event._tag === "StatusChanged" && event.to.status === "healthy" && !isRoutable(event.from.status))
        breakers?.reset(event.endpoint.url)
    })
    yield* Effect.addFinalizer(() => Effect.sync(off))

    const roads: Roads = {
      config: () => settings.current(),
      balancer,
      engine,
      breakers,
      observer,
      now: () => clock.currentTimeMillisUnsafe()
    }

    return Carrier.of({
      start: (request, arrived) => {
        const journey = new Journey(roads, request, arrived)
        journey.next()
        return journey
      },
      breakerOf: (url) => breakers?.phaseOf(url)
    })
  })
)

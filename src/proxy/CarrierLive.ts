/** The carrier of the daemon: one failover for each exchange. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Balancer } from "../balancing/Balancer.ts"
import { Queue } from "../balancing/Queue.ts"
import { RetryBudget } from "../balancing/RetryBudget.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { monotonicOf } from "../endpoint/Monotonic.ts"
import { Observer } from "../exchange/Observer.ts"
import { Carrier } from "./Carrier.ts"
import type { Engine } from "./Engine.ts"
import { Failover } from "./Failover.ts"
import type { FailoverParts } from "./FailoverParts.ts"

/** The engines by name, built by whoever wires the rooms. */
export class Engines extends Context.Service<Engines, { readonly byName: (name: string) => Engine }>()("olla/proxy/Engines") {}

export const layer: Layer.Layer<Carrier, never, Settings | Balancer | Engines | Observer | Fleet> = Layer.effect(
  Carrier,
  Effect.gen(function* () {
    const settings = yield* Settings
    const balancer = yield* Balancer
    const engines = yield* Engines
    const observer = yield* Observer
    const clock = yield* Clock.Clock
    const fleet = yield* Fleet
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const retries = new RetryBudget()
    const queue = new Queue({
      limits: () => {
        const { max_waiting, max_waiting_per_client } = settings.current().traffic.queue
        return { mostWaiting: max_waiting, mostOfClient: max_waiting_per_client }
      },
      now: () => monotonicOf(clock),
      after: (milliseconds, call) => {
        const timer = fork(Effect.andThen(Effect.sleep(milliseconds), Effect.sync(call)))
        return () => timer.interruptUnsafe()
      },
      soon: (call) => queueMicrotask(call)
    })
    const off = [fleet.onEvent(() => queue.changed()), settings.onReplace(() => queue.changed())]
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const each of off) each()
      })
    )
    const partsOf = (engine: Engine): FailoverParts => ({
      config: () => settings.current(),
      balancer,
      engine,
      hasBreakers: engine.name === "olla",
      observer,
      retries,
      queue,
      wall: () => clock.currentTimeMillisUnsafe(),
      now: () => monotonicOf(clock)
    })
    const byName: Readonly<Record<OllaConfig["proxy"]["engine"], FailoverParts>> = {
      olla: partsOf(engines.byName("olla")),
      sherpa: partsOf(engines.byName("sherpa"))
    }

    return Carrier.of({
      retries,
      queue,
      start: (request, ended) => {
        // An exchange keeps the engine that it began with.
        const failover = new Failover(byName[settings.current().proxy.engine], request, ended)
        failover.next()
        return failover
      }
    })
  })
)

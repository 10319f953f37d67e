/** The rooms of a daemon as one composition of Layers, and the engines that carry its requests. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BalancerLive from "./balancing/BalancerLive.ts"
import * as CatalogueLive from "./catalogue/CatalogueLive.ts"
import { ModelRulesInForce } from "./catalogue/ModelsFile.ts"
import { Settings } from "./config/Settings.ts"
import type { EndpointSpec } from "./endpoint/EndpointSpec.ts"
import { Fleet } from "./endpoint/Fleet.ts"
import * as FleetLive from "./endpoint/FleetLive.ts"
import type { Observer } from "./exchange/Observer.ts"
import * as GuardLive from "./guard/GuardLive.ts"
import { KeyAccess } from "./guard/keys/Access.ts"
import type { InForce } from "./inForce.ts"
import { Profiles } from "./profile/Profiles.ts"
import * as CarrierLive from "./proxy/CarrierLive.ts"
import { ownTransport } from "./proxy/client/OwnTransport.ts"
import { undiciTransport } from "./proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "./proxy/OllaEngine.ts"
import { sherpaEngineOver, sherpaTransport } from "./proxy/SherpaEngine.ts"
import * as RouterLive from "./routing/RouterLive.ts"
import * as GuardReporting from "./telemetry/GuardReporting.ts"
import type { Journal, LogSink } from "./telemetry/LogSink.ts"
import type { RequestLog } from "./telemetry/requests/RequestLog.ts"
import type { Statistics } from "./telemetry/Statistics.ts"
import * as StatisticsLive from "./telemetry/StatisticsLive.ts"
import type { ReadUsage } from "./telemetry/Usage.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** The rooms, each over the ones before it. */
export const rooms = (
  { settings, profiles, models, access }: InForce,
  endpoints: ReadonlyArray<EndpointSpec>,
  env: Environment,
  log: LogSink,
  recording: Layer.Layer<Journal | RequestLog | Observer, never, Statistics>,
  usage: ReadUsage
) => {
  const ground = Layer.mergeAll(
    Layer.succeed(Profiles, profiles),
    Layer.succeed(Settings, settings),
    Layer.succeed(ModelRulesInForce, models),
    Layer.succeed(KeyAccess, access)
  )
  const fleet = Layer.provideMerge(FleetLive.layerOf(endpoints), ground)
  const catalogue = Layer.provideMerge(CatalogueLive.layer, fleet)
  const deciding = Layer.provideMerge(Layer.merge(RouterLive.layer, BalancerLive.layer), catalogue)
  const statistics = Layer.provideMerge(
    recording,
    Layer.provide(
      StatisticsLive.layerOver(usage, () => settings.current().logging.backend_errors),
      catalogue
    )
  )
  const carrying = Layer.provideMerge(CarrierLive.layer, Layer.mergeAll(deciding, Layer.provide(engines(env), fleet), statistics))
  return Layer.provideMerge(GuardLive.layer, Layer.provideMerge(GuardReporting.layer(log), carrying))
}

/** undici carries `https:`, and everything with `OLLA_ENGINE_CLIENT=undici`. */
const engines = (env: Environment): Layer.Layer<CarrierLive.Engines, never, Fleet> =>
  Layer.effect(
    CarrierLive.Engines,
    Effect.gen(function* () {
      const secure = undiciTransport()
      const plain = env["OLLA_ENGINE_CLIENT"] === "undici" ? secure : ownTransport()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          plain.close()
          secure.close()
        })
      )
      const olla = makeOllaEngine(plain, secure)
      const own = yield* sherpaTransport
      const sherpa = yield* sherpaEngineOver(own)
      const { onEvent } = yield* Fleet
      const off = onEvent((event) => {
        const origin =
          event._tag === "EndpointGone" ? event.endpoint.origin : event._tag === "SpecChanged" ? event.before.origin : undefined
        if (origin === undefined || (event._tag === "SpecChanged" && origin === event.endpoint.origin)) return
        for (const transport of new Set([plain, secure, own])) transport.retire(origin)
      })
      yield* Effect.addFinalizer(() => Effect.sync(off))
      return { byName: (name) => (name === "sherpa" ? sherpa : olla) }
    })
  )

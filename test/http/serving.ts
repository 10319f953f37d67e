/** The real rooms around a fleet without probes, with a hook where a test wants to hold or break something. */
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as BalancerLive from "../../src/balancing/BalancerLive.ts"
import * as CatalogueLive from "../../src/catalogue/CatalogueLive.ts"
import { ModelRulesInForce } from "../../src/catalogue/ModelsFile.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Reload } from "../../src/config/Reload.ts"
import { Settings } from "../../src/config/Settings.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import type { Exchange } from "../../src/exchange/Exchange.ts"
import { all, Observer } from "../../src/exchange/Observer.ts"
import { Guard, GuardEvents } from "../../src/guard/Guard.ts"
import * as GuardLive from "../../src/guard/GuardLive.ts"
import { actionRoutes } from "../../src/http/ActionRoutes.ts"
import { makeHttpServer } from "../../src/http/HttpServer.ts"
import type { RouteModule } from "../../src/http/Routes.ts"
import { makeServices, type Services } from "../../src/http/Services.ts"
import { translatorRoutes } from "../../src/http/TranslatorRoutes.ts"
import { Profiles } from "../../src/profile/Profiles.ts"
import * as CarrierLive from "../../src/proxy/CarrierLive.ts"
import { ownTransport } from "../../src/proxy/client/OwnTransport.ts"
import { undiciTransport } from "../../src/proxy/client/UndiciTransport.ts"
import type { Engine } from "../../src/proxy/Engine.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { makeSherpaEngine } from "../../src/proxy/SherpaEngine.ts"
import { type Decision, type RouteRequest, Router } from "../../src/routing/Router.ts"
import * as RouterLive from "../../src/routing/RouterLive.ts"
import { type Fields, Journal, makeSink } from "../../src/telemetry/LogSink.ts"
import { makeRequestLog, RequestLog } from "../../src/telemetry/requests/RequestLog.ts"
import { Statistics } from "../../src/telemetry/Statistics.ts"
import * as StatisticsLive from "../../src/telemetry/StatisticsLive.ts"
import { makeAnthropicTranslator } from "../../src/translation/anthropic/AnthropicTranslator.ts"
import { Lessons } from "../../src/translation/Lessons.ts"
import { type ListedFleet, profiles } from "../catalogue/fakes.ts"

export type EngineName = "olla" | "undici" | "sherpa"

export interface Hooks {
  admitted: () => void
  /** `undefined`: as the router has it. */
  decide: (request: RouteRequest) => Decision | Effect.Effect<Decision> | undefined
  dispatched: (exchange: Exchange) => void
}

export interface Rooms {
  readonly services: Services
  readonly hooks: Hooks
  /** Exchanges whose end was told, in order. */
  readonly ended: Array<Exchange>
  /** Log records so far; empties them. */
  readonly records: () => ReadonlyArray<Fields>
  readonly reset: () => void
  readonly close: () => Promise<void>
}

const engineOf: Readonly<Record<EngineName, Effect.Effect<Engine, never, Scope.Scope>>> = {
  olla: Effect.gen(function* () {
    const plain = yield* Effect.acquireRelease(Effect.sync(ownTransport), (own) => Effect.sync(() => own.close()))
    const secure = yield* Effect.acquireRelease(Effect.sync(undiciTransport), (own) => Effect.sync(() => own.close()))
    return makeOllaEngine(plain, secure)
  }),
  undici: Effect.map(
    Effect.acquireRelease(Effect.sync(undiciTransport), (own) => Effect.sync(() => own.close())),
    (own) => makeOllaEngine(own, own)
  ),
  sherpa: makeSherpaEngine
}

/** `yaml`: the configuration, without endpoints. */
export const openRooms = async (fleet: ListedFleet, engine: EngineName, yaml: string): Promise<Rooms> => {
  const { config, diagnostics } = decodeConfig(yaml, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  const unhooked: Hooks = { admitted: () => {}, decide: () => undefined, dispatched: () => {} }
  const hooks = { ...unhooked }
  const ended: Array<Exchange> = []
  let text = ""
  const sink = makeSink({
    level: "debug",
    form: "json",
    out: (lines) => {
      text += lines
    }
  })
  const log = makeRequestLog(sink, { form: () => "full" })
  const ground = Layer.mergeAll(
    Layer.succeed(Reload, {
      reload: () => Effect.succeed({ _tag: "Reloaded", generation: 1, changed: [], restartNeeded: [] }),
      status: () => ({ generation: 1, loadedAt: 0, source: "", lastError: undefined, restartNeeded: [] })
    }),
    Layer.succeed(Profiles, profiles),
    Settings.layerOf(config, undefined),
    Layer.succeed(Fleet, fleet.service)
  )
  const models = ModelRulesInForce.layerFrom({ cwd: process.cwd(), env: process.env })
  const catalogue = Layer.provideMerge(Layer.provide(CatalogueLive.layer, models), ground)
  const router = Layer.effect(
    Router,
    Effect.map(Router, (real) => Router.of({ decide: (request) => hooks.decide(request) ?? real.decide(request) }))
  ).pipe(Layer.provide(RouterLive.layer))
  const guard = Layer.effect(
    Guard,
    Effect.map(Guard, (real) =>
      Guard.of({
        ...real,
        admit: (request) => {
          hooks.admitted()
          return real.admit(request)
        }
      })
    )
  ).pipe(
    Layer.provide(GuardLive.layer),
    Layer.provide(
      Layer.succeed(GuardEvents, {
        rateLimited: () => {},
        keyRefused: () => {},
        keysRefusedQuietly: () => {},
        rateLimitedQuietly: () => {},
        sizeLimited: () => {},
        bodiesFull: () => {},
        accessDenied: () => {}
      })
    )
  )
  const observer = Layer.effect(
    Observer,
    Effect.map(Statistics, (statistics) =>
      all([
        statistics.observer,
        log.observer,
        {
          dispatched: (exchange) => hooks.dispatched(exchange),
          attemptEnded: () => {},
          ended: (exchange) => void ended.push(exchange)
        }
      ])
    )
  )
  const recording = Layer.provideMerge(
    Layer.mergeAll(observer, Layer.succeed(Journal, sink), Layer.succeed(RequestLog, log)),
    StatisticsLive.layer
  )
  const deciding = Layer.provideMerge(Layer.mergeAll(router, BalancerLive.layer, guard), catalogue)
  const engines = Layer.effect(
    CarrierLive.Engines,
    Effect.map(engineOf[engine], (made) => ({ byName: () => made }))
  )
  const rooms = Layer.provideMerge(CarrierLive.layer, Layer.mergeAll(deciding, recording, engines))
  const scope = Scope.makeUnsafe()
  const built = await Effect.runPromise(Layer.buildWithScope(rooms, scope))
  const services = await Effect.runPromise(
    Effect.provideContext(
      makeServices(() => false),
      built
    )
  )
  return {
    services,
    hooks,
    ended,
    records: () => {
      sink.flush()
      const lines = text.split("\n").filter((line) => line !== "")
      text = ""
      return lines.map((line) => JSON.parse(line) as Fields)
    },
    reset: () => {
      Object.assign(hooks, unhooked)
      ended.length = 0
      sink.flush()
      text = ""
    },
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const now = () => performance.now()

export interface Listening {
  readonly port: number
  readonly stop: (grace: number) => Promise<number>
}

/** A listener over these rooms; `more`: routes that are looked at before the translators'. */
export const listen = async ({ services }: Rooms, more: ReadonlyArray<RouteModule> = []): Promise<Listening> => {
  const { server } = services.settings.current()
  const http = await Effect.runPromise(makeHttpServer({ ...server, host: "127.0.0.1", port: 0 }))
  http.open(services, [...more, actionRoutes, translatorRoutes(services, makeAnthropicTranslator({ lessons: new Lessons(now) }))])
  return { port: (http.addresses[0] as AddressInfo).port, stop: http.stop }
}

/** Composes the rooms into one running daemon: configuration, port, fleet, answers; and takes it down again. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Balancer } from "./balancing/Balancer.ts"
import * as BalancerLive from "./balancing/BalancerLive.ts"
import { Catalogue } from "./catalogue/Catalogue.ts"
import * as CatalogueLive from "./catalogue/CatalogueLive.ts"
import { decodeConfig, type LoadedConfig, loadConfig } from "./config/ConfigLoading.ts"
import type { Diagnostic } from "./config/Diagnostic.ts"
import type { OllaConfig } from "./config/OllaConfig.ts"
import { Settings } from "./config/Settings.ts"
import { Fleet } from "./endpoint/Fleet.ts"
import * as FleetLive from "./endpoint/FleetLive.ts"
import { all } from "./exchange/Observer.ts"
import { Guard, GuardEvents } from "./guard/Guard.ts"
import * as GuardLive from "./guard/GuardLive.ts"
import { anthropicRoutes } from "./http/AnthropicRoutes.ts"
import { type HttpServer, makeHttpServer } from "./http/HttpServer.ts"
import { watchCollections } from "./http/ProcessDocument.ts"
import type { SystemServices } from "./http/SystemRoutes.ts"
import * as ProfileLoading from "./profile/ProfileLoading.ts"
import { Profiles } from "./profile/Profiles.ts"
import { Carrier } from "./proxy/Carrier.ts"
import * as CarrierLive from "./proxy/CarrierLive.ts"
import { ownTransport } from "./proxy/client/Transport.ts"
import { undiciTransport } from "./proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "./proxy/OllaEngine.ts"
import { Router } from "./routing/Router.ts"
import * as RouterLive from "./routing/RouterLive.ts"
import * as EffectLogger from "./telemetry/EffectLogger.ts"
import { LogDuration, type LogForm, type LogSink, makeSink } from "./telemetry/LogSink.ts"
import { makeRequestLog } from "./telemetry/RequestLog.ts"
import { Statistics } from "./telemetry/Statistics.ts"
import * as StatisticsLive from "./telemetry/StatisticsLive.ts"
import { build } from "./version.ts"

export interface ServeOptions {
  /** `-c`/`--config`, if given. */
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** configuration.md 8.2: a variable decides, then a terminal, then the file. */
const formOf = (config: OllaConfig["logging"], env: ServeOptions["env"]): LogForm => {
  const terminal = process.stdout.isTTY === true
  const form = env["OLLA_LOGGING_FORMAT"] ? config.format : terminal ? "text" : config.format
  return form === "text" && coloured(env, terminal) ? "pretty" : form
}

const coloured = (env: ServeOptions["env"], terminal: boolean): boolean => {
  if (env["NO_COLOR"]) return false
  if (env["FORCE_COLOR"]) return env["FORCE_COLOR"] !== "0"
  if (env["OLLA_FORCE_COLORS"]) return env["OLLA_FORCE_COLORS"].toLowerCase() === "true"
  return terminal
}

const report = (sink: LogSink, diagnostics: ReadonlyArray<Diagnostic>): void => {
  for (const diagnostic of diagnostics) {
    if (diagnostic.severity === "error") continue
    const { severity, message, path, line, suggestion, ...rest } = diagnostic as Diagnostic & Record<string, unknown>
    const fields = { key: path, line, suggestion, variable: rest["variable"], value: rest["value"], variables: rest["variables"] }
    sink.write(severity === "warning" ? "warn" : "info", message, fields)
  }
}

const place = ({ file, line, column }: Diagnostic): string =>
  file === undefined || file === "" || line === undefined ? "" : `${file}:${line}:${column ?? 1}: `

/** Every fatal problem in one record, each text on its own line. */
const fatal = (sink: LogSink, message: string, problems: ReadonlyArray<Diagnostic>): number => {
  sink.write("error", message, { error: problems.map((problem) => `${place(problem)}${problem.message}`).join("\n") })
  sink.flush()
  return 1
}

/** Runs until a signal or a fatal error; resolves with the exit code. */
export const serve = (options: ServeOptions): Promise<number> =>
  run(loadConfig({ configFile: options.configFile, env: options.env, cwd: process.cwd() }), options.env)

/** The same with a simulated fleet behind it. */
export const demo = async (options: ServeOptions): Promise<number> => {
  const { startDemoFleet } = await import("./simulator/DemoFleet.ts")
  const fleet = await startDemoFleet()
  const port = options.env["OLLA_SERVER_PORT"] ?? "40114"
  try {
    return await run(decodeConfig(fleet.yaml, "demo.yaml", options.env), options.env, () => process.stderr.write(fleet.introduction(port)))
  } finally {
    await fleet.stop()
  }
}

const run = async (loaded: LoadedConfig, env: ServeOptions["env"], whenReady?: () => void): Promise<number> => {
  const startedAt = performance.now()
  const logging = loaded.config?.logging ?? {
    level: "info" as const,
    format: "json" as const,
    output: "stdout" as const,
    slow_request_threshold: 0
  }
  const sink = makeSink({ level: logging.level, form: formOf(logging, env) })
  sink.write("info", "Initialising", { version: build.version, pid: process.pid })
  const errors = loaded.diagnostics.filter((diagnostic) => diagnostic.severity === "error")
  if (errors.length > 0 || loaded.config === undefined) return fatal(sink, "Failed to load configuration", errors)
  report(sink, loaded.diagnostics)
  sink.write("info", "Loaded configuration", { config: loaded.path })
  watchCollections()
  const signals = watchSignals(sink)
  const exit = await Effect.runPromiseExit(
    Effect.scoped(daemon(loaded, loaded.config, env, sink, signals, startedAt, whenReady)).pipe(Effect.provide(EffectLogger.layer(sink)))
  )
  signals.stop()
  if (Exit.isSuccess(exit)) {
    sink.write("info", "Olla has shutdown", { uptime: new LogDuration(performance.now() - startedAt) })
    sink.flush()
    return 0
  }
  const reason = exit.cause.reasons[0]
  const error = reason?._tag === "Fail" ? reason.error : reason?._tag === "Die" ? reason.defect : "interrupted"
  const text = error instanceof Error ? error.message : String(error)
  sink.write("error", "Failed to create and start service manager", { error: text })
  sink.flush()
  return 1
}

interface Signals {
  readonly requested: Effect.Effect<string>
  /** From now on the first signal is a graceful stop. */
  started: boolean
  readonly stop: () => void
}

const watchSignals = (sink: LogSink): Signals => {
  const requested = Deferred.makeUnsafe<string>()
  let count = 0
  const on = (signal: "SIGINT" | "SIGTERM") => () => {
    count++
    if (!signals.started || count > 1) {
      sink.flush()
      process.exit(count > 1 ? (signal === "SIGINT" ? 130 : 143) : 0)
    }
    sink.write("info", "Shutdown signal received", { signal })
    Deferred.doneUnsafe(requested, Effect.succeed(signal))
  }
  const handlers = {
    SIGINT: on("SIGINT"),
    SIGTERM: on("SIGTERM"),
    SIGHUP: () => sink.write("info", "SIGHUP received, reload is not supported")
  }
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal as NodeJS.Signals, handler)
  const signals: Signals = {
    requested: Deferred.await(requested),
    started: false,
    stop: () => {
      for (const [signal, handler] of Object.entries(handlers)) process.off(signal as NodeJS.Signals, handler)
    }
  }
  return signals
}

/** The rooms, each over the ones before it. */
const rooms = (
  loaded: LoadedConfig,
  config: OllaConfig,
  env: ServeOptions["env"],
  observerLayer: Layer.Layer<never, never, Statistics>
) => {
  const settings = Settings.layerOf(config, loaded.folder)
  const profiles = ProfileLoading.layer(process.cwd(), env)
  const ground = Layer.provideMerge(profiles, settings)
  const fleet = Layer.provideMerge(FleetLive.layer, ground)
  const catalogue = Layer.provideMerge(CatalogueLive.layer, fleet)
  const deciding = Layer.provideMerge(Layer.merge(RouterLive.layer, BalancerLive.layer), catalogue)
  const statistics = Layer.provideMerge(observerLayer, StatisticsLive.layer)
  const carrying = Layer.provideMerge(CarrierLive.layer, Layer.mergeAll(deciding, engines(env), statistics))
  return Layer.provideMerge(GuardLive.layer, Layer.provideMerge(guardEvents, carrying))
}

/** What the guard refuses is counted and told. */
const guardEvents: Layer.Layer<GuardEvents, never, Statistics> = Layer.effect(
  GuardEvents,
  Effect.gen(function* () {
    const statistics = yield* Statistics
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    return {
      rateLimited: (request, limit, retryAfter, first) => {
        statistics.rateLimited(request.clientIp)
        if (first)
          fork(
            Effect.logWarning("Rate limit exceeded", {
              request_id: request.id,
              client_ip: request.clientIp,
              limit,
              retry_after: retryAfter
            })
          )
      },
      rateLimitedQuietly: (count) => {
        fork(Effect.logWarning("Further requests were rate limited", { count }))
      },
      sizeLimited: (request, reason, size, limit) => {
        statistics.sizeLimited()
        fork(
          Effect.logWarning("Request rejected", {
            request_id: request.id,
            client_ip: request.clientIp,
            reason: `${reason} too large`,
            size,
            limit
          })
        )
      }
    }
  })
)

/** undici carries `https:`, and everything with `OLLA_ENGINE_CLIENT=undici`. */
const engines = (env: ServeOptions["env"]): Layer.Layer<CarrierLive.Engines> =>
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
      return { byName: () => olla }
    })
  )

const daemon = Effect.fnUntraced(function* (
  loaded: LoadedConfig,
  config: OllaConfig,
  env: ServeOptions["env"],
  sink: LogSink,
  signals: Signals,
  startedAt: number,
  whenReady: (() => void) | undefined
) {
  // The port first: a busy one ends the start without waiting for a single probe.
  const http: HttpServer = yield* Effect.mapError(
    makeHttpServer(config.server),
    (error) => new Error(`failed to start services: failed to start service http: ${error.message}`)
  )
  yield* Effect.addFinalizer(() => Effect.promise(() => http.stop(0)))
  const log = makeRequestLog(
    sink,
    () => !config.server.request_logging,
    () => config.logging.slow_request_threshold
  )
  const observing = Layer.effect(
    CarrierLive.Observer,
    Effect.map(Statistics, (statistics) => all([statistics.observer, log.observer]))
  )
  const context = yield* Layer.build(rooms(loaded, config, env, observing))
  const fleet = Context.get(context, Fleet)
  yield* fleet.ready
  yield* Context.get(context, Catalogue).settled
  let stopping = false
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const services: SystemServices = {
    settings: Context.get(context, Settings),
    profiles: Context.get(context, Profiles),
    fleet,
    catalogue: Context.get(context, Catalogue),
    router: Context.get(context, Router),
    balancer: Context.get(context, Balancer),
    carrier: Context.get(context, Carrier),
    guard: Context.get(context, Guard),
    statistics: Context.get(context, Statistics),
    log,
    observer: all([Context.get(context, Statistics).observer, log.observer]),
    fork,
    logsRequests: () => sink.enabled("info"),
    wantsUsage: () => false,
    isStopping: () => stopping
  }
  http.open(services, [anthropicRoutes(services)])
  signals.started = true
  const address = http.addresses[0]
  const bind = `${config.server.host}:${address?.port ?? config.server.port}`
  sink.write("info", "HTTP server listening", {
    address: bind,
    readTimeout: new LogDuration(config.server.read_timeout),
    readHeaderTimeout: new LogDuration(config.server.read_header_timeout || 10_000),
    writeTimeout: new LogDuration(config.server.write_timeout),
    idleTimeout: new LogDuration(config.server.idle_timeout)
  })
  sink.write("info", "Olla started, waiting for requests...", { bind, start_ms: Math.round(performance.now() - startedAt) })
  sink.flush()
  whenReady?.()
  yield* signals.requested
  stopping = true
  const cut = yield* Effect.promise(() => http.stop(config.server.shutdown_timeout))
  if (cut > 0) sink.write("warn", "Requests were cut at the end of server.shutdown_timeout", { requests: cut })
})

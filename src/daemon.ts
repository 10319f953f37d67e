/** Composes the rooms into one running daemon: configuration, port, fleet, answers; and takes it down again. */
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import type * as Cause from "effect/Cause"
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
import { type Diagnostic, placeOf, render, textOf } from "./config/Diagnostic.ts"
import type { OllaConfig } from "./config/OllaConfig.ts"
import { Settings } from "./config/Settings.ts"
import { loadEndpoints } from "./endpoint/EndpointLoading.ts"
import { Fleet } from "./endpoint/Fleet.ts"
import * as FleetLive from "./endpoint/FleetLive.ts"
import { all } from "./exchange/Observer.ts"
import { Guard } from "./guard/Guard.ts"
import * as GuardLive from "./guard/GuardLive.ts"
import { consoleRoutes } from "./http/ConsoleRoutes.ts"
import { type HttpServer, idleTime, makeHttpServer } from "./http/HttpServer.ts"
import { routeTable } from "./http/Surface.ts"
import type { SystemServices } from "./http/SystemRoutes.ts"
import { translatorRoutes } from "./http/TranslatorRoutes.ts"
import * as ProfileLoading from "./profile/ProfileLoading.ts"
import { type ProfileSet, Profiles } from "./profile/Profiles.ts"
import { Carrier } from "./proxy/Carrier.ts"
import * as CarrierLive from "./proxy/CarrierLive.ts"
import { ownTransport } from "./proxy/client/Transport.ts"
import { undiciTransport } from "./proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "./proxy/OllaEngine.ts"
import { makeSherpaEngine } from "./proxy/SherpaEngine.ts"
import { Router } from "./routing/Router.ts"
import * as RouterLive from "./routing/RouterLive.ts"
import { onSignal } from "./signals.ts"
import { releaseStartupMemory } from "./startupMemory.ts"
import * as EffectLogger from "./telemetry/EffectLogger.ts"
import * as GuardReporting from "./telemetry/GuardReporting.ts"
import { decideLogging } from "./telemetry/LogDecision.ts"
import { type Log, LogDuration, type LogSink, makeLog } from "./telemetry/LogSink.ts"
import { writeNerdStats } from "./telemetry/NerdStats.ts"
import { processFigures, watchProcess } from "./telemetry/ProcessFigures.ts"
import { makeRequestLog } from "./telemetry/RequestLog.ts"
import { Statistics } from "./telemetry/Statistics.ts"
import * as StatisticsLive from "./telemetry/StatisticsLive.ts"
import { type ReadUsage, usageReader } from "./telemetry/Usage.ts"
import { readUsage } from "./telemetry/UsageReading.ts"
import { makeAnthropicTranslator } from "./translation/anthropic/AnthropicTranslator.ts"
import { build, runtime } from "./version.ts"

export interface ServeOptions {
  /** `-c`/`--config`, if given. */
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Start the profiling server too. */
  readonly profile?: boolean
}

const report = (sink: LogSink, diagnostics: ReadonlyArray<Diagnostic>): void => {
  for (const { severity, message, path, line, suggestion, fields } of diagnostics)
    if (severity !== "error") sink.write(severity === "warning" ? "warn" : "info", message, { key: path, line, suggestion, ...fields })
}

/** Every fatal problem in one record, each text on its own line; the message names the step that ends (configuration.md 1.2). */
const fatal = (sink: LogSink, problems: ReadonlyArray<Diagnostic>): number => {
  const all = (prefix: string) => problems.every((problem) => problem.path?.startsWith(prefix) === true && problem.parsing === undefined)
  const text = problems.map(render).join("\n")
  if (all("model_aliases")) sink.write("error", "Invalid model alias configuration", { error: text })
  else if (all("discovery.static.endpoints"))
    sink.write("error", "Failed to create and start service manager", {
      error: `failed to start services: failed to start service discovery: failed to load endpoints from config: ${text}`
    })
  else sink.write("error", "Failed to load configuration", { error: text })
  sink.flush()
  // A person reads a list better than one long line.
  if (process.stdout.isTTY === true)
    process.stderr.write(`\n${problems.map((problem) => `${placeOf(problem)}${textOf(problem)}\n`).join("")}`)
  return 1
}

/** Runs until a signal or a fatal error; resolves with the exit code. */
export const serve = (options: ServeOptions): Promise<number> =>
  run(loadConfig({ configFile: options.configFile, env: options.env, cwd: process.cwd() }), options)

/** The same with a simulated fleet behind it. */
export const demo = async (options: ServeOptions): Promise<number> => {
  const { startDemoFleet } = await import("./simulator/DemoFleet.ts")
  const fleet = await startDemoFleet()
  const port = options.env["OLLA_SERVER_PORT"] ?? "40114"
  try {
    return await run(decodeConfig(fleet.yaml, "demo.yaml", options.env), options, () => process.stderr.write(fleet.introduction(port)))
  } finally {
    await fleet.stop()
  }
}

const run = async (loaded: LoadedConfig, options: ServeOptions, whenReady?: () => void): Promise<number> => {
  const startedAt = performance.now()
  const { env } = options
  const isTerminal = process.stdout.isTTY === true
  const log = makeLog({ env, isTerminal })
  log.write("info", "Initialising", { version: build.version, pid: process.pid })
  const machine = { isContainerised: isContainerised(env), numCPU: availableParallelism(), goVersion: runtime }
  log.write("info", "System Configuration", machine)
  const { config } = loaded
  const profiles = loadProfiles(loaded, env)
  const endpoints = config === undefined ? [] : loaded.adopt(loadEndpoints(config, profiles, env, readText).diagnostics)
  const errors = [...loaded.diagnostics, ...endpoints].filter((diagnostic) => diagnostic.severity === "error")
  if (errors.length > 0 || config === undefined) {
    // An endpoint's type may be unknown because its profile could not be read.
    if (errors.length > 0) report(log, profiles.diagnostics)
    log.release()
    return fatal(log, errors)
  }
  log.configure(decideLogging(config.logging, (key) => loaded.originOf(key) !== "default", env, isTerminal))
  log.write("info", "Loaded configuration", { config: loaded.path })
  const aliases = Object.keys(config.model_aliases).length
  if (aliases > 0) log.write("info", "Model aliases configured", { alias_count: aliases })
  if (config.server.cors.enabled) log.write("info", "CORS enabled", { allowed_origins: config.server.cors.allowed_origins })
  report(log, [...loaded.diagnostics, ...profiles.diagnostics, ...endpoints])
  const unwatch = watchProcess()
  const profiling = options.profile === true ? await startProfiling(log) : undefined
  const signals = takeSignals(log)
  const exit = await Effect.runPromiseExit(
    Effect.scoped(daemon(loaded, config, profiles, env, log, signals, startedAt, whenReady)).pipe(Effect.provide(EffectLogger.layer(log)))
  )
  await profiling?.close()
  const code = Exit.isSuccess(exit) ? exit.value : fatalExit(log, exit.cause)
  if (code === 0) {
    if (config.engineering.show_nerdstats) writeNerdStats(log, processFigures())
    log.write("info", "Cleaned up", { duration: new LogDuration(performance.now() - signals.stoppedAt) })
    log.write("info", "Olla has shutdown", { uptime: new LogDuration(performance.now() - startedAt) })
  }
  unwatch()
  await log.close()
  return code
}

const readText = (path: string): string => readFileSync(path, "utf8")

const loadProfiles = (loaded: LoadedConfig, env: ServeOptions["env"]): ProfileSet =>
  ProfileLoading.loadProfiles({
    cwd: process.cwd(),
    env,
    configFolder: loaded.folder,
    filter: loaded.config?.proxy.profile_filter ?? { include: [], exclude: [] }
  })

const fatalExit = (log: LogSink, cause: Cause.Cause<unknown>): number => {
  const reason = cause.reasons[0]
  const error = reason?._tag === "Fail" ? reason.error : reason?._tag === "Die" ? reason.defect : "interrupted"
  const text = error instanceof Error ? error.message : String(error)
  log.write("error", "Failed to create and start service manager", { error: text })
  return 1
}

/** A busy port is told and no reason not to serve. */
const startProfiling = async (log: LogSink) => {
  const { startProfilingServer } = await import("./telemetry/ProfilingServer.ts")
  try {
    const server = await startProfilingServer()
    process.stderr.write(`Profiling server started at ${server.url}\n`)
    return server
  } catch (error) {
    log.write("warn", "Profiling server could not be started", { error })
    return undefined
  }
}

/** configuration.md 1.3. */
const isContainerised = (env: ServeOptions["env"]): boolean => {
  if (existsSync("/.dockerenv") || (env["KUBERNETES_SERVICE_HOST"] ?? "") !== "") return true
  try {
    return /docker|containerd|kubepods/.test(readFileSync("/proc/1/cgroup", "utf8"))
  } catch {
    return false
  }
}

interface Signals {
  readonly requested: Effect.Effect<string>
  /** From now on the first signal is a graceful stop. */
  started: boolean
  /** When it came, in milliseconds of the process's clock. */
  stoppedAt: number
}

const takeSignals = (sink: LogSink): Signals => {
  const requested = Deferred.makeUnsafe<string>()
  let count = 0
  onSignal((signal) => {
    if (signal === "SIGHUP") {
      sink.write("info", "SIGHUP received, reload is not supported")
      return
    }
    count++
    if (!signals.started || count > 1) {
      sink.flush()
      process.exit(count > 1 ? (signal === "SIGINT" ? 130 : 143) : 0)
    }
    signals.stoppedAt = performance.now()
    sink.write("info", "Shutdown signal received", { signal })
    Deferred.doneUnsafe(requested, Effect.succeed(signal))
  })
  const signals: Signals = { requested: Deferred.await(requested), started: false, stoppedAt: 0 }
  return signals
}

/** The rooms, each over the ones before it. */
const rooms = (
  loaded: LoadedConfig,
  config: OllaConfig,
  profiles: ProfileSet,
  env: ServeOptions["env"],
  log: LogSink,
  observerLayer: Layer.Layer<never, never, Statistics>,
  usage: ReadUsage
) => {
  const settings = Settings.layerOf(config, loaded.folder, (key) => loaded.originOf(key) !== "default")
  const ground = Layer.merge(Layer.succeed(Profiles, profiles), settings)
  const fleet = Layer.provideMerge(FleetLive.layer, ground)
  const catalogue = Layer.provideMerge(CatalogueLive.layer, fleet)
  const deciding = Layer.provideMerge(Layer.merge(RouterLive.layer, BalancerLive.layer), catalogue)
  const statistics = Layer.provideMerge(observerLayer, StatisticsLive.layerWith(usage))
  const carrying = Layer.provideMerge(CarrierLive.layer, Layer.mergeAll(deciding, engines(env), statistics))
  return Layer.provideMerge(GuardLive.layer, Layer.provideMerge(GuardReporting.layer(log), carrying))
}

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
      const sherpa = yield* makeSherpaEngine
      return { byName: (name) => (name === "sherpa" ? sherpa : olla) }
    })
  )

const daemon = Effect.fnUntraced(function* (
  loaded: LoadedConfig,
  config: OllaConfig,
  profiles: ProfileSet,
  env: ServeOptions["env"],
  sink: Log,
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
  // Read once for all who ask.
  const usage = usageReader(readUsage(profiles))
  const log = makeRequestLog(
    sink,
    () => !config.server.request_logging,
    () => config.logging.slow_request_threshold,
    usage,
    () => config.proxy.engine
  )
  const observing = Layer.effect(
    CarrierLive.Observer,
    Effect.map(Statistics, (statistics) => all([statistics.observer, log.observer]))
  )
  const context = yield* Layer.build(rooms(loaded, config, profiles, env, sink, observing, usage))
  const fleet = Context.get(context, Fleet)
  yield* fleet.ready
  sink.table(FleetLive.endpointTable(fleet.endpoints))
  sink.table(routeTable(Context.get(context, Profiles).all))
  yield* Context.get(context, Catalogue).settled
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
    wantsUsage: () => config.server.request_logging && sink.enabled("info"),
    // At once with the signal, before anybody has read that it came.
    isStopping: () => signals.stoppedAt > 0
  }
  // Every API that is offered in translation has its line here.
  const translators = [makeAnthropicTranslator()]
  for (const { name } of translators) {
    const { enabled, max_message_size } = config.translators[name]
    if (enabled) sink.write("info", "Registered Anthropic translator", { max_message_size })
    else sink.write("info", "Anthropic translator disabled via configuration", {})
  }
  releaseStartupMemory()
  http.open(services, [...translators.map((translator) => translatorRoutes(services, translator)), consoleRoutes])
  signals.started = true
  const address = http.addresses[0]
  const bind = `${config.server.host}:${address?.port ?? config.server.port}`
  sink.write("info", "HTTP server listening", {
    address: bind,
    readTimeout: new LogDuration(config.server.read_timeout),
    readHeaderTimeout: new LogDuration(config.server.read_header_timeout || 10_000),
    writeTimeout: new LogDuration(config.server.write_timeout),
    idleTimeout: new LogDuration(idleTime(config.server))
  })
  sink.write("info", "Olla started, waiting for requests...", { bind, start_ms: Math.round(performance.now() - startedAt) })
  if (config.dashboard.gate_internal_api)
    sink.write(
      "info",
      "Internal API is gated: /version and /internal/*, /internal/health included, answer whom dashboard.access_policy admits",
      {
        allowed_cidrs: config.dashboard.access_policy.allowed_cidrs,
        allowed_hosts: config.dashboard.access_policy.allowed_hosts
      }
    )
  if (config.translators.anthropic.inspector.enabled)
    sink.write("warn", "Anthropic Inspector is ENABLED. DO NOT USE IN PROD.", {
      more_info: "whole conversations are written to translators.anthropic.inspector.output_dir",
      output_dir: config.translators.anthropic.inspector.output_dir
    })
  sink.flush()
  whenReady?.()
  const broken = yield* Effect.raceFirst(
    Effect.as(signals.requested, undefined),
    Effect.promise(() => http.failed)
  )
  if (signals.stoppedAt === 0) signals.stoppedAt = performance.now()
  // What is open may end, whatever was the reason to stop.
  if (broken !== undefined)
    sink.write("error", "The HTTP listener failed, no further request can be accepted", { address: bind, error: broken.message })
  const grace = config.server.shutdown_timeout
  const cut = yield* Effect.promise(() => http.stop(grace))
  // No time at all is what was asked for.
  if (cut > 0)
    sink.write(grace > 0 ? "error" : "warn", "HTTP server shutdown error", {
      error: `${cut} open request${cut === 1 ? " was" : "s were"} cut at the end of server.shutdown_timeout`,
      requests: cut,
      timeout: new LogDuration(grace)
    })
  return broken === undefined ? 0 : 1
})

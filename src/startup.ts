/** From the command to a daemon that runs, and to its exit code: log, configuration, signals, and what is said at the end. */
import { existsSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { isDeepStrictEqual } from "node:util"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { NamedBackend } from "./config/Backends.ts"
import { decodeConfig, type LoadedConfig, loadConfig } from "./config/ConfigLoading.ts"
import { asBackends, foundLine } from "./configInit.ts"
import { type Configuration, filesOf, readConfiguration } from "./configuration.ts"
import { daemon } from "./daemon.ts"
import { asSound, inForce, isWritten, type Sound } from "./inForce.ts"
import { searchOf } from "./localSearch.ts"
import { reportFatal, reportRemarks } from "./startupReport.ts"
import { takeStopRequests } from "./stopRequest.ts"
import * as EffectLogger from "./telemetry/EffectLogger.ts"
import { decideLogging } from "./telemetry/LogDecision.ts"
import { type Log, LogDuration, type LogSink, makeLog } from "./telemetry/LogSink.ts"
import { writeNerdStats } from "./telemetry/NerdStats.ts"
import { processFigures, watchProcess } from "./telemetry/ProcessFigures.ts"
import { build, runtime } from "./version.ts"

export interface ServeOptions {
  /** `-c`/`--config`, if given. */
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Those of `--backend`. */
  readonly backends?: ReadonlyArray<NamedBackend>
  /** Start the profiling server too. */
  readonly profile?: boolean
}

/** Runs until a signal or a fatal error; resolves with the exit code. */
export const serve = async (options: ServeOptions): Promise<number> => {
  const { configFile, env, backends = [] } = options
  const where = { configFile, env, cwd: process.cwd() }
  const loaded = loadConfig({ ...where, backends })
  const again = (path: string) => loadConfig({ ...where, backends, loaded: path })
  if (loaded.path !== "" || backends.length > 0 || (env["OLLA_BACKENDS"] ?? "") !== "") return run(loaded, options, { again })
  // Nobody said anything: what runs here is served.
  const search = searchOf(where)
  let servers = await search()
  const found = loadConfig({ ...where, backends: asBackends(servers) })
  return run({ ...found, diagnostics: [...found.diagnostics, foundLine(servers)] }, options, {
    again: (path) => {
      const written = again(path)
      return written.path === "" ? loadConfig({ ...where, backends: asBackends(servers) }) : written
    },
    ...(servers.length > 0
      ? {}
      : {
          search: async () => {
            servers = await search()
            return servers.length > 0 ? foundLine(servers).message : undefined
          }
        })
  })
}

export interface RunOptions {
  /** Lets less through, or says it otherwise. */
  readonly log?: (log: Log) => Log
  /** Called once, when requests are answered. */
  readonly whenReady?: () => void
  /** Reads the file of this path once more, or where there was none, whatever a start would find now; absent: there are no files. */
  readonly again?: (path: string) => LoadedConfig
  /** Looks for servers once more, where none was found; what to tell, and `again` knows them then. */
  readonly search?: () => Promise<string | undefined>
}

/** The same with a configuration that is there already. */
export const run = async (
  loaded: LoadedConfig,
  options: ServeOptions,
  { log: wrap, whenReady, again, search }: RunOptions = {}
): Promise<number> => {
  const startedAt = performance.now()
  const { env } = options
  const isTerminal = process.stdout.isTTY === true
  const whole = makeLog({ env, isTerminal })
  const log = wrap === undefined ? whole : wrap(whole)
  log.write("info", "Initialising", { version: build.version, pid: process.pid })
  const machine = { isContainerised: isContainerised(env), numCPU: availableParallelism(), goVersion: runtime }
  log.write("debug", "System Configuration", machine)
  // Once: a second look could find other secrets than those that were judged.
  const where = { env, cwd: process.cwd() }
  const first = readConfiguration(where, loaded)
  const { profiles, diagnostics, errors } = first
  const sound = asSound(first)
  // What ends the start is told in the form that was asked for, as far as that could be read.
  const { logging, originOf } = readable(loaded, env)
  let decision = decideLogging(logging, (key) => originOf(key) !== "default", env, isTerminal)
  log.configure(decision)
  if (sound === undefined) {
    // A mistake often follows from what is only warned of: a key that is misspelt, a profile that could not be read.
    reportRemarks(log, [...profiles.diagnostics, ...diagnostics])
    reportFatal(log, errors, isTerminal && process.stderr.isTTY === true ? (text) => process.stderr.write(text) : undefined)
    await log.close()
    return 1
  }
  const { config } = sound
  log.write("info", "Loaded configuration", { config: loaded.path })
  const aliases = Object.keys(config.model_aliases).length
  if (aliases > 0) log.write("debug", "Model aliases configured", { alias_count: aliases })
  if (config.server.cors.enabled) log.write("debug", "CORS enabled", { allowed_origins: config.server.cors.allowed_origins })
  reportRemarks(log, [...profiles.diagnostics, ...diagnostics])
  const unwatch = watchProcess()
  const profiling = options.profile === true ? await startProfiling(log) : undefined
  const stop = takeStopRequests(log)
  const current = inForce(sound)
  const configureLog = (next: Sound) => {
    const decided = decideLogging(next.config.logging, isWritten(next), env, isTerminal)
    if (isDeepStrictEqual(decided, decision)) return
    decision = decided
    log.configure(decided)
  }
  let last: Configuration = sound
  const read = function* (before: Sound) {
    const loaded = again === undefined ? before.loaded : again(before.loaded.path)
    yield
    last = readConfiguration(where, loaded, before)
    return last
  }
  // Of one that was refused too: what is missing there may come.
  const files = () => [...new Set([...filesOf(where, current.current()), ...filesOf(where, last)])]
  const exit = await Effect.runPromiseExit(
    Effect.scoped(daemon({ inForce: current, read, files, search, configureLog, env, log, stop, startedAt, whenReady })).pipe(
      Effect.provide(EffectLogger.layer(log))
    )
  )
  await profiling?.close()
  const code = Exit.isSuccess(exit) ? exit.value : fatalExit(log, exit.cause)
  if (code === 0) {
    if (current.settings.current().engineering.show_nerdstats) writeNerdStats(log, processFigures())
    log.write("info", "Cleaned up", { duration: new LogDuration(performance.now() - stop.stoppedAt) })
    log.write("info", "Olla has shutdown", { uptime: new LogDuration(performance.now() - startedAt) })
  }
  unwatch()
  await log.close()
  return code
}

/** The logging section of a file that could not be read is that of the variables and defaults. */
const readable = (loaded: LoadedConfig, env: ServeOptions["env"]) => {
  if (loaded.config !== undefined) return { logging: loaded.config.logging, originOf: loaded.originOf }
  const { config, originOf } = decodeConfig("", "", env)
  return { logging: config?.logging ?? { level: "info", format: "json", output: "stdout" }, originOf } as const
}

const fatalExit = (log: LogSink, cause: Cause.Cause<unknown>): number => {
  const reason = cause.reasons[0]
  const error = reason?._tag === "Fail" ? reason.error : reason?._tag === "Die" ? reason.defect : "interrupted"
  const text = error instanceof Error ? error.message : String(error)
  log.write("error", "Failed to create and start service manager", { error: text })
  return 1
}

/** A busy profiling port is logged; serving goes on without it. */
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

const isContainerised = (env: ServeOptions["env"]): boolean => {
  if (existsSync("/.dockerenv") || (env["KUBERNETES_SERVICE_HOST"] ?? "") !== "") return true
  try {
    return /docker|containerd|kubepods/.test(readFileSync("/proc/1/cgroup", "utf8"))
  } catch {
    return false
  }
}

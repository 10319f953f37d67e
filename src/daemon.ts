/** Composes the rooms into one running daemon: port, fleet, answers; and takes it down again. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import { Catalogue } from "./catalogue/Catalogue.ts"
import { watchCertificates } from "./certificateWatch.ts"
import type { OllaConfig } from "./config/OllaConfig.ts"
import { Reload } from "./config/Reload.ts"
import type { Configuration } from "./configuration.ts"
import { dnsLookup } from "./endpoint/DnsLookup.ts"
import { DnsStatuses, makeDnsSource } from "./endpoint/DnsSource.ts"
import { configured, together, withSource } from "./endpoint/EndpointSources.ts"
import { Fleet } from "./endpoint/Fleet.ts"
import * as FleetLive from "./endpoint/FleetLive.ts"
import { handOver } from "./endpoint/HandOver.ts"
import { watchReachability } from "./endpoint/ReachabilityEdges.ts"
import { GatheredEnds } from "./exchange/GatheredEnds.ts"
import { all, type ExchangeObserver, Observer } from "./exchange/Observer.ts"
import { TracingDecisions } from "./exchange/Tracing.ts"
import { actionRoutes } from "./http/ActionRoutes.ts"
import { bindAdvice } from "./http/BindAdvice.ts"
import { chatRoutes } from "./http/ChatRoutes.ts"
import { consoleRoutes } from "./http/ConsoleRoutes.ts"
import { idleTime, makeHttpServer } from "./http/HttpServer.ts"
import { CertificateStore } from "./http/listener/CertificateStore.ts"
import { ollamaRoutes } from "./http/OllamaRoutes.ts"
import { responsesRoutes } from "./http/ResponsesRoutes.ts"
import { rootRoutes } from "./http/RootRoutes.ts"
import { makeServices } from "./http/Services.ts"
import { routeTable } from "./http/Surface.ts"
import { translatorRoutes } from "./http/TranslatorRoutes.ts"
import type { InForce, Sound } from "./inForce.ts"
import { watchKeys } from "./keysWatch.ts"
import { untilFound } from "./localSearch.ts"
import { Profiles } from "./profile/Profiles.ts"
import { makeReload, watchWhile } from "./reload.ts"
import { rooms } from "./rooms.ts"
import { releaseMemory, SpareMemory } from "./spareMemory.ts"
import { tellStart } from "./startLines.ts"
import type { StopRequest } from "./stopRequest.ts"
import { KeyFigures, KeyStatistics, otherModels } from "./telemetry/KeyStatistics.ts"
import { budgetRecords, laneRecords } from "./telemetry/LaneReporting.ts"
import { type Fields, Journal, type Level, LogDuration, type LogSink } from "./telemetry/LogSink.ts"
import { backendError } from "./telemetry/requests/BackendError.ts"
import { makeRequestLog, RequestLog } from "./telemetry/requests/RequestLog.ts"
import { Statistics } from "./telemetry/Statistics.ts"
import { routeNames } from "./telemetry/tracing/RouteNames.ts"
import { openTraces, TraceCounts, type Traces } from "./telemetry/tracing/Traces.ts"
import { type ReadUsage, usageReader } from "./telemetry/Usage.ts"
import { readUsage } from "./telemetry/UsageReading.ts"
import { makeAnthropicTranslator } from "./translation/anthropic/AnthropicTranslator.ts"
import type { Learnt } from "./translation/Conversing.ts"
import { Lessons } from "./translation/Lessons.ts"
import { makeOllamaTranslators } from "./translation/ollama/OllamaTranslator.ts"
import { ResponseOwners } from "./translation/responses/ResponseOwners.ts"
import { makeResponsesTranslator } from "./translation/responses/ResponsesTranslator.ts"

/** Milliseconds between two looks for memory that can be given back. */
const spareLookEvery = 3_000

export interface Starting {
  readonly inForce: InForce
  /** Reads the configuration's files anew, in steps between which requests go on. */
  readonly read: (before: Sound) => Generator<void, Configuration>
  /** Looks for servers on this machine; `undefined`: somebody said which there are. What it says is told. */
  readonly search: (() => Promise<string | undefined>) | undefined
  /** The files that the last reading looked at. */
  readonly files: () => ReadonlyArray<string>
  /** The log's level, form and outputs are those of this configuration from now on. */
  readonly configureLog: (sound: Sound) => void
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: LogSink
  readonly stop: StopRequest
  /** When the process began, in milliseconds of its clock. */
  readonly startedAt: number
  /** Called once, when requests are answered. */
  readonly whenReady: (() => void) | undefined
}

/** With what requests and documents ask about traces. */
const traced = <A>(context: Context.Context<A>, traces: Traces | undefined): Context.Context<A> =>
  traces === undefined ? context : context.pipe(Context.add(TracingDecisions, traces.tracing), Context.add(TraceCounts, traces.counts))

/** The port is given back with the scope. */
const listening = (server: OllaConfig["server"], certificates: CertificateStore | undefined) =>
  makeHttpServer(server, certificates).pipe(
    Effect.mapError(
      (error) => new Error(`failed to start services: failed to start service http: ${error.message}${bindAdvice(error.code, server)}`)
    ),
    Effect.tap((http) => Effect.addFinalizer(() => Effect.promise(() => http.stop(0))))
  )

/** Serves until it is asked to stop or its listener breaks down; the exit code. */
export const daemon = Effect.fnUntraced(function* (starting: Starting) {
  const { settings, profiles } = starting.inForce
  const { traces: where } = starting.inForce.current()
  // One reader for all that need usage figures: a body is parsed once.
  const usage = usageReader(readUsage(profiles))
  let offered: (model: string) => string | undefined = () => undefined
  // Opened first, so that it is closed when the last request has ended.
  const traces =
    where === undefined
      ? undefined
      : yield* openTraces(where, {
          usage,
          routeOf: routeNames(profiles),
          offered: (model) => offered(model),
          words: (exchange) => (settings.current().logging.backend_errors ? backendError(exchange.kept) : undefined),
          write: (level, message, fields) => starting.log.write(level, message, fields)
        })
  const serving = serve(starting, traces, usage, (given) => {
    offered = given
  })
  const tracer = traces?.tracer
  return yield* tracer === undefined ? Effect.withTracerEnabled(serving, false) : Effect.provideService(serving, Tracer.Tracer, tracer)
})

/** `offers` is told how to find out which models there are. */
const serve = Effect.fnUntraced(function* (
  starting: Starting,
  traces: Traces | undefined,
  usage: ReadUsage,
  offers: (offered: (model: string) => string | undefined) => void
) {
  const { inForce, read, files, search, configureLog, env, log: sink, stop: signals, startedAt, whenReady } = starting
  const { settings } = inForce
  const config = settings.current()
  // The port first: a busy one ends the start without waiting for a single probe. A shared one last: from then on requests come here
  // that whoever has it too would have answered at once.
  const firstCertificates = inForce.current().certificates
  const certificates = firstCertificates === undefined ? undefined : new CertificateStore(firstCertificates, Date.now())
  const early = config.server.reuse_port ? undefined : yield* listening(config.server, certificates)
  const log = makeRequestLog(sink, {
    form: () => settings.current().logging.requests,
    quiet: () => !settings.current().server.request_logging,
    slow: () => settings.current().logging.slow_request_threshold,
    usage,
    engine: () => settings.current().proxy.engine,
    backendErrors: () => settings.current().logging.backend_errors
  })
  let offered: (model: string) => boolean = () => false
  const keyStatistics = new KeyStatistics(inForce.access, usage, (model) => (offered(model) ? model : otherModels))
  const keys: ExchangeObserver = { dispatched: () => {}, attemptEnded: () => {}, ended: (exchange) => keyStatistics.ended(exchange) }
  const recording = Layer.mergeAll(
    Layer.succeed(Journal, sink),
    Layer.succeed(RequestLog, log),
    Layer.effect(
      Observer,
      Effect.gen(function* () {
        const { observer } = yield* Statistics
        const told = all([...(traces === undefined ? [] : [traces.observer]), observer, keys, log.observer])
        const gathered = new GatheredEnds(told, () => settings.current().logging.requests === "full" || sink.enabled("debug"))
        yield* Effect.addFinalizer(() => Effect.sync(() => gathered.close()))
        return gathered
      })
    )
  )
  const dns = yield* makeDnsSource(dnsLookup, Date.now)
  yield* dns.update(inForce.current().dns)
  const sources = () => together(withSource(new Map([[configured, inForce.current().endpoints]]), "dns", dns.specs()))
  const context = yield* Layer.build(rooms(inForce, sources(), env, sink, recording, usage))
  const fleet = Context.get(context, Fleet)
  offered = (model) => Context.get(context, Catalogue).snapshot().offer(model) !== undefined
  offers((model) => Context.get(context, Catalogue).snapshot().offer(model)?.holders[0]?.nativeName)
  yield* fleet.ready
  sink.table(FleetLive.endpointTable(fleet.endpoints))
  sink.table(routeTable(Context.get(context, Profiles).all, inForce.current().config))
  yield* Context.get(context, Catalogue).settled
  const bring = handOver(fleet, sources, Context.get(context, Catalogue).settled)
  dns.whenChanged(bring)
  const reload = yield* makeReload({
    inForce,
    read,
    log: sink,
    now: Date.now,
    commit: (next) =>
      Effect.gen(function* () {
        yield* dns.update(next.dns)
        configureLog(next)
        inForce.replace(next)
        if (certificates !== undefined && next.certificates !== undefined) certificates.replace(next.certificates, Date.now())
        yield* bring
      })
  })
  if (search !== undefined) {
    const look = async () => {
      const line = await search()
      if (line !== undefined) sink.write("info", line)
      return line !== undefined
    }
    yield* Effect.forkScoped(untilFound(look, () => inForce.current().loaded.path === "", reload.reload("watch")))
  }
  yield* watchWhile(settings, () => settings.current().server.watch_config, files, Effect.asVoid(reload.reload("watch")))
  yield* watchKeys(inForce, env, sink)
  if (certificates !== undefined) yield* watchCertificates(inForce, certificates, sink)
  signals.onHangup(() => Effect.runFork(reload.reload("sighup")))
  // At once with the signal, before anybody has read that it came.
  const services = yield* Effect.provideContext(
    makeServices(() => signals.stoppedAt > 0, certificates),
    traced(context, traces).pipe(
      Context.add(Reload, reload),
      Context.add(DnsStatuses, dns.statuses),
      Context.add(KeyFigures, keyStatistics)
    )
  )
  // Every API that is offered in translation has its line here.
  const clock = () => performance.now()
  const learnt: Learnt = { lessons: new Lessons(clock) }
  const owners = new ResponseOwners(clock)
  const translators = [makeAnthropicTranslator(learnt), makeResponsesTranslator(learnt, owners), ...makeOllamaTranslators(learnt)]
  for (const [name, title] of new Map(translators.map(({ name, title }) => [name, title]))) {
    const { enabled, max_message_size } = config.translators[name]
    if (enabled) sink.write("debug", `Registered ${title} translator`, { max_message_size })
    else sink.write("info", `${title} translator disabled via configuration`, {})
  }
  releaseMemory()
  const spare = new SpareMemory(services.guard.bodies, () => process.memoryUsage.rss(), releaseMemory)
  yield* Effect.forkScoped(
    Effect.schedule(
      Effect.sync(() => spare.look()),
      Schedule.spaced(spareLookEvery)
    )
  )
  const http = early ?? (yield* listening(config.server, certificates))
  const chat = chatRoutes(services, learnt)
  const ollama = ollamaRoutes(services)
  http.open(services, [
    actionRoutes,
    chat,
    ollama,
    responsesRoutes(services, owners),
    ...translators.map((translator) => translatorRoutes(services, translator)),
    rootRoutes((path) => chat.surfaceOf(path) ?? ollama.surfaceOf(path)),
    consoleRoutes
  ])
  signals.started = true
  const address = http.addresses[0]
  const bind = `${config.server.host}:${address?.port ?? config.server.port}`
  sink.write("debug", "HTTP server listening", {
    address: bind,
    readTimeout: new LogDuration(config.server.read_timeout),
    readHeaderTimeout: new LogDuration(config.server.read_header_timeout || 10_000),
    writeTimeout: new LogDuration(config.server.write_timeout),
    idleTimeout: new LogDuration(idleTime(config.server))
  })
  const write = (level: Level, message: string, fields: Fields) => sink.write(level, message, fields)
  const unwatchLanes = fleet.onEvent(laneRecords(write, fleet.now))
  yield* Effect.addFinalizer(() => Effect.sync(unwatchLanes))
  const { retries } = services.carrier
  const denied = budgetRecords(write, fleet.now)
  retries.onDenial = () => denied(retries.denied)
  const unwatch = watchReachability(fleet, ({ level, message, fields }) => sink.write(level, message, fields))
  yield* Effect.addFinalizer(() => Effect.sync(unwatch))
  tellStart(sink, config, {
    bind,
    port: address?.port,
    endpoints: fleet.endpoints,
    snapshot: Context.get(context, Catalogue).snapshot(),
    startedAt
  })
  sink.flush()
  whenReady?.()
  const broken = yield* Effect.raceFirst(
    Effect.as(signals.requested, undefined),
    Effect.promise(() => http.failed)
  )
  if (signals.stoppedAt === 0) signals.stoppedAt = performance.now()
  // Open requests get their grace period after a broken listener too.
  if (broken !== undefined)
    sink.write("error", "The HTTP listener failed, no further request can be accepted", { address: bind, error: broken.message })
  const { drain_delay: delay } = settings.current().server
  if (broken === undefined && delay > 0) {
    http.retire()
    sink.write("info", "Still serving for server.drain_delay, then the listener closes", { delay: new LogDuration(delay) })
    yield* Effect.raceFirst(
      Effect.sleep(delay),
      Effect.promise(() => http.failed)
    )
  }
  const grace = settings.current().server.shutdown_timeout
  const cut = yield* Effect.promise(() => http.stop(grace))
  // With shutdown_timeout 0 cutting was asked for, so it is no error.
  if (cut > 0)
    sink.write(grace > 0 ? "error" : "warn", "HTTP server shutdown error", {
      error: `${cut} open request${cut === 1 ? " was" : "s were"} cut at the end of server.shutdown_timeout`,
      requests: cut,
      timeout: new LogDuration(grace)
    })
  return broken === undefined ? 0 : 1
})

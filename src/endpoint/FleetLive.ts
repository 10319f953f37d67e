/**
 * Supervises all endpoints: starts one actor each, leads them through start-up and the rounds of model
 * discovery.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { Settings } from "../config/Settings.ts"
import { Profiles } from "../profile/Profiles.ts"
import { BackendClient } from "./BackendClient.ts"
import { makeDiscoverer } from "./Discovery.ts"
import { type DiscoveryFailure, describe, isWarning, operatorMessage } from "./DiscoveryFailure.ts"
import type { Endpoint } from "./Endpoint.ts"
import { type DiscoveryOutcome, EndpointActor } from "./EndpointActor.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { isRoutable } from "./EndpointState.ts"
import { trustSystemAuthorities } from "./EndpointTls.ts"
import { Fleet } from "./Fleet.ts"
import type { FleetContext } from "./FleetContext.ts"
import type { FleetEvent } from "./FleetEvent.ts"
import { monotonicOf, wallAt } from "./Monotonic.ts"
import { makeProbePermits } from "./ProbePermits.ts"

/**
 * Milliseconds that start-up waits for first probes and first listings together; who is not through by then joins later. Counted from the
 * start of the process, so that requests are answered within 3 s of it whatever backends do; a slow machine still gets a second.
 */
export const StartupWait = Context.Reference<() => number>("olla/endpoint/StartupWait", {
  defaultValue: () => () => Math.max(1000, 2200 - performance.now())
})

const make = Effect.fnUntraced(function* (specs: ReadonlyArray<EndpointSpec>) {
  const settings = yield* Settings
  const profiles = yield* Profiles
  const client = yield* BackendClient
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const discovery = () => settings.current().discovery.model_discovery

  const count = specs.length
  const now = () => monotonicOf(clock)
  const wall = () => clock.currentTimeMillisUnsafe()
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const listeners = new Set<(event: FleetEvent) => void>()
  let shortageToldAt = Number.NEGATIVE_INFINITY
  const shortage = Effect.suspend(() => {
    if (now() - shortageToldAt < shortageEvery) return Effect.void
    shortageToldAt = now()
    return Effect.logError(
      "Out of file descriptors: backends cannot be checked, and keep their status; raise the limit (ulimit -n, LimitNOFILE)"
    )
  })
  const probePermits = makeProbePermits(count)
  const context: FleetContext = {
    client,
    discoverer: makeDiscoverer(client, profiles),
    discovery,
    now,
    wall,
    shown: (moment) => new Date(wallAt(moment, { monotonic: now(), wall: wall() })).toISOString(),
    random: () => random.nextDoubleUnsafe(),
    probePermits,
    shortage,
    discoveryWorkers: yield* Semaphore.make(Math.max(1, discovery().concurrent_workers)),
    recoverySlots: yield* Semaphore.make(Math.max(16, Math.ceil(count / 4))),
    publish: (event) => {
      for (const listener of [...listeners])
        try {
          listener(event)
        } catch (cause) {
          const error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
          fork(Effect.logError("a listener of the fleet failed", { endpoint: event.endpoint.name, error }))
        }
    }
  }
  const actors = yield* Effect.forEach(specs, (spec) => EndpointActor.make(spec, context))
  const endpoints = actors.map(({ endpoint }) => endpoint)
  if (endpoints.some(({ healthUrl, modelUrl }) => [healthUrl, modelUrl].some((url) => url.startsWith("https:")))) trustSystemAuthorities()
  const byUrl = new Map(actors.map((actor) => [actor.endpoint.url, actor]))
  const ready = yield* Deferred.make<void>()

  const fibers = yield* FiberMap.make<string>()
  const start = yield* FiberMap.runtime(fibers)<never>()

  /** Asks these, and reports as one round. */
  const round = Effect.fnUntraced(function* (
    candidates: ReadonlyArray<EndpointActor>,
    ask: (actor: EndpointActor) => Effect.Effect<DiscoveryOutcome>
  ) {
    if (candidates.length === 0) {
      yield* Effect.logDebug("no endpoint to discover models on")
      return undefined
    }
    yield* Effect.logInfo(`Starting model discovery on healthy endpoints (${candidates.length})`)
    const outcomes = yield* Effect.forEach(candidates, ask, { concurrency: "unbounded" })
    const failures = outcomes.filter((outcome): outcome is DiscoveryFailure => typeof outcome === "object" && !isWarning(outcome))
    if (failures.length === 0) yield* Effect.logInfo(`Finished model discovery on healthy endpoints (${candidates.length})`)
    return failures[0]
  })

  const routable = () => actors.filter((actor) => isRoutable(actor.endpoint.state.status))

  const startup = Effect.gen(function* () {
    yield* Effect.logInfo("Starting Health Checker Service", { check_interval: Duration.millis(shortest(endpoints)), endpoints: count })
    yield* Effect.logInfo("Initialising health checks", { endpoints: count })
    for (const { endpoint, run } of actors) start(endpoint.url, run)
    yield* Effect.forEach(actors, (actor) => Deferred.await(actor.firstStatus), { concurrency: "unbounded", discard: true })
    yield* probePermits.settle
    yield* Effect.logInfo(`Registered endpoints (${count})`)
    for (const { name, displayUrl: url, priority } of endpoints) yield* Effect.logInfo("Endpoint registered", { name, url, priority })
    if (discovery().enabled) {
      yield* Effect.logInfo("Initialising model discovery service", { interval: Duration.millis(discovery().interval) })
      // Each endpoint reads its models as soon as its own first probe is through; here is only waited for them.
      const failure = yield* round(routable(), (actor) => actor.discoveryEnd)
      if (failure !== undefined) yield* Effect.logWarning("Initial model discovery failed", { error: describe(failure) })
    }
  })

  const announceReady = Effect.gen(function* () {
    if (Deferred.isDoneUnsafe(ready)) return
    yield* Effect.logInfo("Discovery service initialised", { type: settings.current().discovery.type, endpoints: count })
    Deferred.doneUnsafe(ready, Effect.void)
  })

  const periodicRound = Effect.gen(function* () {
    if (!discovery().enabled) return
    const failure = yield* round(
      routable().filter(({ endpoint }) => !endpoint.discoveryDisabled),
      (actor) => actor.discover("periodic")
    )
    if (failure !== undefined)
      yield* Effect.logWarning(`Regular discovery failed (${operatorMessage(failure)})`, { detailed_error: describe(failure) })
  })
  // Of the start, not of the end of the one before: a round that takes longer than the interval drops those that it missed.
  let due = now()
  const untilNext = Effect.sync(() => {
    const pace = discovery().enabled ? Math.max(discovery().interval, 1) : longestSleep
    due += Math.max(1, Math.ceil((now() - due + 1) / pace)) * pace
    return Duration.millis(due - now())
  })
  const periodic = Effect.schedule(
    periodicRound,
    Schedule.modifyDelay(Schedule.forever, () => untilNext)
  )

  const boundary = Effect.sleep((yield* StartupWait)()).pipe(Effect.andThen(announceReady))
  yield* Effect.forkScoped(boundary)
  yield* Effect.forkScoped(
    startup.pipe(
      Effect.andThen(announceReady),
      Effect.andThen(periodic),
      Effect.catchCause((cause) => Effect.logError("model discovery rounds ended unexpectedly", { error: Cause.pretty(cause) }))
    )
  )
  yield* Effect.addFinalizer(() => (discovery().enabled ? Effect.logInfo("Stopping model discovery service") : Effect.void))

  return Fleet.of({
    endpoints,
    now,
    byUrl: (url) => byUrl.get(url)?.endpoint,
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    refreshModels: (endpoints: ReadonlyArray<Endpoint>) =>
      Effect.forEach(
        endpoints.flatMap((endpoint) => byUrl.get(endpoint.url) ?? []),
        (actor) => actor.discover("request"),
        { concurrency: "unbounded" }
      ).pipe(Effect.map((outcomes) => outcomes.every((outcome) => outcome === "read"))),
    ready: Deferred.await(ready)
  })
})

const longestSleep = 3_600_000
/** Milliseconds between two records of one shortage. */
const shortageEvery = 60_000

const shortest = (endpoints: ReadonlyArray<Endpoint>): number =>
  endpoints.reduce((least, { checkInterval }) => Math.min(least, checkInterval), 30_000)

/** With a client of the caller's: for tests and benches. */
export const layerWith = (specs: ReadonlyArray<EndpointSpec>): Layer.Layer<Fleet, never, Settings | Profiles | BackendClient> =>
  Layer.effect(Fleet, make(specs))

/** Of these endpoints, whose secrets and certificates were read with the configuration (`loadEndpoints`), and are not read again. */
export const layerOf = (specs: ReadonlyArray<EndpointSpec>): Layer.Layer<Fleet, never, Settings | Profiles> =>
  layerWith(specs).pipe(Layer.provide(BackendClient.layer))

/** Rows of the start-up table, highest priority first: what text mode prints below "Registered endpoints". */
export const endpointTable = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<ReadonlyArray<string>> => [
  ["PRI", "NAME", "TYPE", "URL", "HEALTH", "CHECK", "TIMEOUT"],
  ...[...endpoints]
    .sort((a, b) => b.priority - a.priority || a.index - b.index)
    .map((endpoint) => [
      String(endpoint.priority),
      endpoint.name,
      endpoint.type,
      endpoint.displayUrl,
      endpoint.healthPath.replace(/[?#].*$/s, ""),
      `${Math.round(endpoint.checkInterval / 1000)}s`,
      `${Math.round(endpoint.checkTimeout / 1000)}s`
    ])
]

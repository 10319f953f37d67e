/**
 * Supervises all endpoints: starts one actor each, leads them through start-up and the rounds of model discovery, and makes another
 * configuration's endpoints of them while it runs.
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
import { configured, type EndpointSources, together, withSource } from "./EndpointSources.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { isRoutable } from "./EndpointState.ts"
import { trustSystemAuthorities } from "./EndpointTls.ts"
import { sameEndpointKey } from "./EndpointUrl.ts"
import { Fleet } from "./Fleet.ts"
import { fleetChange, isNoChange, keyOf } from "./FleetChange.ts"
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
  const probePermits = makeProbePermits(specs.length)
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
    recoverySlots: yield* Semaphore.make(slotsFor(specs.length)),
    gone: (endpoint) => {
      if (leaving.delete(endpoint)) context.publish({ _tag: "EndpointGone", endpoint })
    },
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
  let actors: ReadonlyArray<EndpointActor> = []
  let endpoints: ReadonlyArray<Endpoint> = []
  /** By what identifies an endpoint. */
  let byKey: ReadonlyMap<string, EndpointActor> = new Map()
  /** Configured no longer, with attempts that still run. */
  const leaving = new Map<Endpoint, EndpointActor>()
  const become = (next: ReadonlyArray<EndpointActor>) => {
    actors = next
    endpoints = next.map(({ endpoint }) => endpoint)
    byKey = new Map(next.map((actor) => [keyOf(actor.endpoint.spec), actor]))
    if (endpoints.some(({ healthUrl, modelUrl }) => [healthUrl, modelUrl].some((url) => url.startsWith("https:")))) trustSystemAuthorities()
  }
  const actorOf = (endpoint: Endpoint): EndpointActor | undefined => {
    const actor = byKey.get(keyOf(endpoint.spec))
    return actor?.endpoint === endpoint ? actor : undefined
  }
  become(yield* Effect.forEach(specs, (spec) => EndpointActor.make(spec, context)))
  const ready = yield* Deferred.make<void>()

  const fibers = yield* FiberMap.make<EndpointActor>()
  const start = yield* FiberMap.runtime(fibers)<never>()

  const oneAtATime = Semaphore.makeUnsafe(1)
  let sources: EndpointSources = new Map([[configured, specs]])
  const applyNow = Effect.fnUntraced(function* (of: ReadonlyArray<EndpointSpec>, source: string = configured) {
    sources = withSource(sources, source, of)
    const wanted = together(sources)
    const change = fleetChange(
      endpoints.map(({ spec }) => spec),
      wanted
    )
    if (isNoChange(change)) return change
    const returning = new Map([...leaving.values()].map((actor) => [keyOf(actor.endpoint.spec), actor]))
    const born = new Map<EndpointSpec, EndpointActor>()
    for (const spec of change.added) if (!returning.has(keyOf(spec))) born.set(spec, yield* EndpointActor.make(spec, context))
    const removed = change.removed.flatMap((spec) => byKey.get(keyOf(spec)) ?? [])
    become(wanted.flatMap((spec) => byKey.get(keyOf(spec)) ?? born.get(spec) ?? returning.get(keyOf(spec)) ?? []))
    for (const { after, anew } of change.changed) {
      const endpoint = byKey.get(keyOf(after))?.endpoint
      endpoint?.respecify(after, anew)
      if (endpoint !== undefined) context.publish({ _tag: "SpecChanged", endpoint })
    }
    for (const actor of removed) {
      const { endpoint } = actor
      actor.remove()
      yield* Effect.forkDetach(FiberMap.remove(fibers, actor))
      leaving.set(endpoint, actor)
      context.publish({ _tag: "EndpointRemoved", endpoint })
      if (endpoint.inFlight === 0) context.gone(endpoint)
    }
    for (const spec of change.added) {
      const actor = byKey.get(keyOf(spec))
      if (actor === undefined) continue
      if (leaving.delete(actor.endpoint)) {
        actor.endpoint.step({ _tag: "Returned" })
        actor.endpoint.respecify(spec, true)
      }
      start(actor, actor.run)
      context.publish({ _tag: "EndpointAdded", endpoint: actor.endpoint })
    }
    yield* probePermits.fit(actors.length)
    yield* Semaphore.resize(context.recoverySlots, slotsFor(actors.length))
    return change
  })

  /** What was asked of an endpoint last. */
  const asked = new WeakMap<EndpointActor, { readonly at: number; readonly done: Deferred.Deferred<void> }>()
  const probe = (endpoint: Endpoint): Effect.Effect<void> =>
    Effect.suspend(() => {
      const actor = actorOf(endpoint)
      if (actor === undefined) return Effect.void
      const last = asked.get(actor)
      if (last !== undefined && now() - last.at < askedAgain) return Deferred.await(last.done)
      const done = Deferred.makeUnsafe<void>()
      asked.set(actor, { at: now(), done })
      fork(actor.ask.pipe(Effect.timeoutOption(longestAsk), Effect.andThen(Deferred.succeed(done, undefined))))
      return Deferred.await(done)
    })

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

  const first = actors
  const startup = Effect.gen(function* () {
    yield* Effect.logInfo("Starting Health Checker Service", {
      check_interval: Duration.millis(shortest(endpoints)),
      endpoints: specs.length
    })
    yield* Effect.logInfo("Initialising health checks", { endpoints: specs.length })
    for (const actor of first) start(actor, actor.run)
    yield* Effect.forEach(first, (actor) => Deferred.await(actor.firstStatus), { concurrency: "unbounded", discard: true })
    yield* probePermits.settle
    yield* Effect.logInfo(`Registered endpoints (${endpoints.length})`)
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
    yield* Effect.logInfo("Discovery service initialised", { type: settings.current().discovery.type, endpoints: endpoints.length })
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
    get endpoints() {
      return endpoints
    },
    get leaving() {
      return [...leaving.keys()]
    },
    now,
    byUrl: (url) => byKey.get(sameEndpointKey(url))?.endpoint,
    apply: (of, source) => oneAtATime.withPermit(Effect.uninterruptible(applyNow(of, source))),
    drain: (endpoint, time = Number.POSITIVE_INFINITY) => actorOf(endpoint)?.drain(now() + time),
    resume: (endpoint) => actorOf(endpoint)?.resume(),
    probe,
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    refreshModels: (endpoints: ReadonlyArray<Endpoint>) =>
      Effect.forEach(
        endpoints.flatMap((endpoint) => actorOf(endpoint) ?? []),
        (actor) => actor.discover("request"),
        { concurrency: "unbounded" }
      ).pipe(Effect.map((outcomes) => outcomes.every((outcome) => outcome === "read"))),
    ready: Deferred.await(ready)
  })
})

const longestSleep = 3_600_000
/** Milliseconds for which an endpoint that was asked is not asked again, and for which whoever asked waits at most. */
const askedAgain = 1000
const longestAsk = 10_000

const slotsFor = (endpoints: number): number => Math.max(16, Math.ceil(endpoints / 4))
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

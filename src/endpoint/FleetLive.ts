/**
 * Supervises all endpoints: starts one actor each, leads them through start-up and the rounds of model discovery, and makes another
 * configuration's endpoints of them while it runs.
 */
import { isDeepStrictEqual } from "node:util"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { Profiles } from "../profile/Profiles.ts"
import { BackendClient } from "./BackendClient.ts"
import { makeDiscoverer } from "./Discovery.ts"
import { firstRound, periodicRounds } from "./DiscoveryRounds.ts"
import type { Endpoint } from "./Endpoint.ts"
import { configured } from "./EndpointSources.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { joinUrl } from "./EndpointUrl.ts"
import { Fleet } from "./Fleet.ts"
import type { FleetContext } from "./FleetContext.ts"
import type { FleetEvent } from "./FleetEvent.ts"
import { FleetMembers, slotsFor } from "./FleetMembers.ts"
import { Hosts } from "./Host.ts"
import { type LanePolicy, lanePolicyOf } from "./lane/LaneCondition.ts"
import { monotonicOf, wallAt } from "./Monotonic.ts"
import { changed, ownSpan } from "./OwnSpan.ts"
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
  let policyOf: OllaConfig | undefined
  let policy: LanePolicy | undefined
  /** Made once for each configuration: requests ask for it. */
  const lanePolicy = (): LanePolicy => {
    const config = settings.current()
    if (policy === undefined || config !== policyOf)
      policy = lanePolicyOf(config.traffic.ejection, config.discovery.model_discovery.enabled)
    policyOf = config
    return policy
  }
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
    lanePolicy,
    signals: () => (settings.current().traffic.enabled ? settings.current().traffic.signals.interval : 0),
    now,
    wall,
    shown: (moment) => new Date(wallAt(moment, { monotonic: now(), wall: wall() })).toISOString(),
    random: () => random.nextDoubleUnsafe(),
    hosts: new Hosts(),
    probePermits,
    shortage,
    discoveryWorkers: yield* Semaphore.make(Math.max(1, discovery().concurrent_workers)),
    recoverySlots: yield* Semaphore.make(slotsFor(specs.length)),
    gone: (endpoint) => members.gone(endpoint),
    fork,
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
  const members = yield* FleetMembers.make(specs, context)
  const ready = yield* Deferred.make<void>()
  const announceReady = Effect.gen(function* () {
    if (Deferred.isDoneUnsafe(ready)) return
    yield* Effect.logDebug("Discovery service initialised", {
      type: settings.current().discovery.type,
      endpoints: members.endpoints.length
    })
    Deferred.doneUnsafe(ready, Effect.void)
  })
  const boundary = Effect.sleep((yield* StartupWait)()).pipe(Effect.andThen(announceReady))
  yield* Effect.forkScoped(boundary)
  const rounds = yield* FiberHandle.make()
  const lead = yield* FiberHandle.runtime(rounds)<never>()
  const untilTheyEnd = Effect.catchCause((cause: Cause.Cause<never>) =>
    Cause.hasInterrupts(cause)
      ? Effect.interrupt
      : Effect.logError("model discovery rounds ended unexpectedly", { error: Cause.pretty(cause) })
  )
  const periodic = (since: number) => untilTheyEnd(Effect.asVoid(periodicRounds(members, context, since)))
  lead(untilTheyEnd(firstRound(members, context)).pipe(Effect.andThen(announceReady), Effect.andThen(periodic(now()))))
  yield* Effect.addFinalizer(() => (discovery().enabled ? Effect.logDebug("Stopping model discovery service") : Effect.void))

  /** A kind that says something else now, or is gone, is found out anew. */
  const reviewKind = (endpoint: Endpoint) => {
    if (!endpoint.reviewKind(profiles.byName)) return
    endpoint.step({ _tag: "AskNow", now: now() })
    context.publish({ _tag: "ModelsChanged", endpoint })
  }
  let before = { discovery: discovery(), kinds: profiles.all, signals: context.signals() }
  const unlisten = settings.onReplace(() => {
    const last = before
    before = { discovery: discovery(), kinds: profiles.all, signals: context.signals() }
    if (before.signals !== last.signals) for (const actor of members.actors) actor.hurrySignals()
    if (before.kinds !== last.kinds) for (const endpoint of members.endpoints) reviewKind(endpoint)
    if (isDeepStrictEqual(before.discovery, last.discovery)) return
    const { concurrent_workers: workers, enabled } = before.discovery
    fork(Semaphore.resize(context.discoveryWorkers, Math.max(1, workers)))
    if (enabled !== last.discovery.enabled)
      for (const { endpoint } of members.actors) {
        if (enabled) endpoint.step({ _tag: "AskNow", now: now() })
        else {
          endpoint.forgetModels()
          context.publish({ _tag: "ModelsChanged", endpoint })
        }
      }
    // A start that is under way goes on by itself.
    if (Deferred.isDoneUnsafe(ready)) lead(periodic(now()))
  })
  yield* Effect.addFinalizer(() => Effect.sync(unlisten))

  return Fleet.of({
    get endpoints() {
      return members.endpoints
    },
    get leaving() {
      return members.leaving
    },
    now,
    byUrl: (url) => members.byUrl(url),
    apply: (of, source) =>
      ownSpan("endpoint.change", { "olla.source": source ?? configured })(
        Effect.tap(members.apply(of, source), ({ added, removed, changed: others }) =>
          added.length + removed.length + others.length === 0 ? Effect.void : changed
        )
      ),
    drain: (endpoint, time = Number.POSITIVE_INFINITY) => members.actorOf(endpoint)?.drain(now() + time),
    resume: (endpoint) => members.actorOf(endpoint)?.resume(),
    probe: (endpoint) => members.probe(endpoint),
    look: (endpoint) => members.look(endpoint),
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    refreshModels: (endpoints: ReadonlyArray<Endpoint>) =>
      Effect.forEach(
        endpoints.flatMap((endpoint) => members.actorOf(endpoint) ?? []),
        (actor) => actor.discover("request"),
        { concurrency: "unbounded" }
      ).pipe(Effect.map((outcomes) => outcomes.every((outcome) => outcome === "read"))),
    document: ({ spec }: Endpoint, path: string) =>
      client
        .get({
          url: joinUrl(spec.url, path, true),
          headers: documentHeaders,
          credentials: spec.credentials,
          tls: spec.origin.tls,
          maxBody: maxDocument,
          body: "text"
        })
        .pipe(
          Effect.timeoutOption(documentWithin),
          Effect.map((answer) => (Option.isSome(answer) && answer.value.status === 200 ? answer.value.body : undefined)),
          Effect.orElseSucceed(() => undefined)
        ),
    ready: Deferred.await(ready)
  })
})

const documentHeaders = [["Accept", "application/json"]] as const
const maxDocument = 1024 * 1024
/** Milliseconds. */
const documentWithin = 1_000

/** Milliseconds between two records of one shortage. */
const shortageEvery = 60_000

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

/**
 * Who is in the fleet: the actors of the configured endpoints, those whose last attempts still run, and how another configuration's
 * endpoints are made of them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { Endpoint } from "./Endpoint.ts"
import { EndpointActor } from "./EndpointActor.ts"
import { configured, type EndpointSources, together, withSource } from "./EndpointSources.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { trustSystemAuthorities } from "./EndpointTls.ts"
import { sameEndpointKey } from "./EndpointUrl.ts"
import { type FleetChange, fleetChange, isNoChange, keyOf, sameConnections } from "./FleetChange.ts"
import type { FleetContext } from "./FleetContext.ts"

/** Milliseconds for which an endpoint that was asked is not asked again, and for which whoever asked waits at most. */
const askedAgain = 1000
const longestAsk = 10_000

/** Discoveries on recovery and on request that run together. */
export const slotsFor = (endpoints: number): number => Math.max(16, Math.ceil(endpoints / 4))

export class FleetMembers {
  readonly #context: FleetContext
  readonly #fibers: FiberMap.FiberMap<EndpointActor>
  readonly #start: (actor: EndpointActor) => void
  readonly #lock = Semaphore.makeUnsafe(1)
  #sources: EndpointSources
  #actors: ReadonlyArray<EndpointActor> = []
  #endpoints: ReadonlyArray<Endpoint> = []
  /** By what identifies an endpoint. */
  #byKey: ReadonlyMap<string, EndpointActor> = new Map()
  /** Configured no longer, with attempts that still run. */
  readonly #leaving = new Map<Endpoint, EndpointActor>()
  /** What was asked of an endpoint last. */
  readonly #asked = new WeakMap<EndpointActor, { readonly at: number; readonly done: Deferred.Deferred<void> }>()

  private constructor(
    context: FleetContext,
    fibers: FiberMap.FiberMap<EndpointActor>,
    start: (actor: EndpointActor) => void,
    sources: EndpointSources
  ) {
    this.#context = context
    this.#fibers = fibers
    this.#start = start
    this.#sources = sources
  }

  /** None of them is watched before `start`. */
  static readonly make = Effect.fnUntraced(function* (specs: ReadonlyArray<EndpointSpec>, context: FleetContext) {
    const fibers = yield* FiberMap.make<EndpointActor>()
    const run = yield* FiberMap.runtime(fibers)<never>()
    const members = new FleetMembers(context, fibers, (actor) => run(actor, actor.run), new Map([[configured, specs]]))
    members.#become(yield* Effect.forEach(specs, (spec) => EndpointActor.make(spec, context)))
    return members
  })

  get actors(): ReadonlyArray<EndpointActor> {
    return this.#actors
  }
  get endpoints(): ReadonlyArray<Endpoint> {
    return this.#endpoints
  }
  get leaving(): ReadonlyArray<Endpoint> {
    return [...this.#leaving.keys()]
  }

  byUrl(url: string): Endpoint | undefined {
    return this.#byKey.get(sameEndpointKey(url))?.endpoint
  }

  /** `undefined`: it is configured no longer. */
  actorOf(endpoint: Endpoint): EndpointActor | undefined {
    const actor = this.#byKey.get(keyOf(endpoint.spec))
    return actor?.endpoint === endpoint ? actor : undefined
  }

  start(): void {
    for (const actor of this.#actors) this.#start(actor)
  }

  /** The last attempt of a removed endpoint has ended. */
  gone(endpoint: Endpoint): void {
    if (!this.#leaving.delete(endpoint)) return
    endpoint.lanes.release()
    this.#context.hosts.leave(endpoint)
    this.#context.publish({ _tag: "EndpointGone", endpoint })
  }

  /** Makes these the endpoints of one source. */
  apply(specs: ReadonlyArray<EndpointSpec>, source: string = configured): Effect.Effect<FleetChange> {
    return this.#lock.withPermit(
      Effect.uninterruptible(
        Effect.suspend(() => {
          this.#sources = withSource(this.#sources, source, specs)
          return this.#go(together(this.#sources))
        })
      )
    )
  }

  readonly #go = Effect.fnUntraced({ self: this }, function* (this: FleetMembers, wanted: ReadonlyArray<EndpointSpec>) {
    const change = fleetChange(
      this.#endpoints.map(({ spec }) => spec),
      wanted
    )
    if (isNoChange(change)) return change
    const returning = new Map([...this.#leaving.values()].map((actor) => [keyOf(actor.endpoint.spec), actor]))
    const born = new Map<string, EndpointActor>()
    for (const spec of change.added) if (!returning.has(keyOf(spec))) born.set(keyOf(spec), yield* EndpointActor.make(spec, this.#context))
    const removed = change.removed.flatMap((spec) => this.#byKey.get(keyOf(spec)) ?? [])
    this.#become(wanted.map(keyOf).flatMap((key) => this.#byKey.get(key) ?? born.get(key) ?? returning.get(key) ?? []))
    this.#respecify(change)
    for (const actor of removed) this.#remove(actor)
    for (const spec of change.added) this.#add(spec)
    yield* this.#context.probePermits.fit(this.#actors.length)
    yield* Semaphore.resize(this.#context.recoverySlots, slotsFor(this.#actors.length))
    return change
  })

  #become(actors: ReadonlyArray<EndpointActor>): void {
    this.#actors = actors
    this.#endpoints = actors.map(({ endpoint }) => endpoint)
    this.#byKey = new Map(actors.map((actor) => [keyOf(actor.endpoint.spec), actor]))
    const isSecure = ({ healthUrl, modelUrl }: Endpoint): boolean => [healthUrl, modelUrl].some((url) => url.startsWith("https:"))
    if (this.#endpoints.some(isSecure)) trustSystemAuthorities()
  }

  #respecify({ changed }: FleetChange): void {
    for (const { before, after, anew } of changed) {
      const endpoint = this.#byKey.get(keyOf(after))?.endpoint
      if (endpoint === undefined) continue
      endpoint.respecify(after, anew)
      this.#context.publish({ _tag: "SpecChanged", endpoint, before })
    }
  }

  #remove(actor: EndpointActor): void {
    const { endpoint } = actor
    actor.remove()
    FiberMap.getUnsafe(this.#fibers, actor).pipe(Option.map((fiber) => fiber.interruptUnsafe()))
    this.#leaving.set(endpoint, actor)
    this.#context.publish({ _tag: "EndpointRemoved", endpoint })
    if (endpoint.inFlight === 0) this.gone(endpoint)
  }

  #add(spec: EndpointSpec): void {
    const actor = this.#byKey.get(keyOf(spec))
    if (actor === undefined) return
    const { endpoint } = actor
    const before = endpoint.spec
    const isBack = this.#leaving.delete(endpoint)
    if (isBack) {
      endpoint.step({ _tag: "Returned" })
      endpoint.respecify(sameConnections(before, spec), true)
    }
    this.#context.publish({ _tag: "EndpointAdded", endpoint })
    if (isBack) this.#context.publish({ _tag: "SpecChanged", endpoint, before })
    this.#start(actor)
  }

  /** Probes it now and reads its models; whoever asks shortly after shares that. */
  probe(endpoint: Endpoint): Effect.Effect<void> {
    return Effect.suspend(() => {
      const actor = this.actorOf(endpoint)
      return actor === undefined ? Effect.void : Deferred.await(this.#ask(actor))
    })
  }

  look(endpoint: Endpoint): void {
    const actor = this.actorOf(endpoint)
    if (actor !== undefined && endpoint.state.rateLimitedUntil <= this.#context.now()) this.#ask(actor)
  }

  #ask(actor: EndpointActor): Deferred.Deferred<void> {
    const { fork, now } = this.#context
    const last = this.#asked.get(actor)
    if (last !== undefined && now() - last.at < askedAgain) return last.done
    const done = Deferred.makeUnsafe<void>()
    this.#asked.set(actor, { at: now(), done })
    fork(actor.ask.pipe(Effect.timeoutOption(longestAsk), Effect.andThen(Deferred.succeed(done, undefined))))
    return done
  }
}

/**
 * Watches one endpoint. The endpoint's steps command, synchronously and from anywhere; the actor's fiber takes the commands from its
 * queue and carries them out in children that it never waits for. What is due by itself is driven by a schedule whose delay is
 * read from the endpoint's state.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { DiscoveryFailure } from "./DiscoveryFailure.ts"
import { Endpoint } from "./Endpoint.ts"
import type { DiscoveryReason, EndpointCommand } from "./EndpointEvent.ts"
import { readListing } from "./EndpointListing.ts"
import { breakerLine, demotionLine, type LogLine, write } from "./EndpointLog.ts"
import { probeEndpoint } from "./EndpointProbing.ts"
import { EndpointSignals } from "./EndpointSignals.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import type { FleetContext } from "./FleetContext.ts"
import { supervised } from "./Supervision.ts"
import { drainEndsAt, dueAt, listingDueAt } from "./Transition.ts"

/** How a discovery ended; failures were already counted and logged. */
export type DiscoveryOutcome = DiscoveryFailure | "read" | "skipped"

/** What the actor's fiber is handed: bounded by the state, which has one probe and one listing under way at most. */
type Message =
  | Extract<EndpointCommand, { readonly _tag: "Probe" | "Discover" }>
  | { readonly _tag: "Hurry" }
  | { readonly _tag: "Signals" }
  | { readonly _tag: "Log"; readonly line: LogLine }
  | { readonly _tag: "Crash"; readonly cause: Cause.Cause<never> }

interface Children {
  readonly probe: FiberHandle.FiberHandle
  readonly listing: FiberHandle.FiberHandle
  readonly signals: FiberHandle.FiberHandle
}

/** Nothing is due: how long to sleep before looking again, in milliseconds. */
const longestSleep = 3_600_000

export class EndpointActor {
  readonly endpoint: Endpoint
  /** Completes when its condition is known: with the first probe's result, where it is probed. */
  readonly firstStatus = Deferred.makeUnsafe<void>()
  /** Completes when it was first asked what it tells of its load. */
  readonly firstSignals = Deferred.makeUnsafe<void>()
  readonly #fleet: FleetContext
  readonly #signals: EndpointSignals
  readonly #mail: Queue.Queue<Message>
  /** Those who wait for the probe that is under way. */
  #probing: Deferred.Deferred<void> | undefined
  /** Those who wait for the listing that is being read. */
  #discovering: Deferred.Deferred<DiscoveryOutcome> | undefined

  private constructor(spec: EndpointSpec, fleet: FleetContext, mail: Queue.Queue<Message>) {
    this.#fleet = fleet
    this.#mail = mail
    this.endpoint = new Endpoint(spec, {
      now: fleet.now,
      policy: ({ checkInterval, probes }) => {
        const { enabled, interval } = fleet.discovery()
        return { checkInterval, probes, discovery: { enabled, interval } }
      },
      command: (command) => this.#receive(command),
      hurry: () => this.#post({ _tag: "Hurry" }),
      breakerTurned: (isClosed) => this.#post({ _tag: "Log", line: breakerLine(this.endpoint.name, isClosed) }),
      gone: () => fleet.gone(this.endpoint),
      host: fleet.hosts.of(spec),
      lanes: {
        policy: fleet.lanePolicy,
        random: fleet.random,
        loaded: () => {
          this.#signals.hurryMemory()
          this.hurrySignals()
        },
        rested: () => {
          this.#signals.hurryAll()
          this.hurrySignals()
        },
        turned: (lane, before) => fleet.publish({ _tag: "LaneTurned", endpoint: this.endpoint, lane, before })
      }
    })
    this.#signals = new EndpointSignals(this.endpoint, fleet)
  }

  static readonly make = (spec: EndpointSpec, fleet: FleetContext): Effect.Effect<EndpointActor> =>
    Effect.map(Queue.unbounded<Message>(), (mail) => new EndpointActor(spec, fleet, mail))

  /** Reads the listing, or joins the reading that is under way. Waiting for the outcome may be given up; the reading goes on. */
  readonly discover = (reason: DiscoveryReason): Effect.Effect<DiscoveryOutcome> =>
    Effect.suspend(() => {
      if (this.#discovering === undefined) this.endpoint.step({ _tag: "DiscoverNow", now: this.#fleet.now(), reason })
      return this.discoveryEnd
    })

  /** The end of the reading under way; at once when there is none. */
  get discoveryEnd(): Effect.Effect<DiscoveryOutcome> {
    return this.#discovering === undefined ? Effect.succeed("skipped") : Deferred.await(this.#discovering)
  }

  /** Probes it now, or joins the probe that is under way; ends with the listing that a good probe brings about. */
  readonly ask: Effect.Effect<void> = Effect.suspend(() => {
    this.endpoint.step({ _tag: "AskNow", now: this.#fleet.now() })
    const probed = this.#probing === undefined ? Effect.void : Deferred.await(this.#probing)
    return Effect.andThen(
      probed,
      Effect.suspend(() => Effect.asVoid(this.discoveryEnd))
    )
  })

  /** The actor's life: runs until interrupted, and starts anew, ever more slowly, when it crashes. */
  get run(): Effect.Effect<never> {
    return supervised(Effect.scoped(this.#life), (cause) => this.#crashed(cause))
  }

  /** `until`: in milliseconds of the fleet's clock. */
  drain(until: number): void {
    this.endpoint.step({ _tag: "Drain", until })
    this.#fleet.publish({ _tag: "AdminChanged", endpoint: this.endpoint })
  }

  resume(): void {
    if (this.endpoint.admin === "active") return
    this.endpoint.step({ _tag: "Resume" })
    this.#fleet.publish({ _tag: "AdminChanged", endpoint: this.endpoint })
  }

  /** It is no longer configured: the fleet, which removes it, interrupts its life. */
  remove(): void {
    this.endpoint.step({ _tag: "Removed" })
    this.#endWaits()
    Deferred.doneUnsafe(this.firstStatus, Effect.void)
  }

  #receive(command: EndpointCommand): void {
    switch (command._tag) {
      case "Announce":
        this.hurrySignals()
        return this.#fleet.publish({ _tag: "StatusChanged", endpoint: this.endpoint, from: command.from, to: command.to })
      case "ForgetModels":
        return this.#fleet.publish({ _tag: "ModelsChanged", endpoint: this.endpoint })
      case "Demoted":
        return this.#post({ _tag: "Log", line: demotionLine(this.endpoint.name, command.to, this.#fleet.shown(command.to.nextCheck)) })
      case "Probe":
        this.#probing ??= Deferred.makeUnsafe<void>()
        break
      case "Discover":
        this.#discovering ??= Deferred.makeUnsafe<DiscoveryOutcome>()
    }
    this.#post(command)
  }

  #post(message: Message): void {
    Queue.offerUnsafe(this.#mail, message)
  }

  /** Children live in this scope: they end with it, however it ends. */
  readonly #life: Effect.Effect<never, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    const pulse = yield* FiberHandle.make()
    const children = { probe: yield* FiberHandle.make(), listing: yield* FiberHandle.make(), signals: yield* FiberHandle.make() }
    const beat = FiberHandle.run(pulse, this.#crashing(this.#pulse))
    yield* beat
    while (true) {
      const message = yield* Queue.take(this.#mail)
      yield* message._tag === "Hurry" ? beat : this.#carryOut(message, children)
    }
  })

  /** Steps the state whenever it says that something is due. */
  readonly #pulse: Effect.Effect<void> = Effect.suspend(() => {
    const untilDue = () => Math.min(Math.max(dueAt(this.endpoint.inner) - this.#fleet.now(), 0), longestSleep)
    const whenDue = Effect.sync(() => {
      const now = this.#fleet.now()
      this.endpoint.step({ _tag: "ProbeDue", now })
      if (!this.endpoint.spec.probes) Deferred.doneUnsafe(this.firstStatus, Effect.void)
      if (now >= drainEndsAt(this.endpoint.inner)) this.resume()
      if (now >= listingDueAt(this.endpoint.inner)) this.endpoint.step({ _tag: "DiscoverNow", now, reason: "periodic" })
    })
    const schedule = Schedule.modifyDelay(Schedule.forever, () => Effect.sync(() => Duration.millis(untilDue())))
    return Effect.asVoid(Effect.repeat(whenDue, schedule))
  })

  /** Looks at what it tells of its load whenever that is due. */
  readonly #watchSignals: Effect.Effect<void> = Effect.suspend(() => {
    const untilDue = Effect.sync(() => Duration.millis(Math.min(this.#signals.untilDue, longestSleep)))
    const read = Effect.andThen(
      this.#signals.read,
      Effect.sync(() => Deferred.doneUnsafe(this.firstSignals, Effect.void))
    )
    return Effect.asVoid(
      Effect.repeat(
        read,
        Schedule.modifyDelay(Schedule.forever, () => untilDue)
      )
    )
  })

  /** Something of it is due earlier than planned. */
  hurrySignals(): void {
    this.#post({ _tag: "Signals" })
  }

  /** A probe or listing of before ends: what commands another while it runs is that it asks as it should no longer. */
  #carryOut(message: Exclude<Message, { readonly _tag: "Hurry" }>, { probe, listing, signals }: Children): Effect.Effect<unknown> {
    switch (message._tag) {
      case "Probe":
        return FiberHandle.run(probe, this.#crashing(this.#probe))
      case "Discover":
        return FiberHandle.run(listing, this.#crashing(this.#read(message.reason, this.#discovering)))
      case "Signals":
        return FiberHandle.run(signals, this.#crashing(this.#watchSignals))
      case "Log":
        return write(message.line)
      case "Crash":
        return Effect.failCause(message.cause)
    }
  }

  readonly #probe: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      probeEndpoint(this.endpoint, this.#fleet),
      Effect.sync(() => this.#endProbe())
    )
  )

  #endProbe(): void {
    Deferred.doneUnsafe(this.firstStatus, Effect.void)
    if (this.#probing !== undefined) Deferred.doneUnsafe(this.#probing, Effect.void)
    this.#probing = undefined
  }

  #read(reason: DiscoveryReason, ended: Deferred.Deferred<DiscoveryOutcome> | undefined): Effect.Effect<void> {
    return Effect.map(readListing(this.endpoint, this.#fleet, reason), (outcome) => {
      this.#endDiscovery(ended, outcome)
      // Its kind may have been found out, and models may have come.
      if (outcome === "read") this.hurrySignals()
    })
  }

  /** A defect in a child crashes the actor, instead of ending the child silently. */
  #crashing(child: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.catchCause(child, (cause) =>
      Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.sync(() => this.#post({ _tag: "Crash", cause }))
    )
  }

  /** Waiters would wait for ever. */
  #endWaits(): void {
    if (this.#probing !== undefined) Deferred.doneUnsafe(this.#probing, Effect.void)
    this.#probing = undefined
    this.#endDiscovery(this.#discovering, "skipped")
  }

  #endDiscovery(ended: Deferred.Deferred<DiscoveryOutcome> | undefined, outcome: DiscoveryOutcome): void {
    if (ended === undefined) return
    if (this.#discovering === ended) this.#discovering = undefined
    Deferred.doneUnsafe(ended, Effect.succeed(outcome))
  }

  /** Its children died with it: their permits are freed, and their commands are void. */
  #crashed(cause: Cause.Cause<never>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { endpoint } = this
      endpoint.restarts++
      for (const message of yield* Queue.clear(this.#mail)) if (message._tag === "Log") yield* write(message.line)
      this.#endWaits()
      endpoint.step({ _tag: "Restarted", now: this.#fleet.now(), cause: "internal error while watching this endpoint; it was restarted" })
      yield* Effect.logError("endpoint actor crashed, restarting", {
        endpoint: endpoint.name,
        restarts: endpoint.restarts,
        error: Cause.pretty(cause)
      })
    })
  }
}

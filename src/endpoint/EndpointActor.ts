/**
 * One endpoint at work: owns its state, steps it, and carries out what the transition commands. `step` is synchronous
 * and also called from requests; probes and listings run as child fibers of the actor's own, which never waits for them.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Profile } from "../profile/Profile.ts"
import { probePolicy } from "./CircuitBreaker.ts"
import type { Listing } from "./Discovery.ts"
import { type DiscoveryFailure, isRecoverable, issueOf, isWarning } from "./DiscoveryFailure.ts"
import { isDisabled } from "./DiscoveryState.ts"
import type { Credentials, Endpoint, Origin } from "./Endpoint.ts"
import {
  demotionLine,
  discoveryFailureLines,
  discoveryStartLines,
  type LogLine,
  listingLines,
  noListLines,
  probeLines,
  write
} from "./EndpointLog.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { healthPathOf, healthUrlOf, modelUrlOf } from "./EndpointSpec.ts"
import { type AttemptFailure, demotionCause, type EndpointState, isRoutable } from "./EndpointState.ts"
import type { FleetContext } from "./FleetContext.ts"
import type { FleetEvent } from "./FleetEvent.ts"
import { inPlace } from "./Place.ts"
import { internalResult, probe } from "./Probe.ts"
import { isSlow } from "./ProbePlaces.ts"
import { isSuccess, type ProbeResult } from "./ProbeResult.ts"
import { supervised } from "./Supervision.ts"
import {
  type ActorState,
  type DiscoveryReason,
  type EndpointCommand,
  type EndpointEvent,
  type EndpointPolicy,
  initialState,
  transition
} from "./Transition.ts"

/** How a discovery ended; failures were already counted and logged. */
export type DiscoveryOutcome = DiscoveryFailure | "read" | "skipped"

/** What the actor's fiber is handed. */
type Message =
  | EndpointCommand
  | { readonly _tag: "Log"; readonly line: LogLine }
  | { readonly _tag: "Crash"; readonly cause: Cause.Cause<never> }

/** Timers take 32 bits; longer sleeps are taken in parts. */
const longestSleep = 3_600_000

export class EndpointActor implements Endpoint {
  readonly url: string
  readonly displayUrl: string
  readonly name: string
  readonly type: string
  readonly isAuto: boolean
  readonly index: number
  readonly priority: number
  readonly preservePath: boolean
  readonly checkInterval: number
  readonly checkTimeout: number
  readonly origin: Origin
  readonly credentials: Credentials
  inFlight = 0
  readonly probeCounts = { success: 0, failure: 0 }
  /** Completes with the first probe's result. */
  readonly firstProbe = Deferred.makeUnsafe<void>()

  readonly #spec: EndpointSpec
  readonly #fleet: FleetContext
  #state: ActorState
  #detected: Profile | undefined
  #models: ReadonlyArray<ListedModel> = []
  #mailbox: Array<Message> = []
  readonly #wake = Latch.makeUnsafe(false)
  /** Those who wait for the listing that is being read. */
  #discovering: Deferred.Deferred<DiscoveryOutcome> | undefined
  #policy: EndpointPolicy
  #answeredProbe = false
  #restarts = 0
  #listingIssue = ""

  constructor(spec: EndpointSpec, fleet: FleetContext) {
    this.url = spec.url
    this.displayUrl = spec.displayUrl
    this.name = spec.name
    this.type = spec.type
    this.isAuto = spec.isAuto
    this.index = spec.index
    this.priority = spec.priority
    this.preservePath = spec.preservePath
    this.checkInterval = spec.checkInterval
    this.checkTimeout = spec.checkTimeout
    this.origin = spec.origin
    this.credentials = spec.credentials
    this.#spec = spec
    this.#fleet = fleet
    this.#state = initialState(this.#now())
    this.#policy = this.#readPolicy()
  }

  get state(): EndpointState {
    return this.#state.condition
  }
  get profile(): Profile | undefined {
    return this.#spec.profile ?? this.#detected
  }
  get detectedType(): string | undefined {
    return this.#detected?.name
  }
  get healthPath(): string {
    return healthPathOf(this.#spec, this.profile)
  }
  get healthUrl(): string {
    return healthUrlOf(this.#spec, this.profile)
  }
  get modelUrl(): string {
    return modelUrlOf(this.#spec, this.profile)
  }
  get models(): ReadonlyArray<ListedModel> {
    return this.#models
  }
  get modelsSyncedAt(): number {
    return this.#state.discovery.syncedAt
  }
  get discoveryDisabled(): boolean {
    return isDisabled(this.#state.discovery)
  }
  get hasAnsweredProbe(): boolean {
    return this.#answeredProbe
  }
  get listingIssue(): string {
    return this.#listingIssue
  }
  get restarts(): number {
    return this.#restarts
  }

  readonly attemptFailed = (failed: AttemptFailure): void => {
    const before = this.#state
    this.#step({
      _tag: "AttemptFailed",
      startedAt: failed.startedAt,
      now: this.#now(),
      cause: demotionCause(failed)
    })
    if (this.#state !== before) this.#post({ _tag: "Log", line: demotionLine(this.name, this.#state.condition) })
  }

  /** Reads the listing, or joins the reading that is under way. Waiting for the outcome may be given up; the reading goes on. */
  readonly discover = (reason: DiscoveryReason): Effect.Effect<DiscoveryOutcome> =>
    Effect.suspend(() => {
      if (this.#discovering === undefined) this.#step({ _tag: "DiscoverNow", now: this.#now(), reason })
      return this.discoveryEnd
    })

  /** The end of the reading under way; at once when there is none. */
  get discoveryEnd(): Effect.Effect<DiscoveryOutcome> {
    return this.#discovering === undefined ? Effect.succeed("skipped") : Deferred.await(this.#discovering)
  }

  /** The actor's life: runs until interrupted, and starts anew, ever more slowly, when it crashes. */
  get run(): Effect.Effect<never> {
    return supervised(Effect.scoped(this.#loop), (cause) => this.#crashed(cause))
  }

  #now(): number {
    return this.#fleet.clock.currentTimeMillisUnsafe()
  }

  #readPolicy(): EndpointPolicy {
    const { enabled, interval } = this.#fleet.discovery()
    return { checkInterval: this.checkInterval, breaker: probePolicy(this.checkTimeout), discovery: { enabled, interval } }
  }

  /** The only place that changes the state. */
  #step(event: EndpointEvent): void {
    const { enabled, interval } = this.#fleet.discovery()
    if (enabled !== this.#policy.discovery.enabled || interval !== this.#policy.discovery.interval) this.#policy = this.#readPolicy()
    const { state, commands } = transition(this.#state, event, this.#policy)
    this.#state = state
    for (const command of commands) {
      if (command._tag === "Announce") this.#publish({ _tag: "StatusChanged", endpoint: this, from: command.from, to: command.to })
      else {
        if (command._tag === "Discover") this.#discovering = Deferred.makeUnsafe<DiscoveryOutcome>()
        this.#mailbox.push(command)
      }
    }
    // The time of the next check may have moved as well.
    this.#wake.openUnsafe()
  }

  /** A listener's bug must not reach the request that stepped the state. */
  #publish(event: FleetEvent): void {
    try {
      this.#fleet.publish(event)
    } catch (cause) {
      const error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
      this.#post({
        _tag: "Log",
        line: { level: "error", message: "a listener of the fleet failed", fields: { endpoint: this.name, error } }
      })
    }
  }

  #post(message: Message): void {
    this.#mailbox.push(message)
    this.#wake.openUnsafe()
  }

  /** Milliseconds until something is due. */
  #untilDue(now: number): number {
    const { condition, probing, discovery } = this.#state
    const probeAt = probing === undefined ? Math.max(condition.nextCheck, condition.rateLimitedUntil) : Number.POSITIVE_INFINITY
    const listAt =
      isDisabled(discovery) && !discovery.running && isRoutable(condition.status) ? discovery.retryAt : Number.POSITIVE_INFINITY
    return Math.min(Math.max(Math.min(probeAt, listAt) - now, 0), longestSleep)
  }

  readonly #loop: Effect.Effect<never, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    while (true) {
      const now = this.#now()
      if (this.#untilDue(now) === 0) {
        this.#step({ _tag: "ProbeDue", now })
        const { discovery, condition } = this.#state
        if (isDisabled(discovery) && now >= discovery.retryAt && isRoutable(condition.status) && !discovery.running)
          this.#step({ _tag: "DiscoverNow", now, reason: "periodic" })
      }
      const messages = this.#mailbox
      this.#mailbox = []
      this.#wake.closeUnsafe()
      for (const message of messages) yield* this.#carryOut(message)
      if (this.#mailbox.length === 0) yield* Effect.raceFirst(this.#wake.await, Effect.sleep(this.#untilDue(this.#now())))
    }
  })

  /** Children live in the loop's scope: they end with it, however it ends. */
  #carryOut(message: Message): Effect.Effect<unknown, never, Scope.Scope> {
    switch (message._tag) {
      case "Probe":
        return Effect.forkScoped(this.#probe)
      case "Discover":
        return Effect.forkScoped(this.#read(message.reason))
      case "Log":
        return write(message.line)
      case "Crash":
        return Effect.failCause(message.cause)
      case "Announce":
        return Effect.void
    }
  }

  readonly #probe: Effect.Effect<void> = Effect.suspend(() => {
    const { status, lastLatency } = this.#state.condition
    return this.#crashing(this.#fleet.probePlaces.hold(this.#probeNow, isSlow(status === "healthy", lastLatency)))
  })

  readonly #probeNow: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    yield* Effect.logDebug("Performing health checks", { endpoint: this.name, endpoints_to_check: 1 })
    const startedAt = this.#now()
    const exit = yield* Effect.exit(this.#check)
    if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) return yield* Effect.interrupt
    const now = this.#now()
    let result: ProbeResult
    let listing: Listing | undefined
    if (Exit.isSuccess(exit)) {
      result = exit.value.result
      listing = exit.value.listing
    } else {
      yield* Effect.logError("health check failed unexpectedly", { endpoint: this.name, error: Cause.pretty(exit.cause) })
      result = internalResult("internal error", now - startedAt)
    }
    this.probeCounts[isSuccess(result.status) ? "success" : "failure"]++
    if (result.statusCode !== undefined) this.#answeredProbe = true
    const reads = listing !== undefined && this.#fleet.discovery().enabled
    if (listing !== undefined) this.#accept(listing, "detection")
    const before = this.#state.condition
    this.#step({ _tag: "ProbeFinished", startedAt, now, result, jitter: 2 * this.#fleet.random() - 1, listed: reads })
    // A discarded result is not reported.
    if (this.#state.condition !== before)
      for (const line of probeLines(this, before, this.#state.condition, result, now)) yield* write(line)
    Deferred.doneUnsafe(this.firstProbe, Effect.void)
  })

  /** A probe; while the type is unknown and somebody answers, detection too, since most kinds do not answer at `/`. */
  readonly #check: Effect.Effect<{ readonly result: ProbeResult; readonly listing: Listing | undefined }> = Effect.gen(
    { self: this },
    function* () {
      const target = () => ({
        healthUrl: this.healthUrl,
        credentials: this.credentials,
        tls: this.origin.tls,
        checkTimeout: this.checkTimeout
      })
      const before = target()
      const result = yield* probe(this.#fleet.client, before)
      // A 404 where the kind has its health path: another kind of server may stand there now.
      const isOpen = this.profile === undefined || (this.isAuto && result.statusCode === 404 && this.#spec.healthReference === undefined)
      if (!isOpen || result.statusCode === undefined || result.status === "rate_limited") return { result, listing: undefined }
      const listing = yield* this.#fleet.discoverer.detect(this.#spec, this.checkTimeout)
      if (listing === undefined) return { result, listing }
      const healthUrl = healthUrlOf(this.#spec, listing.profile)
      if (isSuccess(result.status) || healthUrl === before.healthUrl) return { result, listing }
      return { result: yield* probe(this.#fleet.client, { ...before, healthUrl }), listing }
    }
  )

  #read(reason: DiscoveryReason): Effect.Effect<void> {
    const ended = this.#discovering
    const slots = reason === "startup" || reason === "periodic" ? this.#fleet.discoveryWorkers : this.#fleet.recoverySlots
    return Effect.gen({ self: this }, function* () {
      for (const line of discoveryStartLines(this.name, this.displayUrl, reason)) yield* write(line)
      const startedAt = this.#now()
      const { timeout, retry_attempts: retryAttempts, retry_backoff: retryBackoff } = this.#fleet.discovery()
      const outcome = yield* this.#fleet.discoverer
        .discover(this.#spec, this.#detected, { timeout, retryAttempts, retryBackoff })
        .pipe(Effect.catch((failure: DiscoveryFailure) => Effect.succeed(failure)))
      if ("_tag" in outcome) {
        const before = this.#state
        this.#listingIssue = issueOf(outcome)
        if (isWarning(outcome)) {
          this.#step({ _tag: "ListingRead", now: before.discovery.syncedAt, reason })
          for (const line of noListLines(this.name, outcome)) yield* write(line)
        } else {
          this.#step({ _tag: "ListingFailed", startedAt, recoverable: isRecoverable(outcome), reason })
          for (const line of discoveryFailureLines(this.name, before, this.#state, outcome, reason)) yield* write(line)
        }
      } else this.#accept(outcome, reason)
      this.#endDiscovery(ended, "_tag" in outcome ? outcome : "read")
    }).pipe(
      (reading) => inPlace([slots], reading),
      (reading) => this.#crashing(reading)
    )
  }

  /** A bug in a child is this actor's crash, not the child's quiet end. */
  #crashing(child: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.catchCause(child, (cause) =>
      Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.sync(() => this.#post({ _tag: "Crash", cause }))
    )
  }

  #endDiscovery(ended: Deferred.Deferred<DiscoveryOutcome> | undefined, outcome: DiscoveryOutcome): void {
    if (ended === undefined) return
    if (this.#discovering === ended) this.#discovering = undefined
    Deferred.doneUnsafe(ended, Effect.succeed(outcome))
  }

  /** Registers a listing, and what it proves about the type. With discovery switched off only the latter. */
  #accept(listing: Listing, reason: DiscoveryReason | "detection"): void {
    const detected = this.isAuto && this.#detected?.name !== listing.profile.name ? listing.profile.name : undefined
    if (this.isAuto) this.#detected = listing.profile
    const before = this.#state
    if (this.#fleet.discovery().enabled) {
      this.#listingIssue = ""
      this.#models = listing.models
      this.#step({ _tag: "ListingRead", now: this.#now(), reason })
      const counts = { count: listing.models.length, originalCount: listing.originalCount, skipped: listing.skipped, detected }
      for (const line of listingLines(this.name, before, counts, reason)) this.#post({ _tag: "Log", line })
    }
    this.#publish({ _tag: "ModelsChanged", endpoint: this })
  }

  /** Its children died with it: their places are freed. */
  #crashed(cause: Cause.Cause<never>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#restarts++
      this.#mailbox = this.#mailbox.filter((message) => message._tag === "Log")
      this.#endDiscovery(this.#discovering, "skipped")
      this.#step({ _tag: "Restarted", now: this.#now(), cause: "internal error while watching this endpoint; it was restarted" })
      return Effect.logError("endpoint actor crashed, restarting", {
        endpoint: this.name,
        restarts: this.#restarts,
        error: Cause.pretty(cause)
      })
    })
  }
}

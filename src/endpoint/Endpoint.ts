/**
 * One backend for as long as the daemon knows it: its identity, which is its URL, and all that is known of it right now. What the
 * configuration says of it (`spec`) may be replaced; the object, its counters and whoever holds it stay. Nobody else keeps
 * anything by an endpoint's URL.
 *
 * The condition is stepped by `transition` and never assigned, synchronously, from the actor that watches the backend and from
 * requests alike: a dead backend is out of rotation before the attempt that met it has moved on.
 */
import { isDeepStrictEqual } from "node:util"
import * as MutableRef from "effect/MutableRef"
import * as Ref from "effect/Ref"
import { filterAdmits } from "../config/FilterPattern.ts"
import { endedUnanswered } from "../exchange/Failure.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Profile } from "../profile/Profile.ts"
import { isOutForLateness } from "./AfterProbe.ts"
import { isDisabled } from "./DiscoveryState.ts"
import { EndpointBreaker } from "./EndpointBreaker.ts"
import type { ActorState, EndpointCommand, EndpointEvent, EndpointPolicy } from "./EndpointEvent.ts"
import { type EndpointSpec, healthPathOf, healthUrlOf, modelUrlOf } from "./EndpointSpec.ts"
import { type AttemptFailure, demotionCause, type EndpointState, isRoutable } from "./EndpointState.ts"
import { Host } from "./Host.ts"
import type { Lane } from "./lane/Lane.ts"
import { Lanes, type LanesPort } from "./lane/Lanes.ts"
import type { Credentials, Origin } from "./Origin.ts"
import { Patience } from "./Patience.ts"
import { isSuccess, type ProbeResult, probeError } from "./ProbeResult.ts"
import { dueAt, initialState, transition } from "./Transition.ts"
import { UnservedPaths } from "./UnservedPaths.ts"

export type { Credentials, Origin, TlsOptions } from "./Origin.ts"

/** May it be chosen for another attempt? It is in rotation, nobody has taken it out of service, and it is still configured. */
export const accepts = (endpoint: Endpoint): boolean => isRoutable(endpoint.state.status) && endpoint.inService

/** Set by operators: `draining` while earlier attempts still run, `drained` when none does. */
export type Admin = "active" | "draining" | "drained"

/** Lists that missing models ask for are at least so far apart, in milliseconds. */
const listingSpacing = 30_000

const namesAlike = (some: ReadonlyArray<ListedModel>, others: ReadonlyArray<ListedModel>): boolean =>
  some.length === others.length && some.every(({ name }, i) => name === others[i]?.name)

/** The actor, as its endpoint sees it. */
export interface EndpointPort {
  /** Milliseconds. */
  readonly now: () => number
  readonly policy: (spec: EndpointSpec) => EndpointPolicy
  /** Takes the commands of a step; neither waits nor throws. */
  readonly command: (command: EndpointCommand) => void
  /** Something became due earlier than planned. */
  readonly hurry: () => void
  /** The breaker has opened, or is closed again. */
  readonly breakerTurned: (isClosed: boolean) => void
  /** It was removed, and its last attempt has ended. */
  readonly gone: () => void
  readonly lanes: Omit<LanesPort, "now" | "missed">
  /** Absent: no other endpoint is on the same server. */
  readonly host?: Host
}

const admitted = (listed: ReadonlyArray<ListedModel>, { modelFilter }: EndpointSpec): ReadonlyArray<ListedModel> =>
  modelFilter.include.length === 0 && modelFilter.exclude.length === 0
    ? listed
    : listed.filter(({ name }) => filterAdmits(modelFilter, name))

export class Endpoint {
  /** Replaced by a reload; everything reads it when it is used. */
  spec: EndpointSpec
  /** Of the `olla` engine's attempts; stays closed where nobody reports to it. */
  readonly breaker: EndpointBreaker
  /** Paths that this backend does not serve, as it has said. Forgotten with changes of its status, its list and its kind. */
  readonly unserved: UnservedPaths
  /** Attempts that wait for it as long as it lives. */
  readonly patience = new Patience()
  /** What is known of each of its models; only where requests may be repeated elsewhere. */
  readonly lanes: Lanes
  /** The server that it is on, with whatever other endpoints are. */
  readonly host: Host
  /** Models, by the backend's names, that have said reasoning since the start. */
  readonly thinking = new Set<string>()
  /** Finished probes since the start, those whose result was discarded included. */
  readonly probeCounts = { success: 0, failure: 0 }
  /** A probe was answered at least once: `state.lastLatency` is a response time. */
  hasAnsweredProbe = false
  /** Epoch milliseconds at which the last listing was read; 0: none yet. */
  modelsSyncedAt = 0
  /** What is wrong with the listing, without address; empty: the last one was read. */
  listingIssue = ""
  /** How often its actor crashed and was started anew. */
  restarts = 0
  /** Attempts that have ended there. */
  attemptsEnded = 0
  readonly #port: EndpointPort
  readonly #state: Ref.Ref<ActorState>
  #listed: ReadonlyArray<ListedModel> = []
  /** Of them what the filter admits. */
  #models: ReadonlyArray<ListedModel> = []
  #detected: Profile | undefined
  #inFlight = 0
  /** An attempt was answered since a probe ended or an attempt failed. */
  #answered = false
  /** When its list was last asked for because a model of it was missing, milliseconds of the monotonic clock. */
  #missedAt = Number.NEGATIVE_INFINITY

  constructor(spec: EndpointSpec, port: EndpointPort) {
    this.spec = spec
    this.#port = port
    this.unserved = new UnservedPaths(port.now)
    this.#state = Ref.makeUnsafe(initialState(port.now()))
    this.breaker = new EndpointBreaker(port.now, port.breakerTurned)
    this.lanes = new Lanes(this, {
      ...port.lanes,
      now: port.now,
      turned: (lane, before) => {
        if (lane.condition.state === "missing") this.#askForList()
        port.lanes.turned(lane, before)
      },
      missed: () => this.#askForList()
    })
    this.host = port.host ?? new Host()
    this.host.join(this)
  }

  /** Base URL as configured: the identity. */
  get url(): string {
    return this.spec.url
  }
  /** Base URL without userinfo, query and fragment. */
  get displayUrl(): string {
    return this.spec.displayUrl
  }
  get name(): string {
    return this.spec.name
  }
  /** `type` as configured, `""` included. */
  get type(): string {
    return this.spec.type
  }
  /** `type` is `auto` or empty: accepted on every provider route and path. */
  get isAuto(): boolean {
    return this.spec.isAuto
  }
  /** Position in the configuration: the stable order of candidates. */
  get index(): number {
    return this.spec.index
  }
  get priority(): number {
    return this.spec.priority
  }
  get preservePath(): boolean {
    return this.spec.preservePath
  }
  /** Milliseconds. */
  get checkInterval(): number {
    return this.spec.checkInterval
  }
  /** Milliseconds. */
  get checkTimeout(): number {
    return this.spec.checkTimeout
  }
  get origin(): Origin {
    return this.spec.origin
  }
  get credentials(): Credentials {
    return this.spec.credentials
  }

  /** Resolved from `type`; for `auto` and empty types what was detected, `undefined` until then. */
  get profile(): Profile | undefined {
    return this.spec.profile ?? this.#detected
  }
  /** Profile name that was detected; only for `auto` and empty types. */
  get detectedType(): string | undefined {
    return this.#detected?.name
  }
  /** Configured or defaulted health path before joining, as the start-up table shows it. */
  get healthPath(): string {
    return healthPathOf(this.spec, this.profile)
  }
  get healthUrl(): string {
    return healthUrlOf(this.spec, this.profile)
  }
  get modelUrl(): string {
    return modelUrlOf(this.spec, this.profile)
  }

  /** The current condition. */
  get state(): EndpointState {
    return Ref.getUnsafe(this.#state).condition
  }
  /** The condition with what only its actor and its log lines look at. */
  get inner(): ActorState {
    return Ref.getUnsafe(this.#state)
  }
  /** The last successful listing, after the model filter; replaced whole. */
  get models(): ReadonlyArray<ListedModel> {
    return this.#models
  }
  /** Its list has been read once at least: what it has not got is known. */
  get isRead(): boolean {
    return this.models.length > 0 || this.modelsSyncedAt > 0
  }
  /** Milliseconds since the last listing was read. */
  get modelsAge(): number {
    return this.#port.now() - this.inner.discovery.syncedAt
  }
  /** No operator has taken it out of service, and it is still configured. */
  get inService(): boolean {
    const { drainedUntil, removed } = this.inner
    return drainedUntil === undefined && !removed
  }
  get admin(): Admin {
    if (this.inner.drainedUntil === undefined) return "active"
    return this.#inFlight > 0 ? "draining" : "drained"
  }
  /** It is configured no longer; the object lives until its last attempt has ended. */
  get removed(): boolean {
    return this.inner.removed
  }
  /** Discovery is in timed back-off after failures. */
  get discoveryDisabled(): boolean {
    return isDisabled(this.inner.discovery)
  }

  /** It takes no attempt beside those under way, there or at the other endpoints of its server. */
  get isFull(): boolean {
    const { maxConcurrent } = this.spec
    return (maxConcurrent > 0 && this.#inFlight >= maxConcurrent) || (this.host.isShared && this.host.isFull)
  }
  /** May an attempt for this model begin? Neither attempts under way nor the server's memory are against it. */
  hasRoomFor(nativeName: string): boolean {
    return !this.isFull && (this.host.holdsAll || this.host.admits(this.lanes.of(nativeName), this.#port.now()))
  }
  /** Its load would push another one out of the server's memory. */
  pushesOut(nativeName: string): boolean {
    return !this.host.holdsAll && this.host.pushesOut(this.lanes.of(nativeName))
  }
  /** An attempt for this model begins, and its load may push another one out. */
  makesRoomFor(lane: Lane): void {
    if (!this.host.holdsAll) this.host.begins(lane, this.#port.now())
  }
  /** Somebody waits for this model, and nobody else can serve him. */
  want(nativeName: string): void {
    if (!this.host.holdsAll) this.host.want(this.lanes.of(nativeName), this.#port.now())
  }
  /** Attempts under way. */
  get inFlight(): number {
    return this.#inFlight
  }
  /** An attempt begins. Called by leases only, each followed by one `leave`. */
  enter(): void {
    this.#inFlight++
    this.host.inFlight++
  }
  leave(): void {
    this.#inFlight--
    this.host.inFlight--
    this.attemptsEnded++
    if (this.#inFlight === 0 && this.removed) this.#port.gone()
  }

  /** The configuration says this of it now. `anew`: what is known of it was learned by asking otherwise. */
  respecify(spec: EndpointSpec, anew: boolean): void {
    const paced = spec.checkInterval !== this.spec.checkInterval
    if (spec.type !== this.spec.type) this.#detected = undefined
    const { modelFilter } = this.spec
    this.spec = spec
    if (!isDeepStrictEqual(modelFilter, spec.modelFilter)) this.#models = admitted(this.#listed, spec)
    if (anew) this.unserved.clear()
    this.step({ _tag: "SpecChanged", now: this.#port.now(), anew, paced })
  }

  /** The only thing that changes the condition. */
  step(event: EndpointEvent): void {
    const before = this.inner
    const { state, commands } = transition(before, event, this.#port.policy(this.spec))
    MutableRef.set(this.#state.ref, state)
    for (const command of commands) {
      // Learned of the server that was there before.
      if (command._tag === "Announce") {
        this.unserved.clear()
        if (isRoutable(command.to.status) && !isRoutable(command.from.status)) this.lanes.returned()
        if (!isRoutable(command.to.status)) this.lanes.lost()
      }
      if (command._tag === "ForgetModels") this.forgetModels()
      this.#port.command(command)
    }
    if (dueAt(state) < dueAt(before)) this.#port.hurry()
    if (event._tag === "ListingRead") this.patience.listed(true, event.now)
    if (event._tag === "ListingFailed") this.patience.listed(false, this.#port.now())
  }

  /** Whoever says that he has not got a model may have another list by now. */
  #askForList(): void {
    const now = this.#port.now()
    if (now - this.#missedAt < listingSpacing) return
    this.#missedAt = now
    this.step({ _tag: "DiscoverNow", now, reason: "request" })
  }

  /** An attempt failed in a way that says something of the backend (`ruleOf(failure).demote`). */
  attemptFailed(failed: AttemptFailure): void {
    this.step({
      _tag: "AttemptFailed",
      startedAt: failed.startedAt,
      now: this.#port.now(),
      cause: demotionCause(failed),
      inDoubt: endedUnanswered(failed.failure.kind),
      secondDecides: failed.secondDecides,
      answered: this.#takeAnswered()
    })
  }

  /** The head of an attempt's answer is here, whatever it says. Called for each: costs a few comparisons. */
  answered(): void {
    this.#answered = true
    this.patience.answered(this.#port.now())
    if (isOutForLateness(this.inner)) this.step({ _tag: "AttemptSucceeded", now: this.#port.now() })
  }

  /** A probe that began at `startedAt` has ended. `jitter`: -1 to 1; `listed`: models were read on the way. */
  probed(result: ProbeResult, startedAt: number, jitter: number, listed: boolean): void {
    const isGood = isSuccess(result.status)
    this.probeCounts[isGood ? "success" : "failure"]++
    if (result.statusCode !== undefined) this.hasAnsweredProbe = true
    this.breaker.probed(isGood)
    this.step({ _tag: "ProbeFinished", startedAt, now: this.#port.now(), result, jitter, listed, answered: this.#takeAnswered() })
    const isLate = result.errorType === probeError.timeout
    const due = this.patience.probed(result.statusCode !== undefined, isLate, this.#inFlight, this.#port.now())
    if (due === "probe") this.step({ _tag: "ProbeNow" })
    if (due === "list") this.step({ _tag: "DiscoverNow", now: this.#port.now(), reason: "request" })
  }

  #takeAnswered(): boolean {
    const answered = this.#answered
    this.#answered = false
    return answered
  }

  /** Takes over a listing that was read at this moment, in epoch milliseconds. */
  register(models: ReadonlyArray<ListedModel>, at: number): void {
    if (!namesAlike(models, this.#models)) this.unserved.clear()
    this.#listed = models
    this.#models = admitted(models, this.spec)
    this.modelsSyncedAt = at
    this.listingIssue = ""
    if (at > 0) this.lanes.listed()
  }

  /** As if nothing had been listed: nobody wants to know models any more. */
  forgetModels(): void {
    this.register([], 0)
  }

  /** The kinds are others now. True: what it was recognised as says something else or is gone, and it is to be looked at again. */
  reviewKind(byName: (name: string) => Profile | undefined): boolean {
    const was = this.#detected
    if (was === undefined) return false
    this.#detected = byName(was.name)
    return !isDeepStrictEqual(this.#detected, was)
  }

  /** What a listing proved about the kind of server; the name when that is news. Of no matter where the type is configured. */
  recognise(profile: Profile): string | undefined {
    if (!this.isAuto) return undefined
    const news = this.#detected?.name === profile.name ? undefined : profile.name
    if (news !== undefined) this.unserved.clear()
    this.#detected = profile
    return news
  }

  /** What was detected before, to be asked first. */
  get detected(): Profile | undefined {
    return this.#detected
  }
}

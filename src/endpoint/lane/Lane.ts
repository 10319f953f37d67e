/**
 * One model on one endpoint: what is under way there, and whether it is asked for more. It belongs to its endpoint and outlives
 * listings; nobody else keeps anything by endpoint and model.
 */
import type { AttemptVerdict, VerdictReason } from "../../exchange/AttemptVerdict.ts"
import type { ListedModel } from "../../profile/ListedModel.ts"
import type { Profile } from "../../profile/Profile.ts"
import type { EndpointSpec } from "../EndpointSpec.ts"
import type { EndpointState } from "../EndpointState.ts"
import { RecentCounts } from "../RecentCounts.ts"
import {
  isFlawless,
  isOnTrial,
  isOut,
  type LaneCondition,
  type LaneEvent,
  type LanePolicy,
  type LaneState,
  newLane,
  recentFor,
  slowStartShare,
  stateAt,
  step
} from "./LaneCondition.ts"
import { LaneWork } from "./LaneWork.ts"
import { tokensPerBlock } from "./PrefixTable.ts"
import type { ResidencyWord } from "./Residency.ts"

/** Tokens of prompts that a backend keeps of which nobody says. */
const usualPromptCache = 64_000
/** Use of the memory for prompts, 0 to 1, from which on a backend takes no more at once than it has. */
const fullCache = 0.95

/** The endpoint, as its lanes see it. */
export interface LaneOwner {
  readonly url: string
  readonly name: string
  readonly spec: EndpointSpec
  readonly state: EndpointState
  readonly models: ReadonlyArray<ListedModel>
  readonly profile: Profile | undefined
  /** Attempts under way on all its lanes. */
  readonly inFlight: number
}

/** What a lane has of the house. */
export interface LanePort {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  readonly policy: () => LanePolicy
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Its condition has changed, by an attempt or a listing; what only time changes is not told. */
  readonly turned: (lane: Lane, before: LaneCondition) => void
  /** It would have been asked, and is missing: a list of models may tell that it is there again. */
  readonly missed: () => void
  /** An attempt shows that its backend has loaded the model. */
  readonly loaded: () => void
  /** An attempt begins, at this moment. */
  readonly used: (now: number) => void
}

/** What came of an attempt, for the lane that it was on. */
export interface LaneAttempt {
  /** Milliseconds of the monotonic clock. */
  readonly startedAt: number
  /** Of the lease; 0: it was no trial. */
  readonly trial: number
  /** Whether one more lane of the model may be ejected; asked only where it matters. */
  readonly hasRoom: () => boolean
}

export class Lane {
  readonly endpoint: LaneOwner
  /** The endpoint's own name of the model; empty: requests without a model. */
  readonly model: string
  /** When an attempt last began or ended, milliseconds of the monotonic clock. */
  lastUsed: number
  /** What it has to do, and how fast it does it. */
  readonly work: LaneWork
  readonly #port: LanePort
  /** Attempts that ended, and those that failed. */
  readonly #ends = new RecentCounts(recentFor)
  #condition: LaneCondition
  #inFlight = 0

  /** `since`: when its endpoint began to serve. */
  constructor(endpoint: LaneOwner, model: string, port: LanePort, since: number) {
    this.endpoint = endpoint
    this.model = model
    this.#port = port
    this.#condition = newLane(since)
    this.lastUsed = port.now()
    this.work = new LaneWork({
      now: port.now,
      size: () => endpoint.models.find(({ name }) => name === model)?.size,
      loaded: port.loaded
    })
  }

  /** Its backend says how many tokens of prompts it keeps. */
  keepsTokens(tokens: number): void {
    if (this.work.cacheTokens === tokens) return
    this.work.cacheTokens = tokens
    if (this.work.prefix !== undefined) this.work.prefix.capacity = Math.floor(tokens / tokensPerBlock)
  }

  /** Attempts that its backend works on at once, as far as anybody says; Infinity: nobody does. */
  get slots(): number {
    return this.slotsAt(this.#port.now())
  }
  slotsAt(now: number): number {
    const { maxConcurrent } = this.endpoint.spec
    if (maxConcurrent > 0) return maxConcurrent
    const report = this.work.reportAt(now)
    if (report === undefined) return Number.POSITIVE_INFINITY
    if (report.slots !== undefined) return report.slots
    // Whoever lets requests wait shows how many he takes.
    return report.waiting > 0 || (report.kvUsed ?? 0) >= fullCache ? Math.max(1, report.running) : Number.POSITIVE_INFINITY
  }

  /** Whether its model is in memory, as its backend says or its kind has it. */
  get residency(): ResidencyWord {
    const { work, endpoint } = this
    return !work.tellsResidency && endpoint.profile?.fixedModel === true ? "resident" : work.residency
  }

  /** Tokens of prompts that its backend keeps, as far as anybody says. */
  get promptCache(): number {
    return this.work.cacheTokens ?? this.endpoint.profile?.promptCacheTokens ?? usualPromptCache
  }

  get condition(): LaneCondition {
    return this.#condition
  }
  /** What it is by now. */
  get state(): LaneState {
    return stateAt(this.#condition, this.#port.now(), this.#port.policy())
  }
  /** Asked for each candidate of each request: two comparisons where nothing is wrong. */
  get isOpen(): boolean {
    return this.#condition.until === 0
  }
  /** The one attempt of its trial is under way. */
  get isOnTrial(): boolean {
    return isOnTrial(this.#condition, this.#port.now())
  }
  /** Ejected, or in the trial that follows. */
  get isOut(): boolean {
    return isOut(this.#condition)
  }
  /** Milliseconds of the monotonic clock. */
  get now(): number {
    return this.#port.now()
  }
  /** It may have only a share of its weight. */
  get isStarting(): boolean {
    return this.#condition.state === "slow_start"
  }
  /** Share of its weight while it starts slowly, 0.1 to 1. `now`: known to whoever asks several. */
  slowStartShare(now = this.#port.now()): number {
    if (this.#condition.state !== "slow_start") return 1
    const share = slowStartShare(this.#condition, now, this.#port.policy())
    // From now on it need not be worked out: each request asks.
    if (share === 1) this.#condition = { ...this.#condition, state: "open" }
    return share
  }
  get why(): VerdictReason {
    return this.#condition.reason
  }

  /** Attempts under way, this lane's own. */
  get inFlight(): number {
    return this.#inFlight
  }
  /** An attempt begins. Called by leases only, each followed by one `leave`. */
  enter(): void {
    this.#inFlight++
    this.lastUsed = this.#port.now()
    this.#port.used(this.lastUsed)
  }
  leave(): void {
    this.#inFlight--
  }

  /** The attempt that now begins is its trial; the number goes with what is told of it. */
  beginTrial(): number {
    this.#step({ _tag: "trial_begins" })
    return this.#condition.trial
  }

  /** Told once for each attempt, whatever came of it. */
  judge({ lane, reason }: AttemptVerdict, { startedAt, trial, hasRoom }: LaneAttempt): void {
    const now = this.#port.now()
    this.lastUsed = now
    switch (lane._tag) {
      case "success":
        this.#ends.count(now, 1, 0)
        // Nearly always nothing was wrong, and nothing changes.
        if (!isFlawless(this.#condition)) this.#step({ _tag: "succeeded", startedAt, trial })
        break
      case "failure": {
        this.#ends.count(now, 1, 1)
        const [ended, failed] = [this.#ends.first(now), this.#ends.second(now)]
        const jitter = this.#port.random() * 2 - 1
        this.#step({ _tag: "failed", startedAt, trial, reason, ended, failed, hasRoom: hasRoom(), jitter })
        break
      }
      case "pause":
        this.#step({ _tag: "asked_to_wait", startedAt, trial, time: lane.time, reason })
        break
      case "missing":
        this.#step({ _tag: "not_there", startedAt, trial })
        break
      case "nothing":
        if (trial > 0) this.#step({ _tag: "unjudged", trial })
    }
  }

  /** It was passed over because it is missing. */
  passOver(): void {
    this.#port.missed()
  }

  /** Its endpoint's models were listed. */
  listed(): void {
    if (this.#condition.state === "missing") this.#step({ _tag: "listed" })
  }

  /** Its endpoint serves again. */
  returned(): void {
    this.#step({ _tag: "returned" })
  }

  #step(event: LaneEvent): void {
    const before = this.#condition
    const after = step(before, event, this.#port.now(), this.#port.policy())
    if (after === before) return
    this.#condition = after
    if (after.state !== before.state || after.until !== before.until) this.#port.turned(this, before)
  }
}

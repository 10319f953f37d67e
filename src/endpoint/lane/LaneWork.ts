/**
 * What a lane has to do and how fast it does it: tokens that wait to be read, what its attempts still hold, how long they take, and
 * what its backend has in memory. Counted in matched pairs by the attempts themselves; a few numbers, without a timer.
 */
import type { AttemptListener } from "../../exchange/Exchange.ts"
import { Pace } from "./Pace.ts"
import type { PrefixBlocks } from "./PrefixTable.ts"
import {
  firstLoadTime,
  learnedLoadTime,
  loadWait,
  type Residency,
  type ResidencyWord,
  stepResidency,
  unknownResidency
} from "./Residency.ts"

/** Tokens that the shortest prompt counts for: an attempt is never free. */
export const leastRead = 512
/** Of a lane that has answered nothing so far: milliseconds of an attempt, and tokens of an answer. */
const [firstTurn, firstAnswer] = [5000, 256]
/** Share of a new sample. */
const share = 0.1

/** What a backend says of its load, as it counts for one lane. */
export interface LaneReport {
  readonly running: number
  readonly waiting: number
  /** 0 to 1; `undefined`: it does not say. */
  readonly kvUsed: number | undefined
  /** Attempts that it takes at once; `undefined`: it does not say. */
  readonly slots: number | undefined
  /** Requests of others there. */
  readonly foreign: number
  /** Monotonic milliseconds: when it was asked for, and until when that counts. */
  readonly at: number
  readonly until: number
  /** Its figures do not move, and are not used. */
  readonly isFrozen: boolean
}

export interface LaneWorkPort {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  /** Bytes of the model; `undefined`: nobody says. Asked for when it is first seen to be cold. */
  readonly size: () => number | undefined
  /** Its backend has loaded the model, as an attempt shows. */
  readonly loaded: () => void
}

export class LaneWork {
  readonly #port: LaneWorkPort
  /** Of answers that are streamed, and of those that come whole. */
  readonly streamed = new Pace()
  readonly whole = new Pace()
  /** Tokens of prompts that have no first byte yet, each at least `leastRead`. */
  unread = 0
  /** Attempts without a first byte. */
  waiting = 0
  /** Tokens that attempts under way have still to read and may still write. */
  outstanding = 0
  /** Mean milliseconds of an attempt. */
  turn = firstTurn
  /** Mean tokens of an answer. */
  answer = firstAnswer
  /** Loads that were seen. */
  loads = 0
  /** The backend tells what it has in memory. */
  tellsResidency = false
  report: LaneReport | undefined
  /** What its backend has probably kept of prompts; absent: nobody has asked for it. */
  prefix: PrefixBlocks | undefined
  /** Tokens of prompts that its backend can keep, as it says; `undefined`: it does not. */
  cacheTokens: number | undefined
  /** In its turn among equals. */
  credit = Number.NaN
  #residency = unknownResidency
  #loadTime = 0

  constructor(port: LaneWorkPort) {
    this.#port = port
  }

  paceOf(stream: boolean): Pace {
    return stream ? this.streamed : this.whole
  }

  get residency(): ResidencyWord {
    return this.#residency.word
  }
  /** Milliseconds that it takes to load the model. */
  get loadTime(): number {
    if (this.#loadTime === 0) this.#loadTime = firstLoadTime(this.#port.size())
    return this.#loadTime
  }
  /** Milliseconds that a request now waits for the model to be loaded. */
  loadWait(now: number): number {
    const { word } = this.#residency
    return word === "cold" || word === "loading" ? loadWait(this.#residency, this.loadTime, now) : 0
  }

  /** What its backend has in memory, asked for at `askedAt`. */
  reported(isLoaded: boolean, askedAt: number): void {
    this.tellsResidency = true
    this.#reside(stepResidency(this.#residency, { _tag: "reported", isLoaded, askedAt, waiting: this.waiting }))
  }
  /** What its backend says of its load, while that counts. */
  reportAt(now: number): LaneReport | undefined {
    const { report } = this
    return report !== undefined && now <= report.until && !report.isFrozen ? report : undefined
  }

  /** Nobody has said for long what it has in memory. */
  outdated(): void {
    this.#reside(stepResidency(this.#residency, { _tag: "outdated" }))
  }

  /** Nothing of what its backend said before counts. */
  untold(): void {
    this.report = undefined
    this.outdated()
  }

  /**
   * An attempt is sent there, at `now`. `uncached`: tokens of its prompt that are new there; `expected`: of its answer.
   */
  begin(uncached: number, expected: number, stream: boolean, now = this.#port.now()): Stint {
    const begins = this.#residency.word === "cold"
    // Whoever joins a load waits for some of it, too.
    const isCold = begins || this.#residency.word === "loading"
    if (begins) this.#reside(stepResidency(this.#residency, { _tag: "dispatched", now }))
    return new Stint(this, uncached, expected, stream, now, isCold, begins)
  }

  /** `ok`: it is an answer, not an error. */
  firstByte(stint: Stint, ok: boolean): void {
    const now = this.#port.now()
    const took = now - stint.startedAt
    if (this.tellsResidency && ok) this.#reside(stepResidency(this.#residency, { _tag: "first_byte", now }))
    if (!ok) return
    const pace = this.paceOf(stint.stream)
    if (!stint.isCold) pace.sample(took, stint.before, now)
    else if (stint.isLoad) {
      const reading = pace.isMeasured ? (pace.base * stint.before) / 1000 : 0
      this.#loadTime = learnedLoadTime(this.loadTime, Math.max(0, took - reading))
      this.loads++
      this.#port.loaded()
    }
  }

  /** It ended without a first byte. */
  givenUp(): void {
    if (this.tellsResidency)
      this.#reside(stepResidency(this.#residency, { _tag: "given_up", now: this.#port.now(), waiting: this.waiting }))
  }

  /** An attempt was answered to its end. */
  served(startedAt: number): void {
    this.turn += share * (this.#port.now() - startedAt - this.turn)
  }

  /** An answer had so many tokens. */
  answered(tokens: number): void {
    this.answer += share * (tokens - this.answer)
  }

  #reside(residency: Residency): void {
    if (residency.word === "cold" && this.#residency.word !== "cold") this.prefix?.clear()
    this.#residency = residency
  }
}

/** One attempt's part of a lane's work: each of its three moments is told once, the first byte perhaps never. */
export class Stint implements AttemptListener {
  readonly #work: LaneWork
  readonly #uncached: number
  readonly #expected: number
  readonly stream: boolean
  readonly startedAt: number
  /** The model was not in memory; and this attempt is what its load began with. */
  readonly isCold: boolean
  readonly isLoad: boolean
  /** Tokens that stood before its first byte, its own among them. */
  readonly before: number
  #isRead = false
  #isOver = false

  /** Made by `LaneWork.begin`. */
  constructor(work: LaneWork, uncached: number, expected: number, stream: boolean, startedAt: number, isCold: boolean, isLoad: boolean) {
    this.#work = work
    this.#uncached = uncached
    this.#expected = expected
    this.stream = stream
    this.startedAt = startedAt
    this.isCold = isCold
    this.isLoad = isLoad
    work.waiting++
    work.unread += Math.max(leastRead, uncached)
    work.outstanding += uncached + expected
    this.before = work.unread
  }

  /** `ok`: of an answer, not of an error. Told again it means nothing. */
  firstByte(ok: boolean): void {
    if (this.#isRead || this.#isOver) return
    this.#read()
    this.#work.firstByte(this, ok)
  }

  /** `served`: answered to its end, and not with an error. Told again it means nothing. */
  end(served: boolean): void {
    if (this.#isOver) return
    // An answer without a body.
    if (served) this.firstByte(true)
    this.#isOver = true
    const isRead = this.#isRead
    if (!isRead) this.#read()
    this.#work.outstanding -= this.#expected
    if (served) this.#work.served(this.startedAt)
    if (!isRead) this.#work.givenUp()
  }

  wrote(tokens: number): void {
    this.#work.answered(tokens)
  }

  #read(): void {
    this.#isRead = true
    this.#work.waiting--
    this.#work.unread -= Math.max(leastRead, this.#uncached)
    this.#work.outstanding -= this.#uncached
  }
}

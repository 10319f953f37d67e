/**
 * One place where a backend tells of its load: when it is looked at next, and for how long what it said last counts. All times are
 * milliseconds of the monotonic clock.
 */
import type { SignalReport } from "../profile/SignalReading.ts"

/** Between two looks while nobody uses the endpoint, and after many failures. */
export const restingInterval = 30_000
/** So many intervals old, a report is out of date. */
const freshFor = 3
/** Each interval is longer or shorter by up to this share, so that looks at many endpoints do not fall together. */
const spread = 0.1
/** So many equal reports while so many attempts ended there: the figures do not move. */
const [equalReports, endedAttempts] = [10, 10]

export class SignalWatch {
  /** When it is to be looked at. */
  dueAt = 0
  /** What it said last; `undefined`: nothing that counts. */
  #report: SignalReport | undefined
  #until = 0
  #askedAt = 0
  #failures = 0
  #equal = 0
  /** Attempts that had ended at the endpoint when the figures moved last. */
  #endedBefore = 0

  get askedAt(): number {
    return this.#askedAt
  }
  /** How long the report counts. */
  get until(): number {
    return this.#until
  }
  /** Failures in a row. */
  get failures(): number {
    return this.#failures
  }

  /** `undefined`: it is out of date. */
  reportAt(now: number): SignalReport | undefined {
    return now <= this.#until ? this.#report : undefined
  }

  /** The figures have not moved although they should have: they say nothing. */
  get isFrozen(): boolean {
    return this.#equal >= equalReports
  }

  /** `ended`: attempts that have ended at the endpoint so far. `jitter`: -1 to 1. */
  told(
    report: SignalReport,
    times: { readonly askedAt: number; readonly now: number; readonly interval: number },
    ended: number,
    jitter: number
  ): void {
    const { askedAt, now, interval } = times
    if (this.#report !== undefined && figuresOf(report) === figuresOf(this.#report)) {
      if (this.#equal < equalReports - 1 || ended - this.#endedBefore >= endedAttempts) this.#equal++
    } else {
      this.#equal = 0
      this.#endedBefore = ended
    }
    this.#report = report
    this.#askedAt = askedAt
    this.#failures = 0
    this.#until = now + freshFor * interval
    this.dueAt = now + interval * (1 + spread * jitter)
  }

  /** It could not be read. */
  missed(now: number, interval: number, jitter: number): void {
    this.#failures++
    const pause = Math.min(interval * 2 ** this.#failures, Math.max(restingInterval, interval))
    this.dueAt = now + pause * (1 + spread * jitter)
  }

  /** What it said is of another server. */
  forget(): void {
    this.#report = undefined
    this.#equal = this.#failures = this.dueAt = 0
  }
}

/** What frozen figures do not do is move. */
const figuresOf = ({ all, byModel }: SignalReport): string => JSON.stringify([all, [...byModel]])

/**
 * Attempts that wait for the head of an answer without a limit of their own: a long prompt takes minutes, and nobody can tell that from
 * a dead server but by asking it. They wait as long as its probes are answered.
 */
import { ActiveSet, type Member } from "../exchange/ActiveSet.ts"

export interface Waiter extends Member {
  /** It has waited long enough. `isLate`: the server may only be too busy to answer probes. */
  readonly giveUp: (isLate: boolean) => void
}

/** Probes in a row whose failure ends the waits; what is due after the first one is done at once. */
const probesThatEnd = 2
/** Longest wait for the probe that decides, in milliseconds. */
export const decidesWithin = 2_000
/** So many waits, and nothing of any answer for so many milliseconds: something else than a health route is asked. */
const [manyWaits, longSilence] = [3, 60_000]

export class Patience {
  readonly #waiting = new ActiveSet<Waiter>()
  #failures = 0
  /** When a head came last, or the server proved otherwise that it works, milliseconds of the monotonic clock. */
  #livedAt = 0
  /** Its list of models is being read, to see whether more of it works than its health route. */
  #onTrial = false

  get size(): number {
    return this.#waiting.size
  }

  /** The next probe decides. */
  get isDoubted(): boolean {
    return this.#failures > 0 && this.size > 0
  }

  add(waiter: Waiter): void {
    this.#waiting.add(waiter)
  }

  delete(waiter: Waiter): void {
    this.#waiting.delete(waiter)
  }

  /** The head of an answer is in. `now`: milliseconds of the monotonic clock. */
  answered(now: number): void {
    this.#livedAt = now
  }

  /**
   * What is to be done after a probe. `isAnswered`: whatever was said, the server lives; `isLate`: it was not, by its time limit alone;
   * `underWay`: attempts, those included that have a head.
   */
  probed(isAnswered: boolean, isLate: boolean, underWay: number, now: number): "probe" | "list" | undefined {
    if (isAnswered) {
      this.#failures = 0
      const isSilent = this.size >= manyWaits && underWay === this.size && now - this.#livedAt >= longSilence
      if (!isSilent || this.#onTrial) return undefined
      this.#onTrial = true
      return "list"
    }
    if (this.size === 0) {
      this.#failures = 0
      return undefined
    }
    if (++this.#failures < probesThatEnd) return "probe"
    this.#failures = 0
    this.#end(isLate)
    return undefined
  }

  /** A list of models was asked for: that it came is life. */
  listed(isRead: boolean, now: number): void {
    if (isRead) this.#livedAt = now
    else if (this.#onTrial) this.#end(false)
    this.#onTrial = false
  }

  #end(isLate: boolean): void {
    for (const waiter of this.#waiting) waiter.giveUp(isLate)
  }
}

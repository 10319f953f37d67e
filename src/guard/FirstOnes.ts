/** Which of many like events gets a line of its own: the first of its kind within a minute. The others are counted. */
const period = 60_000
/** Kinds that are remembered. */
const most = 1_000

export class FirstOnes {
  readonly #at = new Map<string, number>()
  #quiet = 0

  /** `now`: milliseconds. */
  isFirst(kind: string, now: number): boolean {
    const last = this.#at.get(kind)
    if (last !== undefined && now - last < period) {
      this.#quiet++
      return false
    }
    if (this.#at.size >= most) this.#at.clear()
    this.#at.set(kind, now)
    return true
  }

  /** How many there were since this was asked last that got no line. */
  takeQuiet(): number {
    const count = this.#quiet
    this.#quiet = 0
    return count
  }
}

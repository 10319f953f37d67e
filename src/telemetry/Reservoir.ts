/** A uniform sample of at most 100 latencies, for lifetime percentiles in bounded memory. */

export const reservoirSize = 100

export class Reservoir {
  readonly #sample: Array<number> = []
  readonly #random: () => number
  #seen = 0

  /** `random` in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  add(value: number): void {
    this.#seen++
    if (this.#sample.length < reservoirSize) {
      this.#sample.push(value)
      return
    }
    // Value n stays with probability 100/n, in a random place.
    const at = Math.floor(this.#random() * this.#seen)
    if (at < reservoirSize) this.#sample[at] = value
  }

  /** `p` from 0 to 100; 0 without values. */
  percentile(p: number): number {
    if (this.#sample.length === 0) return 0
    const sorted = this.#sample.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0
  }
}

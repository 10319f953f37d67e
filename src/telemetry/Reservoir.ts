/** A uniform sample of at most 100 latencies, for percentiles in bounded memory (observability.md 2.4). */

const capacity = 100

export class Reservoir {
  readonly #sample: Array<number> = []
  #seen = 0

  add(value: number): void {
    this.#seen++
    if (this.#sample.length < capacity) this.#sample.push(value)
    else {
      const at = Math.floor(Math.random() * this.#seen)
      if (at < capacity) this.#sample[at] = value
    }
  }

  /** `p` from 0 to 100; 0 without values. */
  percentile(p: number): number {
    if (this.#sample.length === 0) return 0
    const sorted = [...this.#sample].sort((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0
  }
}

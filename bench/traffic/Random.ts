/** Chance that is the same on every run with the same seed. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, and without, 1. */
  readonly next = (): number => {
    // Mulberry32: 32 bits of state are enough for some million draws.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.next()
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /** The time until the next of things that happen independently of each other. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  /** Mostly small, now and then large: how the lengths of prompts are. `spread`: of the logarithm. */
  logNormal(median: number, spread: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
    return median * Math.exp(spread * normal)
  }

  /** The index of one weight, each as likely as it is heavy. */
  weighted(weights: ReadonlyArray<number>): number {
    let at = this.next() * weights.reduce((sum, weight) => sum + weight, 0)
    for (const [index, weight] of weights.entries()) {
      at -= weight
      if (at < 0) return index
    }
    return weights.length - 1
  }
}

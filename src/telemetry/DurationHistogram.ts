/** Lifetime histogram of durations for Prometheus: fixed bounds from a cache hit to a long generation. */
import type { HistogramTotals } from "./Statistics.ts"

/** Seconds. */
export const durationBounds: ReadonlyArray<number> = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

export class DurationHistogram {
  readonly #counts = new Array<number>(durationBounds.length + 1).fill(0)
  #sum = 0

  add(millis: number): void {
    const seconds = millis / 1000
    let bucket = 0
    while (bucket < durationBounds.length && seconds > (durationBounds[bucket] ?? 0)) bucket++
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum += seconds
  }

  totals(): HistogramTotals {
    let count = 0
    const buckets = [...durationBounds, Number.POSITIVE_INFINITY].map((bound, index): readonly [number, number] => {
      count += this.#counts[index] ?? 0
      return [bound, count]
    })
    return { buckets, count, sum: this.#sum }
  }
}

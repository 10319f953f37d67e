/** Lifetime histograms of durations for Prometheus. Bounds are in seconds; a value costs a few comparisons. */

/** Cumulative, as Prometheus wants it; bounds and sum in seconds. The last bucket is the count. */
export interface HistogramTotals {
  readonly buckets: ReadonlyArray<readonly [bound: number, count: number]>
  readonly count: number
  readonly sum: number
  /** Of each bucket the last value whose trace is exported. */
  readonly exemplars?: ReadonlyArray<Exemplar | undefined>
}

export interface Exemplar {
  readonly traceId: string
  readonly value: number
  /** Epoch seconds. */
  readonly at: number
}

/** Of requests, attempts, waits for headers and first tokens: from a cache hit to a job of half an hour. */
export const longBounds: ReadonlyArray<number> = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800]
export const overheadBounds: ReadonlyArray<number> = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
export const connectBounds: ReadonlyArray<number> = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]
export const tokenBounds: ReadonlyArray<number> = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5]
/** Of the two older families, successes of all kinds mixed. */
export const durationBounds: ReadonlyArray<number> = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

export class Histogram {
  readonly #bounds: ReadonlyArray<number>
  readonly #counts: Array<number>
  #exemplars: Array<Exemplar | undefined> | undefined
  #sum = 0

  constructor(bounds: ReadonlyArray<number>) {
    this.#bounds = bounds
    this.#counts = new Array<number>(bounds.length + 1).fill(0)
  }

  #bucketOf(seconds: number): number {
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && seconds > (bounds[bucket] as number)) bucket++
    return bucket
  }

  /** `trace`: of the exported trace that this value belongs to; its bucket shows the last one. */
  add(seconds: number, trace?: { readonly traceId: string; readonly at: number }): void {
    const bucket = this.#bucketOf(seconds)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#sum += seconds
    if (trace === undefined) return
    this.#exemplars ??= new Array<Exemplar | undefined>(this.#counts.length).fill(undefined)
    this.#exemplars[bucket] = { traceId: trace.traceId, value: seconds, at: trace.at }
  }

  totals(): HistogramTotals {
    let count = 0
    const buckets = [...this.#bounds, Number.POSITIVE_INFINITY].map((bound, index): readonly [number, number] => {
      count += this.#counts[index] ?? 0
      return [bound, count]
    })
    const exemplars = this.#exemplars
    return { buckets, count, sum: this.#sum, ...(exemplars === undefined ? {} : { exemplars: [...exemplars] }) }
  }
}

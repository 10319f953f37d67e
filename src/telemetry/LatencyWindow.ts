/**
 * Percentiles over the last ten minutes, in bounded memory: one histogram per minute with buckets that grow with the
 * value (exact below 32 ms, within 3 % above), allocated when a minute has samples and used again later.
 */
import type { Percentiles } from "./Statistics.ts"

const minutes = 10
const exact = 32
const perOctave = 16
const octaves = 18
const buckets = exact + octaves * perOctave

const bucketOf = (millis: number): number => {
  if (millis < exact) return millis
  const exponent = 31 - Math.clz32(millis)
  return Math.min(buckets - 1, exact + (exponent - 5) * perOctave + ((millis >> (exponent - 4)) & (perOctave - 1)))
}

/** The middle of the bucket. */
const middleOf = (bucket: number): number => {
  if (bucket < exact) return bucket
  const exponent = Math.floor((bucket - exact) / perOctave) + 5
  const step = 1 << (exponent - 4)
  return (perOctave + ((bucket - exact) % perOctave)) * step + (step >> 1)
}

interface Slice {
  minute: number
  count: number
  min: number
  max: number
  readonly counts: Uint32Array
}

export class LatencyWindow {
  readonly #slices: Array<Slice | undefined> = new Array<Slice | undefined>(minutes).fill(undefined)

  /** Of the minute in which they were asked for; gone with the next sample. */
  #known: { readonly minute: number; readonly percentiles: Percentiles | undefined } | undefined = undefined

  /** `millis`: whole, not negative; `now`: milliseconds of the monotonic clock. */
  add(millis: number, now: number): void {
    const minute = Math.floor(now / 60_000)
    const at = minute % minutes
    let slice = this.#slices[at]
    if (slice === undefined) {
      slice = { minute, count: 0, min: millis, max: millis, counts: new Uint32Array(buckets) }
      this.#slices[at] = slice
    } else if (slice.minute !== minute) {
      slice.minute = minute
      slice.count = 0
      slice.min = millis
      slice.max = millis
      slice.counts.fill(0)
    }
    this.#known = undefined
    slice.count++
    if (millis < slice.min) slice.min = millis
    if (millis > slice.max) slice.max = millis
    const bucket = bucketOf(Math.min(millis, 0x7fffffff))
    slice.counts[bucket] = (slice.counts[bucket] ?? 0) + 1
  }

  /** `undefined` without samples. */
  percentiles(now: number): Percentiles | undefined {
    const minute = Math.floor(now / 60_000)
    if (this.#known?.minute !== minute) this.#known = { minute, percentiles: this.#workedOut(minute) }
    return this.#known.percentiles
  }

  #workedOut(minute: number): Percentiles | undefined {
    const oldest = minute - minutes
    const live = this.#slices.filter((slice) => slice !== undefined && slice.minute > oldest) as Array<Slice>
    let count = 0
    let min = Number.POSITIVE_INFINITY
    let max = 0
    for (const slice of live) {
      count += slice.count
      min = Math.min(min, slice.min)
      max = Math.max(max, slice.max)
    }
    if (count === 0) return undefined
    // One walk for all three, over the buckets that have any: a document asks for every endpoint's.
    let bucket = bucketOf(Math.min(min, 0x7fffffff))
    let seen = 0
    const at = (percent: number): number => {
      const wanted = Math.min(count - 1, Math.floor((count * percent) / 100))
      while (seen <= wanted) {
        for (const { counts } of live) seen += counts[bucket] as number
        bucket++
      }
      return Math.min(max, Math.max(min, middleOf(bucket - 1)))
    }
    return { p50: at(50), p95: at(95), p99: at(99) }
  }
}

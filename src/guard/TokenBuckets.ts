/**
 * Token buckets, one per key. Effect's persistence RateLimiter is an effect with a store behind it: tens
 * of microseconds and a suspension per request. This is the hot path of every proxied request, and admission must be
 * decided in one synchronous step together with the global bucket, so the bucket is a plain object here.
 *
 * Time is passed in (milliseconds of a monotonic clock) and buckets fill lazily: nothing runs while nobody asks.
 * Limits are arguments too, so a reload takes effect at the next request and a bucket keeps its level.
 *
 * Bounded: only a bucket that is full again may be forgotten, for it is then indistinguishable from a new one. When the
 * table is full and no such bucket is found, strangers share one bucket: rotating addresses never buys a fresh burst.
 */
export interface Rate {
  /** Requests per minute; at most 0 is off. */
  readonly perMinute: number
  /** Bucket capacity in tokens. */
  readonly burst: number
}

export interface Bucket {
  tokens: number
  /** When `tokens` was true. */
  at: number
  /** When a refusal of this bucket was last reported. */
  reportedAt: number
}

/** Buckets in one table. */
export const maxBuckets = 100_000
/** How many are looked at in search of one that may be forgotten. */
const scanned = 16
/** Milliseconds without use after which the sweep drops a full bucket. */
export const idleAfter = 10 * 60_000

export const newBucket = (burst: number, now: number): Bucket => ({ tokens: burst, at: now, reportedAt: Number.NEGATIVE_INFINITY })

/** Brings the level up to `now`. */
export const refill = (bucket: Bucket, rate: Rate, now: number): void => {
  const elapsed = now - bucket.at
  if (elapsed > 0) {
    bucket.tokens += (elapsed * rate.perMinute) / 60_000
    bucket.at = now
  }
  if (bucket.tokens > rate.burst) bucket.tokens = rate.burst
}

/** A token is a token even when a float addition left it a hair short. */
const almost = 1e-9

export const hasToken = (bucket: Bucket): boolean => bucket.tokens >= 1 - almost

/** Whole tokens left. */
export const wholeTokens = (bucket: Bucket): number => Math.floor(bucket.tokens + almost)

/** Milliseconds until the bucket holds `level` tokens; 0 when it does. */
export const millisUntil = (bucket: Bucket, rate: Rate, level: number): number =>
  bucket.tokens >= level - almost ? 0 : ((level - bucket.tokens) * 60_000) / rate.perMinute

export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>()
  readonly #cap: number
  #candidates: IterableIterator<[string, Bucket]>
  #strangers: Bucket | undefined

  constructor(cap: number = maxBuckets) {
    this.#cap = cap
    this.#candidates = this.#buckets.entries()
  }

  get size(): number {
    return this.#buckets.size
  }

  /** The key's bucket, filled up to `now`. */
  at(key: string, rate: Rate, now: number): Bucket {
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#cap && !this.#forgetOne(rate, now)) {
        bucket = this.#strangers ??= newBucket(rate.burst, now)
        refill(bucket, rate, now)
        return bucket
      }
      bucket = newBucket(rate.burst, now)
      this.#buckets.set(key, bucket)
      return bucket
    }
    refill(bucket, rate, now)
    return bucket
  }

  #forgetOne(rate: Rate, now: number): boolean {
    for (let looked = 0; looked < scanned; looked++) {
      let next = this.#candidates.next()
      if (next.done === true) {
        this.#candidates = this.#buckets.entries()
        next = this.#candidates.next()
        if (next.done === true) return false
      }
      const [key, bucket] = next.value
      if (isFull(bucket, rate, now)) return this.#buckets.delete(key)
    }
    return false
  }

  /** Drops buckets that nobody used for ten minutes and that are full again. */
  sweep(rate: Rate, now: number): void {
    for (const [key, bucket] of this.#buckets)
      if (rate.perMinute <= 0 || (now - bucket.at >= idleAfter && isFull(bucket, rate, now))) this.#buckets.delete(key)
  }
}

const isFull = (bucket: Bucket, rate: Rate, now: number): boolean =>
  bucket.tokens + ((now - bucket.at) * rate.perMinute) / 60_000 >= rate.burst - almost

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { hasToken, idleAfter, millisUntil, newBucket, type Rate, refill, TokenBuckets, wholeTokens } from "../../src/guard/TokenBuckets.ts"

const rate: Rate = { perMinute: 60, burst: 5 }

describe("a token bucket", () => {
  it("starts full and fills by one token a second at 60 a minute", () => {
    const bucket = newBucket(5, 0)
    bucket.tokens = 0
    refill(bucket, rate, 999)
    expect(hasToken(bucket)).toBe(false)
    refill(bucket, rate, 1000)
    expect(wholeTokens(bucket)).toBe(1)
  })

  it("never holds more than its burst, also when the burst was lowered", () => {
    const bucket = newBucket(5, 0)
    refill(bucket, rate, 3_600_000)
    expect(bucket.tokens).toBe(5)
    refill(bucket, { perMinute: 60, burst: 2 }, 3_600_000)
    expect(bucket.tokens).toBe(2)
  })

  it("says how long it takes to a level", () => {
    const bucket = newBucket(5, 0)
    bucket.tokens = 0.25
    expect(millisUntil(bucket, rate, 1)).toBe(750)
    expect(millisUntil(bucket, rate, 0)).toBe(0)
  })

  it("does not run backwards when the clock does", () => {
    const bucket = newBucket(5, 1000)
    bucket.tokens = 1
    refill(bucket, rate, 0)
    expect(bucket.tokens).toBe(1)
  })

  it("admits at most burst plus what time gave, whatever the arrivals", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 200 }),
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 0, max: 20 }),
        (gaps, perMinute, burst) => {
          const buckets = new TokenBuckets()
          let now = 0
          let admitted = 0
          for (const gap of gaps) {
            now += gap
            const bucket = buckets.at("client", { perMinute, burst }, now)
            if (!hasToken(bucket)) continue
            bucket.tokens -= 1
            admitted++
            expect(bucket.tokens).toBeGreaterThan(-1e-6)
          }
          expect(admitted).toBeLessThanOrEqual(burst + (now * perMinute) / 60_000 + 1e-6)
        }
      ),
      { numRuns: 200 }
    )
  })
})

describe("the table of buckets", () => {
  it("gives strangers one shared bucket when it is full of spent ones, so rotating addresses buys nothing", () => {
    const buckets = new TokenBuckets(3)
    for (const key of ["a", "b", "c"]) buckets.at(key, rate, 0).tokens = 0
    const first = buckets.at("d", rate, 0)
    first.tokens -= 1
    expect(buckets.at("e", rate, 0)).toBe(first)
    expect(buckets.size).toBe(3)
  })

  it("makes room by forgetting a bucket that is full again", () => {
    const buckets = new TokenBuckets(2)
    buckets.at("a", rate, 0).tokens = 0
    buckets.at("b", rate, 0)
    buckets.at("c", rate, 0).tokens = 3
    expect(buckets.size).toBe(2)
    expect(buckets.at("a", rate, 0).tokens).toBe(0)
    expect(buckets.at("c", rate, 0).tokens).toBe(3)
  })

  it("drops in the sweep what was idle for ten minutes and is full, and keeps what is still paying back", () => {
    const slow: Rate = { perMinute: 1, burst: 50 }
    const buckets = new TokenBuckets()
    buckets.at("fresh", slow, idleAfter - 1)
    buckets.at("full", slow, 0)
    buckets.at("spent", slow, 0).tokens = 0
    buckets.sweep(slow, idleAfter)
    expect(buckets.size).toBe(2)
    expect(buckets.at("spent", slow, idleAfter).tokens).toBeCloseTo(10)
  })
})

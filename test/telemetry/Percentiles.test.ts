import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LatencyWindow } from "../../src/telemetry/LatencyWindow.ts"
import { durationBounds, Histogram } from "../../src/telemetry/metrics/Histogram.ts"
import { Reservoir, reservoirSize } from "../../src/telemetry/Reservoir.ts"

const exact = (values: ReadonlyArray<number>, percent: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor((values.length * percent) / 100))] ?? 0

describe("the reservoir", () => {
  it("is 0 without values and exact while everything fits", () => {
    const reservoir = new Reservoir()
    expect(reservoir.percentile(95)).toBe(0)
    const values = Array.from({ length: reservoirSize }, (_, n) => (n * 37) % 100)
    for (const value of values) reservoir.add(value)
    for (const percent of [0, 50, 95, 99, 100]) expect(reservoir.percentile(percent)).toBe(exact(values, percent))
  })

  it("replaces with probability 100/n, in a random place", () => {
    let next = 0
    const reservoir = new Reservoir(() => next)
    for (let n = 0; n < reservoirSize; n++) reservoir.add(1)
    next = 0.999
    reservoir.add(1000)
    expect(reservoir.percentile(100)).toBe(1)
    next = 0
    reservoir.add(1000)
    expect(reservoir.percentile(100)).toBe(1000)
  })
})

describe("the window", () => {
  it("is exact below 32 ms and within 4 % above, and never outside of what was seen", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 600_000 }), { minLength: 1, maxLength: 200 }), (values) => {
        const window = new LatencyWindow()
        for (const value of values) window.add(value, 0)
        const got = window.percentiles(0)
        for (const [percent, value] of [
          [50, got?.p50],
          [95, got?.p95],
          [99, got?.p99]
        ] as const) {
          const wanted = exact(values, percent)
          if (wanted < 32) expect(value).toBe(wanted)
          else expect(Math.abs((value ?? 0) - wanted)).toBeLessThanOrEqual(wanted * 0.04)
          expect(value).toBeLessThanOrEqual(Math.max(...values))
          expect(value).toBeGreaterThanOrEqual(Math.min(...values))
        }
      }),
      { numRuns: 100 }
    )
  })

  it("knows of every sample since it was last asked, and of every minute that has passed", () => {
    const window = new LatencyWindow()
    expect(window.percentiles(0)).toBeUndefined()
    window.add(10, 0)
    expect(window.percentiles(0)?.p99).toBe(10)
    window.add(30, 0)
    expect(window.percentiles(0)?.p99).toBe(30)
    expect(window.percentiles(9 * 60_000)?.p99).toBe(30)
    expect(window.percentiles(10 * 60_000)).toBeUndefined()
  })

  it("uses a minute's place again after ten minutes", () => {
    const window = new LatencyWindow()
    window.add(10, 0)
    window.add(20, 10 * 60_000)
    expect(window.percentiles(10 * 60_000)).toEqual({ p50: 20, p95: 20, p99: 20 })
  })

  it("survives absurd values", () => {
    const window = new LatencyWindow()
    window.add(1e12, 0)
    expect(window.percentiles(0)?.p50).toBe(1e12)
  })
})

it("the histogram counts cumulatively, a bound included", () => {
  const histogram = new Histogram(durationBounds)
  for (const millis of [50, 51, 300_000, 300_001]) histogram.add(millis / 1000)
  const { buckets, count, sum } = histogram.totals()
  expect(count).toBe(4)
  expect(sum).toBeCloseTo(600.102)
  expect(buckets.map(([bound]) => bound)).toEqual([...durationBounds, Number.POSITIVE_INFINITY])
  expect(buckets.at(0)?.[1]).toBe(1)
  expect(buckets.at(1)?.[1]).toBe(2)
  expect(buckets.at(-2)?.[1]).toBe(3)
  expect(buckets.at(-1)?.[1]).toBe(4)
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Pace } from "../../../src/endpoint/lane/Pace.ts"

const measured = (...samples: ReadonlyArray<readonly [took: number, tokens: number, now: number]>): Pace => {
  const pace = new Pace()
  for (const sample of samples) pace.sample(...sample)
  return pace
}

describe("the pace of a lane", () => {
  it("is milliseconds for a thousand tokens: the mean of the first samples, then mostly what it was", () => {
    const pace = measured([1000, 1000, 0])
    expect(pace.base).toBe(1000)
    pace.sample(1000, 500, 0)
    expect(pace.base).toBe(1500)
    for (let n = 0; n < 8; n++) pace.sample(1500, 1000, 0)
    expect(pace.base).toBeCloseTo(1500)
    pace.sample(2500, 1000, 0)
    expect(pace.base).toBeCloseTo(1600)
  })

  it("believes a stall at once, and forgets it by two thirds in ten seconds", () => {
    const pace = measured(...Array.from({ length: 20 }, () => [100, 1000, 0] as const))
    pace.sample(5000, 1000, 1000)
    const base = pace.base
    expect(pace.at(base, 1000)).toBeCloseTo(5000)
    expect(pace.at(base, 11_000)).toBeCloseTo(base + (5000 - base) / Math.E)
    expect(pace.at(base, 200_000)).toBeCloseTo(base)
  })

  it("does not take a lesser stall for the end of a greater one", () => {
    const pace = measured(...Array.from({ length: 20 }, () => [100, 1000, 0] as const))
    pace.sample(5000, 1000, 0)
    pace.sample(2000, 1000, 1)
    expect(pace.at(pace.base, 1)).toBeGreaterThan(4900)
  })

  it("comes nearer to the best while nobody asks it, and stays slow while it is asked", () => {
    const pace = measured([1000, 1000, 0])
    expect(pace.at(100, 0)).toBeCloseTo(1000)
    expect(pace.at(100, 60_000)).toBeCloseTo(100 + 900 / Math.E)
    expect(pace.at(100, 600_000)).toBe(100)
    pace.sample(1000, 1000, 600_000)
    expect(pace.at(100, 600_000)).toBeCloseTo(1000)
  })

  it("is the best where it is hardly worse", () => {
    expect(measured([165, 1000, 0]).at(100, 0)).toBe(100)
    expect(measured([166, 1000, 0]).at(100, 0)).toBe(166)
  })

  it("is never better than the best, nor worse than all that was seen", () => {
    const samples = fc.array(fc.tuple(fc.nat({ max: 60_000 }), fc.integer({ min: 512, max: 100_000 }), fc.nat({ max: 10_000 })), {
      minLength: 1
    })
    fc.assert(
      fc.property(samples, fc.nat({ max: 100_000 }), (steps, later) => {
        const pace = new Pace()
        let now = 0
        let worst = 0
        for (const [took, tokens, after] of steps) {
          now += after
          pace.sample(took, tokens, now)
          worst = Math.max(worst, (1000 * took) / tokens)
        }
        const best = pace.base / 2
        expect(pace.at(best, now + later)).toBeGreaterThanOrEqual(best)
        expect(pace.at(best, now + later)).toBeLessThanOrEqual(worst + 1e-6)
      })
    )
  })
})

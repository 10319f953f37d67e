import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { costOf, type LaneFigures, newFigures } from "../../../src/balancing/adaptive/Cost.ts"

const idle: LaneFigures = { ...newFigures(), pace: 200, turn: 5000, slots: Number.POSITIVE_INFINITY }

describe("the cost of a lane", () => {
  it.each<[what: string, lane: Partial<LaneFigures>, tokens: number, cost: number]>([
    ["a short prompt counts for 512 tokens", {}, 10, 102.4],
    ["a long one for all of its own", {}, 10_000, 2000],
    ["but what is kept of it", { cached: 9000 }, 10_000, 200],
    ["a kept one for 512 tokens still", { cached: 10_000 }, 10_000, 102.4],
    ["what stands before it", { unread: 5000 }, 1000, 1200],
    ["half as much with twice the weight", { unread: 5000, weight: 2 }, 1000, 700],
    ["nothing for slots that are free", { slots: 4, inFlight: 3 }, 1000, 200],
    ["a turn's share for those that are taken", { slots: 4, inFlight: 4 }, 1000, 1450],
    ["by others, too", { slots: 4, inFlight: 2, foreign: 3 }, 1000, 200 + 5000 / 2],
    ["a load", { load: 16_000 }, 1000, 16_200],
    ["failures", { failures: 2 }, 1000, 4200]
  ])("%s", (_, lane, tokens, cost) => {
    expect(costOf({ ...idle, ...lane }, tokens)).toBeCloseTo(cost)
  })

  it("never falls with more to do, more failures, a slower pace or less that is kept", () => {
    const figure = fc.nat({ max: 100_000 })
    const lanes = fc.record({
      pace: figure,
      unread: figure,
      inFlight: fc.nat({ max: 50 }),
      foreign: fc.nat({ max: 50 }),
      turn: figure,
      slots: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(Number.POSITIVE_INFINITY)),
      load: figure,
      failures: fc.nat({ max: 5 }),
      weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
      cached: fc.nat({ max: 4000 })
    })
    fc.assert(
      fc.property(lanes, fc.nat({ max: 100_000 }), (lane, tokens) => {
        const cost = costOf(lane, tokens)
        expect(Number.isFinite(cost)).toBe(true)
        for (const worse of ["pace", "unread", "inFlight", "foreign", "turn", "load", "failures"] as const)
          expect(costOf({ ...lane, [worse]: lane[worse] + 1 }, tokens)).toBeGreaterThanOrEqual(cost)
        expect(costOf({ ...lane, cached: lane.cached + 256 }, tokens)).toBeLessThanOrEqual(cost)
        expect(costOf({ ...lane, slots: lane.slots + 1 }, tokens)).toBeLessThanOrEqual(cost)
      })
    )
  })
})

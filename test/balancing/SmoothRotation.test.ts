import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { takeTurn } from "../../src/balancing/SmoothRotation.ts"

const takersOf = (count: number, credit = 0) => Array.from({ length: count }, () => ({ credit }))

const turns = (weights: ReadonlyArray<number>, count: number): ReadonlyArray<number> => {
  const takers = takersOf(weights.length)
  return Array.from({ length: count }, () => takeTurn(takers, weights, weights.length, () => 0))
}

describe("turns by weight", () => {
  it("are spread evenly", () => {
    expect(turns([3, 1], 8).join("")).toBe("00100010")
    expect(turns([5, 1, 1], 7).join("")).toBe("0010200")
    expect(turns([1, 1, 1], 6).join("")).toBe("012012")
  })

  it("give each its share at any moment, to within one turn for each of the others", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }), fc.nat({ max: 200 }), (weights, count) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const taken = weights.map(() => 0)
        for (const turn of turns(weights, count)) taken[turn] = (taken[turn] as number) + 1
        for (const [n, weight] of weights.entries())
          expect(Math.abs((taken[n] as number) - (count * weight) / total)).toBeLessThanOrEqual(weights.length)
      })
    )
  })

  it("begin where chance says, once", () => {
    const takers = takersOf(2, Number.NaN)
    const drawn = [0.1, 0.9]
    expect(takeTurn(takers, [1, 1], 2, () => drawn.shift() as number)).toBe(1)
    expect(takeTurn(takers, [1, 1], 2, () => drawn.shift() as number)).toBe(0)
  })

  it("are nobody's where there is nobody", () => {
    expect(takeTurn([], [], 0, () => 0)).toBe(-1)
  })
})

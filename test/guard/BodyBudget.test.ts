import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BodyBudget, BodyShare, effectiveBudget } from "../../src/guard/BodyBudget.ts"
import { bodyLimitOf, bodySizeKey, budgetKey } from "../../src/guard/SizeLimits.ts"
import { runs } from "../propertyRuns.ts"

describe("the budget of bodies", () => {
  it("is what was set, none with 0, and never above 1 GiB where nobody set it", () => {
    expect(effectiveBudget(5_000)).toBe(5_000)
    expect([effectiveBudget(0), effectiveBudget(-1)]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])
    expect(effectiveBudget(undefined)).toBeGreaterThan(0)
    expect(effectiveBudget(undefined)).toBeLessThanOrEqual(1024 ** 3)
  })

  it("refuses what does not fit and leaves everything as it was", () => {
    const budget = new BodyBudget(() => 100)
    const first = new BodyShare(budget)
    const second = new BodyShare(budget)
    expect(first.reserve(80)).toBe(true)
    expect(second.reserve(21)).toBe(false)
    expect([budget.held, budget.refused]).toEqual([80, 1])
    expect(second.reserve(20)).toBe(true)
    expect(first.reserve(81)).toBe(false)
    second.release()
    expect(first.reserve(100)).toBe(true)
    first.release()
    first.release()
    expect([budget.held, budget.largest]).toEqual([0, 100])
  })

  it("takes nothing for a request that has ended", () => {
    const budget = new BodyBudget(() => 100)
    const share = new BodyShare(budget)
    share.release()
    expect([share.reserve(50), budget.held]).toEqual([true, 0])
  })

  it("lets what is held go on when a reload makes it smaller, and takes no more", () => {
    let limit = 100
    const budget = new BodyBudget(() => limit)
    const share = new BodyShare(budget)
    share.reserve(90)
    limit = 50
    expect([share.reserve(90), share.reserve(91), new BodyShare(budget).reserve(1)]).toEqual([true, false, false])
    share.shrink(40)
    expect(new BodyShare(budget).reserve(10)).toBe(true)
  })

  it("keeps a part for small bodies: what others declare and never send takes no short request away", () => {
    const MiB = 1024 * 1024
    const budget = new BodyBudget(() => 640 * MiB)
    const large = Array.from({ length: 8 }, () => new BodyShare(budget))
    expect(large.map((share) => share.reserve(90 * MiB))).toEqual([...Array(7).fill(true), false])
    const small = Array.from({ length: 6 }, () => new BodyShare(budget))
    expect(small.map((share) => share.reserve(2 * MiB))).toEqual([...Array(5).fill(true), false])
    // One that grows is small no more.
    small[0]?.release()
    const growing = new BodyShare(budget)
    expect([growing.reserve(MiB), growing.reserve(2 * MiB), growing.reserve(2 * MiB + 1)]).toEqual([true, true, false])
    expect(bodyLimitOf(0, 640 * MiB, 1).bytes).toBe(630 * MiB)
  })

  it("is empty after any order of begins, growth, shrinking and ends, and was never above its limit", () => {
    const step = fc.record({ who: fc.nat(7), what: fc.constantFrom("reserve", "shrink", "release"), bytes: fc.nat(80) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = new BodyBudget(() => 100)
        const shares = Array.from({ length: 8 }, () => new BodyShare(budget))
        for (const { who, what, bytes } of steps) {
          const share = shares[who] as BodyShare
          if (what === "release") share.release()
          else if (what === "shrink") share.shrink(bytes)
          else share.reserve(bytes)
          expect(budget.held).toBeGreaterThanOrEqual(0)
          expect(budget.held).toBeLessThanOrEqual(100)
        }
        for (const share of shares) share.release()
        expect(budget.held).toBe(0)
      }),
      { numRuns: runs(1_000) }
    )
  })

  it("bounds one body too, by its own key", () => {
    expect(bodyLimitOf(100, 250, 1)).toEqual({ bytes: 100, key: bodySizeKey })
    expect(bodyLimitOf(100, 250, 3)).toEqual({ bytes: 83, key: budgetKey })
    expect(bodyLimitOf(0, Number.POSITIVE_INFINITY, 1).bytes).toBe(Number.POSITIVE_INFINITY)
  })
})

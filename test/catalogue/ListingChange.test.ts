import { describe, expect, it } from "vitest"
import { sameListing, steadied } from "../../src/catalogue/ListingChange.ts"
import { listed } from "./fakes.ts"

describe("a list that is read again", () => {
  it("is the same when only its time differs", () => {
    const before = [listed("m", { size: 1 }, { families: ["a", "b"], state: "loaded" }), listed("n")]
    const after = before.map((model) => ({
      ...model,
      lastSeen: 2_000_000,
      ...(model.details === undefined ? {} : { details: { ...model.details } })
    }))
    expect(sameListing(before, after)).toBe(true)
  })

  it.each([
    ["a state", [listed("m", {}, { state: "not-loaded" })]],
    ["a family", [listed("m", {}, { state: "loaded", families: ["a"] })]],
    ["a name", [listed("M", {}, { state: "loaded" })]],
    ["a size", [listed("m", { size: 5 }, { state: "loaded" })]],
    ["its length", [listed("m", {}, { state: "loaded" }), listed("n")]],
    ["its details", [listed("m")]]
  ])("is another one when %s differs", (_, after) => {
    expect(sameListing([listed("m", {}, { state: "loaded" })], after)).toBe(false)
  })

  it("keeps the dates of models whose server dates them by the answer", () => {
    const before = [listed("m", { created: 100 }, { modified_at: 100_000 })]
    const after = [listed("m", { created: 200, lastSeen: 2_000_000 }, { modified_at: 200_000 }), listed("new", { created: 200 })]
    expect(steadied(before, after)).toEqual([
      listed("m", { created: 100, lastSeen: 2_000_000 }, { modified_at: 100_000 }),
      listed("new", { created: 200 })
    ])
  })

  it("takes the new date of a model whose digest tells that it was pulled again", () => {
    const after = [listed("m", { created: 200 }, { digest: "b" })]
    expect(steadied([listed("m", { created: 100 }, { digest: "a" })], after)).toEqual(after)
  })
})

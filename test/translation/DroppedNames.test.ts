import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { droppedHeader } from "../../src/translation/DroppedNames.ts"

describe("the header that names what was left out", () => {
  it("is sorted, says each name once, and is absent for nothing", () => {
    expect(droppedHeader(["b", "a", "b"])).toBe("a,b")
    expect(droppedHeader([])).toBeUndefined()
  })

  it("can be sent whatever the names are, and is short", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constant("x".repeat(600)))), (names) => {
        const header = droppedHeader(names) ?? ""
        expect(header).toMatch(/^[\x21-\x7e]*$/)
        expect(header.length).toBeLessThanOrEqual(1_000)
      })
    )
  })
})

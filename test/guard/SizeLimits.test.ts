import { describe, expect, it } from "vitest"
import { effectiveBodyLimit, effectiveHeaderLimit, headerSize } from "../../src/guard/SizeLimits.ts"
import { RequestHead } from "../../src/http/listener/RequestHead.ts"

const headOf = (...rawHeaders: ReadonlyArray<string>) => new RequestHead({ httpVersionMajor: 1, httpVersionMinor: 1, rawHeaders })

describe("size limits", () => {
  it.each([
    [0, 1048576],
    [-5, 1048576],
    [1, 4096],
    [4095, 4096],
    [4096, 4096],
    [20000, 20000]
  ])("a header limit of %i takes effect as %i", (configured, effective) => expect(effectiveHeaderLimit(configured)).toBe(effective))

  it("has no body limit at 0 and below", () => {
    expect(effectiveBodyLimit(0)).toBe(Number.POSITIVE_INFINITY)
    expect(effectiveBodyLimit(-1)).toBe(Number.POSITIVE_INFINITY)
    expect(effectiveBodyLimit(10)).toBe(10)
  })

  it("estimates name and value plus 4 for each value, the request line plus 4, and not the host", () => {
    const request = "GET".length + "/olla/proxy/x".length + 8 + 4
    expect(headerSize("GET", "/olla/proxy/x", headOf("Host", "example.com", "Accept", "*/*"), 1e6)).toBe(request + 6 + 3 + 4)
  })

  it("counts a repeated name once when it matters", () => {
    const headers = headOf("X-Long", "a".repeat(50), "x-long", "b".repeat(50))
    const once = 3 + 1 + 12 + 6 + 100 + 8
    expect(headerSize("GET", "/", headers, once)).toBe(once)
    expect(headerSize("GET", "/", headers, once - 1)).toBe(once)
  })
})

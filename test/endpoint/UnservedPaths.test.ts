import { describe, expect, it } from "vitest"
import { UnservedPaths } from "../../src/endpoint/UnservedPaths.ts"

const minutes = 60_000

describe("paths that an endpoint does not serve", () => {
  it("are remembered for 15 minutes, by method, and by model where they are refused for one", () => {
    let now = 0
    const paths = new UnservedPaths(() => now)
    paths.add("POST", "/v1/rerank", "")
    paths.add("POST", "/v1/embeddings", "m")
    expect(paths.has("POST", "/v1/rerank", "m")).toBe(true)
    expect(paths.has("GET", "/v1/rerank", "m")).toBe(false)
    expect(paths.has("POST", "/v1/score", "m")).toBe(false)
    expect(["m", "n", ""].map((model) => paths.has("POST", "/v1/embeddings", model))).toEqual([true, false, false])
    now = 15 * minutes - 1
    expect(paths.has("POST", "/v1/rerank", "")).toBe(true)
    now = 15 * minutes
    expect(paths.has("POST", "/v1/rerank", "")).toBe(false)
    expect(paths.has("POST", "/v1/embeddings", "m")).toBe(false)
    expect(paths.isEmpty).toBe(true)
  })
  it("are bounded, the oldest going first", () => {
    const paths = new UnservedPaths(() => 0)
    for (let n = 0; n < 100; n++) paths.add("GET", `/${n}`, "")
    paths.add("GET", `/${"x".repeat(300)}`, "")
    const held = Array.from({ length: 100 }, (_, n) => n).filter((n) => paths.has("GET", `/${n}`, ""))
    expect([held.length, held[0]]).toEqual([64, 36])
    paths.clear()
    expect(paths.isEmpty).toBe(true)
  })
})

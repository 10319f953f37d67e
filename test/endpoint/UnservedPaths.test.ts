import { describe, expect, it } from "vitest"
import { UnservedPaths } from "../../src/endpoint/UnservedPaths.ts"

const minutes = 60_000

describe("paths that an endpoint does not serve", () => {
  it("are remembered for 15 minutes, by method, and for a minute where they are refused for one model", () => {
    let now = 0
    const paths = new UnservedPaths(() => now)
    paths.add("POST", "/v1/rerank", "")
    paths.add("POST", "/v1/embeddings", "m")
    expect(paths.has("POST", "/v1/rerank", "m")).toBe(true)
    expect(paths.has("GET", "/v1/rerank", "m")).toBe(false)
    expect(paths.has("POST", "/v1/score", "m")).toBe(false)
    expect(["m", "n", ""].map((model) => paths.has("POST", "/v1/embeddings", model))).toEqual([true, false, false])
    now = minutes - 1
    expect(paths.has("POST", "/v1/embeddings", "m")).toBe(true)
    now = minutes
    expect(paths.has("POST", "/v1/embeddings", "m")).toBe(false)
    now = 15 * minutes - 1
    expect(paths.has("POST", "/v1/rerank", "")).toBe(true)
    now = 15 * minutes
    expect(paths.has("POST", "/v1/rerank", "")).toBe(false)
    expect(paths.isEmpty).toBe(true)
  })
  it("are never those that it has served lately, until another server may stand there", () => {
    let now = 0
    const paths = new UnservedPaths(() => now)
    paths.add("POST", "/v1/chat/completions", "")
    paths.served("POST", "/v1/chat/completions", "m")
    expect(paths.isEmpty).toBe(true)
    paths.add("POST", "/v1/chat/completions", "m")
    paths.add("POST", "/v1/chat/completions", "")
    expect(paths.has("POST", "/v1/chat/completions", "m")).toBe(false)
    // Another model may be refused on it, and it another method.
    paths.add("POST", "/v1/chat/completions", "n")
    paths.add("PUT", "/v1/chat/completions", "")
    expect([paths.has("POST", "/v1/chat/completions", "n"), paths.has("PUT", "/v1/chat/completions", "m")]).toEqual([true, true])
    paths.clear()
    paths.add("POST", "/v1/chat/completions", "m")
    expect(paths.has("POST", "/v1/chat/completions", "m")).toBe(true)
    paths.served("POST", "/v1/score", "")
    now = 15 * minutes
    paths.add("POST", "/v1/score", "")
    expect(paths.has("POST", "/v1/score", "")).toBe(true)
  })
  it("are bounded where they are served too", () => {
    const paths = new UnservedPaths(() => 0)
    for (let n = 0; n < 1000; n++) paths.served("GET", `/${n}`, "m")
    // What it is known to have served lately it cannot be said to lack.
    const known = Array.from({ length: 1000 }, (_, n) => n).filter((n) => {
      paths.add("GET", `/${n}`, "")
      return !paths.has("GET", `/${n}`, "")
    })
    expect(known.length).toBeGreaterThan(0)
    expect(known.length).toBeLessThanOrEqual(256)
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

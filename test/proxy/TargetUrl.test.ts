import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { outboundPath } from "../../src/proxy/TargetUrl.ts"

describe("the path that goes to a backend", () => {
  it.each([
    // target, base, kept base, path
    ["/chat", "/api/v1/", false, "/chat"],
    ["//v1//chat", "/", false, "//v1//chat"],
    ["/", "/v1/api", true, "/v1/api"],
    ["/chat?x=1", "/v1/api", true, "/v1/api/chat?x=1"],
    ["/chat/", "/v1//api/", true, "/v1/api/chat"],
    ["/../../x", "/v1", true, "/v1/x"],
    ["/a%2Fb%20c", "/", false, "/a%2Fb%20c"],
    ["/x#fragment", "/", false, "/x"],
    ["/a/../b", "/", false, "/b"],
    ["/%2e%2e/x", "/", false, "/x"],
    ["/..%2f..%2fx", "/", false, "/x"],
    ["/a/..%2Fx", "/", false, "/x"],
    ["/%zz/../x", "/", false, "/x"],
    ["/..%2f%0d%0aEvil:%20x", "/", false, "/%0d%0aEvil:%20x"],
    ["/..%2f%3fq%23f", "/v1", true, "/v1/%3fq%23f"]
  ])("%s on base %s (kept: %s) is %s", (target, base, kept, expected) => {
    expect(outboundPath(target, base, kept)).toBe(expected)
  })

  it.each([
    // The version that both have is there once.
    ["/v1/chat/completions?x=1", "/v1", "/v1/chat/completions?x=1"],
    ["/v1/models", "/openai/v1/", "/openai/v1/models"],
    ["/v1", "/v1", "/v1"],
    ["/v1beta/x", "/v1", "/v1/v1beta/x"],
    ["/v1/v1/x", "/v1", "/v1/v1/x"],
    ["/v1/x", "/qwen", "/qwen/v1/x"],
    // What a client asks for without it is below the base as it is written,
    ["/chat/completions", "/openai/v1", "/openai/v1/chat/completions"],
    // and what the kind is known by is below the root.
    ["/api/chat", "/v1", "/api/chat"],
    ["/api/chat", "/box/v1", "/box/api/chat"]
  ])("%s below the base %s of an Ollama is %s", (target, base, expected) => {
    expect(outboundPath(target, base, true, ["/api/chat", "/v1/chat/completions"])).toBe(expected)
  })

  const piece = fc.oneof(
    fc.constantFrom(
      "..",
      ".",
      "%2e",
      "%2E%2e",
      "/",
      "%2f",
      "%2F",
      "%5c",
      "%0d%0a",
      "%20",
      "%3f",
      "%23",
      "%zz",
      "%",
      "a",
      "b",
      "%252e%252e"
    ),
    fc.stringMatching(/^[a-z0-9._~-]{1,4}$/)
  )

  it("never climbs, and never holds a character that the request did not", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, kept) => {
        const path = outboundPath(`/${pieces.join("")}`, kept ? "/base" : "/", kept)
        expect(path).toMatch(/^\/[\x21-\x7e]*$/)
        expect(path).not.toMatch(/[?#]/)
        if (kept) expect(path === "/base" || path.startsWith("/base/")).toBe(true)
        for (const part of path.split(/\/|%2f/i)) expect(["..", "%2e.", ".%2e", "%2e%2e"]).not.toContain(part.toLowerCase())
      })
    )
  })
})

import { describe, expect, it } from "vitest"
import { Cors, type CorsSettings, defaultExposedHeaders, isInternalPath } from "../../src/guard/Cors.ts"

const cors = (changes: Partial<CorsSettings> = {}) =>
  new Cors({
    enabled: true,
    allowed_origins: ["*"],
    allowed_methods: ["GET", "POST", "OPTIONS"],
    allowed_headers: ["*"],
    exposed_headers: [],
    allow_credentials: false,
    max_age: 300,
    ...changes
  })

const pairs = (headers: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1] ?? ""]] : [])))

const vary = { Vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" }
const ask = { origin: "https://app.example", method: "POST", headers: "content-type,x-custom", internal: false }

describe("a preflight", () => {
  it("is allowed with star, the requested method and list, and the age", () => {
    expect(pairs(cors().preflight(ask))).toEqual({
      ...vary,
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Methods": "POST",
      "Access-Control-Allow-Headers": "content-type,x-custom",
      "Access-Control-Max-Age": "300"
    })
  })

  it("echoes a named origin as it was sent, with credentials, and sends no age of 0", () => {
    const policy = cors({ allowed_origins: ["https://APP.example"], allow_credentials: true, max_age: 0 })
    expect(pairs(policy.preflight({ ...ask, headers: "" }))).toEqual({
      ...vary,
      "Access-Control-Allow-Origin": "https://app.example",
      "Access-Control-Allow-Methods": "POST",
      "Access-Control-Allow-Credentials": "true"
    })
  })

  it.each([
    ["a foreign origin", cors({ allowed_origins: ["https://other.example"] }), ask],
    ["no origin", cors(), { ...ask, origin: undefined }],
    ["another method", cors(), { ...ask, method: "DELETE" }],
    ["a method in another case", cors(), { ...ask, method: "post" }],
    ["a header that is not listed", cors({ allowed_headers: ["Content-Type"] }), ask],
    ["a star on an internal path", cors(), { ...ask, internal: true }]
  ])("from %s gets only Vary", (_name, policy, request) => expect(pairs(policy.preflight(request))).toEqual(vary))

  it("compares header names in any case", () => {
    const policy = cors({ allowed_headers: ["Content-Type", "X-Custom"] })
    expect(pairs(policy.preflight(ask))["Access-Control-Allow-Headers"]).toBe("content-type,x-custom")
  })

  it("always knows OPTIONS", () => {
    expect(pairs(cors({ allowed_methods: [] }).preflight({ ...ask, method: "OPTIONS" }))["Access-Control-Allow-Methods"]).toBe("OPTIONS")
  })
})

describe("an answer", () => {
  it("varies by origin even when nothing is allowed", () => {
    expect(cors().answer("GET", undefined, false)).toEqual(["Vary", "Origin"])
    expect(cors({ allowed_origins: ["https://x"] }).answer("GET", "https://y", false)).toEqual(["Vary", "Origin"])
    expect(cors().answer("DELETE", "https://y", false)).toEqual(["Vary", "Origin"])
  })

  it("exposes the headers of ours unless the configuration names others", () => {
    expect(pairs(cors().answer("GET", "https://y", false))).toEqual({
      Vary: "Origin",
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Expose-Headers": defaultExposedHeaders.join(", ")
    })
    expect(defaultExposedHeaders.every((name) => name.startsWith("X-Olla-"))).toBe(true)
    expect(pairs(cors({ exposed_headers: ["X-A", "X-B"] }).answer("GET", "https://y", false))["Access-Control-Expose-Headers"]).toBe(
      "X-A, X-B"
    )
  })

  it("does not open internal paths by a star, but by a name or pattern", () => {
    expect(cors().answer("GET", "https://y", true)).toEqual(["Vary", "Origin"])
    const named = cors({ allowed_origins: ["*", "https://ops.example"] })
    expect(pairs(named.answer("GET", "https://ops.example", true))["Access-Control-Allow-Origin"]).toBe("https://ops.example")
  })

  it.each([
    ["https://*.example.com", "https://a.example.com", true],
    ["https://*.example.com", "https://A.B.EXAMPLE.com", true],
    ["https://*.example.com", "https://example.com", false],
    ["https://*.example.com", "https://a.example.com.evil", false],
    ["https://a*a", "https://a", false],
    ["https://exact.example", "https://exact.example:8080", false]
  ])("origin %s against %s: %s", (entry, origin, allowed) => {
    expect(cors({ allowed_origins: [entry] }).allowOrigin(origin, false) !== undefined).toBe(allowed)
  })
})

it("knows which paths are internal", () => {
  expect(["/internal/status", "/internal", "/version"].every(isInternalPath)).toBe(true)
  expect(["/olla/proxy/", "/versions", "/internals", "/"].some(isInternalPath)).toBe(false)
})

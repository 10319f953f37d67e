import { describe, expect, it } from "vitest"
import { errorTable, errorTypeOf, fill, rejections, rejectionText, renderError, wantsJson } from "../../src/http/ErrorTable.ts"

describe("who gets an error in JSON", () => {
  it.each([
    ["application/json", true],
    ["APPLICATION/JSON", true],
    ["text/html, application/json;q=0.1", true],
    ["application/json; charset=utf-8", true],
    ["application/json;q=1.0;x=y", true],
    ["application/json;q=0", false],
    ["application/json;q=0.000", false],
    ["application/json ; Q=0", false],
    ["application/json;q=x", false],
    ["application/jsonp", false],
    ["application/*", false],
    ["*/*", false],
    ["text/plain", false],
    ["", false]
  ])("%s: %s", (accept, expected) => {
    expect(wantsJson(accept)).toBe(expected)
  })
})

describe("an error", () => {
  it("has the type that its status says", () => {
    const types = [400, 403, 404, 405, 408, 413, 429, 431, 500, 501, 502, 503, 504].map((status) => [status, errorTypeOf(status)])
    expect(types).toEqual([
      [400, "invalid_request_error"],
      [403, "api_error"],
      [404, "not_found_error"],
      [405, "invalid_request_error"],
      [408, "timeout_error"],
      [413, "request_too_large"],
      [429, "rate_limit_error"],
      [431, "invalid_request_error"],
      [500, "api_error"],
      [501, "api_error"],
      [502, "api_error"],
      [503, "api_error"],
      [504, "timeout_error"]
    ])
  })

  it("has the same sentence in both forms", () => {
    const plain = renderError(404, "Model not found", null, "*/*")
    const json = renderError(404, "Model not found", null, "application/json")
    expect(plain).toEqual({ contentType: "text/plain; charset=utf-8", body: "Model not found\n" })
    expect(json.contentType).toBe("application/json")
    expect(JSON.parse(json.body)).toEqual({ error: { message: "Model not found", type: "not_found_error", code: null } })
  })

  it("keeps what is filled in as it is", () => {
    expect(fill("proxy", { detail: "a {detail} with $& and {what}" })).toBe("Proxy error: a {detail} with $& and {what}")
    expect(rejectionText("model_not_found", "$& {model}")).toBe("model '$& {model}' not found: no endpoint has it")
  })

  it("tells in every entry when it happens and what helps", () => {
    for (const [name, entry] of Object.entries(errorTable)) {
      expect(entry.when.length, name).toBeGreaterThan(10)
      expect(entry.remedy.length, name).toBeGreaterThan(5)
    }
  })

  it("is 404 for a model that nobody has, and 503 for every other refusal by routing", () => {
    for (const [token, { status }] of Object.entries(rejections)) expect(status, token).toBe(token === "model_not_found" ? 404 : 503)
  })
})

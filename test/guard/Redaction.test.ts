import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { redactQuery, redactText, redactUrl } from "../../src/guard/Redaction.ts"

describe("redaction of a query", () => {
  it.each([
    ["api_key=abc&x=1", "api_key=[REDACTED]&x=1"],
    ["x=1&TOKEN=abc&y=2", "x=1&TOKEN=[REDACTED]&y=2"],
    ["api%5Fkey=abc", "api%5Fkey=[REDACTED]"],
    ["%zzkey=abc&key=1", "%zzkey=abc&key=[REDACTED]"],
    ["token&key", "token&key"],
    ["a=b=c&secret=d=e", "a=b=c&secret=[REDACTED]"],
    ["keyboard=1&tokens=2", "keyboard=1&tokens=2"],
    ["code=1&sig=2&client_secret=3", "code=[REDACTED]&sig=[REDACTED]&client_secret=[REDACTED]"],
    ["", ""]
  ])("%s becomes %s", (query, redacted) => expect(redactQuery(query)).toBe(redacted))

  it.each([
    ...["api_key", "token", "access_token", "key", "password", "secret", "auth", "apikey", "api-key", "x-api-key", "bearer"],
    ...["client_secret", "refresh_token", "id_token", "sig", "signature", "code"]
  ])("hides %s", (name) => expect(redactQuery(`${name}=hush`)).not.toContain("hush"))

  it("changes nothing but values of secret names", () => {
    fc.assert(
      fc.property(fc.string(), (query) => {
        const out = redactQuery(query)
        expect(out.split("&").map((pair) => pair.split("=")[0])).toEqual(query.split("&").map((pair) => pair.split("=")[0]))
      })
    )
  })
})

describe("redaction elsewhere", () => {
  it("removes credentials and secrets from URLs", () => {
    expect(redactUrl("http://user:p@ss@host:8080/a?key=1&b=2#f")).toBe("http://host:8080/a?key=[REDACTED]&b=2#f")
    expect(redactUrl("/olla/proxy/v1?token=x")).toBe("/olla/proxy/v1?token=[REDACTED]")
    expect(redactUrl("http://host/users/@me")).toBe("http://host/users/@me")
  })

  it("finds them inside sentences", () => {
    expect(redactText("GET http://u:secret@host/v1?api_key=abc&n=1 failed: Bearer sk-1234567890")).toBe(
      "GET http://host/v1?api_key=[REDACTED]&n=1 failed: Bearer [REDACTED]"
    )
    expect(redactText("nothing to hide, key=1")).toBe("nothing to hide, key=1")
    expect(redactText("is this basic question? yes")).toBe("is this basic question? yes")
  })

  it("finds a secret behind a harmless parameter's URL, and takes all of its value", () => {
    expect(redactText("GET /x?next=/y?token=abc&n=1 failed")).toBe("GET /x?next=/y?token=[REDACTED]&n=1 failed")
    expect(redactText("/x?token=a?b=c d")).toBe("/x?token=[REDACTED] d")
    expect(redactText("a://u:p@h and b://v@h?sig=1")).toBe("a://h and b://h?sig=[REDACTED]")
  })

  it("lets no secret through, whatever stands around it", () => {
    const around = fc.string().filter((text) => !text.includes("SECRET"))
    fc.assert(
      fc.property(around, around, fc.constantFrom("token", "API_KEY", "x-api-key", "code"), (before, after, name) => {
        expect(redactText(`${before}?${name}=SECRET ${after}`)).not.toContain("SECRET")
        expect(redactText(`${before} http://user:SECRET@host/${after}`)).not.toContain("SECRET")
      })
    )
  })

  // Quadratic patterns would take minutes for these: whoever sends them would stop the daemon for everybody else.
  it.each(["a", "?", "?a", "&a=", "://", "a://", "bearer ", "%", "@", ":", " ", "?%", "bearer a", "=", "\u001b["])(
    "passes over half a megabyte of %j in no time",
    (part) => {
      const text = `?${part.repeat(500_000 / part.length)}`
      const began = performance.now()
      redactText(text)
      redactUrl(text)
      redactQuery(text)
      expect(performance.now() - began).toBeLessThan(1_000)
    }
  )
})

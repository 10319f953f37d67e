import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { cleanPath, decodeFully, hasDots } from "../../src/exchange/PathCleaning.ts"

/** Each character escaped up to three times, or as it is. */
const spelled = (text: string): fc.Arbitrary<string> =>
  fc.array(fc.nat({ max: 3 }), { minLength: text.length, maxLength: text.length }).map((times) =>
    [...text]
      .map((char, i) => {
        const n = times[i] ?? 0
        return n === 0 ? char : `%${"25".repeat(n - 1)}${char.charCodeAt(0).toString(16).padStart(2, "0")}`
      })
      .join("")
  )

describe("a path", () => {
  it.each([
    ["/v1/chat", "/v1/chat"],
    ["/a//b/./c/../d/", "/a/b/d"],
    ["/x/%2e%2e/api/delete", "/api/delete"],
    ["/x%2f..%2fapi/pull", "/api/pull"],
    ["/%252e%252e/%252e%252e/etc/passwd", "/etc/passwd"],
    ["/%2e/api/pull", "/api/pull"],
    ["/%zz/%2e%2e/api/pull", "/api/pull"],
    ["/v1/models/org%2Fname", "/v1/models/org%2Fname"],
    ["/../../..", "/"]
  ])("%s is cleaned to %s", (path, clean) => expect(cleanPath(path)).toBe(clean))

  it.each([
    ["%41%2542%252543", "ABC"],
    ["%2%35e", "%e"],
    ["%zz%", "%zz%"],
    ["caf%C3%A9", "café"]
  ])("%s is decoded to %s, until nothing changes", (text, plain) => expect(decodeFully(text)).toBe(plain))

  it("has no dots after cleaning, in no spelling and for no reader", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(spelled(".."), spelled("."), spelled("/"), spelled("api"), fc.constant("/"), fc.constant("%"))),
        (parts) => {
          const clean = cleanPath(`/${parts.join("")}`)
          expect(
            decodeFully(clean)
              .split("/")
              .some((part) => part === "." || part === "..")
          ).toBe(false)
          expect(cleanPath(clean)).toBe(clean)
          if (!clean.includes("%")) expect(hasDots(clean)).toBe(false)
        }
      )
    )
  })

  it("is decoded in a time that grows with its length only", () => {
    const long = `%${"25".repeat(200_000)}41`
    expect(decodeFully(long)).toBe("A")
  })
})

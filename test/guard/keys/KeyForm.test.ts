import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { digestOf, digestOfHash, hashOf, isWholeKey, keyLength, makeKey } from "../../../src/guard/keys/KeyForm.ts"
import { redactQuery, redactText } from "../../../src/guard/Redaction.ts"

describe("a key", () => {
  it("is of the form that is promised, and like no other", () => {
    const made = Array.from({ length: 200 }, makeKey)
    expect(new Set(made).size).toBe(200)
    for (const key of made) {
      expect(key).toMatch(/^olla_[0-9A-Za-z]{49}$/)
      expect(key).toHaveLength(keyLength)
      expect(isWholeKey(key)).toBe(true)
    }
  })

  it("is known to be cut or mistyped at any place", () => {
    const key = makeKey()
    fc.assert(
      fc.property(fc.integer({ min: 5, max: keyLength - 1 }), fc.constantFrom(..."0Az9_-"), (at, char) => {
        expect(isWholeKey(key.slice(0, at))).toBe(false)
        if (key[at] !== char) expect(isWholeKey(key.slice(0, at) + char + key.slice(at + 1))).toBe(false)
      })
    )
  })

  it("has one digest, however its hash is written", () => {
    const key = makeKey()
    expect(digestOfHash(hashOf(key))).toBe(digestOf(key))
    expect(digestOfHash(hashOf(key).toUpperCase().replace("SHA256", "sha256"))).toBe(digestOf(key))
    expect(digestOfHash("sha256:00")).toBeUndefined()
  })

  it("is in no text that is written down, wherever it stands and however it is escaped", () => {
    const key = makeKey()
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        expect(redactText(before + key + after)).not.toContain(key)
      })
    )
    const escaped = [...key].map((char, i) => (i % 5 === 0 ? `%${char.charCodeAt(0).toString(16)}` : char)).join("")
    expect(redactQuery(`a=1&whatever=${escaped}&b=2`)).toBe("a=1&whatever=[REDACTED]&b=2")
  })
})

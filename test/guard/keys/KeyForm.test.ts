import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { digestOf, digestOfHash, hashOf, isWholeKey, keyLength, makeKey } from "../../../src/guard/keys/KeyForm.ts"
import { isInTarget } from "../../../src/guard/keys/Presented.ts"
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

  it("is in no query and no path, as a name or alone, escaped once or twice", () => {
    const key = makeKey()
    const rest = key.slice(5)
    for (const written of [key, `%6flla_${rest}`, `olla%5F${rest}`, `olla%255f${rest}`, `%zz%6flla_${rest}`, `x${key}y`]) {
      for (const query of [written, `a=1&${written}`, `${written}=`, `${written}=1&b=2`, `k=${written}`, `k=v=${written}`])
        expect(redactQuery(query), query).not.toContain(rest)
      for (const text of [`/v1/${written}`, `/v1/chat?${written}`, `GET /v1/${written}/x?a=1 failed`, `"${written}"`])
        expect(redactText(text), text).not.toContain(rest)
      expect(isInTarget("/v1/models", `a=1&${written}`), written).toBe(true)
      expect(isInTarget(`/v1/${written}`, ""), written).toBe(true)
    }
  })
})

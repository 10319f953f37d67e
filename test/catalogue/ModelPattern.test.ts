import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compilePattern, shippedPattern } from "../../src/catalogue/ModelPattern.ts"
import { defaultModelRules } from "../../src/catalogue/ModelRules.ts"

const compiled = (source: string, ignoreCase = false) => {
  const found = compilePattern(source, ignoreCase)
  if (found._tag === "error") throw new Error(found.why)
  return found.pattern
}

describe("a pattern in RE2's spelling", () => {
  it.each([
    ["^(llama|gemma)[-_]?(\\d+(?:\\.\\d+)?)", "llama3.2:1b", ["llama", "3.2"]],
    ["(?i)^QWEN(\\d)", "qwen3", ["3"]],
    ["(?i:LLA)ma", "llama", []],
    ["(?P<family>kimi)-(?<rest>.+)", "kimi-k2", ["kimi", "k2"]],
    ["(a)(b)?", "a", ["a", undefined]],
    ["[[:alpha:]]+([[:digit:]]+)", "phi4", ["4"]],
    ["[^[:space:]/]+", "a-b", []],
    ["\\Aabc\\z", "abc", []],
    ["\\Qa.b*\\E!", "a.b*!", []],
    ["[]a]+x", "]]ax", []],
    ["\\x41\\x{42}", "AB", []],
    ["\\pL+\\p{Greek}", "aβ", []],
    ["a\\-b\\:c", "a-b:c", []]
  ])("%j matches %j", (source, name, groups) => {
    expect(compiled(source).matches(name)).toBe(true)
    expect(compiled(source).groupsOf(name)?.slice(1)).toEqual(groups)
  })

  it.each([
    ["\\Aabc\\z", "abc\n"],
    ["a.b", "a\nb"],
    ["\\Qa.b\\E", "axb"]
  ])("%j does not match %j", (source, name) => {
    expect(compiled(source).matches(name)).toBe(false)
    expect(compiled(source).groupsOf(name)).toBeUndefined()
  })

  it.each(["(?=x)", "(?<!x)y", "(a)\\1", "(?x)a", "a(", "[a", "a{1001}", "a\\", "[[:nope:]]"])("%j is refused by name", (source) => {
    const found = compilePattern(source, false)
    expect(found).toMatchObject({ _tag: "error" })
    expect(found._tag === "error" && found.why).toMatch(/^error parsing regexp: .*`/)
  })

  it("takes no longer where a backtracking engine would never end", () => {
    const name = `${"a".repeat(255)}!`
    expect(compiled("^(a+)+$").matches(name)).toBe(false)
    expect(compiled("(x+x+)+y").matches("x".repeat(256))).toBe(false)
  })

  it("counts its groups, and matches in any case where asked", () => {
    expect(compiled("(a)(?:b)(?P<c>c)").groups).toBe(2)
    expect(compiled("(guard)", true).matches("LlamaGuard")).toBe(true)
    expect(compiled("(guard)").matches("LlamaGuard")).toBe(false)
  })
})

describe("a shipped pattern", () => {
  const shipped = [
    ...defaultModelRules.familyPatterns.map(({ pattern }) => [pattern, false] as const),
    ...defaultModelRules.namePatterns.map(({ pattern }) => [pattern, true] as const)
  ]
  const words = [
    "llama",
    "Qwen",
    "phi",
    "mistral",
    "coder",
    "vision",
    "embed",
    "guard",
    "gpt-oss",
    "deepseek",
    "-",
    "_",
    ".",
    ":",
    "/",
    "3",
    "2.5",
    "7b",
    "ß",
    "K"
  ]
  const names = fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 4 })), { maxLength: 8 }).map((parts) => parts.join(""))

  it.each(shipped)("%s means the same to both engines (ignoring case: %s)", (source, ignoreCase) => {
    const fast = shippedPattern(source, ignoreCase)
    const reference = compiled(source, ignoreCase)
    expect(fast.groups).toBe(reference.groups)
    fc.assert(
      fc.property(names, (name) => {
        expect(fast.matches(name)).toBe(reference.matches(name))
        const groups = fast.groupsOf(name)
        expect(groups === undefined ? undefined : [...groups]).toEqual(reference.groupsOf(name))
      }),
      { numRuns: 60 }
    )
  })
})

import { describe, expect, it } from "vitest"
import { compilePattern } from "../../src/catalogue/ModelPattern.ts"

const compiled = (source: string, ignoreCase = false) => {
  const found = compilePattern(source, { ignoreCase, trusted: false })
  if (found._tag === "error") throw new Error(found.why)
  return found
}

describe("a pattern in RE2's spelling", () => {
  it.each([
    ["^(llama|gemma)[-_]?(\\d+(?:\\.\\d+)?)", "llama3.2:1b", ["llama", "3.2"]],
    ["(?i)^QWEN(\\d)", "qwen3", ["3"]],
    ["(?i:LLA)ma", "llama", []],
    ["(?P<family>kimi)-(?<rest>.+)", "kimi-k2", ["kimi", "k2"]],
    ["[[:alpha:]]+([[:digit:]]+)", "phi4", ["4"]],
    ["[^[:space:]/]+", "a-b", []],
    ["\\Aabc\\z", "abc", []],
    ["\\Qa.b*\\E!", "a.b*!", []],
    ["a{2}b{", "aab{", []],
    ["[]a]+x", "]]ax", []],
    ["\\x41\\x{42}", "AB", []],
    ["\\pL+\\p{Greek}", "aβ", []],
    ["a\\-b\\:c", "a-b:c", []],
    ["[a\\-z]+$", "-", []]
  ])("%j matches %j", (source, name, groups) => {
    const match = compiled(source).test.exec(name)
    expect(match).not.toBeNull()
    expect([...(match ?? [])].slice(1)).toEqual(groups)
  })

  it.each([
    ["\\Aabc\\z", "abc\n"],
    ["a.b", "a\nb"],
    ["\\Qa.b\\E", "axb"]
  ])("%j does not match %j", (source, name) => {
    expect(compiled(source).test.test(name)).toBe(false)
  })

  it.each([
    ["(?=x)", "look-around"],
    ["(?<!x)y", "look-around"],
    ["(a)\\1", "back-references"],
    ["(?x)a", "unsupported flag"],
    ["a(", "Unterminated group"],
    ["[a", "missing closing ]"],
    ["a{1001}", "repetition over 1000"],
    ["\\", "trailing backslash"],
    ["\\8", "back-references"],
    ["[[:nope:]]", "unsupported class"],
    ["(a+)+$", "nested repetition"],
    ["(?:x*y*)*z", "nested repetition"],
    ["(a|aa|aaa)*b(a|aa)*b(a|aa)*c", "too slow"]
  ])("%j is refused: %s", (source, why) => {
    const found = compilePattern(source, { ignoreCase: false, trusted: false })
    expect(found).toMatchObject({ _tag: "error" })
    expect(found._tag === "error" && found.why).toContain(why)
    expect(found._tag === "error" && found.why).toContain(`\`${source}\``)
  })

  it("counts its groups, and matches in any case where asked", () => {
    expect(compiled("(a)(?:b)(?P<c>c)").groups).toBe(2)
    expect(compiled("(guard)", true).test.test("LlamaGuard")).toBe(true)
    expect(compiled("(guard)").test.test("LlamaGuard")).toBe(false)
  })
})

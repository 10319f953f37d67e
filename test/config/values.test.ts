import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseByteSize } from "../../src/config/ByteSize.ts"
import { formatDuration, parseDuration } from "../../src/config/Duration.ts"
import { checkPattern, filterAdmits } from "../../src/config/FilterPattern.ts"
import { parseInteger } from "../../src/config/ScalarReading.ts"

describe("durations", () => {
  it.each([
    ["500ms", 500],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["-2s", -2000],
    ["+1m", 60_000],
    ["0", 0],
    ["1us", 0.001],
    ["1µs", 0.001],
    ["2ns", 0.000002],
    [".5s", 500]
  ])("%s is %d ms", (text, millis) => {
    expect(parseDuration(text)).toBeCloseTo(millis, 9)
  })

  it.each(["30", "1d", "1w", "1 s", "s", "", "1S", "1m 30s", "--1s", "1e3s", "abc"])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  it.each([
    [2000, "2s"],
    [500, "500ms"],
    [60_000, "1m0s"],
    [5_400_000, "1h30m0s"],
    [0, "0s"],
    [1500, "1.5s"],
    [-2000, "-2s"]
  ])("%d ms reads %s", (millis, text) => {
    expect(formatDuration(millis)).toBe(text)
  })

  it("come back as they were written", () => {
    fc.assert(fc.property(fc.integer({ min: -1e12, max: 1e12 }), (millis) => parseDuration(formatDuration(millis)) === millis))
  })

  it("never make the parser fail", () => {
    fc.assert(fc.property(fc.string(), (text) => [undefined, "number"].includes(parseDuration(text) === undefined ? undefined : "number")))
  })
})

describe("sizes", () => {
  it.each([
    ["100", 100],
    ["100B", 100],
    ["1k", 1024],
    ["1KB", 1024],
    ["1KiB", 1024],
    ["0.5KB", 512],
    ["2.5GB", 2684354560],
    ["100 MB", 104857600],
    [" 100mb ", 104857600]
  ])("%j is %d bytes", (text, bytes) => {
    expect(parseByteSize(text)).toBe(bytes)
  })

  it.each(["", "invalid", "100XB", "-100MB", "MB100", "1 0", "1kbb", "ib", "5ib"])("%j is none", (text) => {
    expect(parseByteSize(text)).toBeUndefined()
  })

  it("grow with their unit", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.constantFrom("k", "m", "g", "t", "p"), fc.constantFrom("", "b", "ib", "B", "iB"), (n, unit, suffix) => {
        const bytes = n * 1024 ** ("kmgtp".indexOf(unit) + 1)
        // More than a number can hold exactly is no size.
        expect(parseByteSize(`${n}${unit}${suffix}`)).toBe(Number.isSafeInteger(bytes) ? bytes : undefined)
      })
    )
  })
})

describe("whole numbers", () => {
  it.each([
    ["42", 42],
    ["-7", -7],
    ["0x1f", 31],
    ["0o17", 15],
    ["017", 15],
    ["0b101", 5],
    ["1_000", 1000],
    ["3.0", 3]
  ])("%s is %d", (text, value) => {
    expect(parseInteger(text)).toBe(value)
  })

  it.each(["3.5", "x", "", "1kb", "0xg"])("%j is none", (text) => {
    expect(parseInteger(text)).toBeUndefined()
  })
})

describe("filters", () => {
  it.each([
    ["", "empty or whitespace-only pattern"],
    [" \t", "empty or whitespace-only pattern"],
    ["a**", "double asterisk not supported"],
    ["*a*b*", "too many wildcards"],
    ["a*b", "wildcards only supported at start and/or end"]
  ])("refuse %j", (pattern, problem) => {
    expect(checkPattern(pattern)).toBe(problem)
  })

  it.each([
    [{ include: [], exclude: [] }, "x", true],
    [{ include: ["qwen*"], exclude: [] }, "Qwen3:8b", true],
    [{ include: ["qwen*"], exclude: [] }, "llama", false],
    [{ include: ["*"], exclude: ["*-draft"] }, "a-DRAFT", false],
    [{ include: ["*coder*"], exclude: [] }, "deepseek-coder:6b", true],
    [{ include: [], exclude: ["x"] }, "xy", true],
    [{ include: [" qwen* "], exclude: [" *-draft "] }, "qwen3", true],
    [{ include: [" qwen* "], exclude: [" *-draft "] }, "qwen3-draft", false]
  ])("%j admits %s: %s", (filter, name, admitted) => {
    for (const pattern of [...filter.include, ...filter.exclude]) expect(checkPattern(pattern)).toBeUndefined()
    expect(filterAdmits(filter, name)).toBe(admitted)
  })
})

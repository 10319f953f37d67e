import { describe, expect, it } from "vitest"
import { acceptsGzip, matchesTag } from "../../src/http/Conditional.ts"

describe("who takes gzip", () => {
  it.each([
    ["gzip", true],
    ["GZip", true],
    ["deflate, gzip", true],
    ["gzip;q=0.001", true],
    ["gzip ; q=1", true],
    ["*", true],
    ["identity, *;q=0.5", true],
    ["", false],
    ["identity", false],
    ["br", false],
    ["gzip;q=0", false],
    ["gzip;q=0.0, *", false],
    ["*, gzip;q=0", false],
    ["*;q=0", false],
    ["gzip;q=x", false],
    ["x-gzip", false],
    [`gzip${" ".repeat(1_021)}`, false],
    [`gzip${" ".repeat(1_020)}`, true]
  ])("%s: %s", (header, expected) => expect(acceptsGzip(header)).toBe(expected))
})

describe("an entity tag that is already known", () => {
  const tag = 'W/"abc"'
  it.each([
    ['W/"abc"', true],
    ['"abc"', true],
    ['"x", W/"abc"', true],
    ['"x","abc"', true],
    ["*", true],
    [" * ", true],
    ["", false],
    ['"ab"', false],
    ["abc", false],
    ['"*"', false],
    ['*, "x"', false],
    [`"${"x".repeat(1_017)}","abc"`, false],
    [`"${"x".repeat(1_016)}","abc"`, true]
  ])("%s: %s", (header, expected) => expect(matchesTag(header, tag)).toBe(expected))
})

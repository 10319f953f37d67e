import { describe, expect, it } from "vitest"
import { classOf, patienceOf, urgencyOf } from "../../src/proxy/InLine.ts"

it.each([
  ["normal", "", "normal"],
  ["normal", "low", "low"],
  ["normal", " LOW ", "low"],
  ["normal", "high", "normal"],
  ["high", "normal", "normal"],
  ["low", "normal", "low"],
  ["high", "urgent", "high"]
] as const)("of class %s, a request that says %j is of class %s", (byRules, asked, expected) => {
  expect(urgencyOf(byRules, asked)).toBe(expected)
})

it.each([
  [30_000, "", 30_000],
  [30_000, "5s", 5_000],
  [30_000, " 250ms ", 250],
  [30_000, "10m", 30_000],
  [30_000, "0s", 0],
  [30_000, "-1s", 0],
  [30_000, "soon", 30_000],
  [0, "5s", 0]
])("of %i ms, a request that says %j waits for %i", (configured, asked, expected) => {
  expect(patienceOf(configured, asked)).toBe(expected)
})

describe("the class that a request starts in", () => {
  const client = (own: "high" | "normal" | "low") => ({ name: "ci", isAnonymous: false, drops: new Set<string>(), class: own })

  it.each([
    [undefined, undefined, "normal"],
    [undefined, "high", "high"],
    ["low", undefined, "low"],
    ["high", undefined, "high"],
    ["high", "low", "low"],
    ["low", "high", "low"],
    ["normal", "high", "normal"]
  ] as const)("key %s, rules %s: %s", (own, byRules, expected) => {
    expect(classOf({ client: own === undefined ? undefined : client(own) }, byRules)).toBe(expected)
  })
})

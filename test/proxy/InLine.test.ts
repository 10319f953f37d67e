import { expect, it } from "vitest"
import { patienceOf, urgencyOf } from "../../src/proxy/InLine.ts"

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

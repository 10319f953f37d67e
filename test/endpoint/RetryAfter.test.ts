import { describe, expect, it } from "vitest"
import { parseHttpDate, retryWindow } from "../../src/endpoint/RetryAfter.ts"

const now = Date.UTC(2026, 2, 4, 5, 6, 7)

describe("Retry-After", () => {
  it.each([
    ["120", 120_000],
    ["+5", 5000],
    ["0", 0],
    ["-10", 0],
    ["999999999", 3_600_000],
    ["Wed, 04 Mar 2026 05:07:07 GMT", 60_000],
    ["Wednesday, 04-Mar-26 05:07:07 GMT", 60_000],
    ["Wed Mar  4 05:07:07 2026", 60_000],
    ["Sun, 06 Nov 1994 08:49:37 GMT", 0],
    ["Sun, 01 Jan 2999 00:00:00 GMT", 3_600_000]
  ])("%s is understood", (header, wait) => {
    expect(retryWindow(header, now)).toEqual({ wait, defaulted: undefined })
  })
  it.each(["1.5", "soon", "2026-03-04T05:07:07Z", "Wed, 04 Mar 2026 05:07:07 CET", "04 Mar 2026", "1e3"])("%s is malformed", (header) => {
    expect(retryWindow(header, now)).toEqual({ wait: 30_000, defaulted: "malformed" })
  })
  it.each([undefined, "", "  "])("%j counts as absent", (header) => {
    expect(retryWindow(header, now)).toEqual({ wait: 30_000, defaulted: "absent" })
  })
  it("reads the three forms of one instant alike", () => {
    const forms = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
    expect(forms.map((form) => parseHttpDate(form, now))).toEqual([784_111_777_000, 784_111_777_000, 784_111_777_000])
  })
})

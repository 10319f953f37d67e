import { describe, expect, it } from "vitest"
import { themeOf } from "../../../src/telemetry/LogTheme.ts"
import { type RequestSummary, shortDuration, terminalLine } from "../../../src/telemetry/requests/TerminalLine.ts"

const line = (changes: Partial<RequestSummary>, columns = 120): string =>
  terminalLine(
    {
      id: "suri-ambling-09af21aa",
      status: 200,
      what: "chat",
      model: "qwen3:32b",
      endpoint: "gpu-1",
      total: 1_240,
      trouble: "",
      ...changes
    },
    "14:02:31",
    themeOf(undefined),
    columns
  ).replaceAll(/\u001b\[[0-9;]*m/g, "")

describe("a request's line", () => {
  it("has an id where there is room for it, and wherever something went wrong", () => {
    expect(line({})).toMatch(/ 1\.24s {2}suri-ambling-09af21aa$/)
    expect(line({}, 80)).toMatch(/ 1\.24s$/)
    expect(line({ status: 500, trouble: "upstream_5xx: CUDA out of memory" }, 80)).toMatch(
      / {2}upstream_5xx: CUDA out of memory {2}suri-ambling-09af21aa$/
    )
  })

  it("is not longer than 120 columns, or than a terminal that has more, whatever went wrong", () => {
    const trouble = `model_unavailable: 0 of 9 endpoints reachable: ${"a-long-name, ".repeat(20)}`
    for (const columns of [0, 80, 120]) {
      const told = line({ status: 503, endpoint: "", trouble }, columns)
      expect(told.length).toBeLessThanOrEqual(120)
      expect(told).toMatch(/model_unavailable: 0 of 9 endpoints reachable: a-.*… {2}suri-ambling-09af21aa$/)
    }
    expect(line({ status: 503, endpoint: "", trouble }, 200).length).toBeLessThanOrEqual(200)
    expect(line({ status: 503, endpoint: "", trouble }, 200).length).toBeGreaterThan(190)
  })

  it("gives up its columns before it cuts what went wrong", () => {
    for (let length = 1; length < 60; length++) {
      const trouble = "x".repeat(length)
      expect(line({ status: 404, endpoint: "", trouble })).toContain(` ${trouble} `)
    }
  })

  it.each([
    [31, "31ms"],
    [1_240, "1.24s"],
    [9_999, "10.00s"],
    [12_340, "12.3s"],
    [125_400, "2m05s"]
  ])("%d ms are %s", (millis, text) => expect(shortDuration(millis)).toBe(text))
})

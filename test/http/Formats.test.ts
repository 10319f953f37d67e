import { describe, expect, it } from "vitest"
import { ago, bytes, duration, latency, percent, span, timestamp, until, uptime } from "../../src/http/Formats.ts"

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

describe("figures in documents", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KB"],
    [1536, "1.50 KB"],
    [1_610_612_736, "1.50 GB"],
    [184_708_000_000, "172.02 GB"],
    [2 ** 50, "1.00 PB"],
    [2 ** 60, "1024.00 PB"]
  ])("%d bytes are %s", (n, text) => expect(bytes(n)).toBe(text))

  it.each([
    [0, "0%"],
    [100, "100%"],
    [97.34, "97.3%"],
    [99.96, "100.0%"],
    [0.04, "0.0%"]
  ])("%d per cent are %s", (n, text) => expect(percent(n)).toBe(text))

  it.each([
    [0, "0ms"],
    [7, "7ms"],
    [999, "999ms"],
    [1000, "1.0s"],
    [1500, "1.5s"],
    [367_500, "367.5s"]
  ])("a latency of %d ms is %s", (n, text) => expect(latency(n)).toBe(text))

  it.each([
    [-5 * second, "0s"],
    [0, "0s"],
    [59_999, "59s"],
    [minute, "1m"],
    [hour - 1, "59m"],
    [hour, "1h"],
    [day - 1, "23h"],
    [day, "1d"],
    [3 * day, "3d"]
  ])("a span of %d ms is %s", (n, text) => expect(span(n)).toBe(text))

  it("tells times against now", () => {
    const now = 1_000_000_000
    expect([ago(0, now), ago(now - 42 * second, now), ago(now + second, now)]).toEqual(["never", "42s ago", "0s ago"])
    expect([until(0, now), until(now, now), until(now - 1, now), until(now + 25 * second, now)]).toEqual([
      "unknown",
      "now",
      "now",
      "in 25s"
    ])
  })

  it.each([
    [30 * second, "30s"],
    [5 * minute, "5m"],
    [90 * minute, "1h 30m"],
    [2 * day + hour + minute, "2d 1h"]
  ])("an uptime of %d ms is %s", (n, text) => expect(uptime(n)).toBe(text))

  it.each([
    [0, "0s"],
    [0.0152, "15.2µs"],
    [2.9, "2.9ms"],
    [532.1, "532.1ms"],
    [45 * second, "45s"],
    [200 * second, "3m20s"],
    [2 * hour + 5 * minute, "2h5m0s"]
  ])("a duration of %d ms is %s", (n, text) => expect(duration(n)).toBe(text))

  it("writes times as RFC 3339", () => expect(timestamp(1_777_850_000_123)).toBe("2026-05-03T23:13:20.123Z"))
})

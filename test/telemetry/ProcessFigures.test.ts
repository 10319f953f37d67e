import { describe, expect, it } from "vitest"
import { traceIdOf } from "../../src/exchange/TraceContext.ts"
import { humanBytes, humanDuration, nerdStats } from "../../src/telemetry/NerdStats.ts"
import { handleHealthOf, pressureOf, processFigures, watchProcess } from "../../src/telemetry/ProcessFigures.ts"

describe("process figures", () => {
  it("are taken from the running process", () => {
    const stop = watchProcess()
    const figures = processFigures()
    stop()
    expect(figures.heapUsed).toBeGreaterThan(0)
    expect(figures.handles).toBeGreaterThan(0)
    expect(figures.runtime).toBe(`node${process.versions.node}`)
    expect(figures.loopDelay.mean).toBeGreaterThanOrEqual(0)
  })

  it.each([
    [70, 100, 4000, "LOW"],
    [71, 100, 4000, "MEDIUM"],
    [99, 100, 4000, "MEDIUM"],
    [3990, 4000, 4000, "HIGH"],
    [0, 0, 0, "LOW"]
  ])("%i used of %i with a ceiling of %i is %s pressure", (used, total, limit, word) => expect(pressureOf(used, total, limit)).toBe(word))

  it.each([
    [100, "HEALTHY"],
    [101, "NORMAL"],
    [501, "ELEVATED"],
    [1001, "CONCERNING"]
  ])("%i handles are %s", (count, word) => expect(handleHealthOf(count)).toBe(word))

  it("become the records of the page, collections only after one", () => {
    const figures = { ...processFigures(), collections: 0 }
    const names = nerdStats(figures).map(([name]) => name)
    expect(names).toEqual([
      "Process Memory Stats",
      "Process Allocation Stats",
      "Goroutine Stats",
      "Runtime Stats",
      "Build Info",
      "Process Health Summary"
    ])
    expect(nerdStats({ ...figures, collections: 2 }).map(([name]) => name)).toContain("Garbage Collection Stats")
  })

  it("read like the rest", () => {
    expect([humanBytes(0), humanBytes(1536), humanBytes(3 * 1024 ** 3)]).toEqual(["0 B", "1.50 KB", "3.00 GB"])
    expect([humanDuration(2.345), humanDuration(42_900), humanDuration(9_015_000)]).toEqual(["2.345ms", "42s", "2h30m15s"])
  })
})

it.each([
  ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"],
  ["00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""],
  ["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", ""],
  ["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""],
  ["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", ""],
  ["nonsense", ""],
  ["", ""]
])("traceparent %s has trace id %s", (header, id) => expect(traceIdOf(header)).toBe(id))

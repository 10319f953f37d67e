import { describe, expect, it } from "vitest"
import type { Attempt } from "../../src/exchange/Exchange.ts"
import { modelStatsDocument } from "../../src/http/UsageDocuments.ts"
import { ModelStatistics } from "../../src/telemetry/ModelStatistics.ts"

const now = 1_000_000

/** Attempts on a model: endpoint's name, its URL, latency; a negative one failed. */
const documentOf = (...attempts: ReadonlyArray<readonly [model: string, name: string, url: string, latency: number]>) => {
  const statistics = new ModelStatistics(0)
  const endpoints = new Map(attempts.map(([, name, url]) => [url, { name, url }]))
  for (const [model, , url, latency] of attempts)
    statistics.attempt(
      model,
      { endpoint: endpoints.get(url) } as Attempt,
      { success: latency >= 0, statusClass: latency >= 0 ? "2xx" : "5xx", latency: Math.max(0, latency), firstToken: undefined, bytes: 1 },
      "10.0.0.1",
      now
    )
  return modelStatsDocument(statistics.totals(now), statistics.overall(), { wall: 1_700_000_000_000, monotonic: now }, true, true)
}

describe("usage of a model by endpoint", () => {
  it("is of all that bear the name", () => {
    const document = documentOf(
      ["m", "twin", "http://a", 10],
      ["m", "twin", "http://a", 20],
      ["m", "twin", "http://b", 90],
      ["m", "twin", "http://b", -1]
    )
    const twin = { endpoint_name: "twin", request_count: 4, success_rate: 75, average_latency: "40ms", last_used: "0s ago" }
    expect(document.models[0]?.endpoint_breakdown).toEqual({ twin: { ...twin, consecutive_errors: 1 } })
    expect(document.endpoints).toEqual({ twin: { ...twin, consecutive_errors: 0 } })
  })

  it("is summed over models for the whole", () => {
    const document = documentOf(["m", "a", "http://a", 10], ["n", "a", "http://a", 30], ["n", "b", "http://b", -1])
    expect(Object.entries(document.endpoints).map(([name, entry]) => [name, entry.request_count, entry.average_latency])).toEqual([
      ["a", 2, "20ms"],
      ["b", 1, "0ms"]
    ])
  })
})

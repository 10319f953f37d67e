import { describe, expect, it } from "vitest"
import type { Outcome } from "../../../src/exchange/Exchange.ts"
import { failure } from "../../../src/exchange/Failure.ts"
import { PhaseMetrics } from "../../../src/telemetry/metrics/PhaseMetrics.ts"
import { noUsage, type Usage } from "../../../src/telemetry/Usage.ts"
import { attempt, end, endpointOf, newExchange, type Try } from "../exchanges.ts"

const make = (offered: (model: string) => string | undefined = (model) => model, usage: Usage | undefined = undefined) =>
  new PhaseMetrics({ offered, usage: usage === undefined ? noUsage : () => usage })

const request = (metrics: PhaseMetrics, model: string, tries: ReadonlyArray<Try>, outcome?: Outcome) => {
  const exchange = newExchange({ model })
  exchange.stream = true
  for (const one of tries) attempt(metrics.observer, exchange, one)
  end(metrics.observer, exchange, outcome)
}

/** Marks after the accept, in milliseconds. */
const at = (connected: number, sent: number, headers: number, firstByte: number, lastByte: number) => {
  const accepted = 1_000
  const mark = (millis: number) => (millis === 0 ? 0 : accepted + millis)
  return {
    started: accepted,
    connected: mark(connected),
    sent: mark(sent),
    headers: mark(headers),
    firstByte: mark(firstByte),
    lastByte: mark(lastByte)
  }
}

const countOf = (histogram: { readonly totals: () => { readonly count: number; readonly sum: number } } | undefined) => {
  const totals = histogram?.totals()
  return totals === undefined ? undefined : [totals.count, Math.round(totals.sum * 1e6) / 1e6]
}

describe("phases as metrics", () => {
  it("count each attempt on its endpoint and the request by its end", () => {
    const metrics = make(undefined, { outputTokens: 5 })
    request(metrics, "m", [
      { endpoint: "dead", failed: "refused", ends: 10, timings: at(0, 0, 0, 0, 0) },
      { endpoint: "desk", ends: 500, timings: at(12, 13, 113, 120, 500) }
    ])
    expect(metrics.outcomes).toEqual([{ outcome: "ok", cause: "none", value: 1 }])
    const dead = metrics.seriesOf(endpointOf("dead"))
    expect([...(dead?.failures ?? [])]).toEqual([["connect_refused", 1]])
    expect([countOf(dead?.attempts.failed), countOf(dead?.headers.failed), countOf(dead?.connects.failed)]).toEqual([
      [1, 0.01],
      [0, 0],
      [1, 0.01]
    ])
    const desk = metrics.seriesOf(endpointOf("desk"))
    expect([...(desk?.failures ?? [])]).toEqual([])
    expect(countOf(desk?.connects.ok)).toEqual([1, 0.012])
    expect(countOf(desk?.headers.ok)).toEqual([1, 0.1])
    expect(countOf(desk?.models.get("m")?.firstToken)).toEqual([1, 0.12])
    expect(countOf(desk?.models.get("m")?.perToken)).toEqual([1, 0.095])
    expect(metrics.requestTotals("ok").count).toBe(1)
    expect(metrics.overheadTotals().count).toBe(1)
  })

  it("show a backend that hangs by the time that was waited for its headers", () => {
    const metrics = make()
    request(metrics, "m", [{ failed: "header_timeout", ends: 30_000, timings: at(0, 1, 0, 0, 0) }])
    expect(countOf(metrics.seriesOf(endpointOf("desk"))?.headers.failed)).toEqual([1, 29.999])
    expect(metrics.outcomes).toContainEqual({ outcome: "failed", cause: "timeout_headers", value: 1 })
  })

  it("take a backend's 5xx for a failure, its 429 for a busy one, and a client that left for neither", () => {
    const metrics = make()
    request(metrics, "m", [{ status: 503, timings: at(0, 1, 2, 3, 4) }])
    request(metrics, "m", [{ status: 429, timings: at(0, 1, 2, 3, 4) }])
    request(metrics, "m", [{ failed: "client_gone", timings: at(0, 1, 0, 0, 0) }], { _tag: "cancelled", status: 499, committed: false })
    const series = metrics.seriesOf(endpointOf("desk"))
    expect([...(series?.failures ?? [])]).toEqual([
      ["upstream_5xx", 1],
      ["upstream_429", 1]
    ])
    expect([countOf(series?.attempts.ok)?.[0], countOf(series?.attempts.failed)?.[0], countOf(series?.attempts.cancelled)?.[0]]).toEqual([
      1, 1, 1
    ])
    expect(metrics.outcomes.map(({ outcome, cause }) => `${outcome} ${cause}`)).toEqual([
      "ok none",
      "client_error upstream_429",
      "failed upstream_5xx",
      "cancelled cancelled_waiting"
    ])
  })

  it("leave a refusal without an attempt out of the overhead, and a breaker's out of what was sent", () => {
    const metrics = make()
    request(metrics, "m", [], { _tag: "rejected", status: 404, reason: "model_not_found" })
    request(metrics, "m", [{ failed: "breaker_open" }], {
      _tag: "failed",
      status: 502,
      failure: failure("breaker_open", ""),
      committed: false
    })
    expect(metrics.overheadTotals().count).toBe(1)
    const series = metrics.seriesOf(endpointOf("desk"))
    expect([...(series?.failures ?? [])]).toEqual([["breaker_open", 1]])
    expect(countOf(series?.attempts.failed)?.[0]).toBe(0)
  })

  it("have one series for 5,000 names that nobody offers, and bounded ones for those that somebody does", () => {
    const junk = make((model) => (model.startsWith("real") ? model : undefined))
    for (let n = 0; n < 5_000; n++) request(junk, `junk-${n}`, [{ timings: at(0, 1, 2, 3, 4) }])
    const models = junk.seriesOf(endpointOf("desk"))?.models
    expect([...(models?.keys() ?? [])]).toEqual(["other"])
    expect(countOf(models?.get("other")?.firstToken)?.[0]).toBe(5_000)
    for (let n = 0; n < 5_000; n++) request(junk, `real-${n}`, [{ timings: at(0, 1, 2, 3, 4) }])
    expect(models?.size).toBe(201)
    const pairs = make()
    for (let n = 0; n < 1_000; n++) request(pairs, `m${n % 100}`, [{ endpoint: `e${n % 10}${n % 7}`, timings: at(0, 1, 2, 3, 4) }])
    const made = Array.from({ length: 10 }, (_, n) => Array.from({ length: 7 }, (_, m) => pairs.seriesOf(endpointOf(`e${n}${m}`))))
    const named = made.flat().flatMap((series) => [...(series?.models.keys() ?? [])].filter((name) => name !== "other"))
    expect(named).toHaveLength(300)
  })

  it("are of streams alone where first tokens are counted, by the answer's type before the request's wish", () => {
    const metrics = make()
    for (const contentType of ["application/json", "text/event-stream; charset=utf-8", "application/x-ndjson"]) {
      const exchange = newExchange({ model: "m" })
      exchange.kept.contentType = contentType
      attempt(metrics.observer, exchange, { timings: at(0, 1, 2, 3, 4) })
      end(metrics.observer, exchange)
    }
    expect(countOf(metrics.seriesOf(endpointOf("desk"))?.models.get("m")?.firstToken)?.[0]).toBe(2)
  })
})

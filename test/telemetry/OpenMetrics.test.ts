import { describe, expect, it } from "vitest"
import { durationBounds, Histogram } from "../../src/telemetry/metrics/Histogram.ts"
import { formOf } from "../../src/telemetry/OpenMetrics.ts"
import { readOpenMetrics } from "./openMetricsText.ts"
import { wholeText } from "./promText.ts"

/** What Prometheus 3 sends, and 2. */
const prometheus3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
const prometheus2 = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

describe("OpenMetrics", () => {
  it.each([
    [prometheus3, "openMetrics"],
    [prometheus2, "openMetrics"],
    ["application/openmetrics-text", "openMetrics"],
    ['Application/OpenMetrics-Text; version="1.0.0"', "openMetrics"],
    ["application/openmetrics-text, */*", "openMetrics"],
    ["application/openmetrics-text; q=0.5, text/plain", "prometheus"],
    ["application/openmetrics-text, text/plain", "prometheus"],
    ["application/openmetrics-text; q=0", "prometheus"],
    ["application/openmetrics-text; q=much", "prometheus"],
    ["application/openmetrics-text; version=2.0.0, text/plain; q=0.1", "prometheus"],
    ["*/*", "prometheus"],
    ["text/html", "prometheus"],
    ["", "prometheus"]
  ])("for Accept: %s it is %s", (accept, form) => {
    expect(formOf(accept)).toBe(form)
  })

  it("names counters without their suffix, leaves the others untyped, and shows the last exported trace of a bucket", () => {
    const histogram = new Histogram(durationBounds)
    histogram.add(0.04, { traceId: "0af7651916cd43dd8448eb211c80319c", at: 1_700_000_000.5 })
    histogram.add(0.03, { traceId: "1af7651916cd43dd8448eb211c80319c", at: 1_700_000_001 })
    histogram.add(0.2)
    histogram.add(1_000, { traceId: "2af7651916cd43dd8448eb211c80319c", at: 1_700_000_002 })
    const families = [
      { name: "olla_x_total", type: "counter" as const, help: 'Of "x".', samples: [{ labels: { a: 'q"\n\\' }, value: 3 }] },
      { name: "olla_traffic_bytes", type: "counter" as const, help: "Bytes.", samples: [{ labels: {}, value: 7 }] },
      { name: "olla_endpoints_total", type: "gauge" as const, help: "Endpoints.", samples: [{ labels: {}, value: 2 }] },
      { name: "olla_none_total", type: "counter" as const, help: "Nothing yet.", samples: [] },
      {
        name: "olla_seconds",
        type: "histogram" as const,
        help: "Time.",
        samples: [{ labels: { outcome: "ok" }, histogram: histogram.totals() }]
      }
    ]
    const text = wholeText(families, "openMetrics")
    const read = readOpenMetrics(text)
    expect([...read].map(([name, { type }]) => [name, type])).toEqual([
      ["olla_endpoints_total", "gauge"],
      ["olla_none", "counter"],
      ["olla_seconds", "histogram"],
      ["olla_traffic_bytes", "unknown"],
      ["olla_x", "counter"]
    ])
    expect(read.get("olla_x")).toMatchObject({
      help: 'Of \\"x\\".',
      samples: [{ name: "olla_x_total", labels: 'a="q\\"\\n\\\\"', value: 3 }]
    })
    expect(text).toContain('olla_seconds_bucket{outcome="ok",le="1.0"} 3\n')
    expect(read.get("olla_seconds")?.samples.flatMap(({ exemplar }) => exemplar ?? [])).toEqual([
      { traceId: "1af7651916cd43dd8448eb211c80319c", value: 0.03, at: 1_700_000_001 },
      { traceId: "2af7651916cd43dd8448eb211c80319c", value: 1_000, at: 1_700_000_002 }
    ])
    expect(wholeText(families)).not.toContain("trace_id")
  })
})

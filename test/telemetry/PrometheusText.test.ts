import { expect, it } from "vitest"
import { durationBounds, Histogram } from "../../src/telemetry/metrics/Histogram.ts"
import { prometheusText } from "../../src/telemetry/PrometheusText.ts"
import { readOpenMetrics } from "./openMetricsText.ts"
import { readPrometheus, wholeText } from "./promText.ts"

it("prints one block per family, sorted, with labels in the given order, escaped, and numbers of six decimals", () => {
  const histogram = new Histogram(durationBounds)
  histogram.add(0.04)
  histogram.add(200)
  const text = wholeText([
    {
      name: "olla_endpoint_up",
      type: "gauge",
      help: "1 only when healthy.",
      samples: [
        { labels: { endpoint: "zeta", status: "offline" }, value: 0 },
        { labels: { endpoint: 'a"b\\c\nd', status: "healthy" }, value: 1 }
      ]
    },
    { name: "olla_requests_total", type: "counter", help: "Requests.", samples: [{ labels: {}, value: 125 }] },
    { name: "olla_avg", type: "gauge", help: "Back\\slash.", samples: [{ labels: {}, value: 200 / 3 }] },
    { name: "olla_success_rate_percent", type: "gauge", help: "No traffic.", samples: [] },
    {
      name: "olla_request_duration_seconds",
      type: "histogram",
      help: "Durations.",
      samples: [{ labels: { endpoint: "desk", model: "" }, histogram: histogram.totals() }]
    }
  ])
  expect(text).toBe(`# HELP olla_avg Back\\\\slash.
# TYPE olla_avg gauge
olla_avg 66.666667
# HELP olla_endpoint_up 1 only when healthy.
# TYPE olla_endpoint_up gauge
olla_endpoint_up{endpoint="a\\"b\\\\c\\nd",status="healthy"} 1
olla_endpoint_up{endpoint="zeta",status="offline"} 0
# HELP olla_request_duration_seconds Durations.
# TYPE olla_request_duration_seconds histogram
${[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120].map((le) => `olla_request_duration_seconds_bucket{endpoint="desk",model="",le="${le}"} 1\n`).join("")}olla_request_duration_seconds_bucket{endpoint="desk",model="",le="300"} 2
olla_request_duration_seconds_bucket{endpoint="desk",model="",le="+Inf"} 2
olla_request_duration_seconds_sum{endpoint="desk",model=""} 200.04
olla_request_duration_seconds_count{endpoint="desk",model=""} 2
# HELP olla_requests_total Requests.
# TYPE olla_requests_total counter
olla_requests_total 125
# HELP olla_success_rate_percent No traffic.
# TYPE olla_success_rate_percent gauge
`)
})

it.each(["prometheus", "openMetrics"] as const)("writes a family of thousands of samples in parts, as one block: %s", (form) => {
  const samples = Array.from({ length: 1_234 }, (_, n) => ({ labels: { n: String(n).padStart(4, "0") }, value: n }))
  const histogram = new Histogram(durationBounds)
  histogram.add(1)
  const families = [
    { name: "olla_many_total", type: "counter" as const, help: "Many.", samples },
    {
      name: "olla_some_seconds",
      type: "histogram" as const,
      help: "Some.",
      samples: samples.slice(0, 23).map(({ labels }) => ({ labels, histogram: histogram.totals() }))
    }
  ]
  const steps = prometheusText(families, form)
  let count = 0
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) count++
  expect(count).toBe(7 + 3)
  const text = step.value ?? ""
  const read = form === "openMetrics" ? readOpenMetrics(text) : readPrometheus(text)
  expect([...read.values()].map((family) => family.samples.length)).toEqual([1_234, 23 * (durationBounds.length + 3)])
  expect(text.match(/# HELP/g)).toHaveLength(2)
})

/**
 * Every number of every statistics document and of the metrics after a known workload: against the workload, and against one another.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { percent, bytes as shownBytes, latency as shownLatency } from "../../src/http/Formats.ts"
import { readOpenMetrics } from "../telemetry/openMetricsText.ts"
import { readPrometheus } from "../telemetry/promText.ts"

import {
  bytesOf,
  chat,
  classes,
  type Document,
  daemon,
  documents,
  metrics,
  named,
  post,
  startWorkload,
  stopWorkload,
  value
} from "./statisticsWorkload.ts"

beforeAll(startWorkload)
afterAll(stopWorkload)

describe("the status document after a known workload", () => {
  it("counts dispatched client requests by their last word, and attempts apart", () => {
    const { system } = documents.status
    expect(system).toMatchObject({
      total_requests: 24,
      // 2 x 503, one cut, one without anybody else, one that left before an answer.
      total_failures: 5,
      total_attempts: 26,
      total_retries: 2,
      active_connections: 0,
      has_traffic: true,
      success_rate: percent((19 / 24) * 100),
      requests_by_class: classes({ "2xx": 17, "4xx": 2, "5xx": 2, transport: 1, cancelled: 2 }),
      // 404: 3 unknown paths. 503: 2 unknown models while an endpoint is out, one of them asked for in Anthropic's dialect too.
      rejections: { "404": 3, "413": 2, "429": 0, "431": 1, "503": 4 },
      security_violations: 3,
      endpoints_up: "3/4"
    })
    expect(documents.status.security).toEqual({ status: "normal", blocked_ips: 0, violations: { rate_limits: 0, size_limits: 3 } })
  })

  it("counts attempts by endpoint", () => {
    const { endpoints } = documents.status
    expect(named(endpoints, "first")).toMatchObject({
      requests: 19,
      connections: 0,
      success_rate: percent((13 / 19) * 100),
      // The stream that was cut had begun with 200, and is a failure all the same.
      requests_by_class: classes({ "2xx": 12, "4xx": 2, "5xx": 2, transport: 3 }),
      traffic: shownBytes(bytesOf((endpoint) => endpoint === "first"))
    })
    expect(named(endpoints, "second")).toMatchObject({
      requests: 5,
      success_rate: "100%",
      requests_by_class: classes({ "2xx": 5 }),
      traffic: shownBytes(bytesOf((endpoint) => endpoint === "second"))
    })
    expect(named(endpoints, "slow")).toMatchObject({ requests: 2, success_rate: "50.0%", requests_by_class: classes({ cancelled: 2 }) })
    const untouched = named(endpoints, "gone")
    expect(untouched).toMatchObject({
      requests: 0,
      success_rate: "N/A",
      avg_latency: "0ms",
      min_latency_ms: 0,
      max_latency_ms: 0,
      traffic: "0 B"
    })
    expect(untouched).not.toHaveProperty("avg_latency_ms")
    expect(untouched).not.toHaveProperty("latency_ms")
  })

  it("agrees with itself", () => {
    const { system, endpoints } = documents.status
    const sum = (read: (endpoint: Document) => number) => endpoints.reduce((total: number, one: Document) => total + read(one), 0)
    expect(sum((one) => one.requests)).toBe(system.total_attempts)
    expect(sum((one) => one.connections)).toBe(system.active_connections)
    for (const one of [...endpoints, system])
      expect(Object.values(one.requests_by_class as Record<string, number>).reduce((a, b) => a + b, 0)).toBe(
        one.requests ?? one.total_requests
      )
    for (const one of endpoints) {
      expect(one.avg_latency).toBe(shownLatency(one.avg_latency_ms ?? 0))
      if (one.latency_ms === undefined) continue
      expect(one.min_latency_ms).toBeLessThanOrEqual(one.avg_latency_ms)
      expect(one.avg_latency_ms).toBeLessThanOrEqual(one.max_latency_ms)
      expect(one.latency_ms.p50).toBeLessThanOrEqual(one.latency_ms.p95)
      expect(one.latency_ms.p99).toBeLessThanOrEqual(one.max_latency_ms)
      expect(one.ttft_ms.p50).toBeLessThanOrEqual(one.latency_ms.p99)
    }
  })

  it("tells the token figures that backends told", () => {
    const { proxy } = documents.status
    expect(Object.keys(proxy.endpoints).toSorted()).toEqual(["first", "second"])
    expect(proxy.endpoints.second.requests).toBe(named(documents.status.endpoints, "second").requests)
    expect(proxy.endpoints.first.avg_completion_tokens).toBeGreaterThan(0)
  })
})

describe("the endpoints document after a known workload", () => {
  it("has the same figures as the status", () => {
    for (const one of documents.endpoints.endpoints) {
      const other = named(documents.status.endpoints, one.name)
      expect({
        ...one,
        requests: one.request_count,
        connections: one.active_connections
      }).toMatchObject({
        id: other.id,
        url: other.url,
        requests: other.requests,
        connections: other.connections,
        success_rate: other.success_rate,
        min_latency_ms: other.min_latency_ms,
        max_latency_ms: other.max_latency_ms,
        requests_by_class: other.requests_by_class,
        circuit_breaker: other.circuit_breaker
      })
      expect(one.avg_latency_ms).toBe(other.avg_latency_ms)
      expect(one.latency_ms).toEqual(other.latency_ms)
    }
    expect(documents.endpoints).toMatchObject({ total_count: 4, healthy_count: 3, routable_count: 3 })
  })
})

describe("model statistics after a known workload", () => {
  const rows: ReadonlyArray<
    readonly [name: string, total: number, failed: number, hits: number, misses: number, Partial<Record<string, number>>]
  > = [
    ["whole", 6, 0, 6, 0, { "2xx": 6 }],
    ["streamed", 2, 0, 2, 0, { "2xx": 2 }],
    ["refused", 2, 0, 2, 0, { "4xx": 2 }],
    ["broken", 2, 2, 2, 0, { "5xx": 2 }],
    ["cut", 1, 1, 1, 0, { "2xx": 1 }],
    ["both", 4, 2, 0, 2, { "2xx": 2, transport: 2 }],
    ["alone", 1, 1, 0, 0, { transport: 1 }],
    ["native", 3, 0, 3, 0, { "2xx": 3 }],
    ["foreign", 3, 0, 3, 0, { "2xx": 3 }],
    ["left", 1, 0, 1, 0, { cancelled: 1 }],
    ["early", 1, 1, 0, 0, { cancelled: 1 }]
  ]

  it.each(rows)("count %s", (name, total, failed, hits, misses, byClass) => {
    expect(named(documents.models.models, name)).toMatchObject({
      total_requests: total,
      successful_requests: total - failed,
      failed_requests: failed,
      success_rate: percent(((total - failed) / total) * 100),
      routing_hits: hits,
      routing_misses: misses,
      routing_fallbacks: 0,
      unique_clients: 1
    })
    expect(named(documents.models.models, name).requests_by_class).toEqual(classes(byClass))
    if (name !== "left" && name !== "cut")
      expect(named(documents.models.models, name).total_traffic).toBe(
        shownBytes(bytesOf((endpoint, model) => endpoint !== "null" && model === name))
      )
  })

  it("are sorted by requests and then by name, and sum up", () => {
    const { models, summary } = documents.models
    expect(models.map(({ name }: Document) => name)).toEqual(
      rows.toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name)
    )
    expect(summary).toMatchObject({
      total_models: rows.length,
      active_models: rows.length,
      total_requests: 26,
      overall_success_rate: percent((19 / 26) * 100),
      most_popular_model: "whole",
      least_popular_model: models.at(-1).name
    })
  })

  it("break down by endpoint", () => {
    const { models, endpoints } = documents.models
    expect(named(models, "both").endpoint_breakdown).toMatchObject({
      first: { endpoint_name: "first", request_count: 2, success_rate: 0, consecutive_errors: 2, average_latency: "0ms" },
      second: { endpoint_name: "second", request_count: 2, success_rate: 100, consecutive_errors: 0 }
    })
    expect(endpoints).toMatchObject({
      first: { request_count: 19, consecutive_errors: 0 },
      second: { request_count: 5, success_rate: 100 },
      slow: { request_count: 2, success_rate: 50 }
    })
    for (const model of models) {
      const parts: ReadonlyArray<Document> = Object.values(model.endpoint_breakdown)
      expect(parts.reduce((sum, part) => sum + part.request_count, 0)).toBe(model.total_requests)
    }
  })
})

describe("the other statistics after a known workload", () => {
  it("count the translator by mode, kind and reason", () => {
    expect(documents.translators.translators).toMatchObject([
      {
        translator_name: "anthropic",
        total_requests: 8,
        successful_requests: 6,
        failed_requests: 2,
        success_rate: "75.0%",
        passthrough_rate: "37.5%",
        passthrough_requests: 3,
        translation_requests: 5,
        streaming_requests: 2,
        non_streaming_requests: 6,
        fallback_no_compatible_endpoints: 1,
        fallback_translator_does_not_support_passthrough: 0,
        fallback_cannot_passthrough: 3
      }
    ])
    expect(documents.translators.summary).toMatchObject({
      total_translators: 1,
      active_translators: 1,
      total_requests: 8,
      total_passthrough: 3,
      total_translations: 5,
      total_streaming: 2,
      total_non_streaming: 6
    })
  })

  it("count sessions", () => {
    expect(documents.sticky).toEqual({
      enabled: true,
      active_sessions: 1,
      insertions: 1,
      hits: 2,
      misses: 1,
      evictions: 0,
      max_sessions: 10000,
      idle_ttl_seconds: 600
    })
  })
})

describe("a session's id", () => {
  it("is recognised whole and echoed up to 256 bytes", async () => {
    const ask = async (id: string) => {
      const answer = await post(...chat("whole"), { headers: { "x-olla-session-id": id } })
      await answer.arrayBuffer()
      return [answer.headers.get("x-olla-sticky-session"), answer.headers.get("x-olla-session-id")]
    }
    const long = "s".repeat(256)
    expect(await ask(`${long}-one`)).toEqual(["miss", long])
    expect(await ask(`${long}-two`)).toEqual(["miss", long])
    expect(await ask(`${long}-one`)).toEqual(["hit", long])
  })
})

describe("metrics after a known workload", () => {
  it("are OpenMetrics for whom wants that, under the same names", async () => {
    const accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    const [open, plain] = await Promise.all(
      [accept, "*/*"].map((wanted) => fetch(`${daemon.url}/internal/metrics`, { headers: { accept: wanted } }))
    )
    expect([open?.headers.get("content-type"), plain?.headers.get("content-type")]).toEqual([
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
      "text/plain; version=0.0.4; charset=utf-8"
    ])
    expect([open?.headers.get("vary"), plain?.headers.get("vary")]).toEqual(["Accept", "Accept"])
    const families = readOpenMetrics((await open?.text()) ?? "")
    const names = (all: Iterable<{ readonly samples: ReadonlyArray<{ readonly name: string }> }>) =>
      [...new Set([...all].flatMap(({ samples }) => samples.map(({ name }) => name)))].toSorted()
    expect(names(families.values())).toEqual(names(readPrometheus((await plain?.text()) ?? "").values()))
  })

  it("say what the status says", () => {
    const { system, security, endpoints } = documents.status
    expect(value("olla_requests_total")).toBe(system.total_requests)
    expect(value("olla_failures_total")).toBe(system.total_failures)
    expect(percent(value("olla_success_rate_percent") ?? 0)).toBe(system.success_rate)
    expect(shownLatency(value("olla_avg_latency_ms") ?? 0)).toBe(system.avg_latency)
    expect(shownBytes(value("olla_total_traffic_bytes") ?? 0)).toBe(system.total_traffic)
    expect(value("olla_active_connections")).toBe(0)
    expect(value("olla_security_violations_total")).toBe(system.security_violations)
    expect(value("olla_security_size_limit_violations_total")).toBe(security.violations.size_limits)
    for (const [status, count] of Object.entries(system.rejections)) expect(value("olla_rejections_total", { status })).toBe(count)
    for (const one of endpoints) {
      const endpoint = { endpoint: one.name }
      expect(value("olla_endpoint_up", endpoint)).toBe(one.status === "healthy" ? 1 : 0)
      expect(value("olla_endpoint_requests_total", endpoint)).toBe(one.requests)
      expect(value("olla_endpoint_connections", endpoint)).toBe(one.connections)
      expect(value("olla_endpoint_avg_latency_ms", endpoint)).toBe(one.avg_latency_ms ?? 0)
      expect(shownBytes(value("olla_endpoint_traffic_bytes", endpoint) ?? 0)).toBe(one.traffic)
      expect(value("olla_endpoint_priority", endpoint)).toBe(one.priority)
      expect(value("olla_endpoint_models_count", endpoint)).toBe(one.models.count)
      const rate = value("olla_endpoint_success_rate_percent", endpoint)
      expect(rate === undefined ? "N/A" : percent(rate)).toBe(one.success_rate)
      // An endpoint that nobody used has no answers to count.
      for (const [key, count] of Object.entries(one.requests_by_class))
        expect(value("olla_endpoint_responses_total", { ...endpoint, class: key }) ?? 0).toBe(count)
      expect(value("olla_circuit_breaker_state", endpoint)).toBe({ closed: 0, "half-open": 1, open: 2 }[one.circuit_breaker as "closed"])
    }
    expect(value("olla_health_checks_total", { endpoint: "gone", result: "failure" })).toBeGreaterThan(0)
    expect(value("olla_health_checks_total", { endpoint: "second", result: "failure" })).toBe(0)
  })

  it("say what the other documents say", () => {
    const { models, summary } = documents.models
    expect(value("olla_models_total")).toBe(summary.total_models)
    expect(value("olla_models_requests_total")).toBe(summary.total_requests)
    expect(shownBytes(value("olla_models_traffic_bytes") ?? 0)).toBe(summary.total_traffic)
    for (const one of models) {
      const model = { model: one.name }
      expect(value("olla_model_requests_total", model)).toBe(one.total_requests)
      expect(value("olla_model_successful_requests_total", model)).toBe(one.successful_requests)
      expect(value("olla_model_failed_requests_total", model)).toBe(one.failed_requests)
      expect(value("olla_model_routing_hits_total", model)).toBe(one.routing_hits)
      expect(value("olla_model_routing_misses_total", model)).toBe(one.routing_misses)
      expect(value("olla_model_unique_clients", model)).toBe(one.unique_clients)
      expect(shownLatency(value("olla_model_p95_latency_ms", model) ?? 0)).toBe(one.p95_latency)
      expect(shownLatency(value("olla_model_avg_latency_ms", model) ?? 0)).toBe(one.average_latency)
      expect(value("olla_prompt_tokens_total", model)).toBe(one.prompt_tokens)
      expect(value("olla_completion_tokens_total", model)).toBe(one.completion_tokens)
      for (const [endpoint, part] of Object.entries<Document>(one.endpoint_breakdown)) {
        expect(value("olla_model_endpoint_requests_total", { ...model, endpoint })).toBe(part.request_count)
        expect(value("olla_model_endpoint_success_rate_percent", { ...model, endpoint })).toBeCloseTo(part.success_rate, 4)
        expect(value("olla_model_endpoint_consecutive_errors", { ...model, endpoint })).toBe(part.consecutive_errors)
      }
    }
    for (const [mode, result, count] of [
      ["passthrough", "success", 3],
      ["translation", "success", 3],
      ["translation", "failure", 2]
    ] as const)
      expect(value("olla_translator_requests_total", { mode, result })).toBe(count)
    expect(value("olla_sticky_session_hits_total")).toBe(documents.sticky.hits)
    expect(value("olla_sticky_session_misses_total")).toBe(documents.sticky.misses)
    expect(value("olla_sticky_sessions_active")).toBe(documents.sticky.active_sessions)
  })

  it("count each success once in the histograms", () => {
    const counts = (family: string) =>
      (metrics.get(family)?.samples ?? []).filter(({ name }) => name.endsWith("_count")).reduce((sum, sample) => sum + sample.value, 0)
    const successes = documents.status.endpoints.reduce(
      (sum: number, one: Document) =>
        sum + Math.round(((value("olla_endpoint_success_rate_percent", { endpoint: one.name }) ?? 0) * one.requests) / 100),
      0
    )
    expect(counts("olla_request_duration_seconds")).toBe(successes)
    expect(counts("olla_time_to_first_token_seconds")).toBe(successes)
  })
})

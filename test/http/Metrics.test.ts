import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { RetryBudget } from "../../src/balancing/RetryBudget.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { Lane } from "../../src/endpoint/lane/Lane.ts"
import type { LaneCondition } from "../../src/endpoint/lane/LaneCondition.ts"
import { UnservedPaths } from "../../src/endpoint/UnservedPaths.ts"
import { BodyBudget } from "../../src/guard/BodyBudget.ts"
import { metricFamilies } from "../../src/http/Metrics.ts"
import type { MetricsView } from "../../src/http/metrics/MetricsView.ts"
import type { TrafficMetrics } from "../../src/telemetry/metrics/TrafficMetrics.ts"
import { Statistics } from "../../src/telemetry/Statistics.ts"
import * as StatisticsLive from "../../src/telemetry/StatisticsLive.ts"
import { type Usage, usageReader } from "../../src/telemetry/Usage.ts"
import { attempt, end, newExchange } from "../telemetry/exchanges.ts"
import { readOpenMetrics } from "../telemetry/openMetricsText.ts"
import { readPrometheus, wholeText } from "../telemetry/promText.ts"

/** Name, type and labels in order, as the page has them. */
const page: ReadonlyArray<readonly [name: string, type: string, labels: string]> = [
  ["olla_info", "gauge", "version commit engine profile balancer"],
  ["olla_system_status", "gauge", ""],
  ["olla_endpoints_total", "gauge", ""],
  ["olla_endpoints_healthy", "gauge", ""],
  ["olla_success_rate_percent", "gauge", ""],
  ["olla_avg_latency_ms", "gauge", ""],
  ["olla_total_traffic_bytes", "gauge", ""],
  ["olla_uptime_seconds", "gauge", ""],
  ["olla_active_connections", "gauge", ""],
  ["olla_security_violations_total", "counter", ""],
  ["olla_security_rate_limit_violations_total", "counter", ""],
  ["olla_security_size_limit_violations_total", "counter", ""],
  ["olla_requests_total", "counter", ""],
  ["olla_failures_total", "counter", ""],
  ["olla_request_bodies_bytes", "gauge", ""],
  ["olla_request_bodies_limit_bytes", "gauge", ""],
  ["olla_request_bodies_refused_total", "counter", ""],
  ["olla_security_blocked_ips", "gauge", ""],
  ["olla_security_status", "gauge", ""],
  ["olla_endpoint_up", "gauge", "endpoint status"],
  ["olla_endpoint_requests_total", "counter", "endpoint"],
  ["olla_endpoint_connections", "gauge", "endpoint"],
  ["olla_endpoint_success_rate_percent", "gauge", "endpoint"],
  ["olla_endpoint_avg_latency_ms", "gauge", "endpoint"],
  ["olla_endpoint_priority", "gauge", "endpoint"],
  ["olla_endpoint_models_count", "gauge", "endpoint"],
  ["olla_endpoint_traffic_bytes", "counter", "endpoint"],
  ["olla_models_total", "gauge", ""],
  ["olla_lane_state", "gauge", "endpoint model"],
  ["olla_lane_in_flight", "gauge", "endpoint model"],
  ["olla_lane_pace_ms", "gauge", "endpoint model"],
  ["olla_model_loads_total", "counter", "endpoint model"],
  ["olla_ejections_total", "counter", "endpoint model reason"],
  ["olla_failovers_total", "counter", "endpoint model reason"],
  ["olla_failover_denied_total", "counter", ""],
  ["olla_panic_total", "counter", ""],
  ["olla_picks_total", "counter", "endpoint reason"],
  ["olla_prefix_tokens_total", "counter", "endpoint result"],
  ["olla_model_fallbacks_total", "counter", "from to reason"],
  ["olla_queue_waiting", "gauge", "model class"],
  ["olla_queue_wait_seconds", "histogram", "model class"],
  ["olla_queue_refused_total", "counter", "code"],
  ["olla_cancelled_total", "counter", "phase"],
  ["olla_signal_age_seconds", "gauge", "endpoint"],
  ["olla_models_active", "gauge", ""],
  ["olla_models_success_rate_percent", "gauge", ""],
  ["olla_models_requests_total", "counter", ""],
  ["olla_models_traffic_bytes", "counter", ""],
  ["olla_model_requests_total", "counter", "model"],
  ["olla_model_successful_requests_total", "counter", "model"],
  ["olla_model_failed_requests_total", "counter", "model"],
  ["olla_model_traffic_bytes", "counter", "model"],
  ["olla_model_routing_hits_total", "counter", "model"],
  ["olla_model_routing_misses_total", "counter", "model"],
  ["olla_model_routing_fallbacks_total", "counter", "model"],
  ["olla_model_success_rate_percent", "gauge", "model"],
  ["olla_model_avg_latency_ms", "gauge", "model"],
  ["olla_model_p95_latency_ms", "gauge", "model"],
  ["olla_model_p99_latency_ms", "gauge", "model"],
  ["olla_model_unique_clients", "gauge", "model"],
  ["olla_model_endpoint_requests_total", "counter", "model endpoint"],
  ["olla_model_endpoint_success_rate_percent", "gauge", "model endpoint"],
  ["olla_model_endpoint_avg_latency_ms", "gauge", "model endpoint"],
  ["olla_model_endpoint_consecutive_errors", "gauge", "model endpoint"],
  ["olla_request_duration_seconds", "histogram", "endpoint model"],
  ["olla_time_to_first_token_seconds", "histogram", "endpoint model"],
  ["olla_prompt_tokens_total", "counter", "model endpoint"],
  ["olla_completion_tokens_total", "counter", "model endpoint"],
  ["olla_tokens_per_second", "gauge", "model endpoint"],
  ["olla_endpoint_responses_total", "counter", "endpoint class"],
  ["olla_rejections_total", "counter", "status"],
  ["olla_trace_spans_exported_total", "counter", ""],
  ["olla_trace_spans_dropped_total", "counter", "reason"],
  ["olla_trace_queue_spans", "gauge", ""],
  ["olla_translator_requests_total", "counter", "translator mode result"],
  ["olla_translation_dropped_total", "counter", "translator"],
  ["olla_sticky_sessions_active", "gauge", ""],
  ["olla_sticky_session_hits_total", "counter", ""],
  ["olla_sticky_session_misses_total", "counter", ""],
  ["olla_sticky_session_evictions_total", "counter", ""],
  ["olla_circuit_breaker_state", "gauge", "endpoint"],
  ["olla_health_checks_total", "counter", "endpoint result"],
  ["olla_dialect_refusals", "gauge", "endpoint dialect"],
  ["olla_request_outcomes_total", "counter", "outcome cause"],
  ["olla_attempt_failures_total", "counter", "endpoint cause"],
  ["olla_request_seconds", "histogram", "outcome"],
  ["olla_overhead_seconds", "histogram", ""],
  ["olla_connect_seconds", "histogram", "endpoint result"],
  ["olla_time_to_headers_seconds", "histogram", "endpoint result"],
  ["olla_attempt_seconds", "histogram", "endpoint result"],
  ["olla_stream_first_token_seconds", "histogram", "endpoint model"],
  ["olla_time_per_output_token_seconds", "histogram", "endpoint model"],
  ["olla_response_bytes_total", "counter", ""],
  ["olla_endpoint_response_bytes_total", "counter", "endpoint"],
  ["olla_model_response_bytes_total", "counter", "model"],
  ["olla_endpoints", "gauge", ""],
  ["olla_models", "gauge", ""],
  ["olla_endpoint_healthy", "gauge", "endpoint"],
  ["olla_endpoint_routable", "gauge", "endpoint"]
]
/** Under the names of Node's own libraries; some are of Linux alone, and collections come when they come. */
const processFamilies = [
  ["process_cpu_seconds_total", "counter"],
  ["process_resident_memory_bytes", "gauge"],
  ["process_start_time_seconds", "gauge"],
  ["process_open_fds", "gauge"],
  ["process_max_fds", "gauge"],
  ["nodejs_heap_size_used_bytes", "gauge"],
  ["nodejs_heap_size_total_bytes", "gauge"],
  ["nodejs_external_memory_bytes", "gauge"],
  ["nodejs_eventloop_utilization", "gauge"],
  ["nodejs_eventloop_lag_p50_seconds", "gauge"],
  ["nodejs_eventloop_lag_p99_seconds", "gauge"],
  ["nodejs_eventloop_lag_max_seconds", "gauge"],
  ["nodejs_gc_duration_seconds", "histogram"]
] as const
const allNames = [...page, ...processFamilies].map(([name]) => name).toSorted()

const rates = page.map(([name]) => name).filter((name) => name.includes("success_rate"))
const nasty = 'back\\slash "quoted"\nnew line ü'

const speaking = {
  anthropic: { enabled: true, messagesPath: "/v1/messages" },
  responses: { enabled: true, responsesPath: "/v1/responses" }
}

/** Refused long ago, and just now. */
const unserving = (): UnservedPaths => {
  let now = 0
  const paths = new UnservedPaths(() => now)
  paths.add("POST", "/v1/responses", "")
  now = 16 * 60_000
  paths.add("POST", "/v1/messages", "")
  return paths
}

const endpoint = (name: string, url: string, status = "healthy"): Endpoint =>
  ({
    name,
    url,
    displayUrl: url,
    priority: 100,
    state: { status },
    models: [],
    inFlight: 0,
    breaker: { phase: url === "http://two:1" ? "open" : url === "http://one:1" ? "half-open" : "closed" },
    probeCounts: { success: 3, failure: 1 },
    profile: speaking,
    unserved: unserving(),
    lanes: []
  }) as unknown as Endpoint

const figures: Usage = { inputTokens: 7, outputTokens: 11, tokensPerSecond: 12.3456789 }

const viewOf = (
  statistics: Statistics["Service"],
  endpoints: MetricsView["endpoints"],
  sticky: MetricsView["sticky"] = undefined
): MetricsView => ({
  now: 5_000,
  monotonic: 5_000,
  uptime: 3_500,
  startedAt: 1_500,
  bodies: new BodyBudget(() => 1024),
  config: decodeConfig("", "olla.yaml", {}).config!,
  configStatus: { generation: 1, loadedAt: 0, source: "", lastError: undefined, restartNeeded: [] },
  discovery: [],
  endpoints,
  underWay: 0,
  totals: statistics.endpoint,
  global: statistics.global(),
  security: statistics.security(),
  phases: statistics.phases,
  traffic: statistics.traffic,
  retries: new RetryBudget(),
  queue: {
    waiting: 3,
    oldestMs: 5,
    byClass: { high: 0, normal: 2, low: 1 },
    byModel: new Map([["m", 3]]),
    byModelAndClass: new Map([["m", { high: 0, normal: 2, low: 1 }]]),
    bytes: 9
  },
  models: statistics.models(),
  labelledModels: statistics.labelledModels(),
  modelsOverall: statistics.modelsOverall(),
  series: statistics.series(),
  translators: statistics.translators(),
  rejections: statistics.rejections(),
  traces: { exported: 3, dropped: { queue_full: 0, failed: 0, rejected: 1, shutdown: 0 }, queued: 2 },
  sticky
})

/** As it came out of an ejection by its trial's failure, with all that can be told of one. */
const laneOf = (of: Endpoint): Lane =>
  ({
    endpoint: of,
    model: "",
    state: "ejected",
    condition: { state: "ejected", since: 4_000, ejections: 2 },
    why: "status_5xx",
    inFlight: 1,
    work: { streamed: { isMeasured: false }, whole: { isMeasured: true, base: 12.5 }, loads: 1, report: { at: 4_000 } }
  }) as unknown as Lane

const tellOfTraffic = ({ observer, heard }: TrafficMetrics, one: Endpoint): void => {
  const moved = newExchange()
  for (const more of [{ pick: "cached", promptTokens: 10, cachedTokens: 4, verdict: brokenOff }, { pick: "panic" }]) {
    moved.attempts.push(Object.assign(attempt(observer, newExchange(), { endpoint: one }), more))
    if (moved.lastAttempt !== undefined) observer.dispatched(moved, moved.lastAttempt)
  }
  moved.urgency = "low"
  moved.beginWait(1_010)
  moved.endWait(1_050)
  end(observer, moved)
  observer.movedOn(moved, { alias: "coder", from: "large", to: "small", reason: "saturated" })
  heard({ _tag: "LaneTurned", endpoint: one, lane: laneOf(one), before: { since: 1_000 } as LaneCondition })
}

const brokenOff = { lane: { _tag: "failure" }, again: "yes", reason: "transport", isFree: false } as const

/** The statistics of two answered requests and one refused, on endpoints with difficult names. */
const scrape = (traffic: boolean, sticky: MetricsView["sticky"] = undefined) =>
  Effect.runSync(
    Effect.gen(function* () {
      const statistics = yield* Statistics
      const one = endpoint(nasty, "http://one:1")
      const two = endpoint(nasty, "http://two:1", "offline")
      if (traffic) {
        for (const [tried, status] of [
          [one, 200],
          [two, 500],
          [{ url: "http://gone:1", name: nasty }, 200]
        ] as const) {
          const exchange = newExchange({ model: nasty })
          exchange.kept.tail.push(new Uint8Array([1]))
          exchange.translator = {
            name: "anthropic",
            mode: "passthrough",
            fallbackReason: "",
            client: "messages",
            backend: "chat",
            dropped: ""
          }
          exchange.stream = true
          const { accepted } = exchange.timings
          attempt(statistics.observer, exchange, {
            endpoint: tried,
            status,
            ends: 1234,
            timings: {
              started: accepted,
              connected: accepted + 5,
              sent: accepted + 5,
              headers: accepted + 15,
              firstByte: accepted + 20,
              lastByte: accepted + 1234
            }
          })
          end(statistics.observer, exchange)
        }
        statistics.rejected(404)
        Object.assign(one, { lanes: [laneOf(one)] })
        tellOfTraffic(statistics.traffic, one)
      }
      const view = viewOf(statistics, [one, two, endpoint("solo", "http://three:1")], sticky)
      const given = metricFamilies(view)
      const text = wholeText(given)
      return { text, families: readPrometheus(text), open: readOpenMetrics(wholeText(given, "openMetrics")) }
    }).pipe(
      Effect.provide(
        StatisticsLive.layerWith(
          usageReader(() => figures),
          (model) => model
        )
      )
    )
  )

describe("metrics", () => {
  it("have every family of the page, with its type, help and labels in the page's order", () => {
    const { families } = scrape(true, {
      active_sessions: 1,
      insertions: 2,
      hits: 3,
      misses: 4,
      evictions: 5,
      max_sessions: 6,
      idle_ttl_seconds: 7
    })
    expect([...families.keys()].toSorted()).toEqual(allNames)
    for (const [name, type, labels] of page) {
      const family = families.get(name)
      expect([name, family?.type]).toEqual([name, type])
      expect(family?.help, name).not.toBe("")
      expect(family?.samples.length, name).toBeGreaterThan(0)
      for (const sample of family?.samples ?? [])
        expect([name, sample.labelNames.filter((label) => label !== "endpoint_id" && label !== "le").join(" ")]).toEqual([name, labels])
    }
  })

  it("stand in docs/observability.md, each with its type", () => {
    const text = readFileSync(join(import.meta.dirname, "..", "..", "docs", "observability.md"), "utf8")
    for (const [name, type] of [...page, ...processFamilies]) expect(text).toMatch(new RegExp(`\\| \`${name}\` \\| ${type} \\|`))
  })

  it("announce families without samples, and leave rates without traffic out", () => {
    const { families } = scrape(false)
    expect([...families.keys()].toSorted()).toEqual(allNames)
    for (const name of rates) expect(families.get(name)?.samples, name).toEqual([])
    expect(families.get("olla_requests_total")?.samples[0]?.value).toBe(0)
    expect(families.get("olla_models_total")?.samples[0]?.value).toBe(0)
    expect(families.get("olla_sticky_sessions_active")?.samples).toEqual([])
    expect(families.get("olla_uptime_seconds")?.samples[0]?.value).toBe(3.5)
  })

  it("forget what was refused in time", () => {
    const samples = scrape(false).families.get("olla_dialect_refusals")?.samples ?? []
    expect(new Set(samples.map(({ labels }) => labels["dialect"]))).toEqual(new Set(["messages"]))
  })

  it("tell endpoints of one name apart by a further label, and only them", () => {
    const { families } = scrape(true)
    const up = families.get("olla_endpoint_up")?.samples ?? []
    expect(up.map(({ labels }) => [labels["endpoint"], labels["endpoint_id"] !== undefined])).toEqual([
      [nasty, true],
      [nasty, true],
      ["solo", false]
    ])
    expect(new Set(up.map(({ labels }) => labels["endpoint_id"])).size).toBe(3)
  })

  it("are sorted by name, then by label values, with at most six decimals", () => {
    const { text, families } = scrape(true)
    expect([...families.keys()]).toEqual([...families.keys()].toSorted())
    for (const { samples, type } of families.values()) {
      if (type === "histogram") continue
      const keys = samples.map(({ labels }) => Object.values(labels).join("\u0001"))
      expect(keys).toEqual(keys.toSorted())
    }
    for (const line of text.split("\n")) expect(line).not.toMatch(/\.\d{7,}$/)
    expect(text).toContain("12.345679")
  })

  it("say the same in OpenMetrics, under the same names", () => {
    const { families, open } = scrape(true)
    const samples = (read: Iterable<{ readonly samples: ReadonlyArray<{ readonly name: string; readonly value: number }> }>) =>
      [...read].flatMap((family) => family.samples.map(({ name, value }) => `${name} ${value}`))
    const ofProcess = (line: string) => line.startsWith("olla_")
    expect(samples(open.values()).filter(ofProcess)).toEqual(samples(families.values()).filter(ofProcess))
    const types = Object.fromEntries([...open].map(([name, { type }]) => [name, type]))
    expect(types).toMatchObject({
      olla_requests: "counter",
      olla_endpoints_total: "gauge",
      olla_endpoints: "gauge",
      olla_endpoint_traffic_bytes: "unknown",
      olla_endpoint_response_bytes: "counter",
      olla_request_seconds: "histogram"
    })
  })

  it("get no series from 5,000 names that nobody offers but one called other in each family", () => {
    const seriesOf = (names: ReadonlyArray<string>) =>
      Effect.runSync(
        Effect.gen(function* () {
          const statistics = yield* Statistics
          for (const model of names)
            for (const [status, firstByte] of [
              [200, 20],
              [404, 20],
              [500, 20]
            ] as const) {
              const exchange = newExchange({ model })
              exchange.kept.tail.push(new Uint8Array([1]))
              exchange.stream = true
              const { accepted } = exchange.timings
              const timings = { connected: accepted + 1, sent: accepted + 2, headers: accepted + 3, firstByte, lastByte: accepted + 900 }
              attempt(statistics.observer, exchange, { endpoint: one, status, ends: 900, timings })
              end(statistics.observer, exchange)
            }
          const families = metricFamilies(viewOf(statistics, [one]))
          const read = readPrometheus(wholeText(families))
          return {
            sizes: [...read].map(([name, { samples }]) => [name, samples.length] as const),
            requests: read.get("olla_model_requests_total")?.samples.map(({ labels, value }) => [labels["model"], value])
          }
        }).pipe(
          Effect.provide(
            StatisticsLive.layerWith(
              usageReader(() => figures),
              (model) => (model.startsWith("real") ? model : undefined)
            )
          )
        )
      )
    const one = endpoint("desk", "http://one:1")
    const junk = Array.from({ length: 5_000 }, (_, n) => `junk-${n}`)
    const ofOlla = ({ sizes }: ReturnType<typeof seriesOf>) => sizes.filter(([name]) => name.startsWith("olla_"))
    const many = seriesOf(["real", ...junk])
    expect(ofOlla(many)).toEqual(ofOlla(seriesOf(["real", "junk"])))
    // Names that the statistics have forgotten since are counted all the same: a counter never goes down.
    expect(many.requests).toEqual([
      ["other", 15_000],
      ["real", 3]
    ])
  })

  it("have at most 300 pairs of model and endpoint, and lose no request for it", () => {
    const families = Effect.runSync(
      Effect.gen(function* () {
        const statistics = yield* Statistics
        const endpoints = Array.from({ length: 20 }, (_, n) => endpoint(`e${n}`, `http://e${n}:1`))
        for (let m = 0; m < 30; m++)
          for (const one of endpoints) {
            const exchange = newExchange({ model: `m${m}` })
            attempt(statistics.observer, exchange, { endpoint: one })
            end(statistics.observer, exchange)
          }
        return readPrometheus(wholeText(metricFamilies(viewOf(statistics, endpoints))))
      }).pipe(
        Effect.provide(
          StatisticsLive.layerWith(
            () => undefined,
            (model) => model
          )
        )
      )
    )
    const pairs = families.get("olla_model_endpoint_requests_total")?.samples ?? []
    expect(pairs.filter(({ labels }) => labels["model"] !== "other")).toHaveLength(300)
    expect(pairs.filter(({ labels }) => labels["model"] === "other")).toHaveLength(20)
    expect(pairs.reduce((sum, { value }) => sum + value, 0)).toBe(600)
    expect(families.get("olla_model_requests_total")?.samples.filter(({ value }) => value === 20)).toHaveLength(30)
  })

  it("say what the statistics say", () => {
    const { families } = scrape(true)
    const value = (name: string, labels: Record<string, string> = {}) =>
      families
        .get(name)
        ?.samples.filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted))
        .reduce((sum, sample) => sum + sample.value, 0)
    expect(value("olla_requests_total")).toBe(3)
    expect(value("olla_failures_total")).toBe(1)
    expect(value("olla_endpoint_responses_total", { class: "5xx" })).toBe(1)
    expect(value("olla_rejections_total", { status: "404" })).toBe(1)
    expect(value("olla_translator_requests_total", { mode: "passthrough", result: "success" })).toBe(2)
    expect(value("olla_translator_requests_total", { mode: "passthrough", result: "failure" })).toBe(1)
    expect(value("olla_prompt_tokens_total")).toBe(14)
    expect(value("olla_health_checks_total", { result: "success" })).toBe(9)
    expect(value("olla_circuit_breaker_state")).toBe(3)
    const duration = families.get("olla_request_duration_seconds")?.samples ?? []
    expect(duration.filter(({ name }) => name.endsWith("_count")).map((sample) => sample.value)).toEqual([1, 1])
    expect(duration.filter(({ name }) => name.endsWith("_sum")).map((sample) => sample.value)).toEqual([1.234, 1.234])
  })
})

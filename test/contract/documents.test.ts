/** Each document compared field by field after a known workload. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask, chat } from "./ask.ts"
import { build, endpointsYaml, startDaemon } from "./daemon.ts"

import {
  ago,
  bytes,
  classes,
  endpoint,
  get,
  gpu,
  laptop,
  lastOfGpu,
  latency,
  limited,
  millis,
  percentiles,
  plain,
  startWorkload,
  stopWorkload,
  time,
  withoutSpeeds
} from "./documentsWorkload.ts"

beforeAll(startWorkload)
afterAll(stopWorkload)

describe("/internal/status", () => {
  it("tells what happened", async () => {
    const document = await get("/internal/status")
    const inStatus = {
      connections: 0,
      avg_latency: latency,
      traffic: bytes,
      last_check: ago,
      next_check: expect.stringMatching(/^(?:now|in \ds)$/)
    }
    expect(document).toEqual({
      timestamp: time,
      proxy: { engine: "olla", profile: "auto", balancer: "priority", endpoints: expect.any(Object) },
      endpoints: [
        {
          ...endpoint("gpu", gpu, 200),
          ...inStatus,
          last_request_error: lastOfGpu,
          requests: 11,
          success_rate: "72.7%",
          requests_by_class: classes({ "2xx": 7, "4xx": 1, "5xx": 2, transport: 1 }),
          issues: "low success rate",
          models: { last_updated: time, count: 2 }
        },
        {
          ...endpoint("laptop", laptop, 150),
          ...inStatus,
          requests: 1,
          success_rate: "100%",
          requests_by_class: classes({ "2xx": 1 }),
          issues: "",
          models: { last_updated: time, count: 2 }
        },
        {
          ...endpoint("plain", plain, 100),
          ...inStatus,
          requests: 1,
          success_rate: "100%",
          requests_by_class: classes({ "2xx": 1 }),
          issues: "",
          models: { last_updated: time, count: 1 }
        }
      ],
      discovery: [],
      config: { generation: 1, loaded_at: time, source: expect.stringContaining("olla.yaml"), last_error: null, restart_needed: [] },
      security: { status: "normal", blocked_ips: 1, violations: { rate_limits: limited, size_limits: 3 } },
      system: {
        start_time: time,
        status: "critical",
        endpoints_up: "3/3",
        success_rate: "83.3%",
        avg_latency: latency,
        total_traffic: bytes,
        uptime: expect.stringMatching(/^\d+s$/),
        version: build.version,
        commit: build.commit,
        active_connections: 0,
        security_violations: limited + 3,
        total_requests: 12,
        total_failures: 2,
        total_attempts: 13,
        total_retries: 1,
        has_traffic: true,
        requests_by_class: classes({ "2xx": 9, "4xx": 1, "5xx": 2 }),
        rejections: { "404": 5, "413": 2, "429": limited, "431": 1, "503": 0 },
        latency_ms: percentiles,
        ttft_ms: percentiles
      }
    })
    expect(limited).toBeGreaterThan(10)
    for (const one of document.endpoints) expect(one.min_latency_ms).toBeLessThanOrEqual(one.max_latency_ms)
  })

  it("tells what backends said of their tokens", async () => {
    const usage = (requests: number, completion: number) => ({
      requests,
      avg_latency_ms: millis,
      avg_prompt_tokens: 29,
      avg_completion_tokens: completion
    })
    expect(withoutSpeeds((await get("/internal/status")).proxy.endpoints)).toEqual({
      gpu: usage(5, 3),
      laptop: usage(1, 3),
      plain: usage(1, 1)
    })
  })
})

describe("/internal/status/endpoints", () => {
  it("tells the same of each endpoint", async () => {
    const listed = {
      active_connections: 0,
      health_check: ago,
      response_time: expect.stringMatching(/^\d+ms$/),
      last_model_sync: ago,
      last_model_sync_at: time
    }
    const document = await get("/internal/status/endpoints")
    expect(document).toEqual({
      timestamp: time,
      total_count: 3,
      healthy_count: 3,
      routable_count: 3,
      endpoints: [
        {
          ...endpoint("gpu", gpu, 200),
          ...listed,
          last_request_error: lastOfGpu,
          type: "vllm",
          model_count: 2,
          request_count: 11,
          success_rate: "72.7%",
          requests_by_class: classes({ "2xx": 7, "4xx": 1, "5xx": 2, transport: 1 }),
          issues: "low success rate"
        },
        {
          ...endpoint("laptop", laptop, 150),
          ...listed,
          type: "ollama",
          model_count: 2,
          request_count: 1,
          success_rate: "100%",
          requests_by_class: classes({ "2xx": 1 })
        },
        {
          ...endpoint("plain", plain, 100),
          ...listed,
          type: "openai-compatible",
          model_count: 1,
          request_count: 1,
          success_rate: "100%",
          requests_by_class: classes({ "2xx": 1 })
        }
      ]
    })
  })
})

describe("/internal/status/models", () => {
  it("tells where each model is", async () => {
    const ids = Object.fromEntries((await get("/internal/status")).endpoints.map((one: { name: string; id: string }) => [one.name, one.id]))
    const document = await get("/internal/status/models")
    expect({ ...document, models_by_family: undefined, recent_models: undefined }).toEqual({
      timestamp: time,
      total_models: 4,
      total_families: Object.keys(document.models_by_family).length,
      total_endpoints: 3
    })
    expect(Object.values(document.models_by_family).flat().sort()).toEqual(["chat-big", "pair", "plain", "qwen3:8b"])
    const byName = Object.fromEntries(document.recent_models.map((one: { name: string }) => [one.name, one]))
    expect(byName["pair"]).toMatchObject({
      last_seen: ago,
      last_seen_at: time,
      endpoints: ["gpu", "laptop"],
      endpoint_ids: [ids.gpu, ids.laptop]
    })
    expect(byName["qwen3:8b"]).toMatchObject({
      endpoints: ["laptop"],
      endpoint_ids: [ids.laptop],
      size: bytes,
      params: "8.0B",
      quant: "Q4_K_M"
    })
    const grouped = await get("/internal/status/models?detailed=true&group=family")
    expect(grouped.model_groups.map((group: { family: string }) => group.family)).toEqual(Object.keys(document.models_by_family))
    for (const group of grouped.model_groups) {
      expect(Object.keys(group).sort()).toEqual(["endpoints", "family", "model_count", "models"])
      expect(group.model_count).toBe(group.models.length)
    }
    for (const query of ["detailed=true", "group=family", "detailed=True&group=family", "detailed=true&group=Family"])
      expect((await get(`/internal/status/models?${query}`)).model_groups).toBeUndefined()
  })
})

describe("/internal/stats/models", () => {
  const model = (name: string) => ({
    name,
    success_rate: "100%",
    total_traffic: bytes,
    average_latency: latency,
    p95_latency: latency,
    p99_latency: latency,
    last_requested: ago,
    unique_clients: 1,
    routing_hits: 0,
    routing_misses: 0,
    routing_fallbacks: 0,
    latency_ms: percentiles,
    ttft_ms: percentiles,
    // The simulated backends count 29 tokens in every prompt, and tell no speed.
    prompt_tokens: 29,
    completion_tokens: 3
  })
  const pair = (endpoint_name: string, request_count: number, success_rate: number, consecutive_errors = 0) => ({
    endpoint_name,
    request_count,
    success_rate,
    average_latency: latency,
    last_used: ago,
    consecutive_errors
  })

  it("tells how each model was used", async () => {
    const document = withoutSpeeds(await get("/internal/stats/models?include_endpoints=true&include_summary=true"))
    expect(document).toEqual({
      timestamp: time,
      endpoints: {
        gpu: pair("gpu", 11, expect.closeTo(72.727, 2)),
        laptop: pair("laptop", 1, 100),
        plain: pair("plain", 1, 100)
      },
      models: [
        {
          ...model(""),
          name: "chat-big",
          total_requests: 10,
          successful_requests: 8,
          failed_requests: 2,
          success_rate: "80.0%",
          routing_hits: 10,
          requests_by_class: classes({ "2xx": 7, "4xx": 1, "5xx": 2 }),
          // Three whole answers and Anthropic's two tell their tokens; a stream that was not asked to does not.
          prompt_tokens: 145,
          completion_tokens: 15,
          endpoint_breakdown: { gpu: pair("gpu", 10, 80) }
        },
        {
          ...model(""),
          name: "pair",
          total_requests: 2,
          successful_requests: 1,
          failed_requests: 1,
          success_rate: "50.0%",
          routing_misses: 1,
          requests_by_class: classes({ "2xx": 1, transport: 1 }),
          endpoint_breakdown: { gpu: pair("gpu", 1, 0, 1), laptop: pair("laptop", 1, 100) }
        },
        {
          ...model(""),
          name: "plain",
          total_requests: 1,
          successful_requests: 1,
          failed_requests: 0,
          routing_hits: 1,
          requests_by_class: classes({ "2xx": 1 }),
          completion_tokens: 1,
          endpoint_breakdown: { plain: pair("plain", 1, 100) }
        }
      ],
      summary: {
        overall_success_rate: "76.9%",
        total_traffic: bytes,
        most_popular_model: "chat-big",
        least_popular_model: "plain",
        total_models: 3,
        active_models: 3,
        total_requests: 13
      }
    })
  })

  it("leaves out what was not asked for", async () => {
    for (const query of ["", "?include_endpoints=1&include_summary=yes", "?include_endpoints=True"]) {
      const document = await get(`/internal/stats/models${query}`)
      expect(document.endpoints).toEqual({})
      expect(document.models.some((one: object) => "endpoint_breakdown" in one)).toBe(false)
      expect(document.summary.total_requests).toBe(13)
    }
  })
})

describe("/internal/stats/translators", () => {
  it("tells how the translator was used", async () => {
    expect(await get("/internal/stats/translators")).toEqual({
      timestamp: time,
      translators: [
        {
          translator_name: "anthropic",
          success_rate: "75.0%",
          passthrough_rate: "50.0%",
          average_latency: latency,
          total_requests: 4,
          successful_requests: 3,
          failed_requests: 1,
          passthrough_requests: 2,
          translation_requests: 2,
          streaming_requests: 1,
          non_streaming_requests: 3,
          fallback_no_compatible_endpoints: 0,
          fallback_translator_does_not_support_passthrough: 0,
          fallback_cannot_passthrough: 1,
          backend_errors: 0
        }
      ],
      summary: {
        overall_success_rate: "75.0%",
        overall_passthrough_rate: "50.0%",
        total_translators: 1,
        active_translators: 1,
        total_requests: 4,
        total_passthrough: 2,
        total_translations: 2,
        total_streaming: 1,
        total_non_streaming: 3
      }
    })
  })
})

describe("/internal/stats/sticky", () => {
  it("says that there are none", async () => {
    expect(await get("/internal/stats/sticky")).toEqual({ enabled: false })
  })

  it("counts sessions where they are on", async () => {
    const sticky = await startDaemon(
      `proxy:\n  sticky_sessions: {enabled: true, idle_ttl_seconds: 300, max_sessions: 50}\n${endpointsYaml([
        { name: "gpu", backend: gpu },
        { name: "laptop", backend: laptop }
      ])}`
    )
    try {
      const turn = () =>
        ask(sticky.port, {
          method: "POST",
          path: "/olla/proxy/v1/chat/completions",
          headers: { "content-type": "application/json", "x-olla-session-id": "s1" },
          body: chat("pair")
        })
      const answers = [await turn(), await turn(), await turn()]
      expect(answers.map((answer) => answer.header("x-olla-sticky-session"))).toEqual(["miss", "hit", "hit"])
      expect(new Set(answers.map((answer) => answer.header("x-olla-endpoint"))).size).toBe(1)
      expect(answers.map((answer) => [answer.header("x-olla-session-id"), answer.header("x-olla-sticky-key-source")])).toEqual(
        Array.from({ length: 3 }, () => ["s1", "session_header"])
      )
      expect((await ask(sticky.port, { path: "/internal/stats/sticky" })).json()).toEqual({
        enabled: true,
        active_sessions: 1,
        insertions: 1,
        hits: 2,
        misses: 1,
        evictions: 0,
        max_sessions: 50,
        idle_ttl_seconds: 300
      })
    } finally {
      await sticky.stop()
    }
  })
})

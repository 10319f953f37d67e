/** What the daemon says of its own process and build, field by field. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { build, type Daemon, startDaemon } from "./daemon.ts"
import { bytes, time } from "./documentsWorkload.ts"

let daemon: Daemon

beforeAll(async () => {
  daemon = await startDaemon("discovery: {static: {endpoints: []}}\n")
})

afterAll(() => daemon?.stop())

const get = async (path: string) => (await ask(daemon.port, { path })).json()

describe("/internal/process", () => {
  it("has every key, in the reference's words", async () => {
    const empty = expect.stringMatching(/^(?:|[\d.]+(?:µs|ms)|\d+s)$/)
    expect(await get("/internal/process")).toEqual({
      timestamp: time,
      memory: {
        heap_alloc: bytes,
        heap_sys: bytes,
        heap_inuse: bytes,
        heap_released: bytes,
        stack_inuse: bytes,
        total_alloc: bytes,
        memory_pressure: expect.stringMatching(/^(?:LOW|MEDIUM|HIGH)$/)
      },
      request_bodies: { held: "0 B", largest: bytes, limit: bytes, refused: 0 },
      garbage_collection: {
        last_gc: expect.any(String),
        total_gc_time: empty,
        avg_gc_pause: empty,
        gc_cpu_fraction: expect.any(Number),
        num_gc_cycles: expect.any(Number)
      },
      goroutines: { health_status: "HEALTHY", count: expect.any(Number), cgo_calls: 0 },
      runtime: {
        uptime: expect.stringMatching(/^\d+s$|^\d+(?:\.\d+)?ms$/),
        go_version: expect.stringMatching(/^node\d+\./),
        num_cpu: expect.any(Number),
        gomaxprocs: expect.any(Number)
      },
      allocations: { total_mallocs: expect.any(Number), total_frees: expect.any(Number), net_objects: expect.any(Number) }
    })
  })
})

describe("/version", () => {
  it("says what this is", async () => {
    expect(await get("/version")).toEqual({
      name: "Olla",
      version: build.version,
      edition: "Community",
      description: "The AI Proxy for your LLMs",
      build: {
        commit: build.commit,
        date: build.date,
        go_version: expect.stringMatching(/^node\d+\./),
        platform: expect.stringMatching(/^(?:linux|darwin|windows)\/(?:amd64|arm64)$/)
      },
      capabilities: [
        "load_balancing",
        "health_checking",
        "rate_limiting",
        "model_unification",
        "endpoint_discovery",
        "message_translation",
        "translation_anthropic",
        "passthrough_anthropic"
      ],
      capabilities_experimental: ["translation_anthropic", "passthrough_anthropic"],
      supported_backends: [
        "ollama",
        "lemonade",
        "litellm",
        "llamacpp",
        "lmdeploy",
        "lm_studio",
        "omlx",
        "sglang",
        "vllm",
        "vllm-mlx",
        "openai_compatible",
        "docker-model-runner",
        "rapid-mlx"
      ],
      api: {
        version: "v1",
        endpoints: {
          health: "/internal/health",
          metrics: "/internal/metrics",
          process: "/internal/process",
          status: "/internal/status",
          version: "/version"
        }
      },
      links: { homepage: "", documentation: "/internal/openapi.json", releases: "" }
    })
  })
})

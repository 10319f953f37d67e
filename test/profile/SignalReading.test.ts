import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { readSignals, type SignalReport } from "../../src/profile/SignalReading.ts"
import { type SignalSource, signalSourcesOf } from "../../src/profile/SignalSource.ts"

const profiles = loadProfiles({ cwd: "/nowhere", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

const sourceOf = (kind: string, path: string): SignalSource => {
  const found = profiles.byName(kind)?.signals.find((source) => source.path === path)
  if (found === undefined) throw new Error(`${kind} has no ${path}`)
  return found
}

const read = (kind: string, path: string, body: string): SignalReport | undefined => readSignals(sourceOf(kind, path), body)

const recorded = (name: string): string => {
  const text = readFileSync(new URL(`recorded/${name}`, import.meta.url), "utf8")
  return text.slice(text.search(/\r?\n\r?\n/)).trimStart()
}

describe("what a backend says of its load", () => {
  it("vLLM's counts for the model of its label, its parts added up", () => {
    const report = read(
      "vllm",
      "/metrics",
      [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        'vllm:num_requests_running{engine="0",model_name="qwen/\\"q\\""} 3.0',
        'vllm:num_requests_running{engine="1",model_name="qwen/\\"q\\""} 2.0',
        'vllm:num_requests_waiting{engine="0",model_name="qwen/\\"q\\""} 1.0',
        'vllm:num_requests_waiting_by_reason{engine="0",model_name="x"} 100.0',
        'vllm:kv_cache_usage_perc{engine="0",model_name="qwen/\\"q\\""} 0.5',
        'vllm:kv_cache_usage_perc{engine="1",model_name="qwen/\\"q\\""} 0.7',
        'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="1000"} 1.0',
        'vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="None"} 1.0'
      ].join("\n")
    )
    expect([...(report?.byModel ?? [])]).toEqual([
      ['qwen/"q"', { running: 5, waiting: 1, kvUsed: 0.6, slots: undefined, cacheTokens: undefined }]
    ])
    expect(report?.all.cacheTokens).toBe(16_000)
  })

  it("an older vLLM's share of memory, by its older name", () => {
    const report = read("vllm", "/metrics", 'vllm:gpu_cache_usage_perc{model_name="m"} 0.25\n')
    expect(report?.byModel.get("m")?.kvUsed).toBe(0.25)
  })

  it.each(["sglang:", "sglang_"])("SGLang's, whose names begin with %s", (prefix) => {
    const report = read(
      "sglang",
      "/metrics",
      `${prefix}num_running_reqs{model_name="m"} 4\n${prefix}num_queue_reqs{model_name="m"} 7\n${prefix}token_usage{model_name="m"} 0.5\n`
    )
    expect(report?.byModel.get("m")).toMatchObject({ running: 4, waiting: 7, kvUsed: 0.5 })
  })

  it("llama-server's, as it was recorded: of the whole server, and its slots", () => {
    expect(read("llamacpp", "/metrics", recorded("llamacpp-metrics.http"))?.all).toMatchObject({ running: 0, waiting: 0 })
    expect(read("llamacpp", "/props", recorded("llamacpp-props.http"))?.all).toMatchObject({ slots: 4, cacheTokens: 2048 })
  })

  it("Ollama's list of what is in memory, as it was recorded", () => {
    expect([...(read("ollama", "/api/ps", recorded("ollama-ps.http"))?.loaded ?? [])]).toEqual(["tiny-ollama:latest"])
    expect(read("ollama", "/api/ps", '{"models":[]}')?.loaded?.size).toBe(0)
  })

  it("LM Studio's models that are loaded", () => {
    const body = { data: [{ id: "a", state: "loaded" }, { id: "b", state: "not-loaded" }, { id: "c" }] }
    expect([...(read("lm-studio", "/api/v0/models", JSON.stringify(body))?.loaded ?? [])]).toEqual(["a"])
  })

  it("that a vLLM sleeps", () => {
    expect(read("vllm", "/is_sleeping", '{"is_sleeping":true}')?.isAsleep).toBe(true)
    expect(read("vllm", "/is_sleeping", '{"is_sleeping":false}')?.isAsleep).toBe(false)
  })

  it.each([
    ["vllm", "/metrics", ""],
    ["vllm", "/metrics", "<html>vllm:num_requests_running</html>"],
    ["vllm", "/metrics", 'vllm:num_requests_running{model_name="m"} NaN'],
    ["vllm", "/metrics", 'vllm:num_requests_running{model_name="m"} -1'],
    ["ollama", "/api/ps", "no JSON"],
    ["ollama", "/api/ps", '{"models":null}'],
    ["ollama", "/api/ps", "[]"],
    ["llamacpp", "/props", '{"total_slots":"four"}'],
    ["vllm", "/is_sleeping", '{"detail":"Not Found"}']
  ])("nothing, where %s answers %s with %s", (kind, path, body) => {
    expect(read(kind, path, body)).toBeUndefined()
  })

  it.each([
    [
      "series whose sum is no number",
      "vllm",
      "/metrics",
      `${[0, 1].map((n) => `vllm:num_requests_running{e="${n}"} 1e308\nvllm:num_requests_waiting{model_name="m",e="${n}"} 1e308`).join("\n")}\nvllm:kv_cache_usage_perc 1e308\nvllm:cache_config_info{block_size="1e300",num_gpu_blocks="1e300"} 1\n`
    ],
    ["slots by the million million", "llamacpp", "/props", '{"total_slots": 1e308}'],
    ["parts of a slot", "llamacpp", "/props", '{"total_slots": 4.5}']
  ])("in figures that can be reckoned with: %s", (_, kind, path, body) => {
    const report = read(kind, path, body)
    for (const figures of [report?.all, ...(report?.byModel.values() ?? [])]) {
      for (const value of Object.values(figures ?? {})) expect(value === undefined || Number.isFinite(value)).toBe(true)
      expect(figures?.kvUsed ?? 0).toBeLessThanOrEqual(1)
      for (const count of [figures?.running, figures?.waiting, figures?.slots, figures?.cacheTokens])
        expect(count === undefined || Number.isSafeInteger(count)).toBe(true)
    }
    expect(report).toBeDefined()
  })

  it.each([0, 0.2, -1])("nothing of slots where it names %d", (slots) => {
    expect(read("llamacpp", "/props", JSON.stringify({ total_slots: slots }))?.all.slots).toBeUndefined()
  })

  it("never fails, whatever the answer is", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string().map((text) => `vllm:num_requests_running${text}`)
        ),
        (body) => {
          for (const { signals } of profiles.all) for (const source of signals) readSignals(source, body)
        }
      )
    )
  })
})

describe("a profile's sources of signals", () => {
  it("are left out with a finding where they cannot be used", () => {
    const { sources, findings } = signalSourcesOf([{ path: "metrics" }, { path: "/x", format: "xml" }, { path: "/y" }, "z"])
    expect(sources.map(({ path, format }) => [path, format])).toEqual([["/y", "json"]])
    expect(findings).toHaveLength(2)
  })
})

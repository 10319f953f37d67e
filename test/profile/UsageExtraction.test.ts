import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compileExpression } from "../../src/profile/MetricsExpression.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { type AnswerSeen, checkCalculations, extractUsage } from "../../src/profile/UsageExtraction.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
const usage = (kind: string, contentType: string, body: unknown) => {
  const profile = profiles.byName(kind)
  if (profile === undefined) throw new Error(kind)
  return extractUsage(profile, seen(contentType, typeof body === "string" ? body : JSON.stringify(body)))
}
const seen = (contentType: string, text: string, more: Partial<AnswerSeen> = {}): AnswerSeen => ({
  contentType,
  bytes: () => Buffer.from(text),
  headers: [],
  responseMs: 0,
  ...more
})
const chat = { model: "m", choices: [{ finish_reason: "stop" }], usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 } }

describe("usage figures", () => {
  it("come from OpenAI's fields on every kind", () => {
    for (const { name } of profiles.all) {
      expect(usage(name, "application/json", chat)).toMatchObject({
        inputTokens: 10,
        outputTokens: 20,
        totalTokens: 30,
        finishReason: "stop",
        model: "m"
      })
    }
  })

  it("come from Ollama's own, with its durations", () => {
    const line = {
      model: "m",
      done: true,
      done_reason: "stop",
      total_duration: 12e6,
      load_duration: 1e6,
      prompt_eval_count: 5,
      prompt_eval_duration: 3e6,
      eval_count: 8,
      eval_duration: 4e6
    }
    expect(usage("ollama", "application/x-ndjson", `{"done":false}\n${JSON.stringify(line)}\n`)).toEqual({
      inputTokens: 5,
      outputTokens: 8,
      totalTokens: 13,
      promptMs: 3,
      ttftMs: 3,
      generationMs: 4,
      totalMs: 12,
      modelLoadMs: 1,
      tokensPerSecond: 2000,
      model: "m",
      finishReason: "stop",
      isComplete: true
    })
  })

  it("come from llama.cpp's timings, by its fallback branch too", () => {
    expect(usage("llamacpp", "application/json", { ...chat, timings: { predicted_n: 10, predicted_ms: 500, prompt_ms: 7 } })).toMatchObject(
      { tokensPerSecond: 20, ttftMs: 7 }
    )
    expect(usage("llamacpp", "application/json", { ...chat, timings: { predicted_per_second: 33 } })).toMatchObject({ tokensPerSecond: 33 })
  })

  it("come from the last event of a stream that says them", () => {
    const stream = `data: {"model":"m","choices":[{"delta":{"content":"x"},"finish_reason":null}]}\n\ndata: {"model":"m","choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n`
    expect(usage("vllm", "text/event-stream", stream)).toEqual({
      inputTokens: 3,
      outputTokens: 4,
      totalTokens: 7,
      model: "m",
      finishReason: "length",
      isComplete: true
    })
  })

  it("come from Anthropic's events of a native stream", () => {
    const stream = `event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":0}}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}\n\n`
    expect(usage("llamacpp", "text/event-stream", stream)).toMatchObject({ inputTokens: 9, outputTokens: 5 })
  })

  it("come from the last event of a Responses stream", () => {
    const last = { type: "response.completed", response: { model: "m", usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 } } }
    const stream = `event: response.created\ndata: {"type":"response.created","response":{"model":"m","usage":null}}\n\nevent: response.completed\ndata: ${JSON.stringify(last)}\n\n`
    expect(usage("vllm", "text/event-stream", stream)).toEqual({ inputTokens: 3, outputTokens: 4, totalTokens: 7, model: "m" })
  })

  it("use the measured time where the kind reports none", () => {
    for (const kind of ["lemonade", "docker-model-runner"]) {
      const profile = profiles.byName(kind)
      if (profile === undefined) throw new Error(kind)
      const answer = (responseMs: number) => seen("application/json", JSON.stringify(chat), { responseMs })
      expect(extractUsage(profile, answer(500))).toMatchObject({ tokensPerSecond: 40 })
      expect(extractUsage(profile, answer(0))?.tokensPerSecond).toBeUndefined()
    }
  })

  it("come from response headers where the profile says so, and the body is then not read", () => {
    const vllm = profiles.byName("vllm")
    if (vllm === undefined) throw new Error("vllm")
    const headers = ["X-Tokens-In", "7", "x-tokens-out", " 9 ", "X-Model", "m7", "X-Speed", "12.5"]
    const metrics = {
      ...vllm.metrics,
      source: "response_headers",
      headers: { input_tokens: "x-tokens-in", output_tokens: "X-Tokens-Out", model: "x-model", speed: "X-Speed", total_tokens: "absent" },
      calculations: { tokens_per_second: "speed * 2" }
    }
    const bytes = () => {
      throw new Error("the body was read")
    }
    expect(extractUsage({ ...vllm, metrics }, { ...seen("application/json", "", { headers }), bytes })).toEqual({
      inputTokens: 7,
      outputTokens: 9,
      totalTokens: 16,
      model: "m7",
      tokensPerSecond: 25
    })
    expect(extractUsage({ ...vllm, metrics }, { ...seen("", ""), bytes })).toBeUndefined()
    // A body beside: its fields win over the headers'.
    const both = { ...metrics, source: "response_body" }
    expect(extractUsage({ ...vllm, metrics: both }, seen("application/json", JSON.stringify(chat), { headers }))).toMatchObject({
      inputTokens: 10,
      model: "m"
    })
  })

  it("are nothing where nothing is said", () => {
    expect(usage("vllm", "text/html", "<html>")).toBeUndefined()
  })

  it("have calculations that compile in every shipped profile", () => {
    for (const profile of profiles.all) expect(checkCalculations(profile)).toEqual([])
  })
})

describe("a path's name decides what it fills", () => {
  const vllm = profiles.byName("vllm")
  if (vllm === undefined) throw new Error("vllm")
  const read = (field: string, value: unknown, calculations: Readonly<Record<string, string>> = {}) =>
    extractUsage(
      { ...vllm, metrics: { ...vllm.metrics, paths: { [field]: "$['x'][1].y" }, calculations } },
      seen("application/json", JSON.stringify({ x: [0, { y: value }] }))
    )
  it.each([
    ["input_tokens", 7.9, { inputTokens: 7 }],
    ["output_tokens", 1e12, { outputTokens: 2_147_483_647 }],
    ["total_tokens", 5, { totalTokens: 5 }],
    ["input_tokens", -5, undefined],
    ["input_tokens", null, undefined],
    ["model", "m", { model: "m" }],
    ["finish_reason", "stop", { finishReason: "stop" }],
    ["done", true, { isComplete: true }],
    ["is_complete", true, { isComplete: true }],
    ["prompt_duration_ns", 3_900_000, { promptMs: 3, ttftMs: 3 }],
    ["prompt_eval_duration", 3_000_000, { promptMs: 3, ttftMs: 3 }],
    ["eval_duration_ns", 4_000_000, { generationMs: 4 }],
    ["eval_duration", 4_000_000, { generationMs: 4 }],
    ["total_duration_ns", 5_000_000, { totalMs: 5 }],
    ["load_duration_ns", 6_000_000, { modelLoadMs: 6 }],
    ["ttft_ms", 7.5, { ttftMs: 7 }],
    ["total_ms", 8, { totalMs: 8 }],
    ["total_time_ms", 9, { totalMs: 9 }],
    ["generation_time_ms", 10, { generationMs: 10 }],
    ["something_else", 11, undefined]
  ])("%s = %j gives %j", (field, value, figures) => {
    expect(read(field, value)).toEqual(figures)
  })
  it.each([
    ["tokens_per_second", { tokensPerSecond: 4 }],
    ["ttft_ms", { ttftMs: 4 }],
    ["total_ms", { totalMs: 4 }],
    ["model_load_ms", { modelLoadMs: 4 }],
    ["other", undefined]
  ])("the calculation %s gives %j", (name, figures) => {
    expect(read("speed", 2, { [name]: "speed * 2", broken: "1 +", nothing: "speed / 0" })).toEqual(figures)
  })
  it("what is not a number is 0", () => {
    expect(read("speed", 2, { tokens_per_second: "speed / 0", ttft_ms: "0 / 0" })).toBeUndefined()
  })
  it("whatever an answer is, reading it does not throw", () => {
    const types = fc.constantFrom("application/json", "text/event-stream", "application/x-ndjson", "", "text/html")
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.json()).map((all) => all.map((one) => `data: ${one}\n\n`).join("")),
      fc.array(fc.json()).map((all) => all.join("\n"))
    )
    fc.assert(
      fc.property(fc.constantFrom(...profiles.all), types, texts, (profile, contentType, text) => {
        const figures = extractUsage(profile, seen(contentType, text, { responseMs: 10 }))
        for (const value of Object.values(figures ?? {})) if (typeof value === "number") expect(Number.isFinite(value)).toBe(true)
      })
    )
  })
})

describe("the expression language", () => {
  it.each([
    ["1 + 2 * 3", 7],
    ["(1 + 2) * 3 / 2", 4.5],
    ["a > 0 ? a : 5", 5],
    ["len('abc') == 3 && !(1 > 2)", true],
    ["missing != null || 0", false],
    ["-2 % 3", -2]
  ])("%s is %s", (source, value) => {
    expect(compileExpression(source).evaluate([])).toBe(value)
  })

  it.each(["1 +", "(1", "a ? b", "1 2", "#"])("refuses %s", (source) => {
    expect(() => compileExpression(source)).toThrow(SyntaxError)
  })
})

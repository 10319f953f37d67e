/** What the section `translators.anthropic` and the limits change: always translate, sizes, rates, the inspector, nothing at all. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Anthropic from "@anthropic-ai/sdk"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { ScriptedModel } from "./scriptedModel.ts"

const model = new ScriptedModel(["native-model"])
const folder = mkdtempSync(join(tmpdir(), "olla-inspector-"))
let translating: Daemon
let off: Daemon

const endpoints = () =>
  `discovery:\n  static:\n    endpoints:\n      - {url: "${model.url}", name: native, type: lmstudio, health_check_url: /v1/models, model_url: /v1/models, check_interval: 60s}\n`

beforeAll(async () => {
  await model.start()
  model.turns = [{ text: ["Hello"], stop: "end_turn" }]
  translating = await startDaemon(
    `${endpoints()}translators: {anthropic: {passthrough_enabled: false, max_message_size: 1000, inspector: {enabled: true, output_dir: "${folder}", session_header: X-Talk}}}\n`
  )
  off = await startDaemon(`${endpoints()}translators: {anthropic: {enabled: false}}\n`)
})
afterAll(async () => {
  await Promise.all([translating?.stop(), off?.stop()])
  await model.stop()
})

const body = (text = "Hi") => ({ model: "native-model", max_tokens: 9, messages: [{ role: "user", content: text }] })
const post = (daemon: Daemon, path: string, sent: unknown, headers: Record<string, string> = {}) =>
  ask(daemon.port, { method: "POST", path, headers, body: JSON.stringify(sent) })

describe("passthrough_enabled: false", () => {
  it("translates for a backend that speaks the API, and estimates tokens", async () => {
    model.asked.length = 0
    const said = await post(translating, "/olla/anthropic/v1/messages", body())
    expect([said.status, said.header("x-olla-mode"), model.asked[0]?.path]).toEqual([200, undefined, "/v1/chat/completions"])
    expect((await post(translating, "/olla/anthropic/v1/messages/count_tokens", body("Hello, world!"))).json()).toEqual({ input_tokens: 3 })
    expect(model.asked).toHaveLength(1)
  })
})

describe("max_message_size", () => {
  it("refuses what is larger, declared or not, on both routes", async () => {
    const text = JSON.stringify(body("x".repeat(2_000)))
    for (const path of ["/olla/anthropic/v1/messages", "/olla/anthropic/v1/messages/count_tokens"])
      for (const headers of [{ "content-length": String(text.length) }, { "transfer-encoding": "chunked" }]) {
        const said = await ask(translating.port, { method: "POST", path, headers: headers as Record<string, string>, body: text })
        expect([said.status, said.json().error.type]).toEqual([413, "request_too_large"])
        expect(said.json().error.message).toContain("1000 bytes")
      }
  })
})

describe("the inspector", () => {
  it("writes requests as they came, and answers, by session", async () => {
    const pretty = `{\n  "model": "native-model",\n  "max_tokens": 9, "extra": {"kept": 1.0},\n  "messages": [{"role": "user", "content": "line\\nbreak"}]\n}`
    await ask(translating.port, { method: "POST", path: "/olla/anthropic/v1/messages", headers: { "x-talk": "talk-1" }, body: pretty })
    await post(translating, "/olla/anthropic/v1/messages", { ...body(), stream: true }, { "x-talk": "../../escape" })
    const lines = (name: string) => {
      const day = readdirSync(folder)[0] ?? ""
      const file = readdirSync(join(folder, day)).find((one) => one === `${name}.jsonl`)
      if (file === undefined) return []
      const text = readFileSync(join(folder, day, file), "utf8")
        .trim()
        .split("\n")
      return text.map((line) => JSON.parse(line) as { type: string; body: Record<string, unknown>; model?: string; ts: string })
    }
    const [request, response] = await eventually(
      () => lines("talk-1"),
      (all) => all.length === 2
    )
    expect(request).toMatchObject({ type: "request", model: "native-model", body: { extra: { kept: 1 }, max_tokens: 9 } })
    expect(request?.ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/)
    expect(response).toMatchObject({ type: "response", body: { type: "message", content: [{ type: "text", text: "Hello" }] } })
    const fallen = await eventually(
      () => lines("default"),
      (all) => all.some(({ type, body: { content } }) => type === "response" && JSON.stringify(content)?.includes("Hello"))
    )
    expect(fallen.length).toBeGreaterThan(1)
    expect(translating.output()).toContain("DO NOT USE IN PROD")
  })
})

describe("enabled: false", () => {
  it("has none of the routes", async () => {
    for (const path of ["/v1/messages", "/v1/models", "/v1/messages/count_tokens", ""]) {
      const said = await post(off, `/olla/anthropic${path}`, body())
      expect([said.status, said.header("content-type")]).toEqual([404, "text/plain; charset=utf-8"])
    }
    for (const path of ["/v1/messages", "/olla/v1/messages/count_tokens"]) expect((await post(off, path, body())).status).toBe(404)
    expect(off.output()).toContain("Anthropic translator disabled via configuration")
  })
})

describe("rate limits", () => {
  it("hold here too, and the client waits as it is told", async () => {
    const limited = await startDaemon(`${endpoints()}`.replace("discovery:", "logging: {level: warn}\ndiscovery:"), {
      env: {
        OLLA_SERVER_PER_IP_RATE_LIMIT: "1",
        OLLA_SERVER_RATE_BURST_SIZE: "1"
      },
      waits: false
    })
    try {
      await eventually(
        () =>
          ask(limited.port, { path: "/internal/health" }).then(
            ({ status }) => status,
            () => 0
          ),
        (status) => status === 200
      )
      const client = new Anthropic({ baseURL: `${limited.url}/olla/anthropic`, apiKey: "any", maxRetries: 0 })
      const errors: Array<unknown> = []
      for (let i = 0; i < 3; i++)
        await client.messages.create(body() as Anthropic.MessageCreateParamsNonStreaming).catch((error: unknown) => errors.push(error))
      const [error] = errors as Array<InstanceType<typeof Anthropic.RateLimitError>>
      expect(error).toBeInstanceOf(Anthropic.RateLimitError)
      expect(error?.error).toMatchObject({ type: "error", error: { type: "rate_limit_error" } })
      expect(Number(error?.headers?.get("retry-after"))).toBeGreaterThan(0)
    } finally {
      await limited.stop()
    }
  })
})

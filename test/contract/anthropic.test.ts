/** The official Anthropic client in front of a native and a translated backend: the same conversation both ways. */
import Anthropic from "@anthropic-ai/sdk"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

let native: SimulatedBackend
let plain: SimulatedBackend
let gone: SimulatedBackend
let daemon: Daemon
let client: Anthropic

beforeAll(async () => {
  native = await startBackend({ kind: "llamacpp", models: ["native-model", "both"], text: "Said by a simulated server. " })
  plain = await startBackend({ kind: "sglang", models: ["plain-model", "both"], text: "Said by a simulated server. " })
  gone = await startBackend({ port: await freePort(), kind: "sglang", models: ["gone-model"] })
  daemon = await startDaemon(
    `${endpointsYaml([
      { name: "native", backend: native },
      { name: "plain", backend: plain },
      { name: "gone", backend: gone }
    ])}model_aliases: {claude-alias: [plain-model]}\n`
  )
  client = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: "any", maxRetries: 0 })
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([native?.stop(), plain?.stop(), gone?.stop()])
})

beforeEach(() => {
  for (const backend of [native, plain]) {
    backend.setFault(undefined)
    backend.requests.length = 0
  }
})

const tools: Array<Anthropic.Tool> = [
  { name: "weather", description: "Weather of a city", input_schema: { type: "object", properties: { city: { type: "string" } } } }
]

describe.each([
  ["native", "native-model"],
  ["translated", "plain-model"]
])("a %s backend", (way, model) => {
  const backend = () => (way === "native" ? native : plain)

  it("answers a message whole", async () => {
    const { data, response } = await client.messages
      .create({ model, max_tokens: 50, messages: [{ role: "user", content: "Hi" }] })
      .withResponse()
    expect(data).toMatchObject({ type: "message", role: "assistant", model, stop_reason: "end_turn" })
    expect(data.content).toMatchObject([{ type: "text", text: "Said by a simulated server. " }])
    expect(data.usage.output_tokens).toBe(5)
    expect(response.headers.get("x-olla-mode")).toBe(way === "native" ? "passthrough" : null)
    expect(response.headers.get("x-olla-endpoint")).toBe(way === "native" ? "native" : "plain")
    expect(response.headers.get("request-id")).toBeTruthy()
    expect(backend().inference()[0]?.url).toBe(way === "native" ? "/v1/messages" : "/v1/chat/completions")
  })

  it("streams through the client's helper", async () => {
    const stream = client.messages.stream({ model, max_tokens: 50, messages: [{ role: "user", content: "Hi" }] })
    const seen: Array<string> = []
    stream.on("streamEvent", (event) => seen.push(event.type))
    const message = await stream.finalMessage()
    expect(message.content).toMatchObject([{ type: "text", text: "Said by a simulated server. " }])
    expect([...new Set(seen)]).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop"
    ])
  })

  it("goes through a loop with tools", async () => {
    const first = await client.messages.create({ model, max_tokens: 50, tools, messages: [{ role: "user", content: "Weather in Perth?" }] })
    expect(first.stop_reason).toBe("tool_use")
    const [use] = first.content
    if (use?.type !== "tool_use") throw new Error("no tool use")
    expect(use).toMatchObject({ name: "weather", input: { city: "Perth" } })
    await client.messages.create({
      model,
      max_tokens: 50,
      messages: [
        { role: "user", content: "Weather in Perth?" },
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sunny" }] }
      ]
    })
    const sent = JSON.parse(backend().inference().at(-1)?.body ?? "{}")
    if (way === "translated") {
      expect(sent.messages.slice(1)).toEqual([
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: use.id, type: "function", function: { name: "weather", arguments: '{"city":"Perth"}' } }]
        },
        { role: "tool", tool_call_id: use.id, content: "sunny" }
      ])
    } else expect(sent.messages[2].content[0].type).toBe("tool_result")
  })

  it("streams a tool call with its whole input", async () => {
    const message = await client.messages
      .stream({ model, max_tokens: 50, tools, messages: [{ role: "user", content: "Weather?" }] })
      .finalMessage()
    expect(message.content).toMatchObject([{ type: "tool_use", name: "weather", input: { city: "Perth" } }])
  })

  it("raises the backend's error with its status", async () => {
    backend().setFault({ _tag: "status", status: 429, headers: { "retry-after": "3" } })
    const error = await client.messages.create({ model, max_tokens: 5, messages: [{ role: "user", content: "Hi" }] }).then(
      () => undefined,
      (thrown: unknown) => thrown as InstanceType<typeof Anthropic.APIError>
    )
    expect(error?.status).toBe(429)
    expect(error?.headers?.get("retry-after")).toBe("3")
  })

  it("makes a stream that breaks off raise in the client", async () => {
    backend().setFault({ _tag: "cut", after: 3 })
    const stream = client.messages.stream({ model, max_tokens: 50, messages: [{ role: "user", content: "Hi" }] })
    await expect(stream.finalMessage()).rejects.toThrow()
  })
})

describe("the Anthropic surface", () => {
  it("prefers those who speak it natively", async () => {
    for (let i = 0; i < 3; i++) await client.messages.create({ model: "both", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] })
    expect([native.inference().length, plain.inference().length]).toEqual([3, 0])
  })

  it("translates for a native backend that turns out not to know the route", async () => {
    native.setFault({ _tag: "status", status: 404 })
    const answer = client.messages.create({ model: "native-model", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] })
    // The simulated fault meets every route; what counts is that all were asked.
    await answer.catch(() => undefined)
    expect(native.inference().map((request) => request.url)).toEqual(["/v1/messages", "/v1/chat/completions", "/v1/responses"])
  })

  it("serves aliases under the backend's own name", async () => {
    const { response } = await client.messages
      .create({ model: "claude-alias", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] })
      .withResponse()
    expect(JSON.parse(plain.inference()[0]?.body ?? "{}").model).toBe("plain-model")
    expect(response.headers.get("x-olla-model")).toBe("claude-alias")
  })

  it("keeps the client's credentials and Anthropic's headers from a translated backend", async () => {
    await client.messages.create({ model: "plain-model", max_tokens: 5, messages: [{ role: "user", content: "Hi" }] })
    const request = plain.inference()[0]
    for (const name of ["x-api-key", "anthropic-version", "x-stainless-lang"]) expect(request?.header(name)).toBeUndefined()
    expect(request?.header("accept-encoding")).toBe("identity")
  })

  it("counts tokens at a backend that can, else by estimate", async () => {
    expect(await client.messages.countTokens({ model: "native-model", messages: [{ role: "user", content: "Hello, world!" }] })).toEqual({
      input_tokens: 42
    })
    expect(await client.messages.countTokens({ model: "plain-model", messages: [{ role: "user", content: "Hello, world!" }] })).toEqual({
      input_tokens: 3
    })
  })

  it("lists models with aliases, one page at a time", async () => {
    const ids: Array<string> = []
    for await (const model of client.models.list({ limit: 2 })) ids.push(model.id)
    expect(ids).toEqual(["both", "claude-alias", "gone-model", "native-model", "plain-model"])
    expect((await client.models.retrieve("plain-model")).display_name).toBe("plain-model")
  })

  it.each([
    [{ model: "nope", max_tokens: 5, messages: [{ role: "user", content: "x" }] }, 404, "not_found_error"],
    [{ model: "plain-model", messages: [{ role: "user", content: "x" }] }, 400, "invalid_request_error"],
    [{ max_tokens: 5, messages: [] }, 400, "invalid_request_error"]
  ])("refuses %j in its own form", async (body, status, type) => {
    const answer = await fetch(`${daemon.url}/olla/anthropic/v1/messages`, { method: "POST", body: JSON.stringify(body) })
    const said = (await answer.json()) as { type: string; error: { type: string }; request_id: string }
    expect([answer.status, said.type, said.error.type]).toEqual([status, "error", type])
    expect(said.request_id).toBe(answer.headers.get("x-olla-request-id"))
  })

  it("knows its routes and their methods", async () => {
    const ask = async (method: string, path: string) => {
      const answer = await fetch(`${daemon.url}/olla/anthropic${path}`, { method })
      await answer.arrayBuffer()
      return [answer.status, answer.headers.get("content-type"), answer.headers.get("allow")]
    }
    expect(await ask("GET", "/v1/messages")).toEqual([405, "application/json", "POST"])
    expect(await ask("POST", "/v1/messages/batches")).toEqual([404, "application/json", null])
    expect(await ask("GET", "/v1/unknown")).toEqual([404, "text/plain; charset=utf-8", null])
    expect((await ask("HEAD", ""))[0]).toBe(200)
  })

  it("counts what it did", async () => {
    const stats = (await (await fetch(`${daemon.url}/internal/stats/translators`)).json()) as {
      translators: Array<Record<string, number | string>>
    }
    expect(stats.translators[0]).toMatchObject({ translator_name: "anthropic" })
    expect(Number(stats.translators[0]?.["passthrough_requests"])).toBeGreaterThan(5)
    expect(Number(stats.translators[0]?.["fallback_cannot_passthrough"])).toBeGreaterThan(5)
  })
})

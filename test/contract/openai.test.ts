/** The official OpenAI client, unmodified, in front of a started daemon. */
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, quickest, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const model = "qwen3:8b"
let a: SimulatedBackend
let b: SimulatedBackend
let daemon: Daemon
let client: OpenAI

beforeAll(async () => {
  a = await startBackend({ kind: "vllm", port: await freePort(), models: [model, "only-a"], text: "I am a, one of two. " })
  b = await startBackend({ kind: "openai-compatible", port: await freePort(), models: [model], text: "I am b, one of two. " })
  daemon = await startDaemon(
    `${endpointsYaml([
      { name: "a", backend: a },
      { name: "b", backend: b }
    ])}`
  )
  client = new OpenAI({ baseURL: `${daemon.url}/olla/openai/v1`, apiKey: "sk-client", maxRetries: 0 })
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([a?.stop(), b?.stop()])
})

const healthy = () =>
  eventually(
    async () => (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { routable_count: number },
    (status) => status.routable_count === 2
  )

beforeEach(async () => {
  a.setFault(undefined)
  b.setFault(undefined)
  await a.restart()
  await b.restart()
  await healthy()
  a.requests.length = 0
  b.requests.length = 0
})

const ask = () => client.chat.completions.create({ model, messages: [{ role: "user", content: "Hello" }] })

describe("an OpenAI client", () => {
  it("gets a whole chat answer, from the backend that the headers name", async () => {
    const { data, response } = await client.chat.completions
      .create({ model: "only-a", messages: [{ role: "user", content: "Hi" }] })
      .withResponse()
    expect(data.choices[0]?.message.content).toContain("I am a")
    expect(response.headers.get("x-olla-endpoint")).toBe("a")
    expect(response.headers.get("x-olla-backend-type")).toBe("vllm")
    expect(response.headers.get("x-olla-model")).toBe("only-a")
    expect(response.headers.get("x-olla-routing-reason")).toBe("model_found")
    expect(response.headers.get("x-olla-response-time")).toMatch(/^\d+ms$/)
    expect(response.headers.get("x-olla-request-id")).toBeTruthy()
  })

  it("streams, token by token", async () => {
    let text = ""
    let chunks = 0
    for await (const chunk of await client.chat.completions.create({
      model,
      stream: true,
      stream_options: { include_usage: true },
      messages: [{ role: "user", content: "Hi" }]
    })) {
      text += chunk.choices[0]?.delta.content ?? ""
      chunks++
    }
    expect(text).toMatch(/^I am [ab], one of two\. $/)
    expect(chunks).toBeGreaterThan(5)
  })

  it("has its tools passed through", async () => {
    const tools = [
      { type: "function" as const, function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }
    ]
    const answer = await client.chat.completions.create({ model, tools, messages: [{ role: "user", content: "Weather?" }] })
    const call = answer.choices[0]?.message.tool_calls?.[0]
    expect(call?.type === "function" && call.function).toEqual({ name: "weather", arguments: '{"city":"Perth"}' })
    expect(JSON.parse([...a.inference(), ...b.inference()][0]?.body ?? "{}").tools).toEqual(tools)
  })

  it("gets embeddings", async () => {
    const answer = await client.embeddings.create({ model, input: ["one", "two"], encoding_format: "float" })
    expect(answer.data).toHaveLength(2)
  })

  it("lists the models of all backends", async () => {
    const ids = (await client.models.list()).data.map((one) => one.id)
    expect(ids).toEqual(["only-a", model])
  })

  it("keeps its own key from the backend", async () => {
    await ask()
    const [request] = [...a.inference(), ...b.inference()]
    expect(request?.header("authorization")).toBeUndefined()
    expect(request?.header("x-forwarded-for")).toBe("127.0.0.1")
    expect(request?.header("via")).toMatch(/^1\.1 olla\//)
    expect(request?.header("host")).toMatch(/^127\.0\.0\.1:\d+$/)
  })

  it("is told of an unknown model in its own error form", async () => {
    await expect(client.chat.completions.create({ model: "nope", messages: [] })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
      type: "not_found_error"
    })
  })

  it("stops the backend within 100 ms when it leaves in mid-stream", async () => {
    a.setFault({ _tag: "endless" })
    b.setFault({ _tag: "endless" })
    const stops = async () => {
      a.requests.length = 0
      b.requests.length = 0
      const stream = await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content: "Hi" }] })
      for await (const _ of stream) break
      const left = performance.now()
      stream.controller.abort()
      const aborted = await eventually(
        () => [...a.inference(), ...b.inference()].find((request) => request.abortedAt > 0),
        (request) => request !== undefined
      )
      return (aborted?.abortedAt ?? 0) - left
    }
    expect(await quickest(100, stops)).toBeLessThan(100)
  })

  it("shares two idle backends evenly", async () => {
    for (let i = 0; i < 10; i++) await ask()
    expect([a.inference().length, b.inference().length]).toEqual([5, 5])
  })

  it("never notices a backend that has just died", async () => {
    await a.kill()
    const answers = await Promise.all(Array.from({ length: 20 }, ask))
    expect(answers.every((answer) => answer.choices[0]?.message.content?.includes("I am b"))).toBe(true)
  })

  it("never notices a backend that resets what it accepts", async () => {
    a.setFault({ _tag: "reset" })
    for (let i = 0; i < 6; i++) expect((await ask()).choices[0]?.message.content).toContain("I am b")
  })

  it("sees a truncated stream as an error, and the next request goes elsewhere", async () => {
    a.setFault({ _tag: "cut", after: 3 })
    b.setFault({ _tag: "cut", after: 3 })
    let text = ""
    const broken = async () => {
      for await (const chunk of await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content: "Hi" }] }))
        text += chunk.choices[0]?.delta.content ?? ""
    }
    await expect(broken()).rejects.toThrow()
    expect(text).toContain("I ")
    a.setFault(undefined)
    b.setFault(undefined)
    expect((await ask()).choices[0]?.message.content).toContain("I am")
  })

  it("gets a backend's own error as it is", async () => {
    // Longer than anybody waits for a place.
    a.setFault({ _tag: "status", status: 429, headers: { "retry-after": "45" } })
    b.setFault({ _tag: "status", status: 429, headers: { "retry-after": "45" } })
    const error = await ask().then(
      () => undefined,
      (thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>
    )
    expect(error?.status).toBe(429)
    expect(error?.headers?.get("retry-after")).toBe("45")
  })
})

// A fleet of its own: breakers that opened under others' faults would refuse before anybody is asked.
describe("an OpenAI client of a fleet that dies", () => {
  it("is refused with 502 and no address when nobody is left, and 503 while all are down", async () => {
    const backends = await Promise.all([
      startBackend({ kind: "vllm", models: [model] }),
      startBackend({ kind: "openai-compatible", models: [model] })
    ])
    const [one, two] = backends
    const alone = await startDaemon(
      endpointsYaml([
        { name: "one", backend: one },
        { name: "two", backend: two }
      ])
    )
    try {
      const dying = new OpenAI({ baseURL: `${alone.url}/olla/openai/v1`, apiKey: "sk-client", maxRetries: 0 })
      const refusal = () =>
        dying.chat.completions.create({ model, messages: [{ role: "user", content: "Hello" }] }).then(
          () => undefined,
          (thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>
        )
      await Promise.all(backends.map((backend) => backend.kill()))
      const first = await refusal()
      expect(first?.status).toBe(502)
      expect(first?.message).toContain("connection refused")
      expect(first?.message).not.toContain("127.0.0.1")
      const second = await refusal()
      expect([second?.status, second?.code]).toEqual([503, "model_unavailable"])
    } finally {
      await alone.stop()
      await Promise.all(backends.map((backend) => backend.stop()))
    }
  })
})

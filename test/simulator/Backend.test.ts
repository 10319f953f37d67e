import { readFileSync } from "node:fs"
import { afterEach, describe, expect, it } from "vitest"
import { detectionOf } from "../../src/profile/Detection.ts"
import { readListing } from "../../src/profile/ListingReading.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { type BackendKind, type BackendOptions, backendKinds, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
const running: Array<SimulatedBackend> = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((backend) => backend.stop()))
})
const start = async (kind: BackendKind, more: Partial<BackendOptions> = {}): Promise<SimulatedBackend> => {
  const backend = await startBackend({ kind, models: ["m"], ...more })
  running.push(backend)
  return backend
}
const get = (backend: SimulatedBackend, path: string) => fetch(`${backend.url}${path}`)
const post = (backend: SimulatedBackend, path: string, body: unknown) =>
  fetch(`${backend.url}${path}`, { method: "POST", body: JSON.stringify(body) })

const recorded = (name: string): { readonly status: number; readonly type: string; readonly body: string } => {
  const text = readFileSync(new URL(`./recorded/${name}.http`, import.meta.url), "utf8")
  const [head = "", ...rest] = text.split(/\r?\n\r?\n/)
  return {
    status: Number(head.split(" ")[1]),
    type: /content-type: ([^;\r\n]*)/i.exec(head)?.[1] ?? "",
    body: rest.join("\n\n")
  }
}

/** Keys and kinds of values, lists by their first entry: what a parser relies on. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])]
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, shapeOf(inner)])
  )
}
/** Events of a stream that differ in shape, in order of appearance. */
const shapesOf = (stream: string): ReadonlyArray<string> => [
  ...new Set(
    stream
      .split("\n")
      .filter((line) => line.startsWith("data: {") || line.startsWith("{"))
      .map((line) => JSON.stringify(shapeOf(JSON.parse(line.replace(/^data: /, "")))))
  )
]

const chat = { model: "m", messages: [{ role: "user", content: "hi" }] }
const message = { ...chat, max_tokens: 8 }

describe("a simulated answer has the shape of the recorded one", () => {
  it.each<[BackendKind, string, string, unknown?]>([
    ["ollama", "ollama-root", "/"],
    ["ollama", "ollama-tags", "/api/tags"],
    ["ollama", "ollama-ps", "/api/ps"],
    ["ollama", "ollama-v1-models", "/v1/models"],
    ["ollama", "ollama-chat", "/v1/chat/completions", chat],
    ["ollama", "ollama-unknown-model", "/v1/chat/completions", { ...chat, model: "nope" }],
    ["ollama", "ollama-unknown-model-native", "/api/chat", { ...chat, model: "nope" }],
    ["llamacpp", "llamacpp-health", "/health"],
    ["llamacpp", "llamacpp-v1-models", "/v1/models"],
    ["llamacpp", "llamacpp-unknown-route", "/api/tags"],
    ["llamacpp", "llamacpp-count-tokens", "/v1/messages/count_tokens", message],
    ["litellm", "litellm-liveness", "/health/liveness"],
    ["litellm", "litellm-readiness", "/health/readiness"],
    ["litellm", "litellm-v1-models", "/v1/models"],
    ["litellm", "litellm-unknown-model", "/v1/chat/completions", { ...chat, model: "nope" }]
  ])("%s: %s", async (kind, name, path, body) => {
    const backend = await start(kind)
    const answer = await (body === undefined ? get(backend, path) : post(backend, path, body))
    const real = recorded(name)
    expect(answer.status).toBe(real.status)
    expect(answer.headers.get("content-type")).toContain(real.type)
    const text = await answer.text()
    if (real.type === "text/plain") expect(text).toBe(real.body)
    else expect(shapeOf(JSON.parse(text))).toEqual(shapeOf(JSON.parse(real.body)))
  })

  /** Whole ones whose recording has a few more fields than a client of the dialect relies on. */
  it.each<[BackendKind, string, string, unknown]>([
    ["llamacpp", "llamacpp-chat", "/v1/chat/completions", chat],
    ["llamacpp", "llamacpp-messages", "/v1/messages", message],
    ["llamacpp", "llamacpp-responses", "/v1/responses", { model: "m", input: "hi" }],
    ["ollama", "ollama-messages", "/v1/messages", message]
  ])("%s: %s, as far as it goes", async (kind, name, path, body) => {
    const answer = (await (await post(await start(kind), path, body)).json()) as Record<string, unknown>
    const real = JSON.parse(recorded(name).body) as Record<string, unknown>
    const common = Object.keys(answer).filter((key) => key in real && key !== "usage")
    expect(common.length).toBeGreaterThan(4)
    for (const key of common) expect([key, shapeOf(answer[key])]).toEqual([key, shapeOf(real[key])])
    expect(Object.keys(real["usage"] as object)).toEqual(expect.arrayContaining(Object.keys(answer["usage"] as object)))
  })

  it.each<[BackendKind, string, string, unknown]>([
    ["ollama", "ollama-chat-stream", "/v1/chat/completions", { ...chat, stream: true, stream_options: { include_usage: true } }],
    ["llamacpp", "llamacpp-messages-stream", "/v1/messages", { ...message, stream: true }],
    ["ollama", "ollama-api-chat", "/api/chat", chat]
  ])("%s: %s, event by event", async (kind, name, path, body) => {
    const answer = await post(await start(kind), path, body)
    const real = recorded(name)
    expect(answer.headers.get("content-type")).toContain(real.type)
    const simulated = shapesOf(await answer.text()).map((shape) => Object.keys(JSON.parse(shape) as object).sort())
    expect(simulated).toEqual(shapesOf(real.body).map((shape) => Object.keys(JSON.parse(shape) as object).sort()))
  })
})

describe.each(backendKinds)("a simulated %s", (kind) => {
  const profile = profiles.byName(kind)
  if (profile === undefined) throw new Error(kind)
  it("answers the profile's health path and lists its models where the profile reads them", async () => {
    const backend = await start(kind, { models: ["team/a-7b", "b"] })
    expect((await get(backend, profile.healthCheckPath || "/")).status).toBe(200)
    const listing: unknown = await (await get(backend, profile.modelDiscoveryPath)).json()
    const reading = readListing(profile.listingFormat, listing, 0).next().value
    expect(reading).toMatchObject({ _tag: "ok", models: [{ name: "team/a-7b" }, { name: "b" }] })
  })
  it("is detected as what it is, where there is evidence", async () => {
    const backend = await start(kind)
    let proved: string | undefined
    for (const { path, judge } of detectionOf(profiles.all).probes) {
      const answer = await get(backend, path)
      const body: unknown = answer.status === 200 ? JSON.parse((await answer.text()) || "null") : undefined
      proved ??= body === undefined ? undefined : judge(body)?.profile.name
    }
    expect(proved).toBe(kind === "litellm" ? "openai-compatible" : kind)
  })
  it("chats where the profile says", async () => {
    const backend = await start(kind)
    expect(await (await post(backend, profile.chatPath, chat)).json()).toMatchObject({ object: "chat.completion", model: "m" })
    const native = profile.anthropic?.enabled === true ? profile.anthropic.messagesPath : "/v1/messages"
    const answer = (await (await post(backend, native, message)).json()) as Record<string, unknown>
    expect(answer["type"] === "message").toBe(profile.anthropic?.enabled === true)
  })
})

describe("a simulated server tells of its load", () => {
  it("in llama.cpp's words", async () => {
    const backend = await start("llamacpp", { machine: { promptTokensPerSecond: 1e6, tokensPerSecond: 0, slots: 3 } })
    const real = recorded("llamacpp-metrics").body
    const text = await (await get(backend, "/metrics")).text()
    const lines = text.split("\n").filter((line) => line.startsWith("#"))
    expect(lines).toHaveLength(10)
    for (const line of lines) expect(real.split("\n")).toContain(line)
    const props = (await (await get(backend, "/props")).json()) as Record<string, unknown>
    expect(props["total_slots"]).toBe(3)
    expect(Object.keys(JSON.parse(recorded("llamacpp-props").body) as object)).toEqual(expect.arrayContaining(Object.keys(props)))
  })
  it("while it works", async () => {
    const backend = await start("vllm", { machine: { promptTokensPerSecond: 1, tokensPerSecond: 0, slots: 1 } })
    const controller = new AbortController()
    const asked = [0, 1, 2].map(() =>
      fetch(`${backend.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat), signal: controller.signal }).catch(() => {})
    )
    const load = async () => {
      const text = await (await get(backend, "/metrics")).text()
      return ["running", "waiting"].map((word) =>
        Number(new RegExp(`^vllm:num_requests_${word}{.*model_name="m"} (\\d+)$`, "m").exec(text)?.[1])
      )
    }
    await expect.poll(load).toEqual([1, 2])
    controller.abort()
    await Promise.all(asked)
    await expect.poll(load).toEqual([0, 0])
  })
  it("and of the models that it has loaded", async () => {
    const machine = { promptTokensPerSecond: 1e6, tokensPerSecond: 0, maxResident: 1, loadMillis: 5 }
    const ollama = await start("ollama", { models: ["m", "n"], machine })
    const names = async () =>
      ((await (await get(ollama, "/api/ps")).json()) as { models: Array<{ name: string }> }).models.map(({ name }) => name)
    expect(await names()).toEqual([])
    for (const model of ["m", "n"]) {
      await (await post(ollama, "/v1/chat/completions", { ...chat, model })).text()
      expect(await names()).toEqual([model])
    }
    const studio = await start("lm-studio", { models: ["m", "n"], machine })
    await (await post(studio, "/v1/chat/completions", { ...chat, model: "n" })).text()
    const { data } = (await (await get(studio, "/api/v0/models")).json()) as { data: Array<{ state: string }> }
    expect(data.map(({ state }) => state)).toEqual(["not-loaded", "loaded"])
  })
})

describe("faults", () => {
  it("meet the requests of their scope only, and as many as they are told", async () => {
    const backend = await start("vllm")
    backend.setFault({ _tag: "status", status: 429, headers: { "retry-after": "7" } }, "listing", 2)
    const listing = await get(backend, "/v1/models")
    expect([listing.status, listing.headers.get("retry-after")]).toEqual([429, "7"])
    expect((await get(backend, "/health")).status).toBe(200)
    expect((await post(backend, "/v1/chat/completions", chat)).status).toBe(200)
    expect((await get(backend, "/v1/models")).status).toBe(429)
    expect((await get(backend, "/v1/models")).status).toBe(200)
  })
  it("cut, stall and flood whole answers too", async () => {
    const backend = await start("vllm")
    backend.setFault({ _tag: "cut", after: 0 }, "listing")
    await expect(get(backend, "/v1/models").then((answer) => answer.text())).rejects.toThrow()
    backend.setFault({ _tag: "body", body: '{"data":[{"id":"m"' }, "listing")
    expect(await (await get(backend, "/v1/models")).text()).toBe('{"data":[{"id":"m"')
    backend.setFault({ _tag: "endless" }, "listing")
    const endless = await get(backend, "/v1/models")
    let size = 0
    for await (const chunk of endless.body as AsyncIterable<Uint8Array>) {
      size += chunk.length
      if (size > 2_000_000) break
    }
    expect(size).toBeGreaterThan(2_000_000)
  })
  it("end the connection after the head, let the answer trickle, and crash the server on a certain prompt", async () => {
    const backend = await start("vllm")
    backend.setFault({ _tag: "headOnly" })
    const head = await post(backend, "/v1/chat/completions", chat)
    expect(head.status).toBe(200)
    await expect(head.text()).rejects.toThrow()
    backend.setFault({ _tag: "trickle", every: 1 })
    for (const stream of [false, true]) {
      const text = await (await post(backend, "/v1/chat/completions", { ...chat, stream })).text()
      expect(text).toContain(stream ? "[DONE]" : "one token after the other.")
    }
    backend.setFault({ _tag: "poison", text: "evil" })
    expect((await post(backend, "/v1/chat/completions", chat)).status).toBe(200)
    await expect(post(backend, "/v1/chat/completions", { ...chat, user: "evil" })).rejects.toThrow()
    await expect(get(backend, "/health")).rejects.toThrow()
  })
  it("end with a revival on the same port after a kill", async () => {
    const backend = await start("ollama")
    await backend.kill()
    await expect(get(backend, "/")).rejects.toThrow()
    await backend.restart()
    expect((await get(backend, "/")).status).toBe(200)
  })
})

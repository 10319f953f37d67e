/** Who is refused how, when nobody can serve: the outcome matrix of the routing page, by route kind and strategy. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const asJson = { "content-type": "application/json" }

interface Outcome {
  readonly status: number
  readonly body: string
  /** Strategy, decision, reason. */
  readonly routing: ReadonlyArray<string | null>
  readonly model: string | null
  readonly retryAfter: boolean
}

const post = async (daemon: Daemon, path: string, model: string | undefined, more: object = {}): Promise<Outcome> => {
  const answer = await fetch(daemon.url + path, {
    method: "POST",
    headers: asJson,
    body: JSON.stringify({ ...(model === undefined ? {} : { model }), messages: [{ role: "user", content: "Hi" }], ...more })
  })
  return {
    status: answer.status,
    body: await answer.text(),
    routing: ["strategy", "decision", "reason"].map((name) => answer.headers.get(`x-olla-routing-${name}`)),
    model: answer.headers.get("x-olla-model"),
    retryAfter: answer.headers.has("retry-after")
  }
}

const none = [null, null, null]

const start = async (backend: SimulatedBackend, registry: string): Promise<Daemon> => {
  const daemon = await startDaemon(
    `${endpointsYaml([{ name: "one", backend }])}model_registry: {routing_strategy: ${registry}}\nmodel_aliases: {big: [m]}\n`
  )
  return daemon
}

const isDown = (daemon: Daemon) =>
  eventually(
    async () => (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { routable_count: number },
    (status) => status.routable_count === 0
  )

describe("with nobody healthy", () => {
  let backend: SimulatedBackend
  let strict: Daemon
  let optimistic: Daemon

  beforeAll(async () => {
    backend = await startBackend({ port: await freePort(), kind: "ollama", models: ["m"] })
    strict = await start(backend, "{type: strict}")
    optimistic = await start(backend, "{type: optimistic, options: {fallback_behavior: all}}")
    await backend.kill()
    await Promise.all([isDown(strict), isDown(optimistic)])
  })

  afterAll(async () => {
    await Promise.all([strict?.stop(), optimistic?.stop()])
    await backend?.stop()
  })

  it.each<[string, string | undefined, number, string, ReadonlyArray<string | null>]>([
    ["/olla/proxy/v1/chat/completions", "M", 503, "model_unavailable\n", ["strict", "rejected", "model_unavailable"]],
    ["/olla/proxy/v1/chat/completions", "x", 503, "model_unavailable\n", ["strict", "rejected", "model_unavailable"]],
    ["/olla/proxy/v1/chat/completions", "big", 503, "model_unavailable\n", ["strict", "rejected", "model_unavailable"]],
    ["/olla/proxy/v1/chat/completions", undefined, 503, "no healthy endpoints available\n", none],
    ["/olla/openai/v1/chat/completions", "m", 503, "model_unavailable\n", ["strict", "rejected", "model_unavailable"]],
    ["/olla/openai/v1/chat/completions", undefined, 404, "No openai endpoints available\n", none],
    ["/olla/ollama/api/chat", "m", 404, "No ollama endpoints available\n", none],
    ["/olla/ollama/api/chat", undefined, 404, "No ollama endpoints available\n", none],
    ["/olla/lm_studio/v1/chat/completions", "m", 404, "No lm-studio endpoints available\n", none],
    ["/olla/dmr/engines/v1/chat/completions", "m", 404, "No dmr endpoints available\n", none]
  ])("strict: %s for model %s is %d", async (path, model, status, body, routing) => {
    const outcome = await post(strict, path, model)
    expect(outcome).toMatchObject({ status, body, routing })
    expect(outcome.model).toBe(model === undefined ? null : model.toLowerCase())
    expect(outcome.retryAfter).toBe(status === 503)
  })

  it.each<[string, number, string]>([
    ["/olla/proxy/v1/chat/completions", 503, "no healthy endpoints available\n"],
    ["/olla/openai/v1/chat/completions", 404, "No openai endpoints available\n"]
  ])("a fallback over nobody keeps its headers: %s", async (path, status, body) => {
    expect(await post(optimistic, path, "m")).toMatchObject({ status, body, routing: ["optimistic", "fallback", "all_healthy_fallback"] })
    expect(await post(optimistic, path, "x")).toMatchObject({
      status,
      body,
      routing: ["optimistic", "fallback", "model_not_found_fallback"]
    })
  })

  it("the Anthropic route says the same in its envelope", async () => {
    const ask = async (daemon: Daemon, model: string) => {
      const outcome = await post(daemon, "/olla/anthropic/v1/messages", model, { max_tokens: 5 })
      return { ...outcome, body: JSON.parse(outcome.body) as unknown }
    }
    expect(await ask(strict, "m")).toMatchObject({
      status: 503,
      body: { type: "error", error: { type: "api_error", message: expect.stringContaining("model_unavailable") } },
      routing: ["strict", "rejected", "model_unavailable"]
    })
    expect(await ask(optimistic, "m")).toMatchObject({
      status: 404,
      body: {
        type: "error",
        error: { type: "not_found_error", message: expect.stringContaining("no healthy endpoints available for model: m") }
      },
      routing: ["optimistic", "fallback", "all_healthy_fallback"]
    })
  })
})

describe("with model discovery off", () => {
  let backend: SimulatedBackend
  let daemon: Daemon

  beforeAll(async () => {
    backend = await startBackend({ kind: "vllm", models: ["m"] })
    daemon = await startDaemon(
      `${endpointsYaml([{ name: "one", backend }]).replace("discovery:\n", "discovery:\n  model_discovery: {enabled: false}\n")}model_aliases: {big: [m, n]}\n`
    )
  })

  afterAll(async () => {
    await daemon?.stop()
    await backend?.stop()
  })

  it("requests go to whoever is there, without a decision", async () => {
    expect(await post(daemon, "/olla/proxy/v1/chat/completions", "M")).toMatchObject({ status: 404, model: "m", routing: none })
    expect(await post(daemon, "/olla/vllm/v1/chat/completions", "m")).toMatchObject({ status: 200, model: "m", routing: none })
  })

  it("an alias is its first target, and the start says so", async () => {
    expect(await post(daemon, "/olla/proxy/v1/chat/completions", "BIG")).toMatchObject({
      status: 200,
      model: "big",
      routing: ["alias", "routed", 'alias "big" resolved to 1 endpoint(s)']
    })
    expect(JSON.parse(backend.inference().at(-1)?.body ?? "{}")).toMatchObject({ model: "m" })
    expect(daemon.output()).toMatch(/WARN.*Model discovery is off/)
  })
})

/**
 * Names, aliases and renames through a started daemon, with the three official clients: what each backend is sent, and what
 * the answer, its headers, the logs, the lists and the statistics then say.
 */
import Anthropic from "@anthropic-ai/sdk"
import { Ollama } from "ollama"
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

let ollama: SimulatedBackend
let vllm: SimulatedBackend
let studio: SimulatedBackend
let down: SimulatedBackend
let daemon: Daemon
let openai: OpenAI
let anthropic: Anthropic

const aliases = `model_aliases:
  Team-Chat: ["qwen3:8b", "QWEN/QWEN3-8B"]
  gone: [only-down]
  nothing: [never-seen]
  shadow: [mixtral]
`

beforeAll(async () => {
  ollama = await startBackend({ kind: "ollama", models: ["qwen3:8b", "llava:latest", "shadow:latest"] })
  vllm = await startBackend({ kind: "vllm", models: ["Qwen/Qwen3-8B", "Mixtral", "secret-model"] })
  studio = await startBackend({ kind: "lm-studio", models: ["qwen/qwen3-8b", "mixtral"] })
  down = await startBackend({ port: await freePort(), kind: "ollama", models: ["only-down"] })
  daemon = await startDaemon(
    `${endpointsYaml([
      { name: "ollama", backend: ollama, extra: "priority: 300" },
      { name: "vllm", backend: vllm, extra: "priority: 200, model_filter: {exclude: [secret*]}" },
      { name: "studio", backend: studio },
      { name: "down", backend: down }
    ])}proxy: {load_balancer: priority}\n${aliases}`
  )
  openai = new OpenAI({ baseURL: `${daemon.url}/olla/proxy/v1`, apiKey: "any", maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: "any", maxRetries: 0 })
  await down.kill()
  await status((one) => one.name === "down" && one.status === "offline")
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([ollama, vllm, studio, down].map((backend) => backend?.stop()))
})

beforeEach(() => {
  for (const backend of [ollama, vllm, studio]) {
    backend.setFault(undefined)
    backend.requests.length = 0
  }
})

const json = async <A>(path: string, headers: Record<string, string> = {}): Promise<A> =>
  (await (await fetch(daemon.url + path, { headers })).json()) as A

const status = (wanted: (one: { readonly name: string; readonly status: string }) => boolean) =>
  eventually(
    () => json<{ endpoints: ReadonlyArray<{ name: string; status: string }> }>("/internal/status/endpoints"),
    ({ endpoints }) => endpoints.some(wanted)
  )

const counted = async (): Promise<Record<string, number>> => {
  const { models } = await json<{ models: ReadonlyArray<{ name: string; total_requests: number }> }>("/internal/stats/models")
  return Object.fromEntries(models.map((model) => [model.name, model.total_requests]))
}

/** What one piece of work adds to the statistics. */
const counting = async (work: () => Promise<unknown>): Promise<Record<string, number>> => {
  const before = await counted()
  await work()
  const after = await counted()
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, total]) => [name, total - (before[name] ?? 0)] as const)
      .filter(([, more]) => more > 0)
  )
}

const sent = (backend: SimulatedBackend) => backend.inference().map((request) => (JSON.parse(request.body) as { model: string }).model)
const routing = (headers: Headers) =>
  ["model", "endpoint", "routing-strategy", "routing-decision", "routing-reason"].map((name) => headers.get(`x-olla-${name}`))

const asJson = { "content-type": "application/json" }

const chat = (model: string) => openai.chat.completions.create({ model, messages: [{ role: "user", content: "Hi" }] }).withResponse()

describe("an OpenAI client", () => {
  it("asks by an alias in any case: each endpoint is sent its own name, the answer is the backend's", async () => {
    const stats = await counting(async () => {
      const { data, response } = await chat("TEAM-chat")
      expect(routing(response.headers)).toEqual(["team-chat", "ollama", "alias", "routed", 'alias "Team-Chat" resolved to 3 endpoint(s)'])
      expect(data.model).toBe("qwen3:8b")
    })
    expect(sent(ollama)).toEqual(["qwen3:8b"])
    expect(ollama.inference()[0]?.header("x-model")).toBe("team-chat")
    expect(stats).toEqual({ "qwen3:8b": 1 })
    await eventually(daemon.output, (text) => text.includes("Model alias resolved"))
  })

  it("has the whole body rewritten in its name only, anew for the next endpoint on failover", async () => {
    ollama.setFault({ _tag: "reset" })
    const body =
      '{ "messages" : [{"role":"user","content":"say \\"model\\": \\"team-chat\\""}],\n "model":"Team-Chat", "n" : 1 , "extra":{"model":"Team-Chat"}}'
    const answer = await fetch(`${daemon.url}/olla/proxy/v1/chat/completions`, {
      method: "POST",
      headers: asJson,
      body
    })
    expect([answer.status, answer.headers.get("x-olla-endpoint")]).toEqual([200, "vllm"])
    await answer.arrayBuffer()
    const renamed = (name: string) => body.replace('"model":"Team-Chat", "n"', `"model":"${name}", "n"`)
    expect(ollama.inference().at(-1)?.body).toBe(renamed("qwen3:8b"))
    expect(vllm.inference().at(-1)?.body).toBe(renamed("Qwen/Qwen3-8B"))
    ollama.setFault(undefined)
    await status((one) => one.name === "ollama" && one.status === "healthy")
  })

  it("asks in another case: the backend gets the name that it knows, statistics keep the one that was asked for", async () => {
    const stats = await counting(async () => {
      const { data, response } = await chat("MIXTRAL")
      expect(routing(response.headers)).toEqual(["mixtral", "vllm", "strict", "routed", "model_found"])
      expect(data.model).toBe("Mixtral")
    })
    expect(sent(vllm)).toEqual(["Mixtral"])
    expect(stats).toEqual({ mixtral: 1 })
  })

  it("leaves out Ollama's :latest", async () => {
    const { response } = await chat("llava")
    expect(response.headers.get("x-olla-model")).toBe("llava")
    expect(sent(ollama)).toEqual(["llava:latest"])
  })

  it("gets an alias before a model of its name", async () => {
    const { response } = await chat("shadow")
    expect(routing(response.headers)).toEqual(["shadow", "vllm", "alias", "routed", 'alias "shadow" resolved to 2 endpoint(s)'])
  })

  it("streams under the backend's name for it", async () => {
    const names = new Set<string>()
    for await (const chunk of await openai.chat.completions.create({
      model: "team-chat",
      stream: true,
      messages: [{ role: "user", content: "Hi" }]
    }))
      names.add(chunk.model)
    expect([...names]).toEqual(["qwen3:8b"])
  })

  it.each([
    ["qwen3:9b", 503, "model_unavailable", '"qwen3:8b"'],
    ["only-down", 503, "model_unavailable", "only-down"],
    ["gone", 503, "model_unavailable", "down"],
    ["nothing", 503, "model_unavailable", "nothing"],
    ["secret-model", 503, "model_unavailable", "secret-model"]
  ])("is refused %s with %d %s while an endpoint is down, and is told what is near", async (model, code, reason, text) => {
    const stats = await counting(async () => {
      await expect(chat(model)).rejects.toMatchObject({
        status: code,
        code: reason,
        type: code === 404 ? "not_found_error" : "api_error",
        message: expect.stringContaining(text)
      })
    })
    expect(stats).toEqual({})
  })

  it("embeds by an alias, and lists no alias as a model", async () => {
    await openai.embeddings.create({ model: "Team-Chat", input: "x" })
    expect(sent(ollama)).toEqual(["qwen3:8b"])
    const ids = (await openai.models.list()).data.map((model) => model.id)
    expect(ids).toEqual(["Mixtral", "Qwen/Qwen3-8B", "llava:latest", "mixtral", "qwen/qwen3-8b", "qwen3:8b", "shadow:latest"])
  })
})

describe("a refusal in plain text", () => {
  it("is the token alone, with the decision in its headers", async () => {
    const answer = await fetch(`${daemon.url}/olla/vllm/v1/completions`, { method: "POST", headers: asJson, body: '{"model":"Nope"}' })
    expect([answer.status, await answer.text(), answer.headers.get("content-type")]).toEqual([
      404,
      "model_not_found\n",
      "text/plain; charset=utf-8"
    ])
    expect(routing(answer.headers)).toEqual(["nope", null, "strict", "rejected", "model_not_found"])
  })

  it("says 503 and when to come again for a model that is away", async () => {
    const answer = await fetch(`${daemon.url}/olla/proxy/v1/chat/completions`, {
      method: "POST",
      headers: asJson,
      body: '{"model":"only-down"}'
    })
    expect([answer.status, await answer.text()]).toEqual([503, "model_unavailable\n"])
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0)
  })

  it("names the provider where its kind has nobody", async () => {
    const answer = await fetch(`${daemon.url}/olla/sglang/v1/chat/completions`, {
      method: "POST",
      headers: asJson,
      body: '{"model":"mixtral"}'
    })
    expect([answer.status, await answer.text(), answer.headers.get("x-olla-routing-strategy")]).toEqual([
      404,
      "No sglang endpoints available\n",
      null
    ])
  })
})

describe("an Ollama client", () => {
  const client = () => new Ollama({ host: `${daemon.url}/olla/ollama` })

  it("chats, generates and embeds by an alias and by a short name", async () => {
    const answer = await client().chat({ model: "team-chat", messages: [{ role: "user", content: "Hi" }] })
    expect(answer.model).toBe("qwen3:8b")
    await client().generate({ model: "LLAVA", prompt: "x" })
    await client().embed({ model: "Team-Chat", input: "x" })
    expect(sent(ollama)).toEqual(["qwen3:8b", "llava:latest", "qwen3:8b"])
    expect([...vllm.inference(), ...studio.inference()]).toEqual([])
  })

  it("sees what Ollama endpoints have, in Ollama's own form", async () => {
    const { models } = await client().list()
    expect(models.map((model) => model.name)).toEqual(["llava:latest", "qwen3:8b", "shadow:latest"])
  })

  it("is told what it cannot have", async () => {
    await expect(client().chat({ model: "Mixtral", messages: [] })).rejects.toMatchObject({ status_code: 503 })
  })
})

describe("an Anthropic client", () => {
  it("asks by an alias, in any case", async () => {
    const stats = await counting(async () => {
      const { data, response } = await anthropic.messages
        .create({ model: "TEAM-Chat", max_tokens: 20, messages: [{ role: "user", content: "Hi" }] })
        .withResponse()
      expect(routing(response.headers)).toEqual(["team-chat", "ollama", "alias", "routed", 'alias "Team-Chat" resolved to 3 endpoint(s)'])
      expect(data.model).toBe("qwen3:8b")
    })
    expect(sent(ollama)).toEqual(["qwen3:8b"])
    expect(stats).toEqual({ "qwen3:8b": 1 })
  })

  it("is refused in its own envelope", async () => {
    await expect(
      anthropic.messages.create({ model: "mixtrul", max_tokens: 20, messages: [{ role: "user", content: "Hi" }] })
    ).rejects.toMatchObject({
      status: 503,
      error: { type: "error", error: { message: expect.stringContaining("model_unavailable") } }
    })
  })
})

describe("the lists", () => {
  interface Unified {
    readonly data: ReadonlyArray<{
      readonly id: string
      readonly created: number
      readonly olla: { readonly aliases: ReadonlyArray<string>; readonly availability: ReadonlyArray<{ endpoint: string; state: string }> }
    }>
  }

  it("have one entry for a model under all its spellings, sorted, the same at each call", async () => {
    const { data } = await json<Unified>("/olla/models")
    expect(data.map((model) => [model.id, model.olla.aliases])).toEqual([
      ["Mixtral", ["Mixtral", "mixtral"]],
      ["Qwen/Qwen3-8B", ["Qwen/Qwen3-8B", "qwen/qwen3-8b"]],
      ["llava:latest", ["llava:latest"]],
      ["qwen3:8b", ["qwen3:8b"]],
      ["shadow:latest", ["shadow:latest"]]
    ])
    expect((await json<Unified>("/olla/models")).data).toEqual(data)
  })

  it("keep what is away, marked as such, where they are asked for it", async () => {
    const { data } = await json<Unified>("/olla/models?include_unavailable=true")
    expect(data.find((model) => model.id === "only-down")?.olla.availability).toEqual([{ endpoint: "down", state: "offline" }])
  })

  it("exist in every format, and in no other", async () => {
    for (const format of [
      "unified",
      "openai",
      "lmdeploy",
      "lemonade",
      "sglang",
      "vllm",
      "vllm-mlx",
      "llamacpp",
      "docker-model-runner",
      "lmstudio",
      "ollama",
      "lm_studio",
      "dmr",
      "litellm"
    ]) {
      const list = await json<{ data?: ReadonlyArray<{ id: string }>; models?: ReadonlyArray<{ name: string }> }>(
        `/olla/models?format=${format}`
      )
      const ids = (list.data ?? []).map((one) => one.id).concat(format === "ollama" ? (list.models ?? []).map((one) => one.name) : [])
      expect(ids.length, format).toBeGreaterThan(0)
      expect(ids, format).toEqual([...ids].sort())
    }
    const refused = await fetch(`${daemon.url}/olla/models?format=OpenAI`)
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringMatching(/^invalid query parameter format=OpenAI: unsupported format\. Supported formats: .*unified/)
    ])
  })

  it("find one model by id or alias, in any case, with its slash raw or encoded", async () => {
    for (const id of ["Qwen/Qwen3-8B", "qwen%2Fqwen3-8b", "QWEN/qwen3-8B"])
      expect(await json(`/olla/models/${id}`), id).toMatchObject({
        id: "Qwen/Qwen3-8B",
        aliases: ["Qwen/Qwen3-8B", "qwen/qwen3-8b"],
        endpoints: ["vllm", "studio"]
      })
    expect((await fetch(`${daemon.url}/olla/models/team-chat`)).status).toBe(404)
  })
})

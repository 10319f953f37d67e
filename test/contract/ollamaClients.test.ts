/** Ollama's official client with the root as its host, in front of Ollama and of servers that know nothing of its API. */
import { Ollama } from "ollama"
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Asked, ask } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"
import { json, ScriptedModel } from "./scriptedModel.ts"

let vllm: SimulatedBackend
let own: SimulatedBackend
let scripted: ScriptedModel
let onlyOllama: ScriptedModel
let daemon: Daemon
let client: Ollama
const get = (path: string, more: Omit<Asked, "path"> = {}) => ask(daemon.port, { path, ...more })

const onlyOllamaProfile = `name: bare-ollama
api:
  openai_compatible: false
  chat_support: {enabled: false}
  ollama_support: {enabled: true}
  embeddings: [ollama]
  model_discovery_path: /v1/models
  health_check_path: /v1/models
  paths: [/api/chat, /api/embed]
request: {response_format: openai}
`

beforeAll(async () => {
  scripted = new ScriptedModel(["scripted"])
  onlyOllama = new ScriptedModel(["bare"])
  ;[vllm, own] = await Promise.all([
    startBackend({ kind: "vllm", models: ["org/big"], text: "Said by vLLM. " }),
    startBackend({ kind: "ollama", models: ["small:1b"], text: "Said by Ollama. " }),
    scripted.start(),
    onlyOllama.start()
  ])
  const endpoints = endpointsYaml(
    [
      { name: "vllm", backend: vllm },
      { name: "own", backend: own }
    ],
    rareChecks
  )
  const more = [
    ["scripted", "lmdeploy", scripted],
    ["bare", "bare-ollama", onlyOllama]
  ] as const
  daemon = await startDaemon(
    `${endpoints}${more.map(([name, type, { url }]) => `      - {url: "${url}", name: ${name}, type: ${type}, health_check_url: /v1/models, model_url: /v1/models, ${rareChecks}}\n`).join("")}model_aliases: {helper: ["org/big"]}\n`,
    { files: { "config/profiles/bare-ollama.yaml": onlyOllamaProfile } }
  )
  client = new Ollama({ host: daemon.url })
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([vllm?.stop(), own?.stop(), scripted?.stop(), onlyOllama?.stop()])
})

beforeEach(() => {
  scripted.reset()
  onlyOllama.reset()
})

describe("Ollama's client", () => {
  it.each([
    ["org/big", "Said by vLLM. ", "/v1/chat/completions"],
    ["small:1b", "Said by Ollama. ", "/api/chat"]
  ])("chats and generates with %s, whole and streamed", async (model, text, path) => {
    const messages = [{ role: "user", content: "Hi" }]
    const whole = await client.chat({ model, messages })
    expect([whole.message.content, whole.done, whole.done_reason, whole.model]).toEqual([text, true, "stop", model])
    expect(whole.eval_count).toBeGreaterThan(0)
    let streamed = ""
    let ends = 0
    for await (const { message, done } of await client.chat({ model, messages, stream: true })) {
      streamed += message.content
      if (done) ends++
    }
    expect([streamed, ends]).toEqual([text, 1])
    expect((await client.generate({ model, prompt: "Hi", system: "Be brief." })).response).toBe(text)
    let generated = ""
    for await (const { response } of await client.generate({ model, prompt: "Hi", stream: true })) generated += response
    expect(generated).toBe(text)
    const backend = model === "org/big" ? vllm : own
    expect(backend.inference().some(({ url }) => url === path)).toBe(true)
  })

  it("thinks, uses tools over two turns, sees images and keeps to a schema on a server of chat completions", async () => {
    scripted.turns = [
      { thinking: ["Look", " there."], tools: [{ id: "call_1", name: "weather", input: ['{"city":', '"Oslo"}'] }], stop: "tool_use" },
      { text: ["Rain."], stop: "end_turn" }
    ]
    const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }]
    const messages = [{ role: "user", content: "Weather?", images: ["iVBORw0KGgo="] }] as Array<
      Parameters<typeof client.chat>[0]["messages"] extends infer M | undefined ? (M extends ReadonlyArray<infer E> ? E : never) : never
    >
    const first = await client.chat({
      model: "scripted",
      messages,
      tools,
      think: true,
      format: { type: "object" },
      options: { num_ctx: 4_096 }
    })
    expect([first.message.thinking, first.message.tool_calls?.[0]?.function]).toEqual([
      "Look there.",
      { index: 0, name: "weather", arguments: { city: "Oslo" } }
    ])
    messages.push(first.message, { role: "tool", content: "rain", tool_name: "weather" })
    expect((await client.chat({ model: "scripted", messages, tools })).message.content).toBe("Rain.")
    expect((await client.show({ model: "scripted" })).capabilities).toContain("thinking")
    const [asked, then] = scripted.asked.map(({ body }) => body)
    expect(asked.messages[0].content[1].image_url.url).toBe("data:image/png;base64,iVBORw0KGgo=")
    expect(asked.response_format.type).toBe("json_schema")
    expect(then.messages.slice(1)).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "call_1" }] },
      { role: "tool", tool_call_id: "call_1" }
    ])
  })

  it("names what is left out", async () => {
    const body = JSON.stringify({
      model: "org/big",
      messages: [{ role: "user", content: "Hi" }],
      options: { num_ctx: 1 },
      truncate: true,
      stream: false
    })
    const answer = await get("/api/chat", { method: "POST", body })
    expect([answer.header("x-olla-dialect"), answer.header("x-olla-dropped")]).toEqual(["ollama->chat", "options.num_ctx,truncate"])
    expect((await get("/api/chat", { method: "POST", body: body.replace("org/big", "small:1b") })).header("x-olla-mode")).toBe(
      "passthrough"
    )
  })

  it("has prompts gone on with as they stand by servers of completions", async () => {
    const request = { model: "org/big", prompt: "def f(", suffix: "): pass", options: { num_predict: 9, stop: ["\n"] } }
    const whole = await client.generate(request)
    expect([whole.response, whole.done, whole.done_reason]).toEqual(["Said by vLLM. ", true, "stop"])
    let streamed = ""
    for await (const { response } of await client.generate({ ...request, raw: true, stream: true })) streamed += response
    expect(streamed).toBe("Said by vLLM. ")
    const asked = vllm.inference().filter(({ url }) => url === "/v1/completions")
    expect(asked.map(({ body }) => JSON.parse(body.toString()))).toMatchObject([
      { model: "org/big", prompt: "def f(", suffix: "): pass", max_tokens: 9, stop: ["\n"], stream: false },
      { prompt: "def f(", suffix: "): pass", stream: true }
    ])
  })

  it("loads models that are always there at once", async () => {
    expect(await client.generate({ model: "org/big", prompt: "", keep_alive: 0 })).toMatchObject({ done: true, done_reason: "unload" })
    expect(await client.chat({ model: "org/big", messages: [] })).toMatchObject({ done: true, done_reason: "load" })
  })

  it("raises its errors", async () => {
    await expect(client.chat({ model: "nobody-has-it", messages: [{ role: "user", content: "x" }] })).rejects.toMatchObject({
      status_code: 404
    })
    await expect(client.generate({ model: "org/big", prompt: "x", template: "y" })).rejects.toMatchObject({
      status_code: 400,
      message: expect.stringContaining("template")
    })
    await expect(client.show({ model: "nobody-has-it" })).rejects.toMatchObject({ status_code: 404 })
    await expect(client.pull({ model: "x" })).rejects.toMatchObject({ status_code: 501 })
    await expect(client.delete({ model: "x" })).rejects.toMatchObject({ status_code: 501 })
    expect((await get("/api/chat")).json()).toEqual({ error: "method not allowed, use POST" })
  })

  it("lists, shows and counts what is loaded, with every text that clients read", async () => {
    const { models } = await client.list()
    const openai = (await get("/v1/models")).json().data as ReadonlyArray<{ readonly id: string }>
    expect(openai.map(({ id }) => id)).toEqual(models.map(({ name }) => name))
    expect(models.map(({ name }) => name)).toEqual(["bare", "helper", "org/big", "scripted", "small:1b"])
    for (const { details, digest, size, modified_at: at } of models) {
      expect(Object.values(details).filter((value) => typeof value !== "string" && !Array.isArray(value))).toEqual([])
      expect([digest.length > 0, size >= 0, Number.isNaN(Date.parse(String(at)))]).toEqual([true, true, false])
    }
    const shown = await client.show({ model: "org/big" })
    expect(shown.capabilities).toEqual(expect.arrayContaining(["completion", "tools"]))
    const info = shown.model_info as unknown as Record<string, unknown>
    expect(info[`${String(info["general.architecture"])}.context_length`]).toBeGreaterThan(0)
    expect((await get("/api/show", { method: "POST", body: '{"name":"helper"}' })).json().capabilities).toContain("tools")
    const { models: loaded } = await client.ps()
    expect(loaded.map(({ name }) => name)).toContain("org/big")
    // As Ollama itself says it, and not made up here.
    const own = (await get("/olla/ollama/api/ps")).json().models as ReadonlyArray<{ readonly name: string }>
    expect(own.map(({ name }) => name)).toEqual(["small:1b"])
    expect(loaded.find(({ name }) => name === "small:1b")).toEqual(own[0])
    expect((await get("/api/embeddings", { method: "POST", body: '{"model":"org/big","prompt":""}' })).json()).toEqual({
      embedding: []
    })
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/)
    expect((await get("/olla/proxy/api/tags")).json().models).toHaveLength(5)
  })

  it("embeds by every server, and so does OpenAI's client", async () => {
    const one = await client.embed({ model: "org/big", input: ["a", "b"] })
    expect(one.embeddings.map((vector) => vector.length > 0)).toEqual([true, true])
    expect((await client.embeddings({ model: "org/big", prompt: "a" })).embedding.length).toBeGreaterThan(0)
    onlyOllama.answer = (_req, res) => json(res, 200, { model: "bare", embeddings: [[0.5, -1]], prompt_eval_count: 3 })
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
    // The client asks for Base64 where nobody says otherwise.
    const { data, usage } = await openai.embeddings.create({ model: "bare", input: "x" })
    expect([data[0]?.embedding, usage.prompt_tokens]).toEqual([[0.5, -1], 3])
    expect(onlyOllama.asked.at(-1)?.path).toBe("/api/embed")
    await expect(openai.embeddings.create({ model: "bare", input: [1, 2] })).rejects.toMatchObject({ status: 400, param: "input" })
  })
})

/** One base URL for every client: the short paths at the root and below `/olla`, asked by official clients. */
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Asked, ask, chat } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

let vllm: SimulatedBackend
let ollama: SimulatedBackend
let daemon: Daemon
let closed: Daemon
const get = (path: string, more: Omit<Asked, "path"> = {}) => ask(daemon.port, { path, ...more })

beforeAll(async () => {
  ;[vllm, ollama] = await Promise.all([
    startBackend({ kind: "vllm", models: ["org/big"], text: "Said by vLLM. " }),
    startBackend({ kind: "ollama", models: ["small:1b"], text: "Said by Ollama. " })
  ])
  const endpoints = endpointsYaml(
    [
      { name: "vllm", backend: vllm },
      { name: "ollama", backend: ollama }
    ],
    rareChecks
  )
  ;[daemon, closed] = await Promise.all([
    startDaemon(endpoints),
    startDaemon(`${endpoints}translators: {responses: {codex_instructions: codex.md}}\nmodel_aliases: {coder: ["org/big"]}\n`, {
      server: "  root_routes: false\n",
      files: { "codex.md": "Work with care.\n" }
    })
  ])
})

afterAll(async () => {
  await Promise.all([daemon?.stop(), closed?.stop()])
  await Promise.all([vllm?.stop(), ollama?.stop()])
})

describe("one base URL for everything", () => {
  it.each(["/v1", "/olla/v1", ""])("serves OpenAI's client with the base URL %j", async (base) => {
    const client = new OpenAI({ baseURL: daemon.url + base, apiKey: "any", maxRetries: 0 })
    for (const [model, text] of [
      ["org/big", "Said by vLLM. "],
      ["small:1b", "Said by Ollama. "]
    ] as const) {
      const whole = await client.chat.completions.create({ model, messages: [{ role: "user", content: "Hi" }] })
      expect(whole.choices[0]?.message.content).toBe(text)
      let streamed = ""
      for await (const chunk of await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content: "Hi" }] }))
        streamed += chunk.choices[0]?.delta.content ?? ""
      expect(streamed).toBe(text)
    }
    const ids: Array<string> = []
    for await (const { id } of client.models.list()) ids.push(id)
    expect(ids).toEqual(["org/big", "small:1b"])
    const catalogue = (await get(`${base === "" ? "" : base}/models?client_version=1.0.0`)).json()
    expect([catalogue.models, catalogue.data.length]).toEqual([[], 2])
    expect((await client.models.retrieve("org/big")).id).toBe("org/big")
    expect((await client.embeddings.create({ model: "org/big", input: "x" })).data[0]?.embedding.length).toBeGreaterThan(0)
    expect((await client.completions.create({ model: "org/big", prompt: "x" })).choices[0]?.text).toBe("Said by vLLM. ")
    await expect(client.chat.completions.create({ model: "nobody-has-it", messages: [] })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found"
    })
  })

  it.each(["", "/olla", "/olla/anthropic", "/v1"])("serves Anthropic's client with the base URL %j", async (base) => {
    const client = new Anthropic({ baseURL: daemon.url + base, apiKey: "any", maxRetries: 0 })
    const asked = { model: "org/big", max_tokens: 20, messages: [{ role: "user" as const, content: "Hi" }] }
    expect((await client.messages.create(asked)).content).toMatchObject([{ type: "text", text: "Said by vLLM. " }])
    expect((await client.messages.countTokens({ model: "org/big", messages: asked.messages })).input_tokens).toBeGreaterThan(0)
    if (base === "/v1") return
    const ids: Array<string> = []
    for await (const { id, type } of client.models.list()) ids.push(`${type} ${id}`)
    expect(ids).toEqual(["model org/big", "model small:1b"])
    await expect(client.messages.create({ ...asked, model: "nobody-has-it" })).rejects.toMatchObject({ status: 404 })
  })

  it.each(["/olla/proxy", "/olla/vllm", "/olla/openai"])("counts tokens below %s as well", async (prefix) => {
    const ask = (path: string, body: object) => get(prefix + path, { method: "POST", body: JSON.stringify({ model: "org/big", ...body }) })
    const counted = await ask("/v1/messages/count_tokens", { messages: [{ role: "user", content: "Hi there" }] })
    expect([counted.status, counted.json().input_tokens > 0]).toEqual([200, true])
    expect((await ask("/v1/responses/input_tokens", { input: "Hi there" })).json().object).toBe("response.input_tokens")
  })

  it("says which methods its routes have, in the words of the API", async () => {
    const wrong = await get("/v1/chat/completions")
    expect([wrong.status, wrong.header("allow"), wrong.json().error.type]).toEqual([405, "POST", "invalid_request_error"])
    const list = await get("/v1/models", { method: "DELETE" })
    expect([list.status, list.header("allow")]).toEqual([405, "GET, HEAD"])
    expect((await get("/v1/messages")).json().type).toBe("error")
    expect((await get("/v1/models/none")).json().error.code).toBe("model_not_found")
  })

  it("reads one `/v1` too many and a slash at the end as the path that was meant", async () => {
    for (const path of ["/v1/v1/chat/completions", "/v1/chat/completions/", "//v1//chat/completions", "/olla/v1/v1/chat/completions"])
      expect((await get(path, { method: "POST", body: chat("org/big") })).status, path).toBe(200)
    expect(vllm.inference().at(-1)?.url).toBe("/v1/chat/completions")
  })

  it("takes a model's name with a tag or a wish that says nothing to its server for the name", async () => {
    for (const [asked, header, sent] of [
      ["org/big[1m]", "org/big", "org/big"],
      ["Org/Big:latest", "org/big", "org/big"],
      ["small:1b[1m]", "small:1b", "small:1b"]
    ] as const) {
      const answer = await get("/v1/chat/completions", { method: "POST", body: chat(asked) })
      const backend = sent === "org/big" ? vllm : ollama
      expect([answer.status, answer.header("x-olla-model"), JSON.parse(backend.inference().at(-1)?.body ?? "{}").model]).toEqual([
        200,
        header,
        sent
      ])
    }
  })

  it("answers Ollama's word to programs and a page to people", async () => {
    const word = await get("/")
    expect([word.status, word.header("content-type"), word.text]).toEqual([200, "text/plain; charset=utf-8", "Ollama is running"])
    expect([(await get("/", { method: "HEAD" })).status, (await get("/", { method: "POST" })).status]).toEqual([200, 404])
    const page = await get("/", { headers: { accept: "text/html,*/*;q=0.8" } })
    expect(page.header("content-type")).toBe("text/html; charset=utf-8")
    expect(page.text).toContain(`<code>http://127.0.0.1:${daemon.port}/v1</code>`)
  })

  it("tells Codex the instructions that are configured, for every name of a model that chats", async () => {
    const { models, data } = (await ask(closed.port, { path: "/olla/v1/models?client_version=0.99.0" })).json()
    expect(models.map(({ slug }: { slug: string }) => slug)).toEqual(data.map(({ id }: { id: string }) => id))
    expect(models.map(({ slug }: { slug: string }) => slug)).toEqual(["coder", "org/big", "small:1b"])
    expect(models[1]).toMatchObject({
      base_instructions: "Work with care.\n",
      shell_type: "shell_command",
      apply_patch_tool_type: "freeform",
      truncation_policy: { mode: "bytes", limit: 10_000 },
      description: null,
      upgrade: null,
      experimental_supported_tools: []
    })
    expect(models[1].context_window).toBeGreaterThan(0)
  })

  it("keeps all of that away from the root when it is told to", async () => {
    const at = async (path: string, method = "GET") =>
      (await ask(closed.port, { path, method, body: method === "POST" ? chat("org/big") : "" })).status
    expect([await at("/"), await at("/v1/models"), await at("/v1/chat/completions", "POST"), await at("/v1/messages", "POST")]).toEqual([
      404, 404, 404, 404
    ])
    expect([await at("/olla/v1/models"), await at("/olla/v1/chat/completions", "POST")]).toEqual([200, 200])
  })
})

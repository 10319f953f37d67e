/** Chat completions at a server whose kind has them, but who says that it has not got the route. */
import type { ServerResponse } from "node:http"
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, startDaemon } from "./daemon.ts"
import { json, message, ScriptedModel } from "./scriptedModel.ts"

const noRoute = [
  ["404 in the words of FastAPI", 404, { detail: "Not Found" }],
  ["404 in the form of OpenAI", 404, { error: { message: "File Not Found", type: "not_found_error", code: 404 } }],
  ["405", 405, { detail: "Method Not Allowed" }],
  ["200 of LM Studio", 200, { error: "Unexpected endpoint or method. (POST /v1/chat/completions)" }]
] as const

/** With its length, as frameworks say what is short. */
const said = (res: ServerResponse, status: number, body: object) => {
  const text = JSON.stringify(body)
  json(res, status, body, { "content-length": String(text.length) })
}

describe.each(["olla", "sherpa"])("on the %s engine, chat completions", (engine) => {
  // Each has a model of its own, and the other one has all of them: what one has said is held against it alone.
  const servers = [...noRoute.map((_, n) => new ScriptedModel([`m${n}`])), new ScriptedModel(["r0", "r1"])]
  const other = new ScriptedModel([...noRoute.map((_, n) => `m${n}`), "r0", "r1"])
  let daemon: Daemon

  beforeAll(async () => {
    await Promise.all([...servers, other].map((server) => server.start()))
    const endpoint = (name: string, url: string, priority: number) =>
      `{url: "${url}", name: ${name}, type: vllm, check_interval: 1h, priority: ${priority}}`
    const all = [...servers.map(({ url }, n) => endpoint(`s${n}`, url, 100)), endpoint("other", other.url, 50)]
    daemon = await startDaemon(
      `proxy: {engine: ${engine}, load_balancer: priority}\ndiscovery: {static: {endpoints: [${all.join(", ")}]}}\n`
    )
  })

  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([...servers, other].map((server) => server.stop()))
  })

  beforeEach(() => {
    for (const server of [...servers, other]) server.reset()
  })

  const ask = (model: string) =>
    fetch(`${daemon.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] })
    })

  it.each([
    ["another model", "r0", { error: { message: "The model `r0` does not exist.", type: "NotFoundError", code: 404 } }],
    ["something else", "r1", { error: { message: "no session of that name", type: "not_found_error" } }]
  ])("are relayed as they come where they speak of %s", async (_what, model, body) => {
    const server = servers.at(-1) as ScriptedModel
    server.answer = (_req, res) => said(res, 404, body)
    other.answer = (_req, res) => said(res, 404, body)
    const answer = await ask(model)
    expect([answer.status, await answer.json(), answer.headers.get("x-olla-dialect")]).toEqual([404, body, null])
    expect(server.asked.map(({ path }) => path)).toEqual(["/v1/chat/completions"])
  })

  it.each(noRoute.map((row, n) => [...row, n] as const))(
    "are asked again of the same server in translation (%s)",
    async (_what, status, body, n) => {
      const server = servers[n] as ScriptedModel
      server.answer = (_req, res, { path }) =>
        path === "/v1/messages" ? json(res, 200, message({ text: ["Hi there"], stop: "end_turn" }, "m")) : said(res, status, body)
      const answer = await ask(`m${n}`)
      const told = ["x-olla-endpoint", "x-olla-dialect"].map((name) => answer.headers.get(name))
      expect([answer.status, ...told]).toEqual([200, `s${n}`, "chat->messages"])
      expect(await answer.json()).toMatchObject({ choices: [{ message: { content: "Hi there" } }] })
      expect(server.asked.map(({ path }) => path)).toEqual(["/v1/chat/completions", "/v1/messages"])
      expect(other.asked).toEqual([])
    }
  )

  it("are asked in translation at once from then on, streamed too, and before a server of lower rank", async () => {
    const server = servers[0] as ScriptedModel
    const missing = noRoute[0]
    server.answer = (_req, res) => said(res, missing[1], missing[2])
    await ask("m0")
    server.reset()
    other.reset()
    server.turns = [{ text: ["Hi", " there"], stop: "end_turn" }]
    const client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
    const stream = await client.chat.completions.create({ model: "m0", stream: true, messages: [{ role: "user", content: "Hi" }] })
    let text = ""
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ""
    expect([text, server.asked.map(({ path }) => path), other.asked.length]).toEqual(["Hi there", ["/v1/messages"], 0])
  })
})

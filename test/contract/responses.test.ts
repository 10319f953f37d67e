/** The official OpenAI client on the Responses API, in front of backends that know only chat completions. */
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask } from "./ask.ts"
import { type Daemon, endpointsYaml, startDaemon } from "./daemon.ts"
import { ScriptedModel } from "./scriptedModel.ts"

let simulated: SimulatedBackend
let scripted: ScriptedModel
let native: ScriptedModel
let daemon: Daemon
let client: OpenAI

describe.each(["olla", "sherpa"])("the Responses API on the %s engine", (engine) => {
  beforeAll(async () => {
    simulated = await startBackend({ kind: "sglang", models: ["plain-model"], text: "Said by a simulated server. " })
    scripted = new ScriptedModel(["scripted-model"])
    native = new ScriptedModel(["native-model"])
    await Promise.all([scripted.start(), native.start()])
    daemon = await startDaemon(
      `${endpointsYaml([
        { name: "simulated", backend: simulated }
      ])}      - {url: "${scripted.url}", name: scripted, type: lmdeploy, health_check_url: /v1/models, model_url: /v1/models, check_interval: 5s}\n      - {url: "${native.url}", name: native, type: vllm, health_check_url: /v1/models, model_url: /v1/models, check_interval: 5s}\nproxy: {engine: ${engine}}\n`
    )
    client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
  })

  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([simulated?.stop(), scripted?.stop(), native?.stop()])
  })

  beforeEach(() => simulated.setFault(undefined))

  it("answers whole", async () => {
    const { data, response } = await client.responses
      .create({ model: "plain-model", instructions: "Be brief.", input: "Hi" })
      .withResponse()
    expect(data.output_text).toBe("Said by a simulated server. ")
    expect([data.status, data.model, data.usage?.output_tokens]).toEqual(["completed", "plain-model", 5])
    expect(response.headers.get("x-olla-dialect")).toBe("responses->chat")
    expect(response.headers.get("x-olla-mode")).toBeNull()
    expect(simulated.inference().at(-1)?.url).toBe("/v1/chat/completions")
  })

  it("streams through the client's helper", async () => {
    const stream = client.responses.stream({ model: "plain-model", input: [{ role: "user", content: "Hi" }] })
    let text = ""
    stream.on("response.output_text.delta", (event) => {
      text += event.delta
    })
    const final = await stream.finalResponse()
    expect([text, final.output_text, final.status]).toEqual(["Said by a simulated server. ", "Said by a simulated server. ", "completed"])
  })

  it("goes through a loop with tools, streamed", async () => {
    scripted.turns = [
      { thinking: ["I should ", "look."], tools: [{ id: "call_1", name: "weather", input: ['{"city":', '"Oslo"}'] }], stop: "tool_use" },
      { text: ["Rain."], stop: "end_turn" }
    ]
    scripted.asked.length = 0
    const tools: Array<OpenAI.Responses.Tool> = [
      { type: "function", name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } }, strict: false },
      { type: "web_search" }
    ]
    const input: Array<OpenAI.Responses.ResponseInputItem> = [{ role: "user", content: "Weather in Oslo?" }]
    const ask = () =>
      client.responses.stream({ model: "scripted-model", input, tools, include: ["reasoning.encrypted_content"] }).finalResponse()
    const first = await ask()
    expect(first.output.map(({ type }) => type)).toEqual(["reasoning", "function_call"])
    const call = first.output[1] as OpenAI.Responses.ResponseFunctionToolCall
    expect([call.name, JSON.parse(call.arguments)]).toEqual(["weather", { city: "Oslo" }])
    input.push(...(first.output as Array<OpenAI.Responses.ResponseInputItem>), {
      type: "function_call_output",
      call_id: call.call_id,
      output: "rain"
    })
    expect((await ask()).output_text).toBe("Rain.")
    expect(scripted.asked.at(-1)?.body.messages.slice(1)).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "call_1", function: { name: "weather" } }] },
      { role: "tool", tool_call_id: "call_1", content: "rain" }
    ])
  })

  it("raises the errors that clients know", async () => {
    await expect(client.responses.create({ model: "nobody-has-it", input: "x" })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found"
    })
    await expect(client.responses.create({ model: "plain-model", input: "x", background: true })).rejects.toMatchObject({
      status: 400,
      code: "unsupported_parameter",
      param: "background"
    })
    await expect(client.responses.create({ input: "x" } as never)).rejects.toMatchObject({
      status: 400,
      code: "missing_required_parameter",
      param: "model"
    })
    await expect(client.responses.create({ model: "plain-model", input: "x", previous_response_id: "resp_1" })).rejects.toMatchObject({
      status: 400,
      code: "previous_response_not_found"
    })
  })

  it("asks a server that speaks the API natively where it can do what is asked, and relays its bytes", async () => {
    const said = '{"id":"resp_native","object":"response","status":"completed","model":"native-model","output":[],"odd":1e400}'
    native.asked.length = 0
    native.answer = (_req, res, { path }) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end(path === "/v1/responses" ? said : JSON.stringify({ choices: [{ message: { content: "ok" }, finish_reason: "stop" }] }))
    }
    const ask = (more: object) =>
      fetch(`${daemon.url}/v1/responses`, { method: "POST", body: JSON.stringify({ model: "native-model", input: "x", ...more }) })
    const relayed = await ask({})
    expect([await relayed.text(), relayed.headers.get("x-olla-mode"), relayed.headers.get("x-olla-dialect")]).toEqual([
      said,
      "passthrough",
      null
    ])
    const translated = await ask({ tools: [{ type: "custom", name: "apply_patch" }] })
    expect([translated.status, translated.headers.get("x-olla-mode"), translated.headers.get("x-olla-dialect")]).toEqual([
      200,
      null,
      "responses->chat"
    ])
    expect(native.asked.map(({ path }) => path)).toEqual(["/v1/responses", "/v1/chat/completions"])
  })

  it("goes on from an answer, and asks for it, where it was made", async () => {
    const first = '{"id":"resp_made_there","object":"response","status":"completed","model":"native-model","output":[]}'
    native.asked.length = 0
    native.answer = (req, res) => {
      const isGone = req.method === "DELETE"
      res.writeHead(isGone ? 404 : 200, { "content-type": "application/json" })
      res.end(isGone ? '{"error":{"message":"Response with id \'resp_made_there\' not found."}}' : first)
    }
    const ask = (path: string, method: string, body?: object) =>
      fetch(daemon.url + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    const turn = { model: "native-model", input: "x" }
    const unknown = await ask("/v1/responses/resp_made_there", "GET")
    expect([unknown.status, ((await unknown.json()) as { error: object }).error]).toMatchObject([404, { type: "not_found_error" }])
    await (await ask("/v1/responses", "POST", turn)).text()
    const next = await ask("/v1/responses", "POST", { ...turn, previous_response_id: "resp_made_there" })
    expect([next.status, next.headers.get("x-olla-mode")]).toEqual([200, "passthrough"])
    for (const [path, method] of [
      ["/v1/responses/resp_made_there?include=x", "GET"],
      ["/olla/v1/responses/resp_made_there/input_items", "GET"],
      ["/v1/responses/resp_made_there/cancel", "POST"],
      ["/olla/proxy/v1/responses/resp_made_there", "GET"],
      ["/olla/vllm/v1/responses/resp_made_there", "GET"]
    ] as const)
      expect([path, await (await ask(path, method)).text()]).toEqual([path, first])
    expect(native.asked.map(({ path }) => path)).toEqual([
      "/v1/responses",
      "/v1/responses",
      "/v1/responses/resp_made_there?include=x",
      "/v1/responses/resp_made_there/input_items",
      "/v1/responses/resp_made_there/cancel",
      "/v1/responses/resp_made_there",
      "/v1/responses/resp_made_there"
    ])
    // That it is not there says nothing about the route.
    expect((await ask("/v1/responses/resp_made_there", "DELETE")).status).toBe(404)
    native.answer = (_req, res) => {
      res.writeHead(404, { "content-type": "application/json" })
      res.end('{"error":{"message":"Response with id \'resp_made_there\' not found."}}')
    }
    expect((await ask("/v1/responses", "POST", { ...turn, previous_response_id: "resp_made_there" })).status).toBe(404)
    native.answer = (_req, res) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end(first)
    }
    expect((await ask("/v1/responses", "POST", turn)).headers.get("x-olla-mode")).toBe("passthrough")
    const elsewhere = await ask("/v1/responses", "POST", { ...turn, model: "plain-model", previous_response_id: "resp_made_there" })
    expect([elsewhere.status, await elsewhere.json()]).toMatchObject([400, { error: { code: "previous_response_not_found" } }])
    const wrong = await ask("/v1/responses/resp_made_there", "PUT", {})
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, POST, DELETE"])
  })

  it("leaves making conversations shorter to servers that can, and its websocket to nobody", async () => {
    native.answer = (_req, res) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end('{"object":"response.compaction"}')
    }
    const compact = (model: string) =>
      fetch(`${daemon.url}/v1/responses/compact`, { method: "POST", body: JSON.stringify({ model, input: [] }) })
    expect(await (await compact("native-model")).text()).toBe('{"object":"response.compaction"}')
    expect(native.asked.at(-1)?.path).toBe("/v1/responses/compact")
    const refused = await compact("plain-model")
    expect([refused.status, await refused.json()]).toMatchObject([404, { error: { type: "not_found_error" } }])
    const upgrade = { connection: "upgrade", upgrade: "websocket" }
    const socketless = await ask(daemon.port, { path: "/v1/responses", headers: upgrade })
    expect([socketless.status, socketless.header("upgrade"), socketless.header("connection")]).toEqual([426, "HTTP/1.1", "Upgrade"])
    expect((await ask(daemon.port, { path: "/v1/responses" })).status).toBe(405)
  })

  it("says that the server which keeps a conversation is away, and asks nobody else", async () => {
    native.answer = (_req, res) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end('{"id":"resp_kept","object":"response","output":[]}')
    }
    const post = (path: string, body: object) => fetch(daemon.url + path, { method: "POST", body: JSON.stringify(body) })
    await (await post("/v1/responses", { model: "native-model", input: "x" })).text()
    const operator = { "x-olla-action": "1", "content-type": "application/json" }
    const force = '{"force":true}'
    expect(
      (await ask(daemon.port, { path: "/internal/endpoints/native/drain", method: "POST", headers: operator, body: force })).status
    ).toBe(204)
    try {
      const next = await post("/v1/responses", { model: "native-model", input: "x", previous_response_id: "resp_kept" })
      const kept = await fetch(`${daemon.url}/v1/responses/resp_kept`)
      expect([next.status, kept.status]).toEqual([503, 503])
      expect(((await kept.json()) as { error: { message: string } }).error.message).toContain("native")
    } finally {
      await ask(daemon.port, { path: "/internal/endpoints/native/resume", method: "POST", headers: operator })
    }
  })

  it("counts tokens and says which methods it has", async () => {
    const counted = await fetch(`${daemon.url}/olla/v1/responses/input_tokens`, {
      method: "POST",
      body: JSON.stringify({ model: "plain-model", input: "x".repeat(40) })
    })
    expect(await counted.json()).toEqual({ object: "response.input_tokens", input_tokens: 10 })
    const wrong = await fetch(`${daemon.url}/v1/responses`)
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"])
  })
})

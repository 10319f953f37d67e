/**
 * Every dialect of clients on every dialect of servers, asked by the official clients: what comes through, whole and streamed, and what
 * is refused and says so. Each server speaks one dialect only, so that every cell but the four on the diagonal is a translation.
 */
import Anthropic from "@anthropic-ai/sdk"
import { Ollama } from "ollama"
import OpenAI from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, startDaemon } from "./daemon.ts"
import { json, ScriptedModel, type Turn } from "./scriptedModel.ts"

const servers = ["chat", "messages", "responses", "ollama"] as const
type Name = (typeof servers)[number]

const profileOf = (name: Name) => `name: only-${name}
display_name: "Only ${name}"
routing: {prefixes: [only-${name}]}
api:
  openai_compatible: true
  chat_support: {enabled: ${name === "chat"}}
  ollama_support: {enabled: ${name === "ollama"}}
  responses_support: {enabled: ${name === "responses"}}
  anthropic_support: {enabled: ${name === "messages"}, messages_path: /v1/messages}
  reasoning_fields: [reasoning_content]
  model_discovery_path: /v1/models
  health_check_path: /v1/models
  paths: [/v1/models${name === "chat" ? ", /v1/chat/completions" : name === "messages" ? ", /v1/messages" : name === "responses" ? ", /v1/responses" : ", /api/chat, /api/generate"}]
request: {response_format: openai}
`

const scripted = new Map<Name, ScriptedModel>()
let daemon: Daemon

beforeAll(async () => {
  for (const name of servers) scripted.set(name, new ScriptedModel([`on-${name}`]))
  await Promise.all([...scripted.values()].map((server) => server.start()))
  // Errors are relayed, whatever they say: nothing is paused or left out for them.
  daemon = await startDaemon(
    `traffic: {failover: {statuses: []}}\ndiscovery:\n  static:\n    endpoints:\n${servers.map((name) => `      - {url: "${scripted.get(name)?.url}", name: ${name}, type: only-${name}, check_interval: 1h, check_timeout: 30s}`).join("\n")}\n`,
    { files: Object.fromEntries(servers.map((name) => [`config/profiles/only-${name}.yaml`, profileOf(name)])) }
  )
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([...scripted.values()].map((server) => server.stop()))
})

beforeEach(() => {
  for (const server of scripted.values()) server.reset()
})

interface Wanted {
  readonly image?: boolean
  readonly schema?: boolean
  /** The result of the call of the turn before. */
  readonly result?: { readonly id: string; readonly name: string; readonly input: object }
  readonly tools?: boolean
}

interface Got {
  readonly text: string
  readonly thinking: string
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly input: unknown }>
  readonly stop: string
}

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false }
const question = "Weather in Oslo?"

type Client = (model: string, stream: boolean, wanted: Wanted) => Promise<Got>

const chat: Client = async (model, stream, { image, schema: wantsSchema, result, tools }) => {
  const client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
  const messages: Array<OpenAI.Chat.ChatCompletionMessageParam> = [
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: image
        ? [
            { type: "text", text: question },
            { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }
          ]
        : question
    }
  ]
  if (result !== undefined)
    messages.push(
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: result.id, type: "function", function: { name: result.name, arguments: JSON.stringify(result.input) } }]
      },
      { role: "tool", tool_call_id: result.id, content: "rain" }
    )
  const request: Omit<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming, "stream"> = {
    model,
    messages,
    max_tokens: 100,
    ...(tools === true ? { tools: [{ type: "function", function: { name: "weather", parameters: schema } }] } : {}),
    ...(wantsSchema === true ? { response_format: { type: "json_schema", json_schema: { name: "place", schema, strict: true } } } : {})
  }
  if (stream) return chatStreamed(await client.chat.completions.create({ ...request, stream: true }))
  const [choice] = (await client.chat.completions.create(request)).choices
  return {
    text: choice?.message.content ?? "",
    thinking: reasoningOf(choice?.message),
    calls: (choice?.message.tool_calls ?? []).flatMap((call) =>
      call.type === "function" ? [{ id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) as unknown }] : []
    ),
    stop: String(choice?.finish_reason)
  }
}

/** A field that the client's types do not know. */
const reasoningOf = (from: unknown): string => (from as { readonly reasoning_content?: string } | undefined)?.reasoning_content ?? ""

const chatStreamed = async (chunks: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>): Promise<Got> => {
  let text = ""
  let thinking = ""
  let stop = ""
  const calls: Array<{ id: string; name: string; input: string }> = []
  for await (const { choices } of chunks) {
    const [choice] = choices
    text += choice?.delta.content ?? ""
    thinking += reasoningOf(choice?.delta)
    for (const { index, id = "", function: fn } of choice?.delta.tool_calls ?? []) {
      calls[index] ??= { id, name: fn?.name ?? "", input: "" }
      calls[index].input += fn?.arguments ?? ""
    }
    stop = choice?.finish_reason ?? stop
  }
  // The client knows no other sign of an end.
  if (stop === "") throw new Error("the stream ended without a finish")
  return { text, thinking, calls: calls.map((call) => ({ ...call, input: JSON.parse(call.input) as unknown })), stop }
}

const responses: Client = async (model, stream, { image, schema: wantsSchema, result, tools }) => {
  const client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
  const input: Array<OpenAI.Responses.ResponseInputItem> = [
    {
      role: "user",
      content: image
        ? [
            { type: "input_text", text: question },
            { type: "input_image", image_url: `data:image/png;base64,${png}`, detail: "auto" }
          ]
        : question
    }
  ]
  if (result !== undefined)
    input.push(
      { type: "function_call", call_id: result.id, name: result.name, arguments: JSON.stringify(result.input) },
      { type: "function_call_output", call_id: result.id, output: "rain" }
    )
  const request = {
    model,
    input,
    instructions: "Be brief.",
    max_output_tokens: 100,
    ...(tools === true ? { tools: [{ type: "function" as const, name: "weather", parameters: schema, strict: false }] } : {}),
    ...(wantsSchema === true ? { text: { format: { type: "json_schema" as const, name: "place", schema, strict: true } } } : {})
  }
  const whole = stream ? await client.responses.stream(request).finalResponse() : await client.responses.create(request)
  if (whole.status === "failed") throw new Error(whole.error?.message)
  return {
    text: whole.output_text,
    thinking: whole.output.flatMap((item) => (item.type === "reasoning" ? item.summary.map(({ text }) => text) : [])).join(""),
    calls: whole.output.flatMap((item) =>
      item.type === "function_call" ? [{ id: item.call_id, name: item.name, input: JSON.parse(item.arguments) as unknown }] : []
    ),
    stop: String(whole.status)
  }
}

const messages: Client = async (model, stream, { image, schema: wantsSchema, result, tools }) => {
  const client = new Anthropic({ baseURL: daemon.url, apiKey: "any", maxRetries: 0 })
  const said: Array<Anthropic.MessageParam> = [
    {
      role: "user",
      content: image
        ? [
            { type: "text", text: question },
            { type: "image", source: { type: "base64", media_type: "image/png", data: png } }
          ]
        : question
    }
  ]
  if (result !== undefined)
    said.push(
      { role: "assistant", content: [{ type: "tool_use", id: result.id, name: result.name, input: result.input }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: result.id, content: "rain" }] }
    )
  const request = {
    model,
    max_tokens: 100,
    system: "Be brief.",
    messages: said,
    ...(tools === true ? { tools: [{ name: "weather", input_schema: { ...schema, type: "object" as const } }] } : {}),
    ...(wantsSchema === true ? { output_config: { format: { type: "json_schema" as const, schema } } } : {})
  }
  const whole = stream ? await client.messages.stream(request).finalMessage() : await client.messages.create(request)
  return {
    text: whole.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join(""),
    thinking: whole.content.flatMap((block) => (block.type === "thinking" ? [block.thinking] : [])).join(""),
    calls: whole.content.flatMap((block) => (block.type === "tool_use" ? [{ id: block.id, name: block.name, input: block.input }] : [])),
    stop: String(whole.stop_reason)
  }
}

const ollama: Client = async (model, stream, { image, schema: wantsSchema, result, tools }) => {
  const client = new Ollama({ host: daemon.url })
  const said = [
    { role: "system", content: "Be brief." },
    { role: "user", content: question, ...(image === true ? { images: [png] } : {}) },
    ...(result === undefined
      ? []
      : [
          { role: "assistant", content: "", tool_calls: [{ function: { name: result.name, arguments: result.input } }] },
          { role: "tool", content: "rain", tool_name: result.name }
        ])
  ]
  const request = {
    model,
    messages: said,
    options: { num_predict: 100 },
    ...(tools === true ? { tools: [{ type: "function", function: { name: "weather", parameters: schema } }] } : {}),
    ...(wantsSchema === true ? { format: schema } : {})
  }
  let text = ""
  let thinking = ""
  let stop = ""
  const calls: Array<Got["calls"][number]> = []
  const parts = stream ? await client.chat({ ...request, stream: true }) : [await client.chat(request)]
  for await (const { message, done, done_reason: reason } of parts) {
    text += message.content
    thinking += message.thinking ?? ""
    for (const { function: fn } of message.tool_calls ?? []) calls.push({ id: "", name: fn.name, input: fn.arguments })
    if (done) stop = reason
  }
  return { text, thinking, calls, stop }
}

const clients: Readonly<Record<Name, Client>> = { chat, messages, responses, ollama }

const answer: Turn = { text: ["Rain", " in", " Oslo."], stop: "end_turn" }
const calling: Turn = { tools: [{ id: "call_1", name: "weather", input: ['{"ci', 'ty":"Oslo"}'] }], stop: "tool_use" }

/** Words by which each dialect says how a turn ended. */
const stops: Readonly<Record<Name, readonly [good: string, calls: string, cut: string]>> = {
  chat: ["stop", "tool_calls", "length"],
  responses: ["completed", "completed", "incomplete"],
  messages: ["end_turn", "tool_use", "max_tokens"],
  ollama: ["stop", "stop", "length"]
}

const statusOf = (thrown: unknown): unknown => {
  const { status, status_code: code } = thrown as { readonly status?: number; readonly status_code?: number }
  return status ?? code
}

describe("a redirect of a server", () => {
  it.each([
    ["/v1/chat/completions", "chat"],
    ["/olla/proxy/v1/chat/completions", "chat"],
    ["/v1/messages", "messages"],
    ["/v1/responses", "responses"],
    ["/v1/responses/compact", "responses"],
    ["/api/chat", "ollama"],
    ["/api/generate", "ollama"],
    ["/v1/embeddings", "chat"],
    ["/api/show", "ollama"],
    ["/v1/messages", "chat"]
  ] as const)("to %s is a failure, and never leads a client to it (asked of a server of %s)", async (path, kind) => {
    const server = scripted.get(kind) as ScriptedModel
    server.answer = (_req, res) => {
      res.writeHead(307, { location: `${server.url}/elsewhere` }).end()
    }
    const body = {
      model: `on-${kind}`,
      max_tokens: 5,
      stream: true,
      messages: [{ role: "user", content: "Hi" }],
      input: "Hi",
      prompt: "Hi"
    }
    const answer = await fetch(daemon.url + path, { method: "POST", redirect: "manual", body: JSON.stringify(body) })
    const text = await answer.text()
    expect([answer.status, answer.headers.get("location")]).toEqual([502, null])
    expect(text).toContain("answered with a redirect")
    expect(text).not.toContain(new URL(server.url).port)
  })
})

it.each(["raw", "suffix"])("a prompt with %s is refused where no server completes prompts", async (field) => {
  const body = JSON.stringify({ model: "on-chat", prompt: "x", [field]: field === "raw" ? true : "y", stream: false })
  const answer = await fetch(`${daemon.url}/api/generate`, { method: "POST", body })
  expect([answer.status, await answer.json()]).toEqual([400, { error: `${field} is not supported by the endpoints of this model` }])
})

describe("below prefixes", () => {
  const ask = async (path: string, model: string) => {
    scripted.get("chat")?.reset()
    for (const server of scripted.values()) server.turns = [{ text: ["ok"], stop: "end_turn" }]
    const body = { model, max_tokens: 5, stream: false, messages: [{ role: "user", content: "Hi" }], input: "Hi" }
    const answer = await fetch(daemon.url + path, { method: "POST", body: JSON.stringify(body) })
    return [answer.status, answer.headers.get("x-olla-dialect"), answer.headers.get("x-olla-endpoint")]
  }

  it.each([
    ["/olla/proxy/api/chat", "on-chat", "ollama->chat"],
    ["/olla/proxy/v1/messages", "on-ollama", "messages->ollama"],
    ["/olla/proxy/v1/chat/completions", "on-responses", "chat->responses"],
    ["/olla/openai/v1/responses", "on-messages", "responses->messages"],
    ["/olla/openai/v1/chat/completions", "on-messages", "chat->messages"],
    ["/olla/only-chat/v1/messages", "on-chat", "messages->chat"],
    ["/olla/only-ollama/v1/chat/completions", "on-ollama", "chat->ollama"]
  ])("%s asks for %s as %s", async (path, model, dialect) => {
    expect(await ask(path, model)).toEqual([200, dialect, model.slice("on-".length)])
  })

  it.each([
    ["/olla/only-chat/v1/messages", "on-messages"],
    ["/olla/only-chat/api/chat", "on-ollama"]
  ])("%s never leads to another kind", async (path, model) => {
    const [status, dialect] = await ask(path, model)
    expect([(status as number) >= 404, dialect]).toEqual([true, null])
  })
})

describe.each(Object.keys(clients) as ReadonlyArray<Name>)("a client of %s", (name) => {
  const [good, waits, limited] = stops[name]
  const ask = clients[name]

  describe.each(servers)("on a server of %s", (kind) => {
    const model = `on-${kind}`
    const server = () => scripted.get(kind) as ScriptedModel
    const lastBody = () => server().asked.at(-1)?.raw ?? ""

    it.each([false, true])("text, image, schema, reasoning, both turns of a tool, and the limit (streamed: %s)", async (stream) => {
      server().turns = [answer]
      expect(await ask(model, stream, {})).toEqual({ text: "Rain in Oslo.", thinking: "", calls: [], stop: good })
      expect(lastBody()).toContain("Be brief.")

      expect((await ask(model, stream, { image: true })).text).toBe("Rain in Oslo.")
      expect(lastBody()).toContain(png)

      server().turns = [{ text: ['{"city":', '"Oslo"}'], stop: "end_turn" }]
      expect((await ask(model, stream, { schema: true })).text).toBe('{"city":"Oslo"}')
      expect(lastBody()).toContain('"additionalProperties":false')

      server().turns = [{ thinking: ["Look", " out."], text: ["Rain."], stop: "end_turn" }]
      const thought = await ask(model, stream, {})
      expect([thought.text, thought.thinking]).toEqual(["Rain.", "Look out."])

      server().turns = [calling, answer]
      const called = await ask(model, stream, { tools: true })
      expect(called).toMatchObject({ text: "", calls: [{ name: "weather", input: { city: "Oslo" } }], stop: waits })
      if (name !== "ollama" && kind !== "ollama") expect(called.calls[0]?.id).toBe("call_1")
      expect(await ask(model, stream, { tools: true, result: { id: "call_1", name: "weather", input: { city: "Oslo" } } })).toMatchObject({
        text: "Rain in Oslo.",
        stop: good
      })
      expect(lastBody()).toMatch(/"rain"/)

      server().turns = [{ text: ["Ra"], stop: "max_tokens" }]
      expect((await ask(model, stream, {})).stop).toBe(limited)
    })

    it.each([false, true])("an error before the answer and one amid it are never taken for a good end (streamed: %s)", async (stream) => {
      server().answer = (_req, res) =>
        json(res, 429, kind === "ollama" ? { error: "slow down" } : { error: { message: "slow down", type: "rate_limit_error" } })
      const refused = await ask(model, stream, {}).then(
        () => "an answer",
        (thrown: unknown) => [statusOf(thrown), String((thrown as Error).message)]
      )
      expect(refused).toEqual([429, expect.stringContaining("slow down")])

      server().reset()
      server().turns = [answer]
      for (const at of [0.3, 0.7, 0.97]) {
        server().cutAt = at
        await expect(ask(model, stream, {}), `cut at ${at}`).rejects.toThrow()
      }
    })
  })
})

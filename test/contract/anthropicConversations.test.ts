/**
 * Whole conversations of the official client with one scripted model, once where its server speaks Messages itself and once
 * where it speaks only chat completions: messages and events must be the same, but for ids.
 */
import Anthropic from "@anthropic-ai/sdk"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { type Daemon, startDaemon } from "./daemon.ts"
import { ScriptedModel, type Turn } from "./scriptedModel.ts"

const native = new ScriptedModel(["native-model"])
const plain = new ScriptedModel(["plain-model"])
let daemon: Daemon
let client: Anthropic

const endpoint = (name: string, type: string, url: string) =>
  `      - {url: "${url}", name: ${name}, type: ${type}, health_check_url: /v1/models, model_url: /v1/models, check_interval: 5s}\n`

beforeAll(async () => {
  await Promise.all([native.start(), plain.start()])
  daemon = await startDaemon(
    `discovery:\n  static:\n    endpoints:\n${endpoint("native", "llamacpp", native.url)}${endpoint("plain", "sglang", plain.url)}`
  )
  client = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: "any", maxRetries: 0 })
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([native.stop(), plain.stop()])
})

afterEach(() => {
  native.reset()
  plain.reset()
})

const ways = [
  ["native", "native-model", native],
  ["translated", "plain-model", plain]
] as const

/** Without what must differ: ids of messages, and the model, which is each server's own. */
const comparable = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (key, inner) => (key === "model" || (key === "id" && /^msg_/.test(String(inner))) ? "*" : inner))

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const tools: Array<Anthropic.Tool> = [
  {
    name: "weather",
    description: "Weather of a city",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    cache_control: { type: "ephemeral" }
  },
  { name: "clock", description: "Time now", input_schema: { type: "object", properties: {} } }
]

const script: ReadonlyArray<Turn> = [
  {
    thinking: ["The user ", "wants two things."],
    text: ["I ask ", "for both."],
    tools: [
      { id: "toolu_a", name: "weather", input: ['{"ci', 'ty":', '"Perth ☀"', "}"] },
      { id: "toolu_b", name: "weather", input: ['{"city":"O', 'slo"}'] },
      { id: "toolu_c", name: "clock", input: ["{}"] }
    ],
    stop: "tool_use",
    usage: { prompt: 500, completion: 60, cached: 400 }
  },
  { text: ["One failed, I try again."], tools: [{ id: "toolu_d", name: "clock", input: ["{", "}"] }], stop: "tool_use" },
  { thinking: ["Done."], text: ["Perth is ", "sunny; ", "it is noon. 🎉"], stop: "end_turn" }
]

/** What a coding agent sends: system in blocks, caching marks, thinking on, history with thinking, results with images and errors. */
const converse = async (model: string, streamed: boolean) => {
  const events: Array<unknown> = []
  const answers: Array<Anthropic.Message> = []
  const messages: Array<Anthropic.MessageParam> = [
    {
      role: "user",
      content: [
        { type: "text", text: "What is on this picture, and how is the weather in Perth and Oslo?" },
        { type: "image", source: { type: "base64", media_type: "image/png", data: png } }
      ]
    }
  ]
  for (let round = 0; round < 5; round++) {
    const request: Anthropic.MessageCreateParamsNonStreaming = {
      model,
      max_tokens: 2048,
      system: [
        { type: "text", text: "You are an agent. ", cache_control: { type: "ephemeral" } },
        { type: "text", text: "Be brief." }
      ],
      metadata: { user_id: "user_1" },
      thinking: { type: "enabled", budget_tokens: 1024 },
      stop_sequences: ["</stop>"],
      tools,
      tool_choice: { type: "auto" },
      messages
    }
    const headers = { "anthropic-beta": "interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14" }
    let answer: Anthropic.Message
    if (streamed) {
      const stream = client.messages.stream(request, { headers, query: { beta: "true" } })
      stream.on("streamEvent", (event) => {
        // Usage of the opening event is an estimate in translation.
        events.push(event.type === "message_start" ? { ...event, message: { ...event.message, usage: "*" } } : event)
      })
      answer = await stream.finalMessage()
    } else answer = await client.messages.create(request, { headers, query: { beta: "true" } })
    answers.push(answer)
    messages.push({ role: "assistant", content: answer.content })
    const uses = answer.content.filter((block) => block.type === "tool_use")
    if (uses.length === 0) break
    messages.push({
      role: "user",
      content: uses.map(
        (use, index): Anthropic.ToolResultBlockParam => ({
          type: "tool_result",
          tool_use_id: use.id,
          ...(index === 1
            ? { is_error: true, content: "no such city" }
            : {
                content: [
                  { type: "text", text: `result of ${use.name}` },
                  ...(index === 0
                    ? [{ type: "image" as const, source: { type: "base64" as const, media_type: "image/png" as const, data: png } }]
                    : [])
                ]
              })
        })
      )
    })
  }
  return { events, answers }
}

describe.each([
  ["whole", false],
  ["streamed", true]
])("a conversation with parallel tools, %s", (_, streamed) => {
  it("is the same natively and in translation", async () => {
    native.turns = script
    plain.turns = script
    plain.piece = 11
    const there = await converse("native-model", streamed)
    const here = await converse("plain-model", streamed)
    expect(comparable(here)).toEqual(comparable(there))
    expect(here.answers.map((answer) => answer.stop_reason)).toEqual(["tool_use", "tool_use", "end_turn"])
    expect(here.answers[0]?.content).toMatchObject([
      { type: "thinking", thinking: "The user wants two things." },
      { type: "text", text: "I ask for both." },
      { type: "tool_use", id: "toolu_a", name: "weather", input: { city: "Perth ☀" } },
      { type: "tool_use", id: "toolu_b", name: "weather", input: { city: "Oslo" } },
      { type: "tool_use", id: "toolu_c", name: "clock", input: {} }
    ])
    expect(here.answers[0]?.usage).toMatchObject({ input_tokens: 100, output_tokens: 60, cache_read_input_tokens: 400 })
  })
})

describe("what a backend gets of such a conversation", () => {
  it("natively: every byte, query and header of it", async () => {
    native.turns = script
    await converse("native-model", true)
    const [first, , last] = native.asked
    expect(first?.path).toBe("/v1/messages?beta=true")
    expect(first?.headers["anthropic-beta"]).toContain("interleaved-thinking")
    expect(first?.headers["x-api-key"]).toBeUndefined()
    expect(first?.body).toMatchObject({ thinking: { type: "enabled", budget_tokens: 1024 }, metadata: { user_id: "user_1" } })
    expect(last?.body.messages[1].content[0]).toEqual({ type: "thinking", thinking: "The user wants two things.", signature: "" })
  })

  it("in translation: the chat that says the same", async () => {
    plain.turns = script
    await converse("plain-model", true)
    const last = plain.asked.at(-1)
    expect(last?.path).toBe("/v1/chat/completions")
    expect(last?.headers["anthropic-beta"]).toBeUndefined()
    const image = { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }
    const call = (id: string, name: string, args: string) => ({ id, type: "function", function: { name, arguments: args } })
    expect(last?.body.messages).toEqual([
      { role: "system", content: "You are an agent. Be brief." },
      {
        role: "user",
        content: [{ type: "text", text: "What is on this picture, and how is the weather in Perth and Oslo?" }, image]
      },
      {
        role: "assistant",
        content: "I ask for both.",
        reasoning_content: "The user wants two things.",
        tool_calls: [
          call("toolu_a", "weather", '{"city":"Perth ☀"}'),
          call("toolu_b", "weather", '{"city":"Oslo"}'),
          call("toolu_c", "clock", "{}")
        ]
      },
      { role: "tool", tool_call_id: "toolu_a", content: "result of weather" },
      { role: "tool", tool_call_id: "toolu_b", content: "Error: no such city" },
      { role: "tool", tool_call_id: "toolu_c", content: "result of clock" },
      { role: "user", content: [{ type: "text", text: "Content of tool result toolu_a:" }, image] },
      { role: "assistant", content: "One failed, I try again.", tool_calls: [call("toolu_d", "clock", "{}")] },
      { role: "tool", tool_call_id: "toolu_d", content: "result of clock" },
      { role: "user", content: [{ type: "text", text: "Content of tool result toolu_d:" }, image] }
    ])
    expect(last?.body.user).toBe("user_1")
    expect(last?.body.thinking).toBeUndefined()
  })

  it("in translation: each request begins with the bytes of the one before, for the backend's prompt cache", async () => {
    plain.turns = script
    await converse("plain-model", true)
    const [a, b, c] = plain.asked.map(({ raw }) => raw)
    const shared = (x = "", y = "") => {
      let at = 0
      while (at < x.length && x[at] === y[at]) at++
      return at
    }
    // Up to the end of the list of messages, which the next turn continues.
    const end = (raw = "") => raw.indexOf('],"stream_options"')
    expect(shared(a, b)).toBeGreaterThanOrEqual(end(a))
    expect(shared(b, c)).toBeGreaterThanOrEqual(end(b))
    // The same conversation again, the same bytes again.
    plain.asked.length = 0
    await converse("plain-model", true)
    expect(plain.asked.map(({ raw }) => raw)).toEqual([a, b, c])
  })
})

describe.each(ways)("how a turn ends, %s", (_, model, server) => {
  it.each([
    [
      { text: ["cut"], stop: "max_tokens" },
      { stop_reason: "max_tokens", stop_sequence: null }
    ],
    [
      { text: ["until"], stop: "stop_sequence", stopSequence: "</stop>" },
      { stop_reason: "stop_sequence", stop_sequence: "</stop>" }
    ],
    [
      { text: ["I will not."], stop: "refusal" },
      { stop_reason: "refusal", stop_sequence: null }
    ],
    [
      { stop: "tool_use", tools: [{ id: "t", name: "clock", input: [] }] },
      { stop_reason: "tool_use", stop_sequence: null }
    ]
  ] satisfies ReadonlyArray<readonly [Turn, unknown]>)("%j", async (turn, expected) => {
    if (turn.stop === "tool_use" && server === native) return
    server.turns = [turn as Turn]
    const ask = { model, max_tokens: 50, stop_sequences: ["</stop>"], messages: [{ role: "user" as const, content: "Hi" }] }
    expect(await client.messages.create(ask)).toMatchObject(expected)
    expect(await client.messages.stream(ask).finalMessage()).toMatchObject(expected)
  })
})

describe.each(ways)("the client's tool runner, %s", (_, model, server) => {
  // Left to itself it asks for a conversation that the server holds, and must be told that there is none.
  it("calls the tools and comes to an end", async () => {
    server.turns = script
    const calls: Array<string> = []
    const run = (name: string, result: string) => ({
      type: "custom" as const,
      name,
      description: name,
      input_schema: { type: "object" as const, properties: { city: { type: "string" } } },
      parse: (content: unknown) => content,
      run: (input: unknown) => {
        calls.push(`${name} ${JSON.stringify(input)}`)
        return result
      }
    })
    const last = await client.beta.messages.toolRunner({
      model,
      max_tokens: 500,
      messages: [{ role: "user", content: "Weather?" }],
      tools: [run("weather", "sunny"), run("clock", "noon")]
    })
    expect(last.content.at(-1)).toMatchObject({ type: "text", text: "Perth is sunny; it is noon. 🎉" })
    expect(calls).toEqual(['weather {"city":"Perth ☀"}', 'weather {"city":"Oslo"}', "clock {}", "clock {}"])
  })
})

describe("a conversation that the server is asked to hold", () => {
  const extras = { thread: { type: "continue", previous_message_id: "msg_native" } }
  const newest = { model: "native-model", max_tokens: 50, messages: [{ role: "user" as const, content: "And then?" }] }

  it("loses nothing at a backend that does not know of such", async () => {
    native.turns = [
      { text: ["First."], stop: "end_turn" },
      { text: ["Second."], stop: "end_turn" }
    ]
    const thread = client.beta.messages.thread({ model: "native-model", max_tokens: 50 })
    await thread.send({ role: "user", content: "One." })
    const second = await thread.send({ role: "user", content: "Two." })
    expect(second.content).toMatchObject([{ type: "text", text: "Second." }])
    expect(native.asked.map(({ body }) => [body.thread, body.messages.length])).toEqual([
      [{ type: "create" }, 1],
      [{ type: "create" }, 3]
    ])
  })

  it("is not gone on with where nobody holds it", async () => {
    await expect(client.messages.create({ ...newest, ...extras })).rejects.toMatchObject({
      status: 404,
      error: { error: { type: "not_found_error", details: { error_code: "thread_not_found" } } }
    })
    expect(native.asked).toEqual([])
  })
})

describe("a body that is nested beyond reason", () => {
  it.each(["/v1/messages", "/v1/messages/count_tokens"])("is refused before anybody has to unfold it: %s", async (path) => {
    const deep = `${'{"a":['.repeat(600_000)}${"]}".repeat(600_000)}`
    const said = await ask(daemon.port, {
      method: "POST",
      path: `/olla/anthropic${path}`,
      body: `{"model":"plain-model","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"a","input_schema":${deep}}]}`
    })
    expect([said.status, said.json().error]).toEqual([
      400,
      { type: "invalid_request_error", message: "the body is nested deeper than 10000 levels" }
    ])
  })

  it.each(["/v1/messages", "/v1/messages/count_tokens"])(
    "or has more values than a parse may hold everybody else up for: %s",
    async (path) => {
      const words = '"",'.repeat(600_000)
      const send = (body: string) => ask(daemon.port, { method: "POST", path: `/olla/anthropic${path}`, body })
      const rest = '"model":"plain-model","max_tokens":1,"messages":[{"role":"user","content":"x"}]'
      const said = await send(`{${rest},"tools":[{"name":"a","input_schema":{"enum":[${words}1]}}]}`)
      expect([said.status, said.json().error.message]).toEqual([400, expect.stringContaining("more than 600000 values and keys")])
      // What is in it is not known then.
      const hidden = await send(`{${'"model":"plain-model",'.repeat(1_001)}${rest},"x":[${words}1]}`)
      expect([hidden.status, hidden.json().error.message]).toEqual([400, expect.stringContaining("more than 600000 values and keys")])
    }
  )
})

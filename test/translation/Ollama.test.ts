/** Ollama's own API: requests of its clients, and its answers against files written by hand from its description. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { loadingOf, readOllamaChat, readOllamaGenerate } from "../../src/translation/ollama/OllamaReading.ts"
import { type OllamaRoute, ollamaAnswers } from "../../src/translation/ollama/OllamaWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { delta, feed, options, sse } from "./answers.ts"
import { type wordsFor, writtenFor } from "./words.ts"

const convert = (request: JsonRecord, kind: keyof typeof wordsFor = "llamacpp", read = readOllamaChat) => {
  const got = read({ model: "m", ...request })
  if (got instanceof Complaint) throw new Error(got.message)
  return writtenFor(got, kind)
}
const complaint = (request: JsonRecord, read = readOllamaChat) => {
  const got = read({ model: "m", messages: [{ role: "user", content: "x" }], ...request })
  return got instanceof Complaint ? got.message : "accepted"
}

describe("an Ollama chat as a chat completion", () => {
  it("is what an editor sends in the middle of its work", () => {
    const made = convert({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What is this?", images: ["/9j/4AAQ", "data:image/webp;base64,UklGR"] },
        {
          role: "assistant",
          content: "",
          thinking: "Look.",
          tool_calls: [{ function: { name: "look", arguments: { at: 1 } } }, { id: "own", function: { name: "look", arguments: {} } }]
        },
        { role: "tool", tool_name: "look", content: "a cat" },
        { role: "tool", tool_call_id: "own", content: "a dog" },
        { role: "system", content: "Hurry." }
      ],
      tools: [{ type: "function", function: { name: "look", description: "Look", parameters: { type: "object", properties: {} } } }],
      think: "high",
      keep_alive: "5m",
      format: { type: "object" },
      options: { temperature: 0.5, top_k: 4, min_p: 0.1, repeat_penalty: 1.1, seed: 7, stop: ["\n"], num_predict: 20, num_ctx: 8192 }
    })
    expect(made.fields).toEqual({
      max_tokens: 20,
      stream: true,
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "data:image/jpeg;base64,/9j/4AAQ" } },
            { type: "image_url", image_url: { url: "data:image/webp;base64,UklGR" } }
          ]
        },
        {
          role: "assistant",
          content: null,
          reasoning_content: "Look.",
          tool_calls: [
            { id: "call_0", type: "function", function: { name: "look", arguments: '{"at":1}' } },
            { id: "own", type: "function", function: { name: "look", arguments: "{}" } }
          ]
        },
        { role: "tool", tool_call_id: "call_0", content: "a cat" },
        { role: "tool", tool_call_id: "own", content: "a dog" },
        { role: "user", content: "<system>\nHurry.\n</system>" }
      ],
      stream_options: { include_usage: true },
      temperature: 0.5,
      stop: ["\n"],
      tools: [{ type: "function", function: { name: "look", description: "Look", parameters: { type: "object", properties: {} } } }],
      response_format: { type: "json_schema", json_schema: { name: "response", schema: { type: "object" }, strict: true } },
      seed: 7,
      top_k: 4,
      min_p: 0.1,
      repeat_penalty: 1.1,
      reasoning_effort: "high",
      chat_template_kwargs: { enable_thinking: true, thinking: true }
    })
    expect(made.dropped).toEqual(["options.num_ctx"])
  })

  it.each([
    [{ options: { repeat_penalty: 1.2 } }, "vllm", { repetition_penalty: 1.2 }],
    [{ format: "json" }, "vllm", { response_format: { type: "json_object" } }],
    [{ stream: false }, "vllm", { stream: false }],
    [{ think: false }, "ollama", { reasoning_effort: "none" }],
    [{ think: true }, "vllm", { chat_template_kwargs: { enable_thinking: true, thinking: true } }],
    [{ logprobs: true, top_logprobs: 2 }, "vllm", { logprobs: true, top_logprobs: 2 }]
  ] as const)("says %j to %s as %j", (request, kind, fields) => {
    expect(convert({ messages: [{ role: "user", content: "x" }], ...request }, kind).fields).toMatchObject(fields)
  })

  it("names what a server does not get", () => {
    const messages = [{ role: "user", content: "x" }]
    expect(
      convert(
        { messages, options: { top_k: 1, repeat_penalty: 1, num_predict: -1 }, truncate: true, think: "low" },
        "openai-compatible"
      ).dropped.sort()
    ).toEqual(["options.repeat_penalty", "options.top_k", "think", "truncate"])
    expect(convert({ messages, options: { num_predict: -1 } }).fields).not.toHaveProperty("max_tokens")
  })

  it.each([
    [{ format: "xml" }, 'format must be "json" or a JSON schema, got "xml"'],
    [{ messages: [{ role: "tool", content: "r" }] }, "messages[0]: a tool's message needs a call before it that has no answer yet"],
    [{ messages: [{ role: "robot", content: "r" }] }, 'messages[0].role must be system, user, assistant or tool, got "robot"'],
    [{ messages: ["x"] }, "messages[0] must be an object"]
  ])("refuses what it would have to lose: %j", (request, message) => {
    expect(complaint(request)).toBe(message)
  })

  it("knows when a model is only to be loaded", () => {
    expect([
      loadingOf({}, "chat"),
      loadingOf({ messages: [], keep_alive: 0 }, "chat"),
      loadingOf({ prompt: "" }, "generate"),
      loadingOf({ prompt: "x" }, "generate")
    ]).toEqual(["load", "unload", "load", undefined])
  })
})

describe("an Ollama prompt as a chat completion", () => {
  it("is a system text and a user turn", () => {
    expect(convert({ prompt: "Hi", system: "S", images: ["iVBORw0KGgo="] }, "vllm", readOllamaGenerate).fields.messages).toEqual([
      { role: "system", content: "S" },
      {
        role: "user",
        content: [
          { type: "text", text: "Hi" },
          { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }
        ]
      }
    ])
  })

  it.each(["template", "context", "_debug_render_only"])("is refused with %s, which a chat cannot say", (name) => {
    const value = name === "context" ? [1, 2] : "x"
    expect(complaint({ prompt: "x", [name]: value }, readOllamaGenerate)).toBe(`${name} is not supported by the endpoints of this model`)
    const nothing = name === "context" ? [] : ""
    expect(complaint({ prompt: "x", [name]: nothing }, readOllamaGenerate)).toBe("accepted")
  })
})

const answer = (route: OllamaRoute, chunks: ReadonlyArray<Buffer>, fields: Parameters<typeof options>[0] = {}) =>
  feed(new TranslatedAnswer(options({ writer: ollamaAnswers(route), ...fields })), 200, ["content-type", "text/event-stream"], chunks)
const linesOf = (body: string): ReadonlyArray<Record<string, unknown>> =>
  body
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
/** Times are nobody's to foresee, but they are whole and positive. */
const masked = (line: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(line).map(([key, value]) => {
      if (key.endsWith("_duration")) return [key, Number.isInteger(value) && (value as number) >= 1 ? 1 : value]
      return [key, key === "created_at" && !Number.isNaN(Date.parse(String(value))) ? "T" : value]
    })
  )
const conversation = [
  sse(
    delta({ reasoning: "Hm" }),
    delta({ content: "Hel" }),
    delta({ content: "lo" }),
    delta({ tool_calls: [{ index: 0, id: "call_1", function: { name: "ls", arguments: '{"dir":' } }] }),
    delta({ tool_calls: [{ index: 1, id: "call_2", function: { name: "pwd", arguments: "" } }] }),
    delta({ tool_calls: [{ index: 0, function: { arguments: '"/"}' } }] }),
    delta({}, "tool_calls"),
    { choices: [], usage: { prompt_tokens: 9, completion_tokens: 4 } },
    "[DONE]"
  )
]

describe("an answer of Ollama's API", () => {
  it("streams as the API describes it", () => {
    const seen = answer("chat", conversation)
    expect(seen.headers).toContain("application/x-ndjson")
    const golden = readFileSync(new URL("./golden/ollama-from-chat.ndjson", import.meta.url), "utf8")
    expect(linesOf(seen.body).map(masked)).toEqual(linesOf(golden))
  })

  it("is whole in one object", () => {
    expect(masked(JSON.parse(answer("chat", conversation, { streaming: false }).body) as Record<string, unknown>)).toEqual({
      model: "asked-model",
      created_at: "T",
      message: {
        role: "assistant",
        content: "Hello",
        thinking: "Hm",
        tool_calls: [
          { id: "call_1", function: { index: 0, name: "ls", arguments: { dir: "/" } } },
          { id: "call_2", function: { index: 1, name: "pwd", arguments: {} } }
        ]
      },
      done: true,
      done_reason: "stop",
      total_duration: 1,
      load_duration: 1,
      prompt_eval_count: 9,
      prompt_eval_duration: 1,
      eval_count: 4,
      eval_duration: 1
    })
  })

  it("has a prompt's text at the top", () => {
    const chunks = [sse(delta({ reasoning: "a" }), delta({ content: "b" }, "length"), "[DONE]")]
    const lines = linesOf(answer("generate", chunks).body)
    expect(lines.map(({ response, thinking }) => [response, thinking])).toEqual([
      ["", "a"],
      ["b", undefined],
      ["", undefined]
    ])
    expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "length", prompt_eval_count: 7, eval_count: 1 })
    expect(JSON.parse(answer("generate", chunks, { streaming: false }).body)).toMatchObject({ response: "b", thinking: "a", done: true })
  })

  it("says a failure in a line, or as an error before the first", () => {
    const broken = Buffer.from('data: {"error":{"message":"no memory","code":503}}\n\n')
    expect(linesOf(answer("chat", [sse(delta({ content: "x" })), broken]).body).at(-1)).toEqual({ error: "no memory" })
    const before = answer("chat", [broken])
    expect([before.status, JSON.parse(before.body)]).toEqual([503, { error: "no memory" }])
  })

  it("keeps a client waiting with empty fragments", () => {
    const waiting = new TranslatedAnswer(options({ writer: ollamaAnswers("chat") }))
    const opened = waiting.waiting({ status: 200, headers: [] }, 10_000)
    expect(linesOf(opened?.bytes?.toString() ?? "")).toMatchObject([{ message: { content: "" }, done: false }])
    expect(linesOf(waiting.waiting({ status: 200, headers: [] }, 15_000)?.bytes?.toString() ?? "")).toMatchObject([
      { message: { content: "" }, done: false }
    ])
  })

  it("loses no text and no call, whatever comes, cut anywhere", () => {
    const piece = fc.oneof(
      fc.string({ minLength: 1, maxLength: 5 }).map((text) => delta({ content: text })),
      fc
        .tuple(fc.nat(2), fc.constantFrom("a", "b"))
        .map(([index, name]) => delta({ tool_calls: [{ index, id: `c${index}`, function: { name, arguments: "" } }] })),
      fc
        .tuple(fc.nat(2), fc.constantFrom('{"x":', "1}", "{}"))
        .map(([index, args]) => delta({ tool_calls: [{ index, function: { arguments: args } }] }))
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.integer({ min: 1, max: 50 }), (pieces, step) => {
        const bytes = sse(...pieces, delta({}, "stop"), "[DONE]")
        const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => bytes.subarray(i * step, (i + 1) * step))
        const seen = answer("chat", chunks)
        const lines = linesOf(seen.body) as ReadonlyArray<{
          message?: { content: string; tool_calls?: ReadonlyArray<unknown> }
          done?: boolean
          error?: string
        }>
        if (seen.end === "error") {
          expect(lines.at(-1)?.error).toBeTruthy()
          return
        }
        expect(lines.map(({ done }) => done)).toEqual(lines.map((_, at) => at === lines.length - 1))
        const whole = JSON.parse(answer("chat", chunks, { streaming: false }).body) as {
          message: { content: string; tool_calls?: ReadonlyArray<unknown> }
        }
        expect(lines.map(({ message }) => message?.content).join("")).toBe(whole.message.content)
        expect(lines.flatMap(({ message }) => message?.tool_calls ?? [])).toEqual(whole.message.tool_calls ?? [])
      })
    )
  })
})

/** Both directions against the Schemas of both dialects: what is written is one of them, what is one of them is read whole. */
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { ErrorEnvelope, Message, StreamEvent } from "../../src/translation/anthropic/MessagesSchema.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import { ChatChunk, ChatRequest } from "../../src/translation/openai/ChatSchema.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { setsOffKeyDefect } from "../keyDefect.ts"
import { runs } from "../propertyRuns.ts"
import { eventsOf, feed, options, sse, wellFormed } from "./answers.ts"
import { writtenFor } from "./words.ts"

/** Every key that is there must be one of the Schema's. */
const strict = { onExcessProperty: "error" } as const

const word = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" })
const maybe = <A>(value: fc.Arbitrary<A>) => fc.option(value, { nil: undefined, freq: 2 })
const object = fc
  .dictionary(word, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3, noNullPrototype: true })
  .filter((value) => !setsOffKeyDefect(JSON.stringify(value)))

/** Anything that an OpenAI-compatible server may put into a delta, fields missing, null, empty or of another type included. */
const toolDelta = fc.record(
  {
    index: fc.oneof({ weight: 8, arbitrary: fc.nat(3) as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: fc.constant("x") }),
    id: fc.oneof(fc.constantFrom("a", "b", "c", "d", ""), fc.constant(null)),
    type: fc.constant("function"),
    function: fc.record(
      {
        name: fc.oneof(fc.constantFrom("one", "two", ""), fc.constant(null)),
        arguments: fc.oneof(
          fc.constantFrom("{", "}", '{"a":1}', '"x":', "[1,", "]", "", " "),
          fc.string({ maxLength: 4 }),
          object,
          fc.constant(null)
        )
      },
      { requiredKeys: [] }
    )
  },
  { requiredKeys: [] }
)

const content = fc.oneof(
  word,
  fc.constantFrom("", null, 7, true),
  fc.array(fc.record({ type: fc.constant("text"), text: word }), { maxLength: 2 })
)

const anyChunk = fc.record(
  {
    model: fc.oneof(word, fc.constant(null)),
    usage: fc.oneof(
      fc.constant(null),
      fc.record({
        prompt_tokens: fc.integer(),
        completion_tokens: fc.double(),
        prompt_tokens_details: fc.oneof(fc.constant(null), fc.record({ cached_tokens: fc.integer() }))
      })
    ),
    choices: fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom<unknown>([], null, "x", [null], [{}]) },
      {
        weight: 12,
        arbitrary: fc.tuple(
          fc.record(
            {
              finish_reason: fc.constantFrom("stop", "tool_calls", "length", "content_filter", "", null, "odd"),
              delta: fc.record(
                {
                  role: fc.constant("assistant"),
                  content,
                  reasoning: fc.oneof(word, fc.constant(null)),
                  reasoning_content: fc.oneof(word, fc.constant(3)),
                  refusal: fc.oneof(fc.constant(null), word),
                  tool_calls: fc.oneof(fc.constant(null), fc.array(toolDelta, { maxLength: 3 })),
                  function_call: fc.oneof(fc.constant(null), fc.record({ name: fc.constant("old"), arguments: fc.constant("{}") }))
                },
                { requiredKeys: [] }
              )
            },
            { requiredKeys: ["delta"] }
          )
        ) as fc.Arbitrary<unknown>
      }
    )
  },
  { requiredKeys: [] }
)

const split = (bytes: Buffer, sizes: ReadonlyArray<number>): Array<Buffer> => {
  const out: Array<Buffer> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % Math.max(1, sizes.length)] ?? bytes.length
    out.push(bytes.subarray(at, at + size))
    at += size
  }
  return out
}
const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 9 })
const isEvent = Schema.decodeUnknownSync(StreamEvent, strict)
const isMessage = Schema.decodeUnknownSync(Message, strict)
const isError = Schema.decodeUnknownSync(ErrorEnvelope, strict)

describe("any chunks of an OpenAI stream, cut anywhere", () => {
  it("give a well-formed stream of events of the Schema, or end with one error", () => {
    fc.assert(
      fc.property(fc.array(anyChunk, { maxLength: 20 }), sizes, fc.boolean(), (chunks, cuts, done) => {
        const bytes = sse(...chunks, ...(done ? ["[DONE]"] : []))
        const seen = feed(new TranslatedAnswer(options()), 200, ["content-type", "text/event-stream"], split(bytes, cuts))
        // A failure before the first word is an HTTP error.
        if (seen.status !== 200) {
          expect(isError(JSON.parse(seen.body)).type).toBe("error")
          return
        }
        const events = eventsOf(seen.body)
        for (const { event, data } of events) expect(isEvent(data).type).toBe(event)
        if (seen.end === "error") {
          expect(events.at(-1)?.event).toBe("error")
          expect(events.filter(({ event }) => event === "error")).toHaveLength(1)
          return
        }
        const blocks = wellFormed(events)
        const reason = events.at(-2)?.data.delta.stop_reason
        if (reason === "tool_use") expect(blocks.map(({ type }) => type)).toContain("tool_use")
        for (const block of blocks) if (block.type === "tool_use") expect([block.id, block.name].every((text) => text !== "")).toBe(true)
      }),
      { numRuns: runs(1_000) }
    )
  })

  it("say the same whole as streamed, and the same however they were cut", () => {
    fc.assert(
      fc.property(fc.array(anyChunk, { maxLength: 12 }), sizes, (chunks, cuts) => {
        const bytes = sse(...chunks, "[DONE]")
        const head = ["content-type", "text/event-stream"]
        const run = (streaming: boolean, pieces: ReadonlyArray<Buffer>) =>
          feed(new TranslatedAnswer(options({ streaming })), 200, head, pieces)
        const masked = (text: string) => text.replace(/(?:msg|toolu)_01\w+/g, "id")
        const one = run(true, [bytes])
        expect(masked(run(true, split(bytes, cuts)).body)).toBe(masked(one.body))
        const whole = run(false, split(bytes, cuts))
        expect(masked(whole.body)).toBe(masked(run(false, [bytes]).body))
        if (one.end === "error") return
        const message = isMessage(JSON.parse(whole.body))
        const events = eventsOf(one.body)
        const blocks = wellFormed(events)
        const textOf = (type: string) => blocks.flatMap((block) => (block.type === type ? [block.text] : [])).join("")
        const told = (type: string) =>
          message.content
            .flatMap((block) =>
              block.type === type ? [block.type === "text" ? block.text : block.type === "thinking" ? block.thinking : ""] : []
            )
            .join("")
        expect([told("text"), told("thinking")]).toEqual([textOf("text"), textOf("thinking")])
        expect(message.content.filter(({ type }) => type === "tool_use")).toHaveLength(
          blocks.filter(({ type }) => type === "tool_use").length
        )
        expect([message.stop_reason, message.usage]).toEqual([events.at(-2)?.data.delta.stop_reason, events.at(-2)?.data.usage])
      }),
      { numRuns: runs(1_000) }
    )
  })

  it("never throw, whatever bytes come, and every answer is one of the dialect", () => {
    const status = fc.constantFrom(200, 200, 200, 204, 302, 400, 404, 429, 500, 503, 529)
    const type = fc.constantFrom("text/event-stream", "application/json", "text/html", "", "application/json; charset=utf-8")
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
      fc.string({ maxLength: 80 }).map((text) => Buffer.from(`data: ${text}\n\n`))
    )
    fc.assert(
      fc.property(status, type, fc.array(bytes, { maxLength: 4 }), fc.boolean(), (code, contentType, chunks, streaming) => {
        const seen = feed(new TranslatedAnswer(options({ streaming })), code, ["content-type", contentType], chunks)
        expect(seen.end === "good" || seen.end === "error").toBe(true)
        if (seen.headers.includes("text/event-stream")) for (const { data } of eventsOf(seen.body)) isEvent(data)
        else if (seen.status === 200) isMessage(JSON.parse(seen.body))
        else isError(JSON.parse(seen.body))
      }),
      { numRuns: runs(1_000) }
    )
  })
})

const source = fc.oneof(
  fc.record({
    type: fc.constant("base64"),
    media_type: fc.constantFrom("image/png", "image/jpeg"),
    data: fc.base64String({ minLength: 4, maxLength: 12 })
  }),
  fc.record({ type: fc.constant("url"), url: fc.webUrl() })
)
const image = fc.record({ type: fc.constant("image"), source })
const text = fc.record({ type: fc.constant("text"), text: word, cache_control: maybe(fc.constant({ type: "ephemeral" })) })
const use = fc.record({ type: fc.constant("tool_use"), id: fc.uuid(), name: word, input: object })

interface Told {
  readonly role: string
  readonly texts: string
  readonly images: ReadonlyArray<string>
  readonly calls: ReadonlyArray<unknown>
  readonly results: ReadonlyArray<unknown>
}

const urlOf = (value: Record<string, string>) =>
  value["type"] === "url" ? value["url"] : `data:${value["media_type"]};base64,${value["data"]}`

describe("any conversation that both dialects can say", () => {
  const request = fc.record({
    max_tokens: fc.integer({ min: 1, max: 9_000 }),
    stream: fc.boolean(),
    temperature: maybe(fc.double({ min: 0, max: 2, noNaN: true })),
    top_p: maybe(fc.double({ min: 0, max: 1, noNaN: true })),
    top_k: maybe(fc.nat(100)),
    stop_sequences: maybe(fc.array(word, { maxLength: 3 })),
    metadata: maybe(fc.record({ user_id: word })),
    system: maybe(fc.oneof(word, fc.array(text, { maxLength: 3 }))),
    tools: maybe(fc.array(fc.record({ name: word, description: maybe(word), input_schema: object }), { maxLength: 3 })),
    tool_choice: maybe(
      fc.constantFrom({ type: "auto" }, { type: "any" }, { type: "none" }, { type: "tool", name: "x", disable_parallel_tool_use: true })
    ),
    thinking: maybe(fc.constant({ type: "enabled", budget_tokens: 1024 })),
    some_beta: maybe(object),
    turns: fc.array(
      fc.tuple(
        fc.oneof(word, fc.array(fc.oneof(text, image), { minLength: 1, maxLength: 4 })),
        fc.oneof(word, fc.array(fc.oneof(text, use), { minLength: 1, maxLength: 4 }))
      ),
      { minLength: 1, maxLength: 4 }
    )
  })

  it("is a chat of the Schema, and reads back as what it was", () => {
    fc.assert(
      fc.property(request, ({ turns, ...fields }) => {
        const messages: Array<Record<string, unknown>> = []
        const told: Array<Told> = []
        let open: ReadonlyArray<Record<string, unknown>> = []
        for (const [user, assistant] of turns) {
          const own = typeof user === "string" ? [{ type: "text" as const, text: user }] : user
          const results = open.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: `result of ${id}` }))
          messages.push({ role: "user", content: results.length === 0 && typeof user === "string" ? user : [...results, ...own] })
          messages.push({ role: "assistant", content: assistant })
          const said = typeof assistant === "string" ? [{ type: "text" as const, text: assistant }] : assistant
          open = said.filter((block) => block.type === "tool_use") as unknown as ReadonlyArray<Record<string, unknown>>
          told.push({
            role: "user",
            texts: own.map((block) => ("text" in block ? block.text : "")).join(""),
            images: own.flatMap((block) => ("source" in block ? [urlOf(block.source as Record<string, string>) ?? ""] : [])),
            calls: [],
            results: results.map(({ tool_use_id, content: result }) => [tool_use_id, result])
          })
          told.push({
            role: "assistant",
            texts: said.map((block) => ("text" in block ? block.text : "")).join(""),
            images: [],
            calls: said.flatMap((block) => ("input" in block ? [[block.id, block.name, JSON.parse(JSON.stringify(block.input))]] : [])),
            results: []
          })
        }
        const made = readMessages(JSON.parse(JSON.stringify({ model: "m", ...fields, messages })))
        if (made instanceof Complaint) throw new Error(made.message)
        const chat = Schema.decodeUnknownSync(ChatRequest, strict)({ model: "m", ...writtenFor(made, "lemonade").fields })
        expect(readBack(chat.messages)).toEqual(
          told.filter(({ texts, images, calls, results }) => texts !== "" || images.length + calls.length + results.length > 0)
        )
        const [first] = chat.messages
        const system = typeof fields.system === "string" ? fields.system : (fields.system ?? []).map((block) => block.text).join("")
        expect(first?.role === "system" ? first.content : "").toBe(system)
        expect([chat.max_tokens, chat.stream, chat.temperature, chat.top_p, chat.top_k, chat.user]).toEqual([
          fields.max_tokens,
          fields.stream,
          // JSON knows no negative zero.
          fields.temperature === undefined ? undefined : fields.temperature + 0,
          fields.top_p === undefined ? undefined : fields.top_p + 0,
          fields.top_k,
          fields.metadata?.user_id
        ])
        expect(chat.stop ?? []).toEqual(fields.stop_sequences ?? [])
        expect((chat.tools ?? []).map((tool) => [tool.function.name, tool.function.description, tool.function.parameters])).toEqual(
          (fields.tools ?? []).map((tool) => [tool.name, tool.description, JSON.parse(JSON.stringify(tool.input_schema))])
        )
        expect(JSON.stringify(chat)).not.toContain("cache_control")
      }),
      { numRuns: runs(1_000) }
    )
  })
})

/** A chat as the conversation that it is: results belong to the user turn behind them. */
const readBack = (messages: (typeof ChatRequest.Type)["messages"]): ReadonlyArray<Told> => {
  const out: Array<Told> = []
  let results: Array<unknown> = []
  for (const message of messages) {
    if (message.role === "tool") {
      results.push([message.tool_call_id, message.content])
      continue
    }
    if (message.role === "system") continue
    const parts = typeof message.content === "string" ? [{ type: "text" as const, text: message.content }] : (message.content ?? [])
    out.push({
      role: message.role,
      texts: parts.map((part) => (part.type === "text" ? part.text : "")).join(""),
      images: parts.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : [])),
      calls:
        message.role === "assistant"
          ? (message.tool_calls ?? []).map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments) as unknown])
          : [],
      results: message.role === "user" ? results : []
    })
    results = []
  }
  return out
}

describe("any answer that both dialects can say", () => {
  it("goes from chunks of the Schema to a message and loses nothing", () => {
    const turn = fc.record({
      thinking: fc.array(word, { maxLength: 4 }),
      text: fc.array(word, { maxLength: 6 }),
      calls: fc.uniqueArray(fc.record({ id: fc.uuid(), name: word, input: object }), { maxLength: 4, selector: ({ id }) => id }),
      order: fc.array(fc.nat(3), { maxLength: 30 }),
      step: fc.integer({ min: 1, max: 9 })
    })
    fc.assert(
      fc.property(turn, sizes, ({ thinking, text: texts, calls, order, step }, cuts) => {
        const chunk = (delta: object, finish: string | null = null) => {
          const made = { model: "m", choices: [{ index: 0, delta, finish_reason: finish }] }
          Schema.decodeUnknownSync(ChatChunk)(made)
          return made
        }
        const chunks: Array<unknown> = [chunk({ role: "assistant", content: "" })]
        for (const reasoning of thinking) chunks.push(chunk({ reasoning }))
        for (const each of texts) chunks.push(chunk({ content: each }))
        for (const [index, { id, name }] of calls.entries())
          chunks.push(chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }))
        // Arguments in fragments, in any order between the calls.
        const left = calls.map(({ input }) => JSON.stringify(input))
        for (const pick of [...order, ...calls.keys(), ...calls.flatMap((_, i) => Array<number>(left[i]?.length ?? 0).fill(i))]) {
          const rest = left[pick]
          if (rest === undefined || rest === "") continue
          chunks.push(chunk({ tool_calls: [{ index: pick, function: { arguments: rest.slice(0, step) } }] }))
          left[pick] = rest.slice(step)
        }
        chunks.push(chunk({}, calls.length > 0 ? "tool_calls" : "stop"))
        chunks.push({
          model: "m",
          choices: [],
          usage: { prompt_tokens: 50, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 20 } }
        })
        const seen = feed(
          new TranslatedAnswer(options()),
          200,
          ["content-type", "text/event-stream"],
          split(sse(...chunks, "[DONE]"), cuts)
        )
        const events = eventsOf(seen.body)
        const blocks = wellFormed(events)
        expect(
          blocks.map((block) => (block.type === "tool_use" ? [block.id, block.name, JSON.parse(block.text)] : [block.type, block.text]))
        ).toEqual([
          ...(thinking.length === 0 ? [] : [["thinking", thinking.join("")]]),
          ...(texts.length === 0 ? [] : [["text", texts.join("")]]),
          ...calls.map(({ id, name, input }) => [id, name, JSON.parse(JSON.stringify(input))])
        ])
        expect(events.at(-2)?.data).toEqual({
          type: "message_delta",
          delta: { stop_reason: calls.length > 0 ? "tool_use" : "end_turn", stop_sequence: null },
          usage: { input_tokens: 30, output_tokens: 8, cache_creation_input_tokens: 0, cache_read_input_tokens: 20 }
        })
      }),
      { numRuns: 150 }
    )
  })
})

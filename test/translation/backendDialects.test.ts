/** Servers that speak no chat completions: what they are asked is what their dialect's reader reads, what they say is read back whole. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AnswerReader } from "../../src/translation/AnswerReader.ts"
import type { AnswerWriter } from "../../src/translation/AnswerWriter.ts"
import { anthropicAnswers } from "../../src/translation/anthropic/AnthropicAnswers.ts"
import { messagesAnswers } from "../../src/translation/anthropic/MessagesReader.ts"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { writeMessages } from "../../src/translation/anthropic/MessagesWriting.ts"
import type { ChatEvent } from "../../src/translation/ChatEvent.ts"
import type { ChatTurn, Turn } from "../../src/translation/ChatTurn.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import { ollamaLines } from "../../src/translation/ollama/OllamaReader.ts"
import { readOllamaChat } from "../../src/translation/ollama/OllamaReading.ts"
import { ollamaAnswers } from "../../src/translation/ollama/OllamaWriter.ts"
import { writeOllama } from "../../src/translation/ollama/OllamaWriting.ts"
import { chatAnswers } from "../../src/translation/openai/ChatReader.ts"
import { readChat } from "../../src/translation/openai/ChatRequestReading.ts"
import { writeChat } from "../../src/translation/openai/ChatRequestWriting.ts"
import { chatCompletions } from "../../src/translation/openai/ChatWriter.ts"
import { wordingOf } from "../../src/translation/openai/Wording.ts"
import { responsesEvents } from "../../src/translation/responses/ResponsesReader.ts"
import { readResponses } from "../../src/translation/responses/ResponsesReading.ts"
import { writeResponses } from "../../src/translation/responses/ResponsesRequestWriting.ts"
import { responsesAnswers } from "../../src/translation/responses/ResponsesWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { eventsOf, feed, options } from "./answers.ts"
import { emptyTurn } from "./turns.ts"

const word = fc.stringMatching(/^[a-z]{1,8}$/)
const png = "data:image/png;base64,iVBORw0KGgo="
const maybe = <A>(value: fc.Arbitrary<A>) => fc.option(value, { nil: undefined })

/** A conversation that each of the dialects can say, with tools used as they have to be. */
const conversation: fc.Arbitrary<ReadonlyArray<Turn>> = fc
  .array(fc.record({ text: word, image: fc.boolean(), answer: word, call: fc.boolean(), failed: fc.boolean() }), {
    minLength: 1,
    maxLength: 4
  })
  .map((rounds) =>
    rounds.flatMap(({ text, image, answer, call, failed }, at): ReadonlyArray<Turn> => {
      const user: Turn = { role: "user", parts: [{ kind: "text", text }, ...(image ? [{ kind: "image", url: png } as const] : [])] }
      const calls = call ? [{ id: `call_${at}`, name: "look", input: '{"at":1}' }] : []
      const assistant: Turn = { role: "assistant", reasoning: "", text: answer, calls }
      return [
        user,
        assistant,
        ...(call
          ? ([
              { role: "tool", call: `call_${at}`, name: "look", text: "seen", media: [], failed },
              { role: "assistant", reasoning: "", text: "ok", calls: [] }
            ] as const)
          : [])
      ]
    })
  )

const turn = fc
  .record({
    turns: conversation,
    system: fc.array(word, { maxLength: 1 }),
    maxTokens: fc.integer({ min: 1, max: 99 }),
    temperature: maybe(fc.constant(0.5)),
    topK: maybe(fc.nat(9)),
    stops: fc.array(word, { maxLength: 2 }),
    stream: fc.boolean()
  })
  .map(
    ({ turns, system, maxTokens, temperature, topK, stops, stream }): ChatTurn => ({
      ...emptyTurn,
      turns,
      system,
      stream,
      stops,
      sampling: { maxTokens, temperature, topK },
      tools: [{ name: "look", description: "Look", schema: { type: "object" }, strict: false }]
    })
  )

/** What a reader says of the fields that both sides know. */
const common = ({ system, turns, tools, stops, sampling, stream }: ChatTurn, names: boolean) => ({
  system,
  turns: turns.map((each) => (each.role === "tool" ? { ...each, name: names ? each.name : "" } : each)),
  tools,
  stops,
  stream,
  sampling: JSON.parse(JSON.stringify(sampling)) as unknown
})

describe("a request for a server of another dialect", () => {
  it("reads back as what it was: Messages", () => {
    fc.assert(
      fc.property(turn, (asked) => {
        const written = writeMessages(asked)
        if (written instanceof Complaint) throw new Error(written.message)
        const read = readMessages(JSON.parse(JSON.stringify({ model: "m", ...written.fields })))
        if (read instanceof Complaint) throw new Error(read.message)
        expect(common(read, false)).toEqual(common(asked, false))
      })
    )
  })

  it("reads back as what it was: Ollama", () => {
    fc.assert(
      fc.property(turn, (asked) => {
        const written = writeOllama({
          ...asked,
          turns: asked.turns.map((each) => (each.role === "tool" ? { ...each, failed: false } : each))
        })
        if (written instanceof Complaint) throw new Error(written.message)
        const read = readOllamaChat(JSON.parse(JSON.stringify({ model: "m", ...written.fields })))
        if (read instanceof Complaint) throw new Error(read.message)
        const told = common(read, true)
        const wanted = common(asked, true)
        expect({ ...told, turns: [] }).toEqual({ ...wanted, turns: [] })
        expect(told.turns).toEqual(wanted.turns.map((each) => (each.role === "tool" ? { ...each, failed: false } : each)))
      })
    )
  })

  const withoutFailures = (asked: ChatTurn): ChatTurn => ({
    ...asked,
    turns: asked.turns.map((each) => (each.role === "tool" ? { ...each, failed: false } : each))
  })

  it("reads back as what it was: chat completions", () => {
    const wording = { ...wordingOf(undefined, new Set()), extraSampling: ["top_k"] }
    fc.assert(
      fc.property(turn, (given) => {
        const asked = withoutFailures(given)
        const { fields, dropped } = writeChat(asked, wording, "all")
        const read = readChat(JSON.parse(JSON.stringify({ model: "m", ...fields })))
        if (read instanceof Complaint) throw new Error(read.message)
        expect([common(read, true), read.dropped, dropped]).toEqual([common(asked, true), [], []])
      })
    )
  })

  it("reads back as what it was: Responses, but for what it has no place for", () => {
    fc.assert(
      fc.property(turn, (given) => {
        const asked = withoutFailures(given)
        const { fields, dropped } = writeResponses(asked)
        const read = readResponses(JSON.parse(JSON.stringify({ model: "m", ...fields })))
        if (read instanceof Complaint) throw new Error(read.message)
        const { topK, ...sampling } = asked.sampling
        expect(common(read.turn, true)).toEqual(common({ ...asked, stops: [], sampling }, true))
        expect(dropped).toEqual([...(topK === undefined ? [] : ["top_k"]), ...(asked.stops.length === 0 ? [] : ["stop"])])
      })
    )
  })

  it("has Messages' forms of what only it has", () => {
    const written = writeMessages({
      ...emptyTurn,
      turns: [
        {
          role: "user",
          parts: [
            { kind: "file", name: "a.pdf", data: "data:application/pdf;base64,UERG" },
            { kind: "image", url: "https://x/y.png" }
          ]
        },
        { role: "assistant", reasoning: "signed", signature: "s", text: "", calls: [{ id: "c", name: "n", input: "oops" }] },
        { role: "assistant", reasoning: "unsigned", text: "x", calls: [] },
        { role: "tool", call: "c", name: "", text: "r", media: [{ kind: "image", url: png }], failed: true },
        { role: "user", parts: [{ kind: "text", text: "on" }] }
      ],
      tools: [{ name: "n", description: "", schema: {}, strict: true }],
      choice: { name: "n" },
      parallel: false,
      thinking: "off",
      output: { kind: "schema", name: "response", schema: { type: "object" }, strict: true },
      sampling: { seed: 1, minP: 0.1 },
      user: "u"
    })
    expect(written).toEqual({
      fields: {
        max_tokens: 8192,
        stream: false,
        messages: [
          {
            role: "user",
            content: [
              { type: "document", title: "a.pdf", source: { type: "base64", media_type: "application/pdf", data: "UERG" } },
              { type: "image", source: { type: "url", url: "https://x/y.png" } }
            ]
          },
          {
            role: "assistant",
            content: [
              { type: "thinking", thinking: "signed", signature: "s" },
              { type: "tool_use", id: "c", name: "n", input: {} },
              { type: "text", text: "x" }
            ]
          },
          {
            role: "user",
            content: [
              {
                type: "tool_result",
                tool_use_id: "c",
                content: [
                  { type: "text", text: "r" },
                  { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } }
                ],
                is_error: true
              },
              { type: "text", text: "on" }
            ]
          }
        ],
        tools: [{ name: "n", input_schema: {}, strict: true }],
        tool_choice: { type: "tool", name: "n", disable_parallel_tool_use: true },
        metadata: { user_id: "u" },
        thinking: { type: "disabled" },
        output_config: { format: { type: "json_schema", schema: { type: "object" } } }
      },
      dropped: ["min_p", "seed", "reasoning"]
    })
  })

  it.each([
    ["Messages: audio", writeMessages, { kind: "audio", format: "wav", data: "x" }],
    ["Messages: a file that is no PDF", writeMessages, { kind: "file", name: "a.doc", data: "data:application/msword;base64,x" }],
    ["Ollama: audio", writeOllama, { kind: "audio", format: "wav", data: "x" }],
    ["Ollama: a file", writeOllama, { kind: "file", name: "a.pdf", data: "data:application/pdf;base64,x" }],
    ["Ollama: an image by URL", writeOllama, { kind: "image", url: "https://x/y.png" }]
  ] as const)("is refused where it cannot be said: %s", (_, write, part) => {
    expect(write({ ...emptyTurn, turns: [{ role: "user", parts: [part] }] })).toBeInstanceOf(Complaint)
  })
})

const said: fc.Arbitrary<ReadonlyArray<ChatEvent>> = fc
  .array(
    fc.oneof(
      word.map((text): ReadonlyArray<ChatEvent> => [{ _tag: "Text", text }]),
      word.map((text): ReadonlyArray<ChatEvent> => [{ _tag: "Thinking", text }]),
      fc.constant<ReadonlyArray<ChatEvent>>([])
    ),
    { maxLength: 6 }
  )
  .chain((texts) => fc.nat(2).map((calls) => ({ texts: texts.flat(), calls })))
  .map(({ texts, calls }) => [
    { _tag: "Model", model: "m" },
    ...texts,
    ...Array.from(
      { length: calls },
      (_, call): ReadonlyArray<ChatEvent> => [
        { _tag: "ToolStart", call, id: `c${call}`, name: "n" },
        { _tag: "ToolArguments", call, fragment: '{"a":1}' }
      ]
    ).flat(),
    { _tag: "Usage", usage: { prompt: 9, completion: 4, cached: 0, reasoning: 0 } },
    { _tag: "Finish", reason: calls > 0 ? "calls" : "stop", matchedStop: undefined },
    { _tag: "End" }
  ])

/** Told to a client of the same dialect again: nothing may be lost on the way through no dialect. */
const again = (reader: AnswerReader, writer: AnswerWriter, type: string, body: string, streaming: boolean, step: number) => {
  const bytes = Buffer.from(body)
  const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => bytes.subarray(i * step, (i + 1) * step))
  return feed(new TranslatedAnswer(options({ reader, writer, streaming, model: "m" })), 200, ["content-type", type], chunks)
}
const masked = (text: string) =>
  text
    .replace(/msg_01\w+/g, "id")
    .replace(/(resp|rs|msg|fc)_[1-9A-HJ-NP-Za-km-z]{16,}/g, "$1_S")
    .replace(/chatcmpl-\w+/g, "chatcmpl-S")
    .replace(/"created_at":("[^"]*"|\d+)/g, "")
    .replace(/"(created|completed_at)":\d+/g, "")
    .replace(/"(\w+_duration)":\d+/g, '"$1":1')

const sse = "text/event-stream"
/** Each as a server that says it and as a client that reads it: by what its good end is known, and where the word of the end begins. */
const dialects = [
  ["Messages", messagesAnswers, anthropicAnswers, sse, "message_stop", "event: message_delta"],
  ["Ollama", ollamaLines, ollamaAnswers("chat"), "application/x-ndjson", '"done":true', '"done_reason"'],
  [
    "Responses",
    responsesEvents,
    responsesAnswers({ request: {}, declared: new Map() }),
    sse,
    "response.completed",
    "event: response.completed"
  ],
  ["chat completions", chatAnswers, chatCompletions(true), sse, "[DONE]", '"finish_reason":"']
] as const

describe.each(dialects)("an answer of a server that speaks only %s", (_, reader, writer, type) => {
  it("is read as it was written, streamed and whole, cut anywhere", () => {
    fc.assert(
      fc.property(said, fc.integer({ min: 1, max: 70 }), (events, step) => {
        const turnOptions = { model: "m", estimate: 7, stops: [] }
        const streamed = writer.stream(turnOptions).write(events)
        const back = again(reader, writer, type, streamed, true, step)
        expect([back.end, masked(back.body)]).toEqual(["good", masked(streamed)])
        const folded = writer.whole(turnOptions)
        folded.write(events)
        const whole = JSON.stringify(folded.message())
        expect(masked(again(reader, writer, "application/json", whole, false, step).body)).toBe(masked(whole))
      })
    )
  })
})

const endings: ReadonlyArray<ChatEvent> = [
  { _tag: "Thinking", text: "hm" },
  { _tag: "Text", text: "hello" },
  { _tag: "ToolStart", call: 0, id: "c0", name: "n" },
  { _tag: "ToolArguments", call: 0, fragment: '{"a":"b"}' },
  { _tag: "Text", text: "on" },
  { _tag: "Finish", reason: "stop", matchedStop: undefined },
  { _tag: "End" }
]

describe.each(dialects)("what %s says, cut at any byte", (server, reader, says, type, _good, last) => {
  const streamed = says.stream({ model: "m", estimate: 7, stops: [] }).write(endings)
  const finish = streamed.indexOf(last)

  it.each(dialects)("is never a good end for a client of %s", (client, _reader, writer, _type, good) => {
    expect(finish).toBeGreaterThan(0)
    for (let at = 1; at < finish; at += server === client ? 1 : 5) {
      const answer = () => {
        const translator = new TranslatedAnswer(options({ reader, writer }))
        translator.head({ status: 200, headers: ["content-type", type] })
        return { translator, told: translator.push(Buffer.from(streamed.slice(0, at)))?.bytes?.toString() ?? "" }
      }
      const broken = answer()
      const last = broken.translator.fail({ _tag: "Failure", kind: "truncated", detail: "x" })?.bytes.toString() ?? ""
      expect(broken.told + last, `${at}`).not.toContain(good)
      // The connection ends well all the same. Servers of chat completions are known to end so behind whole texts.
      if (server === "chat completions") continue
      const ended = answer()
      const said = ended.translator.end()
      expect([ended.told + (said?.bytes?.toString() ?? ""), said?.fault?.kind], `${at}`).toEqual([
        expect.not.stringContaining(good),
        "untranslatable"
      ])
    }
  })
})

describe("answers on record", () => {
  const recorded = (name: string) => {
    const text = readFileSync(new URL(`./recorded/${name}.http`, import.meta.url), "utf8")
    return text.slice(text.search(/\r?\n\r?\n/)).trimStart()
  }

  it.each(["llamacpp", "ollama", "litellm"])("of %s's Messages are read, streamed and whole", (server) => {
    const streamed = again(messagesAnswers, anthropicAnswers, "text/event-stream", recorded(`${server}/messages-stream`), true, 7)
    expect([streamed.end, eventsOf(streamed.body).at(-1)?.event]).toEqual(["good", "message_stop"])
    const whole = JSON.parse(again(messagesAnswers, anthropicAnswers, "application/json", recorded(`${server}/messages`), false, 7).body)
    const native = JSON.parse(recorded(`${server}/messages`))
    expect([whole.stop_reason, whole.usage.output_tokens, whole.content[0].text]).toEqual([
      native.stop_reason,
      native.usage.output_tokens,
      native.content[0].text
    ])
  })
})

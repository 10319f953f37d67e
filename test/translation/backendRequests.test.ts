/** What servers are asked, whoever asks: what is written in a dialect is what its reader reads, and stays the same while a conversation grows. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { writeMessages } from "../../src/translation/anthropic/MessagesWriting.ts"
import type { ChatTurn, Turn } from "../../src/translation/ChatTurn.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { readOllamaChat } from "../../src/translation/ollama/OllamaReading.ts"
import { writeOllama } from "../../src/translation/ollama/OllamaWriting.ts"
import { readChat } from "../../src/translation/openai/ChatRequestReading.ts"
import { writeChat } from "../../src/translation/openai/ChatRequestWriting.ts"
import { wordingOf } from "../../src/translation/openai/Wording.ts"
import { readResponses } from "../../src/translation/responses/ResponsesReading.ts"
import { writeResponses } from "../../src/translation/responses/ResponsesRequestWriting.ts"
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
const common = ({ system, turns, tools, stops, sampling, stream }: ChatTurn) => ({
  system,
  turns,
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
        expect(common(read)).toEqual(common(asked))
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
        const told = common(read)
        const wanted = common(asked)
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
        expect([common(read), read.dropped, dropped]).toEqual([common(asked), [], []])
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
        expect(common(read.turn)).toEqual(common({ ...asked, stops: [], sampling }))
        expect(dropped).toEqual([...(topK === undefined ? [] : ["top_k"]), ...(asked.stops.length === 0 ? [] : ["stop"])])
      })
    )
  })

  const chatWording = { ...wordingOf(undefined, new Set()), extraSampling: ["top_k"] }
  const writers = {
    chat: (asked: ChatTurn) => writeChat(asked, chatWording, "all"),
    messages: writeMessages,
    responses: writeResponses,
    ollama: writeOllama
  }
  const readers = {
    chat: readChat,
    messages: readMessages,
    responses: (request: JsonRecord) => {
      const got = readResponses(request)
      return got instanceof Complaint ? got : got.turn
    },
    ollama: readOllamaChat
  }
  type Named = keyof typeof writers
  const named = Object.keys(writers) as ReadonlyArray<Named>

  /** What a server gets of a conversation that a client tells in its dialect. */
  const bytesFor = (client: Named, server: Named, asked: ChatTurn): string => {
    const told = writers[client](asked)
    if (told instanceof Complaint) throw new Error(told.message)
    const read = readers[client](JSON.parse(JSON.stringify({ model: "m", ...told.fields })))
    if (read instanceof Complaint) throw new Error(read.message)
    const written = writers[server](read)
    if (written instanceof Complaint) throw new Error(written.message)
    return JSON.stringify(written.fields)
  }

  it.each(named.flatMap((client) => named.map((server) => [client, server] as const)))(
    "has the same bytes for the same conversation, and begins with those of the one that it grew from: %s to %s",
    (client, server) => {
      fc.assert(
        fc.property(turn, fc.nat(), (asked, at) => {
          const whole = bytesFor(client, server, asked)
          expect(bytesFor(client, server, structuredClone(asked))).toBe(whole)
          const before = bytesFor(client, server, { ...asked, turns: asked.turns.slice(0, 1 + (at % asked.turns.length)) })
          // Up to where its last turn ends: what closes the list may come later, and what stands behind the list does.
          const list = server === "responses" ? "input" : "messages"
          const turns = JSON.stringify((JSON.parse(before) as JsonRecord)[list]).replace(/["\]}]+$/, "")
          const began = `${before.slice(0, before.indexOf(`"${list}":`))}"${list}":${turns}`
          expect(whole.startsWith(began)).toBe(true)
        }),
        { numRuns: 40 }
      )
    }
  )

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

/** What servers of each dialect answer: read back whole for a client of the same one, and never a good end where it was cut. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { AnswerReader } from "../../src/translation/AnswerReader.ts"
import type { AnswerWriter } from "../../src/translation/AnswerWriter.ts"
import { anthropicAnswers } from "../../src/translation/anthropic/AnthropicAnswers.ts"
import { messagesAnswers } from "../../src/translation/anthropic/MessagesReader.ts"
import type { ChatEvent } from "../../src/translation/ChatEvent.ts"
import { ollamaLines } from "../../src/translation/ollama/OllamaReader.ts"
import { ollamaAnswers } from "../../src/translation/ollama/OllamaWriter.ts"
import { chatAnswers } from "../../src/translation/openai/ChatReader.ts"
import { chatCompletions } from "../../src/translation/openai/ChatWriter.ts"
import { responsesEvents } from "../../src/translation/responses/ResponsesReader.ts"
import { responsesAnswers } from "../../src/translation/responses/ResponsesWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { eventsOf, feed, options } from "./answers.ts"

const word = fc.stringMatching(/^[a-z]{1,8}$/)

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

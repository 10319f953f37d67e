/** Answers of real servers, translated, against what the same server says natively; ids and texts differ, the shape must not. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { AnswerReader } from "../../src/translation/AnswerReader.ts"
import { anthropicAnswers } from "../../src/translation/anthropic/AnthropicAnswers.ts"
import { messagesAnswers } from "../../src/translation/anthropic/MessagesReader.ts"
import { ollamaLines } from "../../src/translation/ollama/OllamaReader.ts"
import { ollamaAnswers } from "../../src/translation/ollama/OllamaWriter.ts"
import { chatAnswers } from "../../src/translation/openai/ChatReader.ts"
import { chatCompletions } from "../../src/translation/openai/ChatWriter.ts"
import { responsesEvents } from "../../src/translation/responses/ResponsesReader.ts"
import { responsesAnswers } from "../../src/translation/responses/ResponsesWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { eventsOf, feed, options, type StreamEvent, wellFormed } from "./answers.ts"

interface Recorded {
  readonly status: number
  readonly headers: Array<string>
  readonly body: Buffer
}

const recorded = (name: string): Recorded => {
  const text = readFileSync(new URL(`./recorded/${name}.http`, import.meta.url), "utf8")
  const at = text.search(/\r?\n\r?\n/)
  const [first = "", ...lines] = text.slice(0, at).split(/\r?\n/)
  return {
    status: Number(first.split(" ")[1]),
    headers: lines.flatMap((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
    body: Buffer.from(text.slice(at).replace(/^\r?\n\r?\n/, ""))
  }
}

const translate = (name: string, streaming: boolean, step = 1e9) => {
  const answer = recorded(name)
  const chunks: Array<Buffer> = []
  for (let at = 0; at < answer.body.length; at += step) chunks.push(answer.body.subarray(at, at + step))
  return feed(new TranslatedAnswer(options({ streaming })), answer.status, answer.headers, chunks)
}

/** LiteLLM's native route asks its backend through another API, which gives 16 tokens where the chat was cut after 8. */
const sameLength = (server: string) => server !== "litellm"

const kinds = (events: ReadonlyArray<StreamEvent>) =>
  events.map((event) => event.event).filter((event, i, all) => event !== "ping" && event !== all[i - 1])

describe.each(["llamacpp", "ollama", "litellm"])("answers recorded from %s", (server) => {
  it("translate whole to the fields of the native answer", () => {
    const seen = translate(`${server}/chat`, false)
    const native = JSON.parse(recorded(`${server}/messages`).body.toString("utf8"))
    const ours = JSON.parse(seen.body)
    expect(seen.status).toBe(200)
    for (const key of ["type", "role", "model"]) expect(ours[key]).toBe(native[key])
    if (sameLength(server)) expect(ours.stop_reason).toBe(native.stop_reason)
    expect(ours.stop_sequence).toBeNull()
    expect(ours.content.map((block: { type: string }) => block.type)).toEqual(native.content.map((block: { type: string }) => block.type))
    if (sameLength(server)) expect(ours.usage.output_tokens).toBe(native.usage.output_tokens)
    expect(ours.usage.input_tokens + ours.usage.cache_read_input_tokens).toBe(29)
  })

  it("translate streamed to the events of the native stream, cut anywhere", () => {
    const native = eventsOf(recorded(`${server}/messages-stream`).body.toString("utf8"))
    for (const step of [1e9, 1, 7, 64]) {
      const ours = eventsOf(translate(`${server}/chat-stream`, true, step).body)
      wellFormed(ours)
      expect(kinds(ours)).toEqual(kinds(native))
      if (sameLength(server)) expect(ours.at(-2)?.data.delta.stop_reason).toBe(native.at(-2)?.data.delta.stop_reason)
    }
  })

  it("have every field that the native events have", () => {
    const native = eventsOf(recorded(`${server}/messages-stream`).body.toString("utf8"))
    const ours = eventsOf(translate(`${server}/chat-stream`, true).body)
    const fields = (value: unknown, path = ""): ReadonlyArray<string> =>
      typeof value !== "object" || value === null || Array.isArray(value)
        ? [path]
        : Object.entries(value).flatMap(([key, inner]) => fields(inner, `${path}.${key}`))
    // Only servers behind LiteLLM say this one, and it is null.
    const known = (path: string) => !path.endsWith(".stop_details")
    for (const { event, data } of native.filter(({ event }) => event !== "ping")) {
      const same = ours.find((one) => one.event === event)
      expect(fields(same?.data)).toEqual(expect.arrayContaining(fields(data).filter(known)))
    }
    const whole = JSON.parse(translate(`${server}/chat`, false).body)
    const message = JSON.parse(recorded(`${server}/messages`).body.toString("utf8"))
    expect(fields(whole)).toEqual(expect.arrayContaining(fields(message).filter(known)))
  })

  it("fold a stream into a message for a client that wants it whole, and the other way round", () => {
    const folded = JSON.parse(translate(`${server}/chat-stream`, false).body)
    expect(folded).toMatchObject({ type: "message", role: "assistant", content: [{ type: "text" }] })
    wellFormed(eventsOf(translate(`${server}/chat`, true).body))
  })
})

describe("errors recorded from real servers", () => {
  it.each([
    ["llamacpp/too-long", 400, "invalid_request_error", /exceeds the available context size/],
    ["ollama/unknown-model", 404, "not_found_error", /model 'nope' not found/],
    ["litellm/unknown-model", 400, "invalid_request_error", /./],
    ["litellm/no-key", 500, "api_error", /^Internal Server Error$/]
  ])("%s keeps its status and its text", (name, status, type, message) => {
    for (const streaming of [true, false]) {
      const seen = translate(name, streaming)
      const body = JSON.parse(seen.body)
      expect([seen.status, body.type, body.error.type]).toEqual([status, "error", type])
      expect(body.error.message).toMatch(message)
      expect(seen.headers).toContain("application/json")
    }
  })
})

describe.each<[string, AnswerReader, text: (whole: string) => string]>([
  ["llamacpp/chat", chatAnswers, (whole) => JSON.parse(whole).choices[0].message.content],
  ["ollama/chat", chatAnswers, (whole) => JSON.parse(whole).choices[0].message.content],
  ["litellm/chat", chatAnswers, (whole) => JSON.parse(whole).choices[0].message.content],
  ["llamacpp/messages", messagesAnswers, (whole) => JSON.parse(whole).content[0].text],
  ["ollama/messages", messagesAnswers, (whole) => JSON.parse(whole).content[0].text],
  ["litellm/messages", messagesAnswers, (whole) => JSON.parse(whole).content[0].text],
  ["llamacpp/responses", responsesEvents, (whole) => JSON.parse(whole).output[0].content[0].text],
  ["ollama/responses", responsesEvents, (whole) => JSON.parse(whole).output[0].content[0].text],
  [
    "ollama/api-chat",
    ollamaLines,
    (lines) =>
      lines
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).message.content)
        .join("")
  ]
])("%s, as it was recorded", (name, reader, textOf) => {
  it.each([
    ["chat", chatCompletions(true), (body: string) => JSON.parse(body).choices[0].message.content],
    ["messages", anthropicAnswers, (body: string) => JSON.parse(body).content[0].text],
    ["responses", responsesAnswers({ request: {}, declared: new Map() }), (body: string) => JSON.parse(body).output[0].content[0].text],
    ["ollama", ollamaAnswers("chat"), (body: string) => JSON.parse(body).message.content]
  ] as const)("says the same to a client of %s, whole, and ends well as a stream", (_, writer, toldIn) => {
    const answer = recorded(name)
    const seen = (streaming: boolean) =>
      feed(new TranslatedAnswer(options({ reader, writer, streaming })), answer.status, answer.headers, [answer.body])
    expect(toldIn(seen(false).body)).toBe(textOf(answer.body.toString("utf8")))
    expect(seen(true).end).toBe("good")
  })
})

/**
 * Every dialect of clients on every dialect of servers against texts written by hand from the public descriptions of the APIs: what a
 * client sends and what the server is asked of it, what a server says and what the client reads of it, whole and streamed. As no pair has
 * words of its own, each dialect has one file of each side, and all sixteen pairs are made of them; where a pair differs, the section says
 * `from` whom. Placeholders stand for what one side cannot know of the other.
 */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { AnswerWriter } from "../../src/translation/AnswerWriter.ts"
import { anthropicAnswers } from "../../src/translation/anthropic/AnthropicAnswers.ts"
import { messagesAnswers } from "../../src/translation/anthropic/MessagesReader.ts"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { writeMessages } from "../../src/translation/anthropic/MessagesWriting.ts"
import type { ChatTurn } from "../../src/translation/ChatTurn.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { ollamaLines } from "../../src/translation/ollama/OllamaReader.ts"
import { readOllamaChat } from "../../src/translation/ollama/OllamaReading.ts"
import { ollamaAnswers } from "../../src/translation/ollama/OllamaWriter.ts"
import { writeOllama } from "../../src/translation/ollama/OllamaWriting.ts"
import { chatAnswers } from "../../src/translation/openai/ChatReader.ts"
import { readChat } from "../../src/translation/openai/ChatRequestReading.ts"
import { chatCompletions } from "../../src/translation/openai/ChatWriter.ts"
import { responsesEvents } from "../../src/translation/responses/ResponsesReader.ts"
import { readResponses } from "../../src/translation/responses/ResponsesReading.ts"
import { writeResponses } from "../../src/translation/responses/ResponsesRequestWriting.ts"
import { responsesAnswers } from "../../src/translation/responses/ResponsesWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { feed, options } from "./answers.ts"
import { writtenFor } from "./words.ts"

const names = ["chat", "messages", "responses", "ollama"] as const
type Name = (typeof names)[number]

const sectionsOf = (path: string): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(new URL(`./golden/${path}.txt`, import.meta.url), "utf8")
      .split(/^=== /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf("\n")), section.slice(section.indexOf("\n") + 1)])
  )

interface Client {
  readonly texts: ReadonlyMap<string, string>
  readonly read: (request: JsonRecord) => ChatTurn | Complaint
  readonly writer: (request: JsonRecord) => AnswerWriter
}

const clients: Readonly<Record<Name, Client>> = {
  chat: { texts: sectionsOf("clients/chat"), read: readChat, writer: () => chatCompletions(true) },
  messages: { texts: sectionsOf("clients/messages"), read: readMessages, writer: () => anthropicAnswers },
  responses: {
    texts: sectionsOf("clients/responses"),
    read: (request) => {
      const got = readResponses(request)
      return got instanceof Complaint ? got : got.turn
    },
    writer: (request) => responsesAnswers({ request, declared: new Map() })
  },
  ollama: { texts: sectionsOf("clients/ollama"), read: readOllamaChat, writer: () => ollamaAnswers("chat") }
}

type Written = { readonly fields: object; readonly dropped: ReadonlyArray<string> } | Complaint

const sse = "text/event-stream"
const servers = {
  chat: {
    texts: sectionsOf("servers/chat"),
    write: (turn: ChatTurn): Written => writtenFor(turn, "llamacpp"),
    reader: chatAnswers,
    type: sse
  },
  messages: {
    texts: sectionsOf("servers/messages"),
    write: (turn: ChatTurn): Written => writeMessages(turn),
    reader: messagesAnswers,
    type: sse
  },
  responses: {
    texts: sectionsOf("servers/responses"),
    write: (turn: ChatTurn): Written => writeResponses(turn),
    reader: responsesEvents,
    type: sse
  },
  ollama: {
    texts: sectionsOf("servers/ollama"),
    write: (turn: ChatTurn): Written => writeOllama(turn),
    reader: ollamaLines,
    type: "application/x-ndjson"
  }
}

const estimate = 7
/** What a client can learn of a server depends on what that server says, and when. */
const toldBy = (server: Name): Readonly<Record<string, number | string>> => {
  const cached = server === "ollama" ? 0 : 30
  const early = server === "messages"
  return {
    cached,
    fresh: 40 - cached,
    // Only one dialect counts before it speaks.
    cachedAtStart: early ? cached : 0,
    freshAtStart: early ? 40 - cached : estimate,
    allAtStart: early ? 40 : estimate,
    reasoning: server === "chat" || server === "responses" ? 3 : 0,
    signature: early ? "sig2" : ""
  }
}

/** The expected text of a section for one server. */
const expected = (client: Name, section: string, server: Name): string => {
  const { texts } = clients[client]
  const [scenario = ""] = section.split(" ")
  const told = toldBy(server)
  const text = (texts.get(section) as string)
    .replaceAll('"@opening"', () => (texts.get(`${scenario} opening`) ?? "").trim())
    .replaceAll('"@answer"', () => (texts.get(`${scenario} answer`) ?? "").trim())
    .replace(/"@(\w+)"/g, (_, name: string) => JSON.stringify(told[name]))
  // Nobody signs what no such server has said.
  return told["signature"] === "" ? text.replace(/event: content_block_delta\ndata: [^\n]*signature_delta[^\n]*\n\n/g, "") : text
}

/** Ids and times are nobody's to foresee. */
const masked = (text: string): string =>
  text
    .replace(/"(resp|rs|msg|fc)_(?:01)?[1-9A-HJ-NP-Za-km-z]{16,}/g, '"$1_S')
    .replace(/"chatcmpl-[1-9A-HJ-NP-Za-km-z]{16,}"/g, '"chatcmpl-S"')
    .replace(/"created_at":"[^"]*"/g, '"created_at":"T"')
    .replace(/"(created|created_at|completed_at|\w+_duration)":[1-9]\d*/g, '"$1":1')

/** Frames of a stream, byte for byte but for the order of JSON's fields. */
const framesOf = (text: string): ReadonlyArray<unknown> =>
  text.split("\n").map((line) => {
    const data = line.startsWith("data: ") ? line.slice("data: ".length) : line
    return data.startsWith("{") ? [line.startsWith("data: "), JSON.parse(data)] : line
  })

const requestOf = (client: Name, scenario: string, stream: boolean): JsonRecord => ({
  ...(JSON.parse(clients[client].texts.get(`${scenario} request`) ?? "{}") as JsonRecord),
  stream
})

/** `cut`: what the server's answer is cut into, bytes. */
const told = (
  client: Name,
  server: Name,
  scenario: string,
  said: "answer" | "stream",
  wanted: "answer" | "stream",
  status = 200,
  cut = 1e9
) => {
  const { texts, reader, type } = servers[server]
  const bytes = Buffer.from(texts.get(`${scenario} ${said}`) as string)
  const chunks = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, i) => bytes.subarray(i * cut, (i + 1) * cut))
  const request = requestOf(client, clients[client].texts.has(`${scenario} request`) ? scenario : "text", wanted === "stream")
  const translator = new TranslatedAnswer(
    options({ reader, writer: clients[client].writer(request), streaming: wanted === "stream", estimate })
  )
  return feed(translator, status, ["content-type", said === "stream" ? type : "application/json"], chunks)
}

const pairs = names.flatMap((client) => names.map((server) => [client, server] as const))

describe.each(pairs)("a client of %s on a server of %s", (client, server) => {
  const requests = [...clients[client].texts.keys()].flatMap((section) => /^(\w+) request$/.exec(section)?.[1] ?? [])

  it.each(requests)("asks as that API describes it: %s", (scenario) => {
    const { texts, write } = servers[server]
    for (const stream of [false, true]) {
      const turn = clients[client].read(requestOf(client, scenario, stream))
      if (turn instanceof Complaint) throw new Error(turn.message)
      const written = write(turn)
      const refused = texts.get(`${scenario} refused`)
      if (refused !== undefined) {
        expect(written).toEqual(expect.objectContaining({ message: expect.stringContaining(refused.trim()) }))
        continue
      }
      if (written instanceof Complaint) throw new Error(written.message)
      const asked = JSON.parse(texts.get(`${scenario} request from ${client}`) ?? (texts.get(`${scenario} request`) as string)) as object
      expect(written.fields).toEqual({
        ...asked,
        stream,
        ...(server === "chat" && stream ? { stream_options: { include_usage: true } } : {})
      })
      const dropped = [...new Set([...turn.dropped, ...written.dropped])].sort().join(" ")
      expect(dropped).toBe((texts.get(`${scenario} dropped from ${client}`) ?? "").trim())
    }
  })

  it.each(["text", "limit", "call", "reasoning"])("reads a whole answer as its API describes it: %s", (scenario) => {
    const seen = told(client, server, scenario, "answer", "answer")
    expect(seen.status).toBe(200)
    expect(JSON.parse(masked(seen.body))).toEqual(JSON.parse(expected(client, `${scenario} answer`, server)))
  })

  it.each(["text", "call", "reasoning"])("reads a stream as its API describes it, cut anywhere: %s", (scenario) => {
    for (const cut of [1e9, 1, 61]) {
      const seen = told(client, server, scenario, "stream", "stream", 200, cut)
      expect([seen.status, seen.end]).toEqual([200, "good"])
      expect(framesOf(masked(seen.body))).toEqual(framesOf(expected(client, `${scenario} stream`, server)))
    }
  })

  it.each(["text", "call", "reasoning"])("reads a stream whole where it asked for that: %s", (scenario) => {
    const seen = told(client, server, scenario, "stream", "answer")
    expect(JSON.parse(masked(seen.body))).toEqual(JSON.parse(expected(client, `${scenario} answer`, server)))
  })

  it.each(["answer", "stream"] as const)("reads a refusal as its API describes it (%s)", (wanted) => {
    const seen = told(client, server, "refused", "answer", wanted, 429)
    expect([seen.status, JSON.parse(seen.body)]).toEqual([429, JSON.parse(clients[client].texts.get("refused answer") as string)])
  })

  it("reads a failure amid a stream as its API describes it", () => {
    const seen = told(client, server, "amid", "stream", "stream")
    expect([seen.status, seen.end]).toEqual([200, "error"])
    expect(framesOf(masked(seen.body))).toEqual(framesOf(expected(client, "amid stream", server)))
    expect(JSON.parse(told(client, server, "amid", "stream", "answer").body)).toMatchObject(
      client === "ollama" ? { error: "the GPU is gone" } : { error: { message: "the GPU is gone" } }
    )
  })
})

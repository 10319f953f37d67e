/** What a client sees of an answer translator: head, body, and how it ended. Shared by the translation tests. */
import type { AnswerTranslator, Translated } from "../../src/proxy/Dialect.ts"
import type { TurnOptions } from "../../src/translation/AnswerWriter.ts"
import { anthropicAnswers } from "../../src/translation/anthropic/AnthropicAnswers.ts"
import { chatAnswers } from "../../src/translation/openai/ChatReader.ts"
import { TranslatedAnswer, type TranslationOptions } from "../../src/translation/TranslatedAnswer.ts"

export interface Seen {
  status: number
  headers: Array<string>
  body: string
  /** `error`: well, behind an event that says what is wrong. */
  end: "open" | "good" | "error" | "again"
}

export type Options = Partial<Omit<TranslationOptions, "turn"> & TurnOptions>

export const options = ({ model = "asked-model", estimate = 7, stops = [], maxTokens, ...fields }: Options = {}): TranslationOptions => ({
  reader: chatAnswers,
  writer: anthropicAnswers,
  turn: { model, estimate, stops, maxTokens },
  streaming: true,
  keepAlive: { first: 10_000, interval: 15_000 },
  requestId: "req-1",
  headers: [],
  reworded: undefined,
  onAnswer: undefined,
  onOddities: () => {},
  onBackendError: () => {},
  ...fields
})

const isStream = (headers: ReadonlyArray<string>): boolean =>
  headers.includes("text/event-stream") || headers.includes("application/x-ndjson")

/** Feeds one backend answer through a translator, as an engine would. */
export const feed = (translator: AnswerTranslator, status: number, headers: ReadonlyArray<string>, chunks: ReadonlyArray<Buffer>): Seen => {
  const seen: Seen = { status: 0, headers: [], body: "", end: "open" }
  const take = (said: Translated | undefined) => {
    if (said === undefined || seen.end !== "open") return
    const begun = seen.status !== 0
    if (said.head !== undefined) {
      seen.status = said.head.status
      seen.headers = [...said.head.headers]
    }
    seen.body += said.bytes?.toString("utf8") ?? ""
    if (said.again !== undefined) seen.end = "again"
    else if (said.done === true) seen.end = said.fault !== undefined && (begun || isStream(seen.headers)) ? "error" : "good"
  }
  const head = translator.head({ status, headers })
  if (head !== undefined) take({ head })
  for (const chunk of chunks) if (seen.end === "open") take(translator.push(chunk))
  if (seen.end === "open") {
    take(translator.end())
    if (seen.end === "open") seen.end = "good"
  }
  return seen
}

export interface StreamEvent {
  readonly event: string
  // biome-ignore lint/suspicious/noExplicitAny: events of every shape are compared by field
  readonly data: any
}

export const eventsOf = (body: string): Array<StreamEvent> =>
  body
    .split("\n\n")
    .filter((block) => block.trim() !== "")
    .map((block) => {
      const [event = "", data = ""] = block.trim().split("\n")
      return { event: event.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) }
    })

export const sse = (...payloads: ReadonlyArray<unknown>): Buffer =>
  Buffer.from(payloads.map((payload) => `data: ${typeof payload === "string" ? payload : JSON.stringify(payload)}\n\n`).join(""))

export const delta = (fields: Record<string, unknown>, finish: string | null = null): unknown => ({
  model: "m",
  choices: [{ index: 0, delta: fields, finish_reason: finish }]
})

export const translateStream = (chunks: ReadonlyArray<Buffer>, fields: Options = {}): Seen =>
  feed(new TranslatedAnswer(options(fields)), 200, ["content-type", "text/event-stream"], chunks)

/** The rules that every finished Anthropic stream keeps; returns each block's kind and whole content. */
export const wellFormed = (
  events: ReadonlyArray<StreamEvent>
): Array<{ readonly type: string; readonly text: string; readonly name?: string; readonly id?: string }> => {
  const fail = (why: string): never => {
    throw new Error(`${why}: ${JSON.stringify(events)}`)
  }
  if (events[0]?.event !== "message_start") fail("does not begin with message_start")
  if (events.at(-1)?.event !== "message_stop") fail("does not end with message_stop")
  if (events.at(-2)?.event !== "message_delta") fail("no message_delta before the end")
  const blocks: Array<{ type: string; text: string; name?: string; id?: string }> = []
  let open = -1
  for (const { event, data } of events.slice(1, -2)) {
    if (data.type !== event) fail("event name and type differ")
    if (event === "content_block_start") {
      if (open !== -1 || data.index !== blocks.length) fail("a block opens out of order")
      open = data.index
      blocks.push({ type: data.content_block.type, text: "", name: data.content_block.name, id: data.content_block.id })
    } else if (event === "content_block_delta") {
      if (data.index !== open) fail("a delta for a block that is not open")
      const block = blocks[open]
      if (block !== undefined) block.text += data.delta.text ?? data.delta.thinking ?? data.delta.partial_json
    } else if (event === "content_block_stop") {
      if (data.index !== open) fail("a stop for a block that is not open")
      open = -1
    } else fail(`an event that does not belong here: ${event}`)
  }
  if (open !== -1) fail("a block stays open")
  return blocks
}

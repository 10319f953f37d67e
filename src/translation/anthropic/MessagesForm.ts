/** What is particular to native answers of the Messages API: their errors, and how their streams begin. */
import { parseJson, recordOf, textOf } from "../JsonValue.ts"
import type { NativeForm } from "../NativeAnswer.ts"
import { randomId } from "../RandomId.ts"
import { errorEvent, errorTypeOf, isAnthropicError } from "./ErrorEnvelope.ts"
import { frame } from "./EventWriter.ts"

export const messagesForm: NativeForm = {
  marks: ["type"],
  streamType: "text/event-stream",
  eventEnd: "\n\n",
  ping: () => 'event: ping\ndata: {"type":"ping"}\n\n',
  isOwnError: isAnthropicError,
  broken: (status, message) => errorEvent(errorTypeOf(status), message),
  // Some versions of llama.cpp leave the first event out, or fields of it that clients read without looking.
  beginning: (held, model) => {
    const first = firstEvent(held.toString("latin1"))
    if (first === undefined || (first.type === "message_start" && first.end < 0)) return undefined
    if (first.type === "content_block_start") return Buffer.concat([frameStart({}, model), held])
    const repaired = first.type === "message_start" ? repairedStart(held.subarray(0, first.end), model) : undefined
    return repaired === undefined ? held : Buffer.concat([repaired, held.subarray(first.end)])
  }
}

/**
 * Type of the first event, and where it ends (-1: it is not whole); `undefined` while it cannot be told. Comments and other
 * fields before it are passed over.
 */
const firstEvent = (text: string): { readonly type: string; readonly end: number } | undefined => {
  const start = /(?:^|[\r\n])(?:event|data): ?/.exec(text)
  if (start === null) return undefined
  const blank = /\r\n\r\n|\n\n|\r\r/g
  blank.lastIndex = start.index + 1
  const end = blank.exec(text) === null ? -1 : blank.lastIndex
  const named = /(?:^|[\r\n])event: ?([^\r\n]+)[\r\n]/.exec(text)
  if (named?.[1] !== undefined) return { type: named[1].trim(), end }
  // Without a name its data say what it is, once they are all there.
  const data = end < 0 ? null : /(?:^|[\r\n])data: ?([^\r\n]+)/.exec(text.slice(0, end))
  return data?.[1] === undefined ? undefined : { type: textOf(recordOf(parseJson(data[1]))?.["type"]) ?? "", end }
}

/** With what clients read without looking whether it is there; `undefined`: it has all of it. */
const repairedStart = (event: Buffer, model: string): Buffer | undefined => {
  const data = /(?:^|[\r\n])data: ?([^\r\n]+)/.exec(event.toString("utf8"))?.[1]
  const start = recordOf(parseJson(data ?? ""))
  const message = recordOf(start?.["message"])
  if (start === undefined || message === undefined) return undefined
  const lacks = ["type", "role", "content", "usage"].some((key) => message[key] === undefined || message[key] === null)
  return lacks || message["stop_reason"] === undefined ? frameStart(message, model, start) : undefined
}

/** Everything that is said stays; what is missing or null is added, key by key. */
const frameStart = (message: Record<string, unknown>, model: string, event: Record<string, unknown> = {}): Buffer => {
  const whole: Record<string, unknown> = {
    id: randomId("msg_01"),
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
  }
  for (const [key, value] of Object.entries(message)) if (value !== null && value !== undefined) whole[key] = value
  return Buffer.from(frame({ ...event, type: "message_start", message: whole } as Parameters<typeof frame>[0]))
}

/** What a client of a native stream gets while its server says nothing: signs of life, only between two events, and errors that it can read. */
import { describe, expect, it } from "vitest"
import { failure } from "../../src/exchange/Failure.ts"
import { messagesForm } from "../../src/translation/anthropic/MessagesForm.ts"
import type { Opened } from "../../src/translation/KeepAlive.ts"
import { NativeAnswer } from "../../src/translation/NativeAnswer.ts"
import { responsesForm } from "../../src/translation/responses/NativeResponses.ts"

const natively = (
  more: { readonly streaming?: boolean; readonly opened?: Opened; readonly first?: number; readonly form?: typeof responsesForm } = {}
) =>
  new NativeAnswer({
    form: more.form ?? messagesForm,
    model: "m",
    requestId: "",
    streaming: more.streaming ?? true,
    keepAlive: { first: more.first ?? 10_000, interval: 15_000 },
    opened: more.opened ?? { sent: false },
    translated: () => undefined,
    refuses: () => undefined,
    onRefusal: () => {},
    onBytes: undefined
  })

const ours = { status: 0, headers: ["X-Olla-Endpoint", "a"] }
const stream = { status: 200, headers: ["content-type", "text/event-stream"] }
const event = Buffer.from('event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n')
const text = (bytes: Buffer | undefined) => bytes?.toString()

describe("before the server's head", () => {
  it("the stream's own head goes out with the first sign of life, and more of them later", () => {
    const answer = natively()
    expect(answer.waiting(ours, 9_999)).toBeUndefined()
    const first = answer.waiting(ours, 10_000)
    expect([first?.head?.status, first?.head?.headers.slice(0, 4), text(first?.bytes)]).toEqual([
      200,
      ["content-type", "text/event-stream", "X-Olla-Endpoint", "a"],
      'event: ping\ndata: {"type":"ping"}\n\n'
    ])
    expect([answer.waiting(ours, 14_999), text(answer.waiting(ours, 15_000)?.bytes)]).toEqual([undefined, text(first?.bytes)])
    expect(answer.head(stream)).toBeUndefined()
    expect(text(answer.push(event)?.bytes)).toBe(text(event))
  })

  it("nothing goes out to a client that wants no stream, or where it is switched off", () => {
    expect(natively({ streaming: false }).waiting(ours, 60_000)).toBeUndefined()
    expect(natively({ first: Number.POSITIVE_INFINITY }).waiting(ours, 1e9)).toBeUndefined()
  })

  it.each([
    [429, '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}', "slow down"],
    [200, '{"type":"message","content":[]}', "no stream"]
  ])("an error that comes then is the dialect's, and no good end: %i", (status, body, sentence) => {
    const answer = natively({ opened: { sent: true } })
    expect(answer.head({ status, headers: ["content-type", "application/json"] })).toBeUndefined()
    expect(answer.push(Buffer.from(body))).toBeUndefined()
    const last = answer.end()
    expect([last?.done, last?.fault?.kind, text(last?.bytes)]).toEqual([true, "untranslatable", expect.stringContaining(sentence)])
    expect(text(last?.bytes)).toMatch(/^event: error\ndata: /)
  })

  it("an end without any answer is the dialect's error too", () => {
    const answer = natively({ opened: { sent: true }, form: responsesForm })
    expect(text(answer.fail(failure("refused", "x"))?.bytes)).toMatch(/^event: error\ndata: \{"type":"error"/)
  })
})

describe("within a stream", () => {
  it("a sign of life stands between two events, never within one", () => {
    const answer = natively()
    answer.head(stream)
    answer.push(
      Buffer.from(
        'event: message_start\ndata: {"type":"message_start","message":{"id":"x","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{}}}\n\n'
      )
    )
    expect([answer.silent(14_999), text(answer.silent(15_000)?.bytes)]).toEqual([undefined, 'event: ping\ndata: {"type":"ping"}\n\n'])
    answer.push(event.subarray(0, 20))
    expect(answer.silent(60_000)).toBeUndefined()
    answer.push(event.subarray(20))
    expect(answer.silent(60_000)).toBeDefined()
    answer.push(Buffer.from("data: {}\r\n\r\n"))
    expect(answer.silent(60_000)).toBeDefined()
  })

  it.each([
    ["content-length", "5000"],
    ["content-encoding", "gzip"]
  ])("there is none in one with %s", (name, value) => {
    const answer = natively({ form: responsesForm })
    answer.head({ status: 200, headers: [...stream.headers, name, value] })
    expect(answer.silent(60_000)).toBeUndefined()
  })
})

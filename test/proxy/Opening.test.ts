import { EventEmitter } from "node:events"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Sending } from "../../src/proxy/Engine.ts"
import { Opening } from "../../src/proxy/Opening.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { eventsOf, options } from "../translation/answers.ts"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }))
const openings: Array<Opening> = []
afterEach(() => {
  for (const opening of openings.splice(0)) opening.stop()
  vi.useRealTimers()
})

class Response extends EventEmitter {
  headersSent = false
  destroyed = false
  writableEnded = false
  socket = null
  head: ReadonlyArray<string> = []
  body = ""
  writeHead(_status: number, headers: ReadonlyArray<string>): void {
    this.headersSent = true
    this.head = headers
  }
  flushHeaders(): void {}
  _send(): boolean {
    return true
  }
  write(bytes: Buffer): boolean {
    this.body += bytes.toString()
    return true
  }
}

const opened = (streaming: boolean) => {
  const response = new Response()
  const sending = { response, reply: () => ({ lines: "X-Olla-Endpoint: a\r\n", length: "", dated: false }) } as unknown as Sending
  const translator = new TranslatedAnswer(options({ streaming }))
  const opening = new Opening(sending, translator.waiting.bind(translator))
  openings.push(opening)
  return { response, translator, opening }
}

describe("a backend that has not even sent a head", () => {
  it("has its client told after 10 seconds, and again after each 15", () => {
    const { response, opening } = opened(true)
    vi.advanceTimersByTime(9_000)
    expect(response.headersSent).toBe(false)
    vi.advanceTimersByTime(2_000)
    expect(response.head.join()).toContain("X-Olla-Endpoint,a")
    expect(eventsOf(response.body).map(({ event }) => event)).toEqual(["message_start"])
    vi.advanceTimersByTime(32_000)
    expect(eventsOf(response.body).map(({ event }) => event)).toEqual(["message_start", "ping", "ping"])
    opening.stop()
    vi.advanceTimersByTime(60_000)
    expect(eventsOf(response.body)).toHaveLength(3)
  })

  it("says nothing to a client that wants a whole answer", () => {
    const { response } = opened(false)
    vi.advanceTimersByTime(60_000)
    expect([response.headersSent, response.body]).toEqual([false, ""])
  })

  it("may answer with an error after all, which is told in the stream", () => {
    const { translator } = opened(true)
    vi.advanceTimersByTime(11_000)
    translator.head({ status: 503, headers: [] })
    translator.push(Buffer.from('{"error":"busy"}'))
    const said = translator.end()
    expect([said?.head, said?.fault?.kind]).toEqual([undefined, "untranslatable"])
    expect(eventsOf(said?.bytes?.toString() ?? "")).toMatchObject([{ event: "error", data: { error: { message: "busy" } } }])
  })

  it("may be followed by another that goes on where it began", () => {
    const stream = options().writer.stream(options().turn)
    const first = new TranslatedAnswer({ ...options(), stream })
    expect(first.waiting({ status: 200, headers: [] }, 10_000)?.head?.status).toBe(200)
    const second = new TranslatedAnswer({ ...options(), stream })
    expect(second.waiting({ status: 200, headers: [] }, 10_000)).toBeUndefined()
    second.head({ status: 200, headers: ["content-type", "text/event-stream"] })
    const said = second.push(Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'))
    expect(said?.head).toBeUndefined()
    expect(eventsOf(said?.bytes?.toString() ?? "").map(({ event }) => event)).toEqual(["content_block_start", "content_block_delta"])
  })
})

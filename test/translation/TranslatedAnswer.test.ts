/** Long silences, tolerated oddities, and what the inspector is told. */
import { describe, expect, it } from "vitest"
import { failure } from "../../src/exchange/Failure.ts"
import { relayedAnswer } from "../../src/translation/anthropic/RelayedAnswer.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { delta, eventsOf, options, sse } from "./answers.ts"

const stream = ["content-type", "text/event-stream"]
const begun = (fields: Parameters<typeof options>[0] = {}) => {
  const answer = new TranslatedAnswer(options(fields))
  answer.head({ status: 200, headers: stream })
  return answer
}

describe("a backend that thinks for long", () => {
  it("is announced after ten seconds, then kept alive by a ping for each fifteen", () => {
    const answer = begun()
    expect(answer.silent(9_999)).toBeUndefined()
    const start = answer.silent(10_000)
    expect(start?.head?.status).toBe(200)
    expect(eventsOf(start?.bytes?.toString() ?? "").map(({ data }) => [data.type, data.message.model])).toEqual([
      ["message_start", "asked-model"]
    ])
    expect(answer.silent(14_999)).toBeUndefined()
    expect(answer.silent(15_000)?.bytes?.toString()).toBe('event: ping\ndata: {"type":"ping"}\n\n')
    const text = answer.push(sse(delta({ content: "x" })))?.bytes?.toString() ?? ""
    expect(text).not.toContain("message_start")
    expect(answer.silent(15_000)?.bytes?.toString()).toContain("ping")
  })

  it("gets its message_start before any ping, although its head went out with a first empty chunk", () => {
    const answer = begun()
    expect(answer.push(sse(delta({ role: "assistant", content: "" })))).toMatchObject({ head: { status: 200 } })
    expect(answer.silent(999)).toBeUndefined()
    expect(answer.silent(1_000)?.bytes?.toString()).toContain("message_start")
  })

  it("has begun with its first event, whatever that says", () => {
    const answer = begun()
    expect(answer.push(Buffer.from(": waiting\n\n"))).toBeUndefined()
    expect(answer.push(sse({ object: "chat.completion.chunk", choices: [] }))).toMatchObject({ head: { status: 200 } })
    expect(answer.push(sse({ choices: [] }))).toBeUndefined()
    const usage = { choices: [], usage: { prompt_tokens: 9, completion_tokens: 1 } }
    expect(answer.push(sse(usage, delta({ content: "x" })))?.bytes?.toString()).toContain('"input_tokens":9')
  })

  it("is not pinged where the client wants one whole answer, nor while it says an error", () => {
    expect(begun({ streaming: false }).silent(60_000)).toBeUndefined()
    const refusing = new TranslatedAnswer(options())
    refusing.head({ status: 500, headers: [] })
    expect(refusing.silent(60_000)).toBeUndefined()
  })

  it("that answers with something useless after all gets an error event, as its head is out", () => {
    const answer = new TranslatedAnswer(options())
    answer.head({ status: 200, headers: ["content-type", "application/json"] })
    answer.silent(10_000)
    answer.push(Buffer.from("{oops"))
    const end = answer.end()
    expect(end?.head).toBeUndefined()
    expect(end?.fault?.kind).toBe("untranslatable")
    expect(eventsOf(end?.bytes?.toString() ?? "").map(({ event }) => event)).toEqual(["error"])
  })

  it.each([
    ["idle_timeout", "timeout_error"],
    ["truncated", "api_error"]
  ] as const)("and ends in %s says %s", (kind, type) => {
    const answer = begun()
    expect(answer.fail(failure(kind, "x"))).toBeUndefined()
    const another = begun()
    another.push(sse(delta({ content: "x" })))
    expect(eventsOf(another.fail(failure(kind, "x"))?.bytes.toString() ?? "")[0]?.data.error.type).toBe(type)
  })
})

describe("what is odd about an answer", () => {
  const told = (...chunks: ReadonlyArray<Buffer>) => {
    const oddities: Array<unknown> = []
    const answer = begun({ onOddities: (more) => oddities.push(...more) })
    for (const chunk of chunks) answer.push(chunk)
    answer.end()
    return oddities
  }

  it("is told once, with no more of a body than twenty characters", () => {
    const long = `{broken${"x".repeat(100)}`
    expect(told(sse(long, "{again", delta({ content: "a" }), "[DONE]"))).toEqual([
      { what: "chunks that are not JSON were skipped", count: 2, sample: long.slice(0, 20), length: 107 }
    ])
    expect(told(sse(delta({ tool_calls: [{ index: 0, id: "a", function: { arguments: "{}" } }] }), "[DONE]"))).toEqual([
      { what: "tool calls that never got a name were dropped", count: 1 }
    ])
    expect(told(sse(delta({ content: "a" })))).toEqual([{ what: "the backend ended without saying how", count: 1 }])
    expect(told(sse(delta({ content: "a" }, "stop")))).toEqual([])
  })
})

describe("an event that is too large", () => {
  it("ends the stream with an error instead of stalling it", () => {
    const answer = begun()
    answer.push(sse(delta({ content: "x" })))
    const said = answer.push(Buffer.from(`data: ${"x".repeat(17 * 1024 * 1024)}`))
    expect(said?.fault?.kind).toBe("untranslatable")
    expect(eventsOf(said?.bytes?.toString() ?? "")[0]?.event).toBe("error")
  })
})

describe("text behind a tool call whose arguments never come", () => {
  it("costs no more for each fragment, however many wait", () => {
    const answer = begun()
    answer.push(sse(delta({ tool_calls: [{ index: 0, id: "a", function: { name: "none" } }] })))
    const began = performance.now()
    const fragment = sse(delta({ content: "word " }))
    for (let i = 0; i < 20_000; i++) answer.push(fragment)
    const events = eventsOf(answer.push(sse("[DONE]"))?.bytes?.toString() ?? "")
    expect(events.filter(({ event }) => event === "content_block_delta")).toHaveLength(20_000)
    // A second pass over all that waits for each of them would take minutes.
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})

describe("a relayed answer, for the inspector", () => {
  it("is put together from its stream, with fields that nobody here knows", () => {
    const events = [
      {
        type: "message_start",
        message: { id: "m", type: "message", role: "assistant", content: [], usage: { input_tokens: 3, service_tier: "x" } }
      },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "hm" } },
      { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "sig" } },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "a" } },
      { type: "content_block_delta", index: 1, delta: { type: "citations_delta", citation: { url: "u" } } },
      { type: "content_block_start", index: 2, content_block: { type: "tool_use", id: "t", name: "n", input: {} } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: '{"a"' } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: ":1}" } },
      { type: "message_delta", delta: { stop_reason: "pause_turn" }, usage: { output_tokens: 9 } },
      { type: "message_stop" }
    ]
    expect(relayedAnswer({ status: 200, headers: stream }, sse(...events))).toEqual({
      id: "m",
      type: "message",
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "sig" },
        { type: "text", text: "a", citations: [{ url: "u" }] },
        { type: "tool_use", id: "t", name: "n", input: { a: 1 } }
      ],
      stop_reason: "pause_turn",
      usage: { input_tokens: 3, service_tier: "x", output_tokens: 9 }
    })
  })

  it("is its JSON, or its text where it is none", () => {
    expect(relayedAnswer({ status: 400, headers: [] }, Buffer.from('{"a":1}'))).toEqual({ a: 1 })
    expect(relayedAnswer({ status: 502, headers: [] }, Buffer.from("oops"))).toBe("oops")
  })
})

/** What is added to a native answer, and where nothing may be. */
import { describe, expect, it } from "vitest"
import { failure } from "../../src/exchange/Failure.ts"
import { NativeAnswer } from "../../src/translation/anthropic/NativeAnswer.ts"

const begun = (status: number, ...headers: ReadonlyArray<string>) => {
  const answer = new NativeAnswer({
    model: "m",
    requestId: "an-id",
    translated: () => undefined,
    onUnsupported: () => {},
    onBytes: undefined
  })
  answer.head({ status, headers: ["Content-Type", "text/event-stream", ...headers] })
  return answer
}

const opening = Buffer.from('event: message_start\ndata: {"type":"message_start"}\n\n')

describe("a native stream that breaks off", () => {
  it("gets an error event", () => {
    const answer = begun(200)
    expect(answer.push(opening)?.bytes).toEqual(opening)
    expect(answer.fail(failure("truncated", "x"))?.toString()).toMatch(/^\n\nevent: error\ndata: .*"api_error"/)
  })

  it("gives up what was held back with it", () => {
    const answer = begun(200)
    expect(answer.push(Buffer.from("event: mess"))).toBeUndefined()
    expect(answer.fail(failure("idle_timeout", "x"))?.toString()).toMatch(/^event: mess\n\nevent: error\n.*"timeout_error"/)
  })

  it.each([
    ["of a declared length", ["Content-Length", "1000"]],
    ["that is compressed", ["Content-Encoding", "gzip"]]
  ])("gets no words of ours %s", (_, headers) => {
    const answer = begun(200, ...headers)
    expect(answer.push(opening)?.bytes).toEqual(opening)
    expect(answer.fail(failure("truncated", "x"))).toBeUndefined()
  })
})

describe("the beginning of a native stream", () => {
  it("is put in front of one that begins in the middle, and only there", () => {
    const middle = Buffer.from('event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n')
    const repaired = begun(200).push(middle)?.bytes?.toString() ?? ""
    expect(repaired).toMatch(/^event: message_start\n.*"model":"m"/)
    expect(repaired.endsWith(middle.toString())).toBe(true)
    for (const first of [opening, Buffer.from("event: ping\ndata: {}\n\n"), Buffer.from("event: of_the_future\ndata: 1\n\n")])
      expect(begun(200).push(first)?.bytes).toEqual(first)
  })
})

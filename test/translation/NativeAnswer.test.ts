/** What is added to a native answer, and where nothing may be. */
import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { UnservedPaths } from "../../src/endpoint/UnservedPaths.ts"
import { failure } from "../../src/exchange/Failure.ts"
import { messagesForm } from "../../src/translation/anthropic/MessagesForm.ts"
import { type Features, featuresOf, speaksNatively } from "../../src/translation/anthropic/MessagesRequest.ts"
import { hasWhatIsRefused, type NativeRefusal, refusalOf } from "../../src/translation/anthropic/NativeSupport.ts"
import { Lessons } from "../../src/translation/Lessons.ts"
import { NativeAnswer } from "../../src/translation/NativeAnswer.ts"
import { NativeMemory } from "../../src/translation/NativeMemory.ts"
import { feed } from "./answers.ts"

const begun = (status: number, ...headers: ReadonlyArray<string>) => {
  const answer = new NativeAnswer({
    form: messagesForm,
    model: "m",
    requestId: "an-id",
    streaming: true,
    keepAlive: { first: 10_000, interval: 15_000 },
    opened: { sent: false },
    translated: () => undefined,
    refuses: () => undefined,
    onRefusal: () => {},
    onBytes: undefined
  })
  answer.head({ status, headers: ["Content-Type", "text/event-stream", ...headers] })
  return answer
}

const opening = Buffer.from('event: message_start\ndata: {"type":"message_start"}\n\n')
const complete = Buffer.from(
  'event: message_start\ndata: {"type":"message_start","message":{"id":"x","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{}}}\n\n'
)

describe("a native stream that breaks off", () => {
  it("gets an error event", () => {
    const answer = begun(200)
    expect(answer.push(opening)?.bytes).toEqual(opening)
    expect(answer.fail(failure("truncated", "x"))?.bytes.toString()).toMatch(/^event: error\ndata: .*"api_error"/)
  })

  it("gives up what was held back with it", () => {
    const answer = begun(200)
    expect(answer.push(Buffer.from("event: mess"))).toBeUndefined()
    expect(answer.fail(failure("idle_timeout", "x"))?.bytes.toString()).toMatch(/^event: mess\n\nevent: error\n.*"timeout_error"/)
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
    for (const first of [complete, Buffer.from("event: ping\ndata: {}\n\n"), Buffer.from("event: of_the_future\ndata: 1\n\n")])
      expect(begun(200).push(first)?.bytes).toEqual(first)
  })

  it("gets what it lacks, key by key, wherever it is cut", () => {
    const lacking = 'event: message_start\ndata: {"type":"message_start","message":{"id":"x","content":null,"model":"n","extra":1}}\n\n'
    const rest = "event: ping\ndata: {}\n\n"
    for (const at of [3, 30, lacking.length - 1, lacking.length, lacking.length + 4]) {
      const answer = begun(200)
      const text = lacking + rest
      const said = [text.slice(0, at), text.slice(at)].map((part) => answer.push(Buffer.from(part))?.bytes?.toString() ?? "").join("")
      expect(said.endsWith(rest)).toBe(true)
      const { message } = JSON.parse(/data: (.*)/.exec(said)?.[1] ?? "") as { message: unknown }
      expect(message).toEqual({
        id: "x",
        type: "message",
        role: "assistant",
        model: "n",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
        extra: 1
      })
    }
  })
})

describe("a native refusal", () => {
  const features = featuresOf({
    tools: [
      { name: "a", input_schema: {} },
      { type: "bash_20250124", name: "bash" }
    ],
    messages: [
      { role: "user", content: "a" },
      { role: "system", content: "b" }
    ]
  })
  const asked = (status: number, body: string, type = "application/json") => {
    const refusals: Array<string> = []
    const again = { target: "", body: [], headers: [], answer: undefined } as const
    const seen = feed(
      new NativeAnswer({
        form: messagesForm,
        model: "m",
        requestId: "",
        streaming: true,
        keepAlive: { first: 10_000, interval: 15_000 },
        opened: { sent: false },
        translated: () => again,
        refuses: (code, sentence) => refusalOf(code, sentence, features),
        onRefusal: (refusal) => refusals.push(refusal),
        onBytes: undefined
      }),
      status,
      ["content-type", type],
      [Buffer.from(body)]
    )
    return [seen.end, ...refusals]
  }

  it.each([
    [200, '{"error":"Unexpected endpoint or method. (POST /v1/messages)"}', "route"],
    [404, "404 page not found", "route"],
    [405, '{"detail":"Method Not Allowed"}', "route"],
    [501, "", "route"],
    [400, '{"error":{"message":"Unexpected role: system"}}', "system"],
    [500, '{"error":{"message":"System message must be at the beginning."}}', "system"],
    [400, '{"type":"error","error":{"type":"invalid_request_error","message":"roles must alternate"}}', "neighbours"],
    [422, '{"detail":[{"loc":["body","tools",1,"input_schema"],"msg":"tools.1.input_schema: Field required"}]}', "schemas"],
    [400, '{"error":{"message":"tools.1.type is not supported"}}', "typedTools"],
    [500, '{"error":{"message":"Jinja: chat template failed"}}', "template"]
  ])("of %i %s is answered in translation, and remembered", (status, body, refusal) => {
    expect(asked(status, body)).toEqual(["again", refusal])
  })

  it.each([
    [200, '{"type":"message","content":[],"error":null}'],
    [200, '{"type":"error","error":{"type":"api_error","message":"x"}}'],
    [200, `{"error":"${"x".repeat(5_000)}"}`],
    [404, '{"error":"model \'m\' not found"}'],
    [404, '{"error":{"code":"model_not_found","message":"no such"}}'],
    [404, '{"type":"error","error":{"type":"not_found_error","message":"gone"}}'],
    [400, '{"error":{"message":"prompt is too long"}}'],
    [429, '{"error":{"message":"system is busy"}}'],
    [503, "system"]
  ])("is none where translation would not help: %i %s", (status, body) => {
    expect(asked(status, body)).toEqual(["good"])
  })

  it("is about what the request has, and holds for a quarter of an hour", () => {
    const plain = featuresOf({ messages: [{ role: "user", content: "a" }] })
    expect(refusalOf(400, "role system is not allowed", plain)).toBeUndefined()
    let now = 0
    const native = new NativeMemory<NativeRefusal>(new Lessons(() => now))
    const support = { enabled: true, limitations: ["no_server_tools"], threads: false }
    const endpoint = { profile: { anthropic: support }, unserved: new UnservedPaths(() => now) } as unknown as Endpoint
    const answers = (model: string, asked: Features) =>
      speaksNatively({ ...support, messagesPath: "", tokenCount: false, minVersion: "" }, asked) &&
      native.mayAnswer(endpoint, model, "/v1/messages", (refusal) => hasWhatIsRefused(asked, refusal))
    expect(answers("m", features)).toBe(true)
    expect(answers("m", featuresOf({ tools: [{ type: "web_search_20250305" }] }))).toBe(false)
    native.refused(endpoint, "m", "/v1/messages", 400, "system")
    expect([answers("m", features), answers("n", features), answers("m", plain)]).toEqual([false, true, true])
    native.refused(endpoint, "m", "/v1/messages", 404, "route")
    expect(answers("n", plain)).toBe(false)
    now = 15 * 60_000 + 1
    expect(answers("m", features)).toBe(true)
  })
})

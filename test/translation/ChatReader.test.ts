import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChatEvent } from "../../src/translation/ChatEvent.ts"
import { ChatStreamReader, readCompletion } from "../../src/translation/openai/ChatReader.ts"
import { SseReader } from "../../src/translation/SseReader.ts"
import { ThinkTags } from "../../src/translation/ThinkTags.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { runs } from "../propertyRuns.ts"
import { delta, eventsOf, feed, options, sse, translateStream } from "./answers.ts"

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const events = (...payloads: ReadonlyArray<unknown>): ReadonlyArray<ChatEvent> => {
  const out: Array<ChatEvent> = []
  const reader = new ChatStreamReader()
  const framing = new SseReader((name, data) => reader.push(name, data, out))
  framing.push(sse(...payloads))
  framing.end()
  reader.end(out)
  return out
}
const texts = (list: ReadonlyArray<ChatEvent>, tag: "Text" | "Thinking" | "ToolArguments"): string =>
  list.map((event) => (event._tag !== tag ? "" : event._tag === "ToolArguments" ? event.fragment : event.text)).join("")
const messageOf = (seen: { readonly body: string }): string => (JSON.parse(seen.body) as { error: { message: string } }).error.message

describe("a failure that looks like success", () => {
  const first = delta({ content: "half an ans" })

  it.each([
    ["an error field of llama.cpp", 'error: {"code":500,"message":"slot is gone"}\n\n', "slot is gone", 500],
    ["an error event", 'event: error\ndata: {"message":"boom"}\n\n', "boom", 502],
    ["an error event in plain text", "event: error\ndata: boom\n\n", "boom", 502],
    ["an error object", 'data: {"error":{"message":"no memory","code":503}}\n\n', "no memory", 503],
    ["an error text", 'data: {"error":"no memory"}\n\n', "no memory", 502],
    ["vLLM's error object", 'data: {"object":"error","message":"too long","code":400}\n\n', "too long", 400],
    ["FastAPI's detail", 'data: {"detail":"not ready"}\n\n', "not ready", 502],
    ["an error that has only a code", 'data: {"error":{"code":"overloaded"}}\n\n', "overloaded", 502],
    [
      "a finish that is none",
      `data: ${JSON.stringify(delta({}, "abort"))}\n\n`,
      'the backend gave up the answer: finish_reason "abort"',
      502
    ]
  ])("is an HTTP error before the first word, an error event after it: %s", (_, bytes, message, status) => {
    const before = translateStream([Buffer.from(bytes)])
    expect([before.status, messageOf(before), before.end]).toEqual([status, message, "good"])
    const after = translateStream([sse(first), Buffer.from(bytes)])
    expect(after.end).toBe("error")
    expect(eventsOf(after.body).at(-1)).toMatchObject({ event: "error", data: { error: { message } } })
    const whole = translateStream([sse(first), Buffer.from(bytes)], { streaming: false })
    expect([whole.status, messageOf(whole)]).toEqual([status, message])
  })

  it.each([
    [{ error: "model is loading" }, "model is loading", 502],
    [{ error: { message: "bad", code: "429" } }, "bad", 429],
    [{ object: "error", message: "bad", code: 404 }, "bad", 404],
    [{ detail: [{ loc: ["body"], msg: "bad" }] }, "bad", 502],
    [[{ error: { message: "bad", code: 400 } }], "bad", 400],
    [{ errors: [{ message: "bad" }] }, "bad", 502]
  ])("is an error where it comes whole with 200: %j", (body, message, status) => {
    for (const streaming of [true, false]) {
      const seen = feed(new TranslatedAnswer(options({ streaming })), 200, ["content-type", "application/json"], [json(body)])
      expect([seen.status, messageOf(seen)]).toEqual([status, message])
    }
  })

  it.each(["abort", "error", "insufficient_system_resource", "cancelled"])("is an error where it came whole and ended by %s", (reason) => {
    const reading = readCompletion({ choices: [{ message: { content: "half" }, finish_reason: reason }] })
    expect(reading._tag === "events" && reading.events.at(-1)?._tag).toBe("Error")
  })

  it("is the backend's sentence where it said nothing else", () => {
    const seen = translateStream([Buffer.from("data: Internal Server Error\n\n")])
    expect([seen.status, messageOf(seen)]).toEqual([502, "Internal Server Error"])
  })

  it.each([
    ["nothing at all", ""],
    ["comments", ": keep-alive\n\n"],
    ["white space", "\n\n"]
  ])("is an error where there was no event: %s", (_, bytes) => {
    const seen = translateStream([Buffer.from(bytes)])
    expect([seen.status, messageOf(seen)]).toEqual([502, "the backend ended its answer without a word"])
  })

  it.each([
    ["reasoning", [delta({ reasoning: "hm" })]],
    ["reasoning in tags", [delta({ content: "<think>hm" })]],
    ["a call", [delta({ tool_calls: [{ index: 0, id: "c", function: { name: "n", arguments: '{"a":' } }] })]]
  ])("is an error where the stream ends well in the middle of %s", (_, chunks) => {
    expect(translateStream([sse(...chunks)]).end).toBe("error")
    expect(translateStream([sse(...chunks, "[DONE]")]).end).toBe("good")
    expect(translateStream([sse(...chunks, delta({ content: "</think>x" }, "stop"))]).end).toBe("good")
  })

  it("is an error wherever a stream ends inside an event, well or not", () => {
    const bytes = sse(delta({ content: "one" }), delta({ content: "two" }), delta({}, "stop"))
    const starts = [0, bytes.indexOf("data:", 10), bytes.lastIndexOf("data:")]
    fc.assert(
      fc.property(fc.integer({ min: 1, max: bytes.length - 3 }), (at) => {
        const seen = translateStream([bytes.subarray(0, at)])
        // Text may end without a word about how; what has begun may not. The beginning of a field is no event yet.
        const boundary = starts.some((start) => at >= start && at <= start + "data: ".length) || bytes.subarray(at - 1, at + 1).includes(10)
        if (seen.status === 200 && !boundary) expect(seen.end).toBe("error")
        if (at < (starts[1] as number) - 2) expect(seen.status).toBe(502)
      }),
      { numRuns: runs(1_000) }
    )
  })
})

describe("what comes in another form than its type says", () => {
  const completion = { choices: [{ message: { content: "hi" }, finish_reason: "stop" }] }
  it.each([
    ["JSON as an event stream", "text/event-stream", [json(completion)]],
    ["pretty JSON as an event stream", "text/event-stream", [Buffer.from(JSON.stringify(completion, null, 2))]],
    ["events as JSON", "application/json", [sse(delta({ content: "hi" }, "stop"), "[DONE]")]],
    [
      "lines of JSON",
      "application/x-ndjson",
      [Buffer.from(`${JSON.stringify(delta({ content: "h" }))}\n`), Buffer.from(`${JSON.stringify(delta({ content: "i" }, "stop"))}\n`)]
    ],
    ["white space first", "application/json", [Buffer.from("\n \n"), json(completion)]],
    [
      "a byte order mark first",
      "text/event-stream",
      [Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), sse(delta({ content: "hi" }, "stop"))])]
    ]
  ])("is read as what it is: %s", (_, type, chunks) => {
    for (const streaming of [true, false])
      for (const step of [1e9, 1, 7]) {
        const bytes = Buffer.concat(chunks)
        const pieces = Array.from({ length: Math.ceil(bytes.length / step) }, (__, i) => bytes.subarray(i * step, (i + 1) * step))
        const seen = feed(new TranslatedAnswer(options({ streaming })), 200, ["content-type", type], pieces)
        expect([seen.status, seen.end]).toEqual([200, "good"])
        const text = streaming
          ? eventsOf(seen.body)
              .map(({ data }) => data.delta?.text ?? "")
              .join("")
          : (JSON.parse(seen.body) as { content: ReadonlyArray<{ text: string }> }).content[0]?.text
        expect(text).toBe("hi")
      }
  })

  it("is two events where two came as one", () => {
    const [a, b] = [delta({ content: "a" }), delta({ content: "b" })].map((chunk) => JSON.stringify(chunk))
    expect(
      eventsOf(translateStream([Buffer.from(`data: ${a}\ndata: ${b}\n\ndata: [DONE]\n\n`)]).body)
        .map(({ data }) => data.delta?.text ?? "")
        .join("")
    ).toBe("ab")
  })

  it("is a message where a delta was meant", () => {
    expect(texts(events({ choices: [{ message: { content: "hi" } }] }), "Text")).toBe("hi")
  })
})

describe("reasoning", () => {
  it("is read from any of the fields that servers have for it", () => {
    expect(
      texts(
        events(delta({ reasoning: "a" }), delta({ reasoning_content: "b" }), delta({ reasoning_details: [{ text: "c" }, { text: "d" }] })),
        "Thinking"
      )
    ).toBe("abcd")
  })

  it.each([
    ["<think>why</think>so", "why", "so"],
    [" \n<think>why</think>\n\nso", "why", "\n\nso"],
    ["<think>never ends", "never ends", ""],
    ["</think>so", "", "</think>so"],
    ["so <think>why</think>", "", "so <think>why</think>"],
    ["<think></think>so", "", "so"],
    ["<thin", "", "<thin"],
    ["<think>a</thin", "a</thin", ""],
    ["<think>a<b</think>c<think>d</think>", "a<b", "c<think>d</think>"]
  ])("is told from text by its tags, wherever they are cut: %j", (said, thinking, text) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (sizes) => {
        const tags = new ThinkTags()
        const out: Array<ChatEvent> = []
        for (let at = 0, i = 0; at < said.length; i++) {
          const size = sizes[i % sizes.length] as number
          tags.push(said.slice(at, at + size), out)
          at += size
        }
        tags.flush(out)
        expect([texts(out, "Thinking"), texts(out, "Text")]).toEqual([thinking, text])
      })
    )
  })
})

describe("tool calls of odd shapes", () => {
  const call = (fields: Record<string, unknown>) => delta({ tool_calls: [fields] })

  it("go on with the call that is not whole where a fragment names none", () => {
    const out = events(
      call({ index: 0, id: "a", function: { name: "n", arguments: '{"x":' } }),
      call({ index: 1, function: { arguments: "1}" } }),
      "[DONE]"
    )
    expect(out.filter(({ _tag }) => _tag === "ToolStart")).toHaveLength(1)
    expect(texts(out, "ToolArguments")).toBe('{"x":1}')
  })

  it("have their arguments unwrapped where they are JSON in JSON, cut anywhere", () => {
    const quoted = JSON.stringify('{"a":"b"}')
    for (let at = 0; at <= quoted.length; at++) {
      const out = events(
        call({ index: 0, id: "a", function: { name: "n", arguments: quoted.slice(0, at) } }),
        call({ index: 0, function: { arguments: quoted.slice(at) } }),
        "[DONE]"
      )
      expect(texts(out, "ToolArguments")).toBe('{"a":"b"}')
    }
    expect(texts(events(call({ index: 0, id: "a", function: { name: "n", arguments: '"no object"' } }), "[DONE]"), "ToolArguments")).toBe(
      '"no object"'
    )
    expect(texts(events(call({ index: 0, id: "a", function: { name: "n", arguments: '"{' } }), "[DONE]"), "ToolArguments")).toBe('"{')
  })

  it.each([
    ["length", 5, "max_tokens"],
    ["tool_calls", 10, "max_tokens"],
    ["tool_calls", 5, "tool_use"],
    ["stop", 10, "tool_use"]
  ])("whose arguments are cut say why: %s after %i tokens of 10", (finish, completion_tokens, stop_reason) => {
    const chunks = [
      call({ index: 0, id: "a", function: { name: "n", arguments: '{"x":' } }),
      { ...(delta({}, finish) as object), usage: { prompt_tokens: 1, completion_tokens } },
      "[DONE]"
    ]
    expect(eventsOf(translateStream([sse(...chunks)], { maxTokens: 10 }).body).at(-2)?.data.delta.stop_reason).toBe(stop_reason)
    const whole = JSON.parse(translateStream([sse(...chunks)], { maxTokens: 10, streaming: false }).body) as { stop_reason: string }
    expect(whole.stop_reason).toBe(stop_reason)
  })
})

describe("usage and ends", () => {
  it("are read in every server's words", () => {
    const usageIn = (usage: unknown) => events({ choices: [], usage }).find(({ _tag }) => _tag === "Usage")
    expect(usageIn({ prompt_tokens: "9", completion_tokens: "4", prompt_cache_hit_tokens: 3 })).toMatchObject({
      usage: { prompt: 9, completion: 4, cached: 3, reasoning: 0 }
    })
    expect(usageIn({ prompt_tokens: 9, completion_tokens: 4, completion_tokens_details: { reasoning_tokens: 2 } })).toMatchObject({
      usage: { reasoning: 2 }
    })
  })

  it.each([
    ["stop", "stop"],
    ["eos", "stop"],
    ["length", "length"],
    ["max_tokens", "length"],
    ["MAX_TOKENS", "length"],
    ["model_length", "length"],
    ["tool_calls", "calls"],
    ["function_call", "calls"],
    ["content_filter", "filter"]
  ])("are one of four: %s is %s", (word, reason) => {
    expect(events(delta({ content: "x" }, word)).find(({ _tag }) => _tag === "Finish")).toMatchObject({ reason })
  })
})

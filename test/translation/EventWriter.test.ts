import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { runs } from "../propertyRuns.ts"
import { delta, eventsOf, options, sse, translateStream, wellFormed } from "./answers.ts"

const call = (index: number | undefined, fields: { id?: string; name?: string; args?: unknown }) =>
  delta({
    tool_calls: [
      {
        ...(index === undefined ? {} : { index }),
        ...(fields.id === undefined ? {} : { id: fields.id }),
        function: {
          ...(fields.name === undefined ? {} : { name: fields.name }),
          ...(fields.args === undefined ? {} : { arguments: fields.args })
        }
      }
    ]
  })

const names = (body: string) => eventsOf(body).map((event) => event.event)

describe("a streamed answer in translation", () => {
  it("is opened, filled and closed for plain text", () => {
    const seen = translateStream([
      sse(delta({ role: "assistant", content: "" }), delta({ content: "Hey" }), delta({ content: " you" }, "stop"), "[DONE]")
    ])
    expect(seen.status).toBe(200)
    expect(seen.end).toBe("good")
    expect(names(seen.body)).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop"
    ])
    expect(seen.body).toContain('"text":"Hey"')
    expect(seen.body).toContain('"stop_reason":"end_turn"')
    expect(seen.headers).toContain("text/event-stream")
  })

  it("says so when nothing was said at all", () => {
    const events = eventsOf(translateStream([sse("[DONE]")]).body)
    expect(events.map((event) => event.event)).toEqual(["message_start", "message_delta", "message_stop"])
    expect(events[1]?.data.usage).toEqual({ input_tokens: 7, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 })
    expect(events[0]?.data.message.model).toBe("asked-model")
  })

  it("opens a new thinking block for thinking after text", () => {
    const seen = translateStream([sse(delta({ reasoning: "a" }), delta({ content: "b" }), delta({ reasoning_content: "c" }), "[DONE]")])
    expect(wellFormed(eventsOf(seen.body)).map((block) => block.type)).toEqual(["thinking", "text", "thinking"])
    expect(seen.body).toContain('"content_block":{"type":"thinking","thinking":"","signature":""}')
  })

  it("closes text before a tool, and reports tool_use although the backend says stop", () => {
    const seen = translateStream([
      sse(
        delta({ content: "Looking." }),
        call(0, { id: "c1", name: "ls", args: "" }),
        call(0, { args: '{"dir":' }),
        call(0, { args: '"/tmp"}' }),
        delta({}, "stop"),
        "[DONE]"
      )
    ])
    const blocks = wellFormed(eventsOf(seen.body))
    expect(blocks.map((block) => [block.type, block.text])).toEqual([
      ["text", "Looking."],
      ["tool_use", '{"dir":"/tmp"}']
    ])
    expect(seen.body).toContain('"id":"c1","name":"ls","input":{}')
    expect(seen.body).toContain('"stop_reason":"tool_use"')
  })

  it("keeps one delta for each fragment of a tool's arguments", () => {
    const fragments = ['{"', "a", '":', "[1", ",2", "]", "}"]
    const seen = translateStream([sse(call(0, { id: "c", name: "t" }), ...fragments.map((args) => call(0, { args })), "[DONE]")])
    expect(names(seen.body).filter((name) => name === "content_block_delta")).toHaveLength(fragments.length)
  })

  it("puts interleaved parallel calls one after the other", () => {
    const seen = translateStream([
      sse(
        call(0, { id: "a", name: "one", args: '{"x":' }),
        call(1, { id: "b", name: "two", args: '{"y":' }),
        call(0, { args: "1}" }),
        call(1, { args: "2}" }),
        delta({}, "tool_calls"),
        "[DONE]"
      )
    ])
    expect(wellFormed(eventsOf(seen.body)).map((block) => [block.name, block.text])).toEqual([
      ["one", '{"x":1}'],
      ["two", '{"y":2}']
    ])
  })

  it("tells calls apart that all come with index 0", () => {
    const seen = translateStream([
      sse(call(0, { id: "a", name: "one", args: "{}" }), call(0, { id: "b", name: "two", args: "{}" }), "[DONE]")
    ])
    expect(wellFormed(eventsOf(seen.body)).map((block) => block.id)).toEqual(["a", "b"])
  })

  it("ends well behind a last event that no blank line ends, and that says nothing of an end", () => {
    const seen = translateStream([sse(delta({ content: "a" })), Buffer.from(`data: ${JSON.stringify(delta({ content: "b" }))}`)])
    expect(wellFormed(eventsOf(seen.body))).toMatchObject([{ type: "text", text: "ab" }])
    expect(names(seen.body).at(-1)).toBe("message_stop")
  })

  it("ends with an error when more waits behind an incomplete call than it can hold", () => {
    const mebibyte = "x".repeat(1024 * 1024)
    const answer = new TranslatedAnswer(options())
    answer.head({ status: 200, headers: ["content-type", "text/event-stream"] })
    answer.push(sse(call(0, { id: "a", name: "one", args: '{"x":' })))
    for (let i = 0; i < 32; i++) expect(answer.push(sse(delta({ content: mebibyte })))?.fault).toBeUndefined()
    const last = answer.push(sse(delta({ content: "x" })))
    expect(last?.fault?.kind).toBe("untranslatable")
    expect(eventsOf(last?.bytes?.toString() ?? "").map(({ event }) => event)).toEqual(["error"])
    expect(answer.push(sse(delta({ content: "x" })))).toBeUndefined()
  })

  it.each([
    ["neither index nor id", undefined],
    ["one index and no id", 0]
  ])("knows a call whose name comes with every fragment, and the next of the same name, by %s", (_, index) => {
    const seen = translateStream([
      sse(
        call(index, { name: "look", args: '{"x' }),
        call(index, { name: "look", args: '":"}"' }),
        call(index, { name: "look", args: "}" }),
        call(index, { name: "look", args: " " }),
        call(index, { name: "look", args: '{"x":2}' }),
        call(index, { name: "see", args: "{}" }),
        "[DONE]"
      )
    ])
    expect(wellFormed(eventsOf(seen.body)).map((block) => [block.name, block.text])).toEqual([
      ["look", '{"x":"}"} '],
      ["look", '{"x":2}'],
      ["see", "{}"]
    ])
  })

  it("makes an id where the backend gives none, and takes arguments given as an object", () => {
    const seen = translateStream([sse(call(undefined, { name: "one", args: { x: 1 } }), "[DONE]")])
    const [block] = wellFormed(eventsOf(seen.body))
    expect(block?.id).toMatch(/^toolu_01[1-9A-HJ-NP-Za-km-z]{16,}$/)
    expect(block?.text).toBe('{"x":1}')
  })

  it("holds arguments until the name is known and sends them as one", () => {
    const seen = translateStream([sse(call(0, { id: "a", args: '{"x"' }), call(0, { args: ":1}" }), call(0, { name: "late" }), "[DONE]")])
    expect(names(seen.body).filter((name) => name === "content_block_delta")).toHaveLength(1)
    expect(wellFormed(eventsOf(seen.body))).toMatchObject([{ name: "late", text: '{"x":1}' }])
  })

  it("does not report tool_use for a call that never got a name", () => {
    expect(translateStream([sse(call(0, { id: "a", args: "{}" }), delta({}, "tool_calls"), "[DONE]")]).body).toContain(
      '"stop_reason":"end_turn"'
    )
  })

  it("ends badly when arguments come for a block that is closed", () => {
    const seen = translateStream([
      sse(call(0, { id: "a", name: "one", args: "{}" }), delta({ content: "x" }), call(0, { args: "more" }), "[DONE]")
    ])
    expect(seen.end).toBe("error")
    expect(names(seen.body).at(-1)).toBe("error")
    expect(names(seen.body)).not.toContain("message_stop")
  })

  it("takes usage from the last chunk and splits off what was cached", () => {
    const usage = { prompt_tokens: 40, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 30 } }
    const events = eventsOf(translateStream([sse(delta({ content: "x" }, "length"), { choices: [], usage }, "[DONE]")]).body)
    expect(events.at(-2)?.data).toEqual({
      type: "message_delta",
      delta: { stop_reason: "max_tokens", stop_sequence: null },
      usage: { input_tokens: 10, output_tokens: 5, cache_creation_input_tokens: 0, cache_read_input_tokens: 30 }
    })
  })

  it("names the stop sequence that the backend matched", () => {
    const chunk = { choices: [{ delta: { content: "x" }, finish_reason: "stop", stop_reason: "END" }] }
    const events = eventsOf(translateStream([sse(chunk, "[DONE]")], { stops: ["END"] }).body)
    expect(events.at(-2)?.data.delta).toEqual({ stop_reason: "stop_sequence", stop_sequence: "END" })
  })

  it("skips what is no JSON between good chunks", () => {
    const seen = translateStream([sse(delta({ content: "a" })), Buffer.from("data: {oops\n\n"), sse(delta({ content: "b" }), "[DONE]")])
    expect(wellFormed(eventsOf(seen.body))[0]?.text).toBe("ab")
  })

  it("answers an error before the first byte as an HTTP error", () => {
    const seen = translateStream([sse({ error: { message: "out of memory", code: 503 } })])
    expect(seen.status).toBe(503)
    expect(JSON.parse(seen.body)).toMatchObject({
      type: "error",
      error: { type: "api_error", message: "out of memory" },
      request_id: "req-1"
    })
  })

  it("answers an error after the first byte as an event", () => {
    const seen = translateStream([sse(delta({ content: "a" })), sse({ error: "boom" })])
    expect(seen.end).toBe("error")
    expect(eventsOf(seen.body).at(-1)?.data).toEqual({ type: "error", error: { type: "api_error", message: "boom" } })
  })

  it("is well-formed for any sequence of deltas, cut anywhere, and loses no text and no arguments", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("text" as const), text: fc.string({ minLength: 1, unit: "binary" }) }),
      fc.record({ kind: fc.constant("thinking" as const), text: fc.string({ minLength: 1 }) }),
      fc.record({ kind: fc.constant("tool" as const), tool: fc.nat(3), cut: fc.nat(12) })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (steps, cuts) => {
        const inputs = [0, 1, 2, 3].map((n) => JSON.stringify({ value: `é${n}`, list: [n, { deep: "}" }] }))
        const sent = [0, 0, 0, 0]
        const started = [false, false, false, false]
        const payloads: Array<unknown> = []
        const toolDelta = (tool: number, upTo: number) => {
          const args = inputs[tool]?.slice(sent[tool], upTo) ?? ""
          payloads.push(call(tool, started[tool] === true ? { args } : { id: `id${tool}`, name: `tool${tool}`, args }))
          started[tool] = true
          sent[tool] = upTo
        }
        for (const each of steps) {
          if (each.kind === "text") payloads.push(delta({ content: each.text }))
          else if (each.kind === "thinking") payloads.push(delta({ reasoning: each.text }))
          else if ((sent[each.tool] ?? 0) < (inputs[each.tool]?.length ?? 0))
            toolDelta(each.tool, Math.min(inputs[each.tool]?.length ?? 0, (sent[each.tool] ?? 0) + each.cut + 1))
        }
        for (const tool of [0, 1, 2, 3])
          if (started[tool] === true && (sent[tool] ?? 0) < (inputs[tool]?.length ?? 0)) toolDelta(tool, inputs[tool]?.length ?? 0)
        const wire = sse(...payloads, delta({}, "stop"), "[DONE]")
        const chunks: Array<Buffer> = []
        for (let at = 0; at < wire.length; ) {
          const size = cuts.next().value ?? 1
          chunks.push(wire.subarray(at, at + size))
          at += size
        }
        const blocks = wellFormed(eventsOf(translateStream(chunks).body))
        const joined = (type: string) =>
          blocks
            .filter((block) => block.type === type)
            .map((block) => block.text)
            .join("")
        const said = (kind: "text" | "thinking") => steps.map((each) => (each.kind === kind ? each.text : "")).join("")
        expect(joined("text")).toBe(said("text"))
        expect(joined("thinking")).toBe(said("thinking"))
        for (const block of blocks) if (block.type === "tool_use") expect(block.text).toBe(inputs[Number(block.name?.slice(4))])
        expect(blocks.filter((block) => block.type === "tool_use")).toHaveLength(started.filter(Boolean).length)
      }),
      { numRuns: runs(500) }
    )
  })
})

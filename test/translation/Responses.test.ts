/** OpenAI's Responses API: requests of its clients, and its answers against files written by hand from its description. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { errorBody } from "../../src/translation/openai/OpenAiErrors.ts"
import { readResponses } from "../../src/translation/responses/ResponsesReading.ts"
import { responsesAnswers } from "../../src/translation/responses/ResponsesWriter.ts"
import { TranslatedAnswer } from "../../src/translation/TranslatedAnswer.ts"
import { delta, eventsOf, feed, options, sse } from "./answers.ts"

const request: JsonRecord = {
  model: "asked-model",
  input: "x",
  include: ["reasoning.encrypted_content"],
  tools: [
    { type: "function", name: "ls" },
    { type: "custom", name: "patch" },
    { type: "namespace", name: "ns", tools: [{ type: "function", name: "go" }] },
    { type: "local_shell" },
    { type: "apply_patch" },
    { type: "shell" }
  ]
}
const answers = (fields: Parameters<typeof options>[0] = {}) => {
  const got = readResponses(request)
  if (got instanceof Complaint) throw new Error(got.message)
  return options({ ...fields, writer: responsesAnswers({ request, declared: got.declared }) })
}
const stream = (chunks: ReadonlyArray<Buffer>, fields: Parameters<typeof options>[0] = {}) =>
  feed(new TranslatedAnswer(answers(fields)), 200, ["content-type", "text/event-stream"], chunks)
/** Ids and times are nobody's to foresee. */
const masked = (text: string) => text.replace(/_[1-9A-HJ-NP-Za-km-z]{16,24}/g, "_S").replace(/"(created_at|completed_at)":\d+/g, '"$1":1')
const golden = (name: string) => readFileSync(new URL(`./golden/${name}`, import.meta.url), "utf8")
const call = (index: number, id: string, name: string, args: string) =>
  delta({ tool_calls: [{ index, id, function: { name, arguments: args } }] })

const conversation = [
  sse(
    delta({ reasoning: "Hm" }),
    delta({ content: "Hel" }),
    delta({ content: "lo" }),
    call(0, "call_1", "ls", '{"dir":'),
    delta({ tool_calls: [{ index: 0, function: { arguments: '"/"}' } }] }),
    call(1, "call_2", "patch", '{"input":"*** A"}'),
    call(2, "call_3", "local_shell", '{"command":["ls"]}'),
    delta({}, "tool_calls"),
    {
      choices: [],
      usage: {
        prompt_tokens: 9,
        completion_tokens: 4,
        prompt_tokens_details: { cached_tokens: 3 },
        completion_tokens_details: { reasoning_tokens: 1 }
      }
    },
    "[DONE]"
  )
]

describe("an answer of the Responses API", () => {
  it("streams as the API describes it", () => {
    const seen = stream(conversation)
    expect([seen.status, seen.end]).toEqual([200, "good"])
    expect(eventsOf(masked(seen.body))).toEqual(eventsOf(golden("responses-from-chat.sse")))
  })

  it("is whole what the stream's last event says", () => {
    const whole = stream(conversation, { streaming: false })
    const last = eventsOf(stream(conversation).body).at(-1)
    expect(JSON.parse(masked(whole.body))).toEqual(JSON.parse(masked(JSON.stringify(last?.data.response))))
    expect(last?.event).toBe("response.completed")
  })

  it.each([
    ["length", "incomplete", "max_output_tokens"],
    ["content_filter", "incomplete", "content_filter"],
    ["stop", "completed", undefined]
  ])("that ended by %s is %s", (finish, status, reason) => {
    const seen = stream([sse(delta({ content: "a" }, finish), "[DONE]")])
    const last = eventsOf(seen.body).at(-1)
    expect(last?.event).toBe(`response.${status}`)
    expect([last?.data.response.status, last?.data.response.incomplete_details?.reason]).toEqual([status, reason])
    expect(last?.data.response.output[0].status).toBe(finish === "length" ? "incomplete" : "completed")
  })

  it("has one message where nothing was said, and a refusal where one was", () => {
    const empty = eventsOf(stream([sse("[DONE]")]).body).at(-1)?.data.response.output
    expect(empty).toMatchObject([{ type: "message", content: [{ type: "output_text", text: "" }] }])
    const refused = eventsOf(stream([sse(delta({ refusal: "No." }, "stop"), "[DONE]")]).body)
    expect(refused.at(-1)?.data.response.output).toMatchObject([{ type: "message", content: [{ type: "refusal", refusal: "No." }] }])
    expect(refused.map(({ event }) => event)).toContain("response.refusal.done")
  })

  it.each([
    ["ns__go", '{"a":1}', { type: "function_call", name: "go", namespace: "ns", arguments: '{"a":1}' }],
    ["patch", "not json", { type: "custom_tool_call", name: "patch", input: "not json" }],
    ["patch", '{"text":"only one"}', { type: "custom_tool_call", input: "only one" }],
    ["apply_patch", '{"type":"delete_file","path":"p"}', { type: "apply_patch_call", operation: { type: "delete_file", path: "p" } }],
    ["shell", '{"commands":["ls"]}', { type: "shell_call", action: { commands: ["ls"] } }],
    ["local_shell", '{"command":["ls"]}', { type: "local_shell_call", action: { type: "exec", command: ["ls"], env: {} } }],
    ["unknown", "{}", { type: "function_call", name: "unknown", arguments: "{}" }]
  ])("writes a call of %s back as its kind", (name, args, item) => {
    const events = eventsOf(stream([sse(call(0, "c", name, args), delta({}, "tool_calls"), "[DONE]")]).body)
    expect(events.at(-1)?.data.response.output).toMatchObject([{ call_id: "c", status: "completed", ...item }])
    expect(events.filter(({ event }) => event === "response.output_item.added")).toHaveLength(1)
  })

  it("fails as the API does, and is cut", () => {
    const seen = stream([sse(delta({ content: "a" })), Buffer.from('data: {"error":{"message":"no memory","code":503}}\n\n')])
    expect(seen.end).toBe("error")
    expect(eventsOf(seen.body).at(-1)).toMatchObject({
      event: "response.failed",
      data: { response: { status: "failed", error: { code: "server_is_overloaded", message: "no memory" } } }
    })
  })

  it("keeps its rules for any sequence of deltas, cut anywhere", () => {
    const piece = fc.oneof(
      fc.string({ minLength: 1, maxLength: 5 }).map((text) => delta({ content: text })),
      fc.string({ minLength: 1, maxLength: 5 }).map((text) => delta({ reasoning: text })),
      fc.tuple(fc.nat(3), fc.constantFrom("ls", "patch", "ns__go", "shell")).map(([index, name]) => call(index, `c${index}`, name, "")),
      fc
        .tuple(fc.nat(3), fc.constantFrom("{", "}", '{"a":1}', '"x":1'))
        .map(([index, args]) => delta({ tool_calls: [{ index, function: { arguments: args } }] }))
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), fc.integer({ min: 1, max: 50 }), (pieces, step) => {
        const bytes = sse(...pieces, delta({}, "stop"), "[DONE]")
        const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => bytes.subarray(i * step, (i + 1) * step))
        const seen = stream(chunks)
        const events = eventsOf(seen.body)
        expect(events.map(({ data }) => data.sequence_number)).toEqual(events.map((_, at) => at))
        for (const { event, data } of events) expect(data.type).toBe(event)
        const last = events.at(-1)
        if (seen.end === "error") {
          expect(last?.event).toBe("response.failed")
          return
        }
        const done = events.filter(({ event }) => event === "response.output_item.done")
        expect(done.map(({ data }) => data.item)).toEqual(last?.data.response.output)
        expect(done.map(({ data }) => data.output_index)).toEqual(done.map((_, at) => at))
        const told = (type: string) => events.flatMap(({ event, data }) => (event === type ? [data.delta] : [])).join("")
        const sent = (field: string) =>
          pieces.map((each) => (each as { choices: [{ delta: Record<string, string> }] }).choices[0].delta[field] ?? "").join("")
        if (!sent("content").trimStart().startsWith("<")) expect(told("response.output_text.delta")).toBe(sent("content"))
        expect(told("response.reasoning_summary_text.delta").startsWith(sent("reasoning").slice(0, 1))).toBe(true)
      })
    )
  })
})

describe("errors of the Responses API", () => {
  it.each([
    [
      400,
      "request (20019 tokens) exceeds the available context size (512 tokens), try increasing it",
      "invalid_request_error",
      "context_length_exceeded"
    ],
    [400, "This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"],
    [404, "no such model", "not_found_error", "model_not_found"],
    [429, "slow down", "rate_limit_error", "rate_limit_exceeded"],
    [503, "busy", "server_error", "server_is_overloaded"],
    [502, "gone", "server_error", "server_error"],
    [401, "who", "authentication_error", null]
  ])("of %i %s", (status, message, type, code) => {
    expect(JSON.parse(errorBody(status, message, "id"))).toEqual({ error: { message, type, param: null, code } })
  })
})

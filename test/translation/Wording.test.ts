import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { ChatTurn } from "../../src/translation/ChatTurn.ts"
import { Lessons } from "../../src/translation/Lessons.ts"
import { type Lesson, lessonOf } from "../../src/translation/openai/Wording.ts"
import { emptyTurn } from "./turns.ts"
import { writtenFor } from "./words.ts"

const call = { id: "c", name: "n", input: "{}" }
const turn: ChatTurn = {
  ...emptyTurn,
  stream: true,
  parallel: false,
  sampling: { maxTokens: 5, topK: 3 },
  tools: [{ name: "n", description: "", schema: {}, strict: true }],
  thinking: "high",
  turns: [
    { role: "user", parts: [{ kind: "text", text: "a" }] },
    { role: "user", parts: [{ kind: "text", text: "b" }] },
    { role: "assistant", reasoning: "why", text: "", calls: [call] },
    { role: "tool", call: "c", name: "n", text: "r", media: [], failed: false }
  ]
}
const sent = JSON.stringify(writtenFor(turn, "vllm").fields)

describe("a refusal of a request's words", () => {
  it.each([
    [400, "Unknown field: stream_options", "stream_options"],
    [
      422,
      '{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}',
      "stream_options"
    ],
    [400, "Conversation roles must alternate user/assistant/user/assistant/...", "alternate"],
    [400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_completion_tokens"],
    [400, "unknown field reasoning_effort", "reasoning_effort"],
    [422, "reasoning_content: extra fields not permitted", "reasoning_content"],
    [400, "messages[2].reasoning is not permitted", "reasoning"],
    [400, "top_k is not supported", "top_k"],
    [400, "parallel_tool_calls unknown", "parallel_tool_calls"],
    [400, "tools[0].function.strict: unknown", "strict"],
    [400, "chat_template_kwargs is not allowed", "chat_template_kwargs"],
    [400, "messages.2.content: none is not an allowed value", "empty_content"],
    [400, "the prompt is too long", undefined],
    [400, "min_p is wrong, but was not sent", undefined],
    [500, "stream_options", undefined]
  ] as const)("with %i and %s teaches %s", (status, text, lesson) => {
    expect(lessonOf(status, text, sent)).toBe(lesson)
  })

  it.each([
    ["stream_options", "stream_options"],
    ["max_completion_tokens", "max_tokens"],
    ["reasoning_effort", "reasoning_effort"],
    ["chat_template_kwargs", "chat_template_kwargs"],
    ["top_k", "top_k"],
    ["parallel_tool_calls", "parallel_tool_calls"],
    ["strict", "strict"],
    ["reasoning", "reasoning"],
    ["reasoning_content", "reasoning_content"]
  ] as const)("is answered without the field: %s", (lesson, field) => {
    const { fields } = writtenFor(turn, "vllm", [lesson])
    expect(sent).toContain(`"${field}":`)
    expect(JSON.stringify(fields)).not.toContain(`"${field}":`)
    if (lesson === "max_completion_tokens") expect(fields.max_completion_tokens).toBe(5)
  })

  it("is answered with neighbours joined, or an empty text", () => {
    expect(writtenFor(turn, "vllm", ["alternate"]).fields.messages[0]).toEqual({ role: "user", content: "a\n\nb" })
    expect(writtenFor(turn, "vllm", ["empty_content"]).fields.messages[2]?.content).toBe("")
  })

  it("is remembered for its endpoint and model, and forgotten after a quarter of an hour", () => {
    let now = 0
    const lessons = new Lessons<Lesson>(() => now)
    const one = {} as Endpoint
    lessons.learn(one, "m", "stream_options")
    lessons.learn(one, "m", "alternate")
    expect([...lessons.of(one, "m")]).toEqual(["stream_options", "alternate"])
    expect(lessons.of(one, "other").size).toBe(0)
    expect(lessons.of({} as Endpoint, "m").size).toBe(0)
    now = 15 * 60_000 + 1
    expect(lessons.of(one, "m").size).toBe(0)
  })
})

import { describe, expect, it } from "vitest"
import { inspect } from "../../src/routing/Inspecting.ts"
import { Prompt } from "../../src/routing/Prompt.ts"

const promptOf = (body: unknown, type = "application/json"): Prompt => {
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body))
  return new Prompt(inspect(type, [bytes], "/v1/chat/completions"), [bytes], bytes.length)
}

const text = (kilobytes: number): string => "word ".repeat((kilobytes * 1024) / 5)

const blocksOf = (body: unknown): ReadonlyArray<number> => [...promptOf(body).blocks([1, 2])]

describe("a request's prompt", () => {
  it.each([
    ["a short body counts whole", { messages: ["x".repeat(985)] }, 250],
    ["a long one by its prompt alone", { model: "m", messages: ["x".repeat(40_000 - 4)], other: text(20) }, 10_000],
    [
      "tools, system and messages count together",
      { tools: ["x".repeat(3996)], system: "x".repeat(3998), messages: ["x".repeat(3996)] },
      3000
    ],
    ["of messages, prompt and input the first counts", { messages: ["x".repeat(3996)], prompt: text(4), input: text(4) }, 1000],
    ["a completion's", { model: "m", prompt: "x".repeat(39_998) }, 10_000],
    [
      "an image counts for no more than 4000",
      { messages: [{ content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${text(900)}` } }] }] },
      4000
    ],
    ["a long body without a prompt", { model: "m", other: text(20) }, 0]
  ])("%s", (_, body, tokens) => {
    expect(promptOf(body).tokens).toBeCloseTo(tokens, -1)
  })

  it("of a form, or of no JSON, is none", () => {
    expect(promptOf(text(20), "multipart/form-data; boundary=x").tokens).toBe(0)
    expect(promptOf(text(20), "audio/mpeg").tokens).toBe(0)
    expect([...promptOf(text(20), "audio/mpeg").blocks([1, 2])]).toEqual([])
  })

  it.each([
    ["max_tokens", 5],
    ["max_completion_tokens", 6],
    ["max_output_tokens", 7]
  ])("says by %s how long the answer may be, in short and in long bodies", (key, value) => {
    expect(promptOf({ [key]: value }).mostTokens).toBe(value)
    expect(promptOf({ pad: text(10), [key]: value }).mostTokens).toBe(value)
    expect(promptOf({ [key]: "x" }).mostTokens).toBeUndefined()
    expect(promptOf({ [key]: -1 }).mostTokens).toBeUndefined()
  })

  it("has the blocks of a conversation's earlier turns, whatever their other fields", () => {
    const first = [
      { role: "system", content: text(5) },
      { role: "user", content: text(2) }
    ]
    const turn = blocksOf({ model: "m", temperature: 1, messages: first })
    const next = blocksOf({ messages: [...first, { role: "assistant", content: text(3) }], stream: true, model: "m" })
    expect(turn.length).toBeGreaterThan(10)
    expect(next.length).toBeGreaterThan(turn.length)
    expect(next.slice(0, turn.length)).toEqual(turn)
  })

  it("takes tools, then system, then messages, in whatever order they stand", () => {
    const [tools, system, messages] = [[text(2)], text(2), [text(2)]]
    expect(blocksOf({ messages, system, tools })).toEqual(blocksOf({ tools, system, messages }))
    expect(blocksOf({ messages, instructions: system, tools })).toEqual(blocksOf({ tools, system, messages }))
  })

  it("of less than a block has none, nor has a broken body", () => {
    expect(blocksOf({ messages: ["x".repeat(900)] })).toHaveLength(0)
    expect(blocksOf(JSON.stringify({ messages: [text(20)] }).slice(0, -3))).toHaveLength(0)
  })
})

/** What the inspector leaves of a conversation when it must not tell what was said. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Inspector } from "../../src/translation/Inspector.ts"
import { redacted } from "../../src/translation/Redaction.ts"

const request = {
  model: "qwen3:8b",
  max_tokens: 100,
  stream: true,
  system: [{ type: "text", text: "secret", cache_control: { type: "ephemeral", ttl: "5m" } }],
  metadata: { user_id: "secret" },
  stop_sequences: ["secret"],
  tools: [
    { name: "look", description: "secret", input_schema: { type: "object", properties: { id: { type: "string", enum: ["secret"] } } } }
  ],
  messages: [
    { role: "user", content: "secret" },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "secret", signature: "secret" },
        {
          type: "tool_use",
          id: "toolu_1",
          name: "look",
          input: { name: "secret", id: "secret", account: 4711, deep: [{ type: "secret" }] }
        }
      ]
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "toolu_1", content: { name: "secret", pin: 4711 }, is_error: true },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "secret" } }
      ]
    }
  ]
}

describe("a redacted conversation", () => {
  it("has its shape, and nothing that was said", () => {
    const left = redacted(request)
    expect(JSON.stringify(left)).not.toMatch(/secret|4711/)
    expect(left).toMatchObject({
      model: "qwen3:8b",
      max_tokens: 100,
      stream: true,
      system: [{ type: "text", text: "[6 characters]", cache_control: { type: "ephemeral", ttl: "5m" } }],
      tools: [{ name: "look" }],
      messages: [
        { role: "user", content: "[6 characters]" },
        { content: [{ type: "thinking" }, { type: "tool_use", id: "toolu_1", name: "look", input: { account: "[number]" } }] },
        {
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", is_error: true },
            { type: "image", source: { media_type: "image/png" } }
          ]
        }
      ]
    })
  })

  it("of an answer keeps how it ended and what it cost", () => {
    const answer = {
      type: "message",
      id: "msg_1",
      content: [{ type: "text", text: "secret" }],
      stop_reason: "end_turn",
      usage: { output_tokens: 3 }
    }
    expect(redacted(answer)).toEqual({ ...answer, content: [{ type: "text", text: "[6 characters]" }] })
    expect(redacted({ type: "error", error: { type: "api_error", message: "secret" } })).toEqual({
      type: "error",
      error: { type: "api_error", message: "[6 characters]" }
    })
  })

  it("is finished however deep it lies", () => {
    let deep: unknown = "secret"
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(JSON.stringify(redacted(deep))).toContain("nested too deeply")
  })
})

describe("the inspector's files", () => {
  it.each([true, false])("redact: %s", async (redact) => {
    const folder = mkdtempSync(join(tmpdir(), "olla-inspector-"))
    const inspector = new Inspector({ outputDir: folder, sessionHeader: "X-Session-ID", redact, warn: () => {} })
    inspector.request("one", "qwen3:8b", JSON.stringify(request))
    inspector.response("one", { type: "message", content: [{ type: "text", text: "secret" }] })
    await inspector.settled()
    const text = readFileSync(join(folder, readdirSync(folder)[0] ?? "", "one.jsonl"), "utf8")
    expect(text.includes("secret")).toBe(!redact)
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).type)
    ).toEqual(["request", "response"])
  })
})

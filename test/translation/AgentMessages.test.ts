import { describe, expect, it } from "vitest"
import { complaint, convert, messagesOf } from "./messagesRequest.ts"

describe("what an agent sends beside plain turns", () => {
  it("puts a system message of the middle where templates take it", () => {
    expect(
      messagesOf(
        { role: "user", content: "hi" },
        { role: "system", content: "no tools" },
        { role: "assistant", content: "ok" },
        { role: "developer", content: [{ type: "text", text: "be kind" }] },
        { role: "user", content: "go" }
      )
    ).toEqual([
      { role: "user", content: "hi\n\n<system>\nno tools\n</system>" },
      { role: "assistant", content: "ok" },
      { role: "user", content: "<system>\nbe kind\n</system>\n\ngo" }
    ])
    expect(messagesOf({ role: "system", content: "first" }, { role: "user", content: "hi" })[0]).toEqual({
      role: "system",
      content: "first"
    })
  })

  it("adds and takes away tools that its system messages name", () => {
    const made = convert({
      tools: [
        { name: "a", input_schema: {} },
        { name: "b", input_schema: {} }
      ],
      messages: [
        { role: "user", content: "hi" },
        {
          role: "system",
          content: [
            { type: "tool_removal", tool: { type: "tool_reference", name: "a" } },
            { type: "tool_addition", tool: { type: "tool_definition", definition: { name: "c", input_schema: { type: "object" } } } }
          ]
        }
      ]
    })
    expect(made.fields.tools?.map((tool) => tool.function.name)).toEqual(["b", "c"])
    expect(made.fields.messages).toEqual([{ role: "user", content: "hi" }])
  })

  it("takes the effort that a system message without content sets", () => {
    const messages = [
      { role: "user", content: "hi" },
      { role: "system", output_config: { effort: "low" } }
    ]
    expect(convert({ messages, output_config: { effort: "high" } }, "lemonade").fields.reasoning_effort).toBe("low")
  })

  it("leaves out the line that is for Anthropic's accounts, so that equal prompts begin with equal bytes", () => {
    const line = "x-anthropic-billing-header: cc_version=2.1.197.a1b; cc_entrypoint=cli;"
    const blocks = [
      { type: "text", text: line },
      { type: "text", text: "Be brief." }
    ]
    expect(convert({ system: blocks }).fields.messages[0]).toEqual({ role: "system", content: "Be brief." })
    expect(convert({ system: `${line}\nBe brief.` }).fields.messages[0]).toEqual({ role: "system", content: "Be brief." })
    expect(convert({ system: line }).fields.messages[0]?.role).toBe("user")
  })

  it("turns a compaction into what it sums up", () => {
    expect(
      messagesOf(
        { role: "user", content: "go on" },
        {
          role: "assistant",
          content: [
            { type: "compaction", content: "We built a shed.", encrypted_content: "xx" },
            { type: "text", text: "Next." }
          ]
        }
      )
    ).toEqual([
      { role: "user", content: "go on" },
      { role: "user", content: "<summary>We built a shed.</summary>" },
      { role: "assistant", content: "Next." }
    ])
    expect(complaint({ compaction: { type: "enabled" } })).toBe("compaction is not supported for this model")
    expect(complaint({ compaction: null })).toBe("accepted")
  })

  it("tells what Anthropic's servers found as text, and forgets that they were asked", () => {
    expect(
      messagesOf(
        { role: "user", content: "news?" },
        {
          role: "assistant",
          content: [
            { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "news" } },
            {
              type: "web_search_tool_result",
              tool_use_id: "srvtoolu_1",
              content: [{ type: "web_search_result", title: "T", url: "https://n", encrypted_content: "secret" }]
            },
            { type: "redacted_thinking", data: "secret" }
          ]
        }
      )[1]
    ).toEqual({ role: "assistant", content: "[web_search_tool_result]\nT\nhttps://n" })
    expect(complaint({ messages: [{ role: "assistant", content: [{ type: "hologram" }] }] })).toBe(
      "unsupported content block type 'hologram'"
    )
  })

  it("reads a document in plain text from its base64", () => {
    const source = { type: "base64", media_type: "text/plain", data: Buffer.from("grüß").toString("base64") }
    expect(messagesOf({ role: "user", content: [{ type: "document", title: "T", source }] })[0]?.content).toBe("T\ngrüß")
  })

  it("names everything that a backend does not get", () => {
    const made = convert({
      container: "c",
      some_beta: {},
      service_tier: "auto",
      mcp_servers: [{ name: "x" }],
      top_k: 4,
      output_config: { effort: "high" },
      tools: [
        { type: "web_search_20250305", name: "web_search" },
        { type: "mcp_toolset", mcp_server_name: "x" },
        { name: "a", input_schema: {}, strict: true }
      ]
    })
    expect([...made.dropped].sort()).toEqual([
      "container",
      "mcp_servers",
      "output_config.effort",
      "service_tier",
      "some_beta",
      "tools.mcp_toolset",
      "tools.strict",
      "tools.web_search",
      "top_k"
    ])
    expect(complaint({ tools: [{ type: "computer_toolset_20260801", name: "computer" }] })).toBe(
      "tools.0: tool type 'computer_toolset_20260801' is not supported"
    )
  })
})

import { describe, expect, it } from "vitest"
import { checkMessagesRequest, featuresOf } from "../../src/translation/anthropic/MessagesRequest.ts"
import { estimateTokens } from "../../src/translation/anthropic/TokenEstimate.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import { asked, complaint, convert, messagesOf } from "./messagesRequest.ts"
import { writtenFor } from "./words.ts"

describe("a Messages request as a chat completion", () => {
  it("carries the example of the page over", () => {
    const made = convert({
      max_tokens: 200,
      stream: true,
      system: [
        { type: "text", text: "Be brief. ", cache_control: { type: "ephemeral" } },
        { type: "text", text: "Use tools." }
      ],
      tools: [{ name: "ls", description: "List", input_schema: { type: "object", properties: { dir: { type: "string" } } } }],
      tool_choice: { type: "any" },
      thinking: { type: "enabled", budget_tokens: 100 },
      context_management: {},
      messages: [
        { role: "user", content: "What is in /tmp?" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "…", signature: "" },
            { type: "text", text: "Looking." },
            { type: "tool_use", id: "toolu_1", name: "ls", input: { dir: "/tmp" } }
          ]
        },
        {
          role: "user",
          content: [
            { type: "text", text: "Continue" },
            { type: "tool_result", tool_use_id: "toolu_1", is_error: true, content: "denied" }
          ]
        }
      ]
    })
    expect(made.fields).toEqual({
      max_tokens: 200,
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief. Use tools." },
        { role: "user", content: "What is in /tmp?" },
        {
          role: "assistant",
          content: "Looking.",
          tool_calls: [{ id: "toolu_1", type: "function", function: { name: "ls", arguments: '{"dir":"/tmp"}' } }]
        },
        { role: "tool", tool_call_id: "toolu_1", content: "Error: denied" },
        { role: "user", content: "Continue" }
      ],
      tools: [
        {
          type: "function",
          function: { name: "ls", description: "List", parameters: { type: "object", properties: { dir: { type: "string" } } } }
        }
      ],
      tool_choice: "required"
    })
  })

  it("sends an image as a part and keeps the order of the blocks", () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAA" } }
    expect(messagesOf({ role: "user", content: [{ type: "text", text: "a" }, image, { type: "text", text: "b" }] })).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAA" } },
          { type: "text", text: "b" }
        ]
      }
    ])
  })

  it("puts a tool result's image into the user message behind all tool messages", () => {
    const image = { type: "image", source: { type: "url", url: "https://x/y.png" } }
    expect(
      messagesOf({
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [image] },
          {
            type: "tool_result",
            tool_use_id: "t2",
            content: [
              { type: "text", text: "1" },
              { type: "text", text: "2" }
            ]
          },
          { type: "text", text: "see" }
        ]
      })
    ).toEqual([
      { role: "tool", tool_call_id: "t1", content: "[image]" },
      { role: "tool", tool_call_id: "t2", content: "1\n2" },
      {
        role: "user",
        content: [
          { type: "text", text: "Content of tool result t1:" },
          { type: "image_url", image_url: { url: "https://x/y.png" } },
          { type: "text", text: "see" }
        ]
      }
    ])
  })

  it("sends documents as text or file", () => {
    const [message] = messagesOf({
      role: "user",
      content: [
        { type: "document", title: "T", context: "C", source: { type: "text", media_type: "text/plain", data: "body" } },
        { type: "document", source: { type: "base64", media_type: "application/pdf", data: "UERG" } }
      ]
    })
    expect(message?.content).toEqual([
      { type: "text", text: "T\nC\nbody" },
      { type: "file", file: { filename: "document.pdf", file_data: "data:application/pdf;base64,UERG" } }
    ])
  })

  it.each([
    [{ messages: [{ role: "user", content: null }] }, /^messages\.0\.content/],
    [{ messages: [{ role: "user", content: 3 }] }, /^failed to convert messages: invalid content type: number$/],
    [{ messages: [{ role: "robot", content: "x" }] }, /^messages\.0\.role: must be 'user' or 'assistant'$/],
    [{ messages: [{ role: "user", content: "" }] }, /^messages: at least one message with content is required$/],
    [{ messages: [{ role: "user", content: [{ type: "hologram" }] }] }, /^unsupported content block type 'hologram'$/],
    [{ messages: [{ role: "user", content: [{ a: 1 }] }] }, /^unsupported content block type ''$/],
    [{ messages: [{ role: "user", content: [{ type: { a: 1 } }] }] }, /^unsupported content block type '\{"a":1\}'$/],
    [
      { messages: [{ role: "user", content: [{ type: "image", source: { type: "file", file_id: "f" } }] }] },
      /^image source type 'file' is not supported$/
    ],
    [
      { tools: [{ name: "x", input_schema: {} }], tool_choice: { type: "tool" } },
      /^failed to convert tool_choice: tool_choice type 'tool' requires 'name' field$/
    ],
    [{ tools: [{ type: "teleport_20300101", name: "x" }] }, /^tools\.0: tool type 'teleport_20300101' is not supported$/]
  ])("refuses what it would have to lose: %j", (request, message) => {
    expect(complaint(request)).toMatch(message)
  })

  it.each([
    ["auto", "auto"],
    [{ type: "auto" }, "auto"],
    [{ type: "any" }, "required"],
    [{ type: "none" }, "none"],
    [
      { type: "tool", name: "x" },
      { type: "function", function: { name: "x" } }
    ],
    [{ type: "sometimes" }, "auto"],
    [17, "auto"]
  ])("turns tool_choice %j into %j", (choice, expected) => {
    expect(convert({ tools: [{ name: "x", input_schema: {} }], tool_choice: choice }).fields["tool_choice"]).toEqual(expected)
  })

  it("drops server tools, and the choice of one with them", () => {
    const made = convert({
      tools: [{ type: "web_search_20250305", name: "web_search" }],
      tool_choice: { type: "tool", name: "web_search" }
    })
    expect(made.fields).not.toHaveProperty("tools")
    expect(made.fields).not.toHaveProperty("tool_choice")
    expect(made.dropped).toEqual(["tools.web_search"])
  })

  it("gives client tools their published schema", () => {
    const [tool] = convert({ tools: [{ type: "bash_20250124", name: "bash" }] }).fields.tools ?? []
    expect(Object.keys(tool?.function.parameters["properties"] ?? {})).toContain("command")
  })

  it("forwards parameters that both sides know", () => {
    const made = convert(
      {
        top_k: 4,
        metadata: { user_id: "u" },
        output_config: { effort: "max", format: { type: "json_schema", schema: { type: "object" } } },
        tools: [{ name: "x", input_schema: {} }],
        tool_choice: { type: "auto", disable_parallel_tool_use: true }
      },
      "lemonade"
    )
    expect(made.fields).toMatchObject({
      user: "u",
      parallel_tool_calls: false,
      response_format: { type: "json_schema", json_schema: { name: "response", schema: { type: "object" }, strict: true } },
      top_k: 4,
      reasoning_effort: "high"
    })
  })
})

describe("reasoning", () => {
  const history = [
    { role: "user", content: "a" },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "old", signature: "s" },
        { type: "text", text: "b" }
      ]
    },
    { role: "user", content: "c" },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "why", signature: "" },
        { type: "tool_use", id: "t", name: "n", input: {} }
      ]
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "r" }] }
  ]

  it.each([
    ["openai-compatible", []],
    ["ollama", ["reasoning"]],
    ["llamacpp", ["reasoning_content"]],
    ["vllm", ["reasoning", "reasoning_content"]]
  ] as const)("goes back to %s in the fields that it reads: %j", (kind, fields) => {
    const assistants = convert({ messages: history }, kind).fields.messages.filter(({ role }) => role === "assistant")
    for (const [index, text] of ["old", "why"].entries())
      expect(Object.entries(assistants[index] ?? {}).filter(([key]) => key.startsWith("reasoning"))).toEqual(
        fields.map((field) => [field, text])
      )
  })

  it.each([
    ["all", ["old", "why"]],
    ["loop", [undefined, "why"]],
    ["none", [undefined, undefined]]
  ] as const)("of former turns goes back as far as it is wanted: %s", (kept, texts) => {
    const made = asked({ messages: history })
    if (made instanceof Complaint) throw new Error(made.message)
    const assistants = writtenFor(made, "ollama", [], kept).fields.messages.filter((message) => message.role === "assistant")
    expect(assistants.map(({ reasoning }) => reasoning)).toEqual(texts)
  })

  it("alone is no message", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: [{ type: "thinking", thinking: "x", signature: "" }] }
    ]
    expect(convert({ messages }, "ollama").fields.messages).toHaveLength(1)
  })

  it.each([
    [{ thinking: { type: "disabled" }, output_config: { effort: "high" } }, "vllm", undefined, false],
    [{ thinking: { type: "disabled" } }, "ollama", "none", undefined],
    [{ thinking: { type: "enabled", budget_tokens: 1024 } }, "vllm", "low", true],
    [{ thinking: { type: "enabled", budget_tokens: 4096 } }, "ollama", "medium", undefined],
    [{ thinking: { type: "enabled", budget_tokens: 50_000 } }, "lemonade", "high", undefined],
    [{ thinking: { type: "adaptive" } }, "vllm", undefined, undefined],
    [{ thinking: { type: "adaptive" }, output_config: { effort: "max" } }, "ollama", "high", undefined],
    [{ output_config: { effort: "minimal" } }, "vllm", "low", true],
    [{ output_config: { effort: "high" } }, "openai-compatible", undefined, undefined]
  ] as const)("is asked for by %j at %s", (fields, kind, effort, enabled) => {
    const made = convert({ ...fields }, kind).fields
    expect([made.reasoning_effort, made.chat_template_kwargs?.enable_thinking, made.chat_template_kwargs?.thinking]).toEqual([
      effort,
      enabled,
      enabled
    ])
    expect(made).not.toHaveProperty("thinking")
  })
})

describe("the rules of a Messages request", () => {
  const base = { model: "m", max_tokens: 5, messages: [{ role: "user", content: "x" }] }
  it.each([
    [{ ...base, model: "" }, "model field is required"],
    [{ ...base, messages: [] }, "at least one message is required"],
    [{ ...base, max_tokens: undefined }, "max_tokens must be at least 1, got 0"],
    [{ ...base, temperature: 2.5 }, "temperature must be between 0 and 2, got 2.500000"],
    [{ ...base, top_p: -1 }, "top_p must be between 0 and 1, got -1.000000"],
    [{ ...base, top_k: -3 }, "top_k must be non-negative, got -3"]
  ])("refuses %j", (request, message) => {
    expect(checkMessagesRequest(request)).toBe(message)
  })

  it("accepts integral floats, unknown fields and thinking of any shape", () => {
    expect(checkMessagesRequest({ ...base, max_tokens: 1024.0, thinking: [1], context_management: { a: 1 } })).toBeUndefined()
  })

  it("finds the features that decide who can answer natively", () => {
    const image = { type: "tool_result", tool_use_id: "t", content: [{ type: "image", source: {} }] }
    expect(featuresOf({ thinking: { type: "disabled" }, tools: [], messages: [{ role: "user", content: [image] }] })).toMatchObject({
      tools: false,
      thinking: false,
      images: true,
      continues: false
    })
    expect(featuresOf({ thinking: { type: "adaptive" }, tools: [{}], messages: [] })).toMatchObject({
      tools: true,
      thinking: true,
      images: false,
      continues: false
    })
    expect(featuresOf({ thread: { type: "create" } }).continues).toBe(false)
    expect(featuresOf({ thread: { type: "continue", previous_message_id: "msg_1" } }).continues).toBe(true)
  })
})

describe("the token estimate", () => {
  it.each([
    [{ messages: [{ role: "user", content: "Hello, world!" }] }, 3],
    [{ system: "x".repeat(28), messages: [{ role: "user", content: "x".repeat(20) }] }, 12],
    [{ messages: [] }, 1],
    [{ messages: [{ role: "user", content: [{ type: "document", source: { type: "base64", data: "x" } }] }] }, 1_500],
    [{ messages: [{ role: "user", content: [{ type: "document", source: { type: "base64", data: "x".repeat(240_000) } }] }] }, 10_000],
    [
      {
        messages: [
          { role: "user", content: [{ type: "search_result", title: "abcd", source: "efg", content: [{ type: "text", text: "ijkl" }] }] }
        ]
      },
      3
    ],
    [{}, 1],
    [{ messages: [{ role: "user", content: "é".repeat(8) }] }, 4]
  ])("of %j is %i", (request, tokens) => {
    expect(estimateTokens(request)).toBe(tokens)
  })

  it("ends at blocks that are nested beyond reason, wherever they are looked at", () => {
    const nest = (open: string, close: string) =>
      JSON.parse(`${open.repeat(50_000)}{"type":"text","text":"x"}${close.repeat(50_000)}`) as unknown
    const results = nest('{"type":"tool_result","tool_use_id":"t","content":[', "]}")
    const documents = nest('{"type":"document","source":{"type":"content","content":[', "]}}")
    for (const block of [results, documents]) {
      const request = { model: "m", max_tokens: 1, messages: [{ role: "user", content: [block] }] }
      expect(featuresOf(request).images).toBe(false)
      expect(estimateTokens(request)).toBe(1)
    }
    expect(complaint({ messages: [{ role: "user", content: [documents] }] })).toBe("content blocks are nested too deeply")
  })
})

/** Requests of the Responses API, as chat completions. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { checkResponses, readResponses } from "../../src/translation/responses/ResponsesReading.ts"
import { wireName } from "../../src/translation/responses/ResponsesTools.ts"
import { type wordsFor, writtenFor } from "./words.ts"

const read = (request: JsonRecord) => readResponses({ model: "m", input: "hi", ...request })
const convert = (request: JsonRecord, kind: keyof typeof wordsFor = "lemonade") => {
  const got = read(request)
  if (got instanceof Complaint) throw new Error(got.message)
  return writtenFor(got.turn, kind)
}
const complaint = (request: JsonRecord) => {
  const got = read(request)
  return got instanceof Complaint ? [got.message, got.details?.["code"], got.details?.["param"]] : ["accepted"]
}
const input = (...items: ReadonlyArray<unknown>) => convert({ input: items }).fields.messages

describe("a Responses request as a chat completion", () => {
  it("is what Codex sends in the middle of its work", () => {
    const made = convert({
      instructions: "You are Codex.",
      stream: true,
      store: false,
      include: ["reasoning.encrypted_content"],
      prompt_cache_key: "k",
      client_metadata: { a: 1 },
      parallel_tool_calls: true,
      reasoning: { effort: "high", summary: "auto" },
      text: { verbosity: "low" },
      tool_choice: "auto",
      tools: [
        { type: "function", name: "exec_command", description: "Run", strict: false, parameters: { type: "object", properties: {} } },
        { type: "custom", name: "apply_patch", description: "Patch", format: { type: "grammar", syntax: "lark", definition: "start: x" } },
        { type: "namespace", name: "multi_agent_v1", tools: [{ type: "function", name: "close_agent", parameters: null }] },
        { type: "web_search", external_web_access: true }
      ],
      input: [
        { type: "message", role: "developer", content: [{ type: "input_text", text: "a" }] },
        {
          type: "message",
          role: "developer",
          content: [
            { type: "input_text", text: "b" },
            { type: "input_text", text: "c" }
          ]
        },
        { type: "message", role: "user", content: [{ type: "input_text", text: "Run a command please" }] },
        { type: "reasoning", summary: [{ type: "summary_text", text: "I will." }], encrypted_content: null },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "Let me run it. ", annotations: [] }] },
        { type: "function_call", name: "exec_command", arguments: '{"cmd":"ls"}', call_id: "call_1" },
        { type: "custom_tool_call", name: "apply_patch", input: "*** Begin", call_id: "call_2" },
        { type: "function_call_output", call_id: "call_1", output: "a b" },
        {
          type: "custom_tool_call_output",
          call_id: "call_2",
          output: [
            { type: "input_text", text: "done" },
            { type: "input_image", image_url: "data:image/png;base64,AA" }
          ]
        }
      ]
    })
    expect(made.fields).toEqual({
      stream: true,
      messages: [
        { role: "system", content: "You are Codex.\n\na\n\nb\n\nc" },
        { role: "user", content: "Run a command please" },
        {
          role: "assistant",
          content: "Let me run it. ",
          reasoning_content: "I will.",
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "exec_command", arguments: '{"cmd":"ls"}' } },
            { id: "call_2", type: "function", function: { name: "apply_patch", arguments: '{"input":"*** Begin"}' } }
          ]
        },
        { role: "tool", tool_call_id: "call_1", content: "a b" },
        { role: "tool", tool_call_id: "call_2", content: "done" },
        {
          role: "user",
          content: [
            { type: "text", text: "Content of tool result call_2:" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AA" } }
          ]
        }
      ],
      stream_options: { include_usage: true },
      tools: [
        { type: "function", function: { name: "exec_command", description: "Run", parameters: { type: "object", properties: {} } } },
        {
          type: "function",
          function: {
            name: "apply_patch",
            description: "Patch\nThe input follows this lark grammar:\nstart: x",
            parameters: { type: "object", properties: { input: { type: "string" } }, required: ["input"], additionalProperties: false }
          }
        },
        { type: "function", function: { name: "multi_agent_v1__close_agent", parameters: { type: "object", properties: {} } } }
      ],
      tool_choice: "auto",
      parallel_tool_calls: true,
      reasoning_effort: "high"
    })
    expect(made.dropped).toEqual(["tools.web_search"])
    expect(convert({ prompt_cache_key: "k" }, "litellm").fields.prompt_cache_key).toBe("k")
  })

  it("takes everything from the clients on record", () => {
    const { requests } = JSON.parse(readFileSync(new URL("./recorded/clients/codex.json", import.meta.url), "utf8")) as {
      requests: ReadonlyArray<{ body: JsonRecord }>
    }
    const written = requests.map(({ body }) => JSON.stringify(convert(body).fields.messages))
    for (const [at, text] of written.entries()) if (at > 0) expect(text.startsWith((written[at - 1] as string).slice(0, -1))).toBe(true)
    expect(requests.length).toBeGreaterThan(1)
  })

  it("sends no limit where none was given, and the output's form", () => {
    expect(convert({}).fields).not.toHaveProperty("max_tokens")
    expect(convert({ max_output_tokens: 5 }).fields.max_tokens).toBe(5)
    const format = { type: "json_schema", name: "n", schema: { type: "object" }, strict: true }
    expect(convert({ text: { format } }).fields.response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "n", schema: { type: "object" }, strict: true }
    })
    expect(convert({ text: { format: { type: "json_object" } } }).fields.response_format).toEqual({ type: "json_object" })
    expect(convert({ top_logprobs: 3 }).fields).toMatchObject({ logprobs: true, top_logprobs: 3 })
    expect(convert({ reasoning: { effort: "none" } }, "ollama").fields.reasoning_effort).toBe("none")
  })

  it.each([
    [
      { type: "local_shell_call", call_id: "c", action: { type: "exec", command: ["ls"] } },
      "local_shell",
      '{"type":"exec","command":["ls"]}',
      { type: "local_shell_call_output", id: "c", output: "x" }
    ],
    [
      { type: "shell_call", call_id: "c", action: { commands: ["ls"] } },
      "shell",
      '{"commands":["ls"]}',
      { type: "shell_call_output", call_id: "c", output: [{ stdout: "x" }] }
    ],
    [
      { type: "apply_patch_call", call_id: "c", operation: { type: "delete_file", path: "p" } },
      "apply_patch",
      '{"type":"delete_file","path":"p"}',
      { type: "apply_patch_call_output", call_id: "c", status: "failed", output: "no" }
    ],
    [
      { type: "tool_search_call", call_id: "c", arguments: { q: 1 } },
      "tool_search",
      '{"q":1}',
      { type: "tool_search_output", call_id: "c", tools: [{ type: "function", name: "found" }] }
    ]
  ])("tells calls of every kind: %j", (call, name, args, output) => {
    const [, assistant, tool] = input({ role: "user", content: "x" }, call, output)
    expect(assistant).toMatchObject({ tool_calls: [{ id: "c", function: { name, arguments: args } }] })
    expect(tool).toMatchObject({ role: "tool", tool_call_id: "c" })
    if (name === "apply_patch") expect(tool?.content).toBe("Error: no")
    if (name === "shell") expect(tool?.content).toBe('[{"stdout":"x"}]')
    if (name === "tool_search")
      expect(convert({ input: [{ role: "user", content: "x" }, call, output] }).fields.tools?.[0]?.function.name).toBe("found")
  })

  it("puts a result right behind its call, wherever it comes", () => {
    const call = (id: string) => ({ type: "function_call", call_id: id, name: "n", arguments: "" })
    const made = input(
      { role: "user", content: "x" },
      call("a"),
      { role: "user", content: "wait" },
      { type: "function_call_output", call_id: "a", output: "r" }
    )
    expect(made.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "user"])
    expect(complaint({ input: [{ type: "function_call_output", call_id: "z", output: "r" }] })[0]).toBe(
      "No tool call found for function call output with call_id z"
    )
  })

  it.each([
    [{ background: true }, "unsupported_parameter", "background"],
    [{ prompt: { id: "p" } }, "unsupported_parameter", "prompt"],
    [{ conversation: "c" }, "unsupported_parameter", "conversation"],
    [{ previous_response_id: "resp_1" }, "previous_response_not_found", "previous_response_id"],
    [{ input: [{ type: "item_reference", id: "x" }] }, "unsupported_item", "input[0]"],
    [{ input: [{ type: "hologram" }] }, "unsupported_item", "input[0]"],
    [{ input: [{ type: "compaction", encrypted_content: "c2VjcmV0" }] }, "unsupported_item", "input[0]"],
    [{ input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] }, "unsupported_item", "input[0].content[0]"],
    [{ input: [{ role: "robot", content: "x" }] }, "invalid_value", "input[0].role"],
    [{ tools: [{ type: "teleport" }] }, "invalid_value", "tools[0]"],
    [{ input: [] }, "missing_required_parameter", "input"],
    [{ model: undefined }, "missing_required_parameter", "model"]
  ])("refuses what it would have to lose: %j", (request, code, param) => {
    expect(complaint(request).slice(1)).toEqual([code, param])
    expect(checkResponses({ model: "m", input: "x" })).toBeUndefined()
  })

  it("names what it leaves out", () => {
    const made = convert({
      truncation: "auto",
      max_tool_calls: 3,
      some_new_field: 1,
      store: true,
      input: [
        { role: "user", content: "x" },
        { type: "web_search_call", id: "ws" },
        { type: "reasoning", encrypted_content: "c2VjcmV0" }
      ]
    })
    expect([...made.dropped].sort()).toEqual([
      "input.reasoning.encrypted_content",
      "input.web_search_call",
      "max_tool_calls",
      "some_new_field",
      "truncation"
    ])
    expect(convert({ truncation: "disabled" }).dropped).toEqual([])
  })

  it.each([
    ["none", "none"],
    [
      { type: "function", name: "a" },
      { type: "function", function: { name: "a" } }
    ],
    [
      { type: "custom", name: "b" },
      { type: "function", function: { name: "b" } }
    ],
    [{ type: "web_search" }, undefined],
    [{ type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "a" }] }, "required"]
  ])("turns tool_choice %j into %j", (choice, expected) => {
    const tools = [{ type: "function", name: "a" }, { type: "custom", name: "b" }, { type: "web_search" }]
    const made = convert({ tools, tool_choice: choice }).fields
    expect(made.tool_choice).toEqual(expected)
    if (expected === "required") expect(made.tools).toHaveLength(1)
  })

  it("has names for members of namespaces that every server takes, each its own", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (namespace, name) => {
        expect(wireName(name, namespace)).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
      })
    )
    expect(wireName("x".repeat(70), "ns")).not.toBe(wireName(`${"x".repeat(69)}y`, "ns"))
  })
})

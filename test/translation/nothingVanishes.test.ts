/**
 * No field of a request vanishes: it is carried over, refused, or named as left out. Requests with everything that the APIs describe are
 * read with each of their fields taken away; one without which the same is read has vanished, and stands in the list of those that mean
 * nothing to whoever answers, or are said twice.
 */
import { describe, expect, it } from "vitest"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import type { JsonRecord } from "../../src/translation/JsonValue.ts"
import { readOllamaChat } from "../../src/translation/ollama/OllamaReading.ts"
import { readChat } from "../../src/translation/openai/ChatRequestReading.ts"
import { readResponses } from "../../src/translation/responses/ResponsesReading.ts"

const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] }
const image = "data:image/png;base64,aa"
const pdf = "data:application/pdf;base64,aa"

interface Asked {
  readonly read: (request: JsonRecord) => unknown
  readonly request: JsonRecord
  /** What may vanish; with all that is below it. */
  readonly meaningless: ReadonlyArray<RegExp>
}

const dialects: Readonly<Record<string, Asked>> = {
  chat: {
    read: readChat,
    request: {
      model: "m",
      messages: [
        { role: "system", content: "s", name: "sys" },
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "image_url", image_url: { url: image, detail: "low" } },
            { type: "file", file: { filename: "a.pdf", file_data: pdf } },
            { type: "input_audio", input_audio: { data: "aa", format: "mp3" } }
          ]
        },
        {
          role: "assistant",
          content: "t",
          reasoning_content: "h",
          tool_calls: [
            { id: "c", type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { id: "d", type: "custom", custom: { name: "g", input: "x" } }
          ]
        },
        { role: "assistant", refusal: "no" },
        { role: "tool", tool_call_id: "c", content: "r" },
        { role: "tool", tool_call_id: "d", content: [{ type: "text", text: "q" }] }
      ],
      max_tokens: 3,
      temperature: 1,
      top_p: 0.5,
      top_k: 4,
      min_p: 0.1,
      repetition_penalty: 1.1,
      stop: ["x"],
      seed: 1,
      frequency_penalty: 0.1,
      presence_penalty: 0.1,
      logprobs: true,
      top_logprobs: 2,
      logit_bias: { "1": 1 },
      prediction: { type: "content", content: "x" },
      tools: [{ type: "function", function: { name: "f", description: "d", parameters: schema, strict: true } }],
      tool_choice: "required",
      parallel_tool_calls: true,
      response_format: { type: "json_schema", json_schema: { name: "n", description: "dd", schema, strict: true } },
      reasoning_effort: "low",
      chat_template_kwargs: { custom: true },
      user: "u",
      prompt_cache_key: "k",
      stream: true,
      stream_options: { include_usage: true },
      n: 1,
      store: true,
      metadata: { a: "b" },
      service_tier: "flex",
      verbosity: "low",
      modalities: ["text"],
      safety_identifier: "s",
      prompt_cache_retention: "24h"
    },
    meaningless: [
      /^(stream_options|n|store|metadata|service_tier|verbosity|modalities|safety_identifier|prompt_cache_retention)\b/,
      /^messages\.\d+\.tool_calls\.\d+\.type$/,
      /^tools\.0\.type$/,
      /^logprobs$/,
      // Said by its name, whatever is in it.
      /^(logit_bias|prediction)\./
    ]
  },
  messages: {
    read: readMessages,
    request: {
      model: "m",
      max_tokens: 5,
      system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "aa" } },
            {
              type: "document",
              title: "t",
              context: "c",
              citations: { enabled: true },
              source: { type: "base64", media_type: "application/pdf", data: "aa" }
            },
            { type: "document", title: "t", context: "c", source: { type: "text", media_type: "text/plain", data: "aa" } },
            { type: "search_result", title: "t", source: "u", content: [{ type: "text", text: "y" }] }
          ]
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "h", signature: "s" },
            { type: "redacted_thinking", data: "zz" },
            { type: "text", text: "q", citations: [{ type: "char_location", cited_text: "z" }] },
            { type: "tool_use", id: "c", name: "f", input: { a: 1 }, caller: { type: "direct" } },
            { type: "server_tool_use", id: "v", name: "web_search", input: { query: "q" } },
            { type: "web_search_tool_result", tool_use_id: "v", content: [{ type: "web_search_result", title: "t", url: "u" }] }
          ]
        },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: [{ type: "text", text: "r" }], is_error: true }] }
      ],
      temperature: 1,
      top_p: 0.5,
      top_k: 3,
      stop_sequences: ["x"],
      metadata: { user_id: "u" },
      tools: [
        {
          type: "custom",
          name: "f",
          description: "d",
          input_schema: schema,
          strict: true,
          cache_control: { type: "ephemeral" },
          defer_loading: true,
          eager_input_streaming: true,
          input_examples: [{ a: "b" }],
          allowed_callers: ["direct"]
        },
        { type: "web_search_20250305", name: "web_search", max_uses: 3 }
      ],
      tool_choice: { type: "any", disable_parallel_tool_use: true },
      thinking: { type: "adaptive" },
      output_config: { effort: "low", format: { type: "json_schema", schema }, task_budget: { type: "tokens", total: 5 } },
      service_tier: "auto",
      container: "c",
      context_management: { edits: [] },
      mcp_servers: [{}],
      stream: true
    },
    meaningless: [
      /\bcache_control\b/,
      /^thinking\b/,
      /\.caller\b/,
      // Of what was said, not of what is asked.
      /^messages\.1\.content\.2\.citations\b/,
      /^messages\.1\.content\.5\.(tool_use_id|content\.0\.type)$/,
      /^messages\.0\.content\.3\.source\.media_type$/,
      /^tools\.0\.(type|defer_loading|eager_input_streaming)$/,
      // Said by its name, whatever is in it.
      /^messages\.1\.content\.[14]\.(?!type)/,
      /^(messages\.0\.content\.2\.citations|tools\.0\.input_examples|tools\.0\.allowed_callers|output_config\.task_budget|context_management|mcp_servers)\./,
      /^tools\.1\.max_uses$/
    ]
  },
  responses: {
    read: (request) => {
      const got = readResponses(request)
      return got instanceof Complaint ? got : [got.turn, [...got.declared]]
    },
    request: {
      model: "m",
      instructions: "i",
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: "x" },
            { type: "input_image", image_url: image, detail: "low" },
            { type: "input_file", filename: "a.pdf", file_data: pdf },
            { type: "input_audio", input_audio: { data: "aa", format: "mp3" } }
          ]
        },
        { type: "reasoning", id: "r", summary: [{ type: "summary_text", text: "s" }] },
        { type: "reasoning", id: "r2", summary: [], encrypted_content: "sealed" },
        {
          type: "message",
          id: "m1",
          role: "assistant",
          status: "completed",
          content: [
            { type: "output_text", text: "q", annotations: [{ type: "url_citation", url: "u" }], logprobs: [] },
            { type: "refusal", refusal: "no" }
          ]
        },
        { type: "function_call", id: "f1", call_id: "c", name: "f", arguments: '{"a":1}', namespace: "ns", status: "completed" },
        { type: "function_call_output", id: "o", call_id: "c", output: "r", status: "completed" },
        { type: "web_search_call", id: "w", action: { query: "q" } }
      ],
      max_output_tokens: 4,
      temperature: 1,
      top_p: 0.5,
      parallel_tool_calls: true,
      user: "u",
      text: { format: { type: "json_schema", name: "n", description: "d", schema, strict: true }, verbosity: "low" },
      reasoning: { effort: "low", summary: "auto" },
      top_logprobs: 2,
      include: ["reasoning.encrypted_content"],
      prompt_cache_key: "k",
      truncation: "auto",
      context_management: [{ type: "compaction" }],
      max_tool_calls: 2,
      stream: true,
      tools: [
        { type: "function", name: "f", description: "d", parameters: schema, strict: true },
        { type: "custom", name: "p", description: "d", format: { type: "grammar", syntax: "lark", definition: "x" } },
        { type: "namespace", name: "ns", description: "all of it", tools: [{ type: "function", name: "go", parameters: schema }] },
        { type: "web_search", filters: {} }
      ],
      tool_choice: "required",
      safety_identifier: "s",
      metadata: { a: "b" },
      store: true,
      service_tier: "flex",
      stream_options: { include_obfuscation: false },
      client_metadata: {}
    },
    meaningless: [
      // What the answer says again, or does whatever is asked.
      /^(include|safety_identifier|metadata|store|service_tier|stream_options|client_metadata|text\.verbosity|reasoning\.summary)\b/,
      /^input\.\d+\.(id|status)$/,
      /^input\.3\.(type|content\.0\.(annotations|logprobs))\b/,
      /^input\.1\.summary\.0\.type$/,
      /^input\.2\.summary$/,
      /^tools\.(0|2\.tools\.0)\.type$/,
      // Said by its name, whatever is in it.
      /^(input\.6\.action|context_management\.|tools\.3\.filters)/
    ]
  },
  ollama: {
    read: readOllamaChat,
    request: {
      model: "m",
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "x", images: ["aa"] },
        {
          role: "assistant",
          content: "t",
          thinking: "h",
          tool_calls: [{ id: "c", function: { index: 0, name: "f", arguments: { a: 1 } } }]
        },
        { role: "tool", tool_name: "f", tool_call_id: "c", content: "r" }
      ],
      stream: false,
      tools: [{ type: "function", function: { name: "f", description: "d", parameters: schema } }],
      format: schema,
      think: "low",
      options: {
        temperature: 1,
        top_p: 0.5,
        top_k: 2,
        min_p: 0.1,
        seed: 1,
        stop: ["x"],
        frequency_penalty: 0.1,
        presence_penalty: 0.1,
        repeat_penalty: 1.1,
        num_predict: 4,
        num_ctx: 5,
        mirostat: 1
      },
      truncate: true,
      shift: true,
      keep_alive: "5m",
      logprobs: true,
      top_logprobs: 2
    },
    meaningless: [
      /^keep_alive$/,
      /^logprobs$/,
      /^tools\.0\.type$/,
      /^messages\.2\.tool_calls\.0\.function\.index$/,
      // Either of them says whose result it is.
      /^messages\.3\.tool_(name|call_id)$/
    ]
  }
}

type Path = ReadonlyArray<string>

const pathsOf = (value: unknown, at: Path = []): ReadonlyArray<Path> =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => [[...at, key], ...pathsOf(inner, [...at, key])])
    : []

const without = (request: JsonRecord, path: Path): JsonRecord => {
  const copy = structuredClone(request)
  const last = path.at(-1) as string
  const holder = path.slice(0, -1).reduce((at: object, key) => (at as Record<string, object>)[key] as object, copy)
  if (Array.isArray(holder)) holder.splice(Number(last), 1)
  else delete (holder as Record<string, unknown>)[last]
  return copy
}

describe.each(Object.entries(dialects))("a request of %s", (_, { read, request, meaningless }) => {
  it("loses no field without a word", () => {
    const whole = read(request)
    expect(whole).not.toBeInstanceOf(Complaint)
    const all = JSON.stringify(whole)
    const vanishing = pathsOf(request)
      .filter((path) => JSON.stringify(read(without(request, path))) === all)
      .map((path) => path.join("."))
    expect(vanishing.filter((path) => !meaningless.some((known) => known.test(path)))).toEqual([])
  })
})

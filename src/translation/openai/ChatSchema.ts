/**
 * OpenAI's chat dialect as far as translations write or read it. What Olla writes is exactly `ChatRequest`; what it reads
 * is `ChatCompletion` and `ChatChunk`, leniently: a field of another type counts as absent, unknown fields are dropped
 * (they have no place in the other dialect), and only the first choice counts. Schemas are the written form of that rule
 * and what the tests hold both directions against; no token is decoded through them.
 */
import * as Schema from "effect/Schema"

const optional = Schema.optionalKey

export const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })
export const ImagePart = Schema.Struct({ type: Schema.Literal("image_url"), image_url: Schema.Struct({ url: Schema.String }) })
export const FilePart = Schema.Struct({
  type: Schema.Literal("file"),
  file: Schema.Struct({ filename: Schema.String, file_data: Schema.String })
})
export const AudioPart = Schema.Struct({
  type: Schema.Literal("input_audio"),
  input_audio: Schema.Struct({ data: Schema.String, format: Schema.String })
})
export const ContentPart = Schema.Union([TextPart, ImagePart, FilePart, AudioPart])
export type ContentPart = typeof ContentPart.Type

export const ToolCall = Schema.Struct({
  id: Schema.String,
  type: Schema.Literal("function"),
  function: Schema.Struct({ name: Schema.String, arguments: Schema.String })
})

export const ChatMessage = Schema.Union([
  Schema.Struct({ role: Schema.Literal("system"), content: Schema.String }),
  Schema.Struct({ role: Schema.Literal("user"), content: Schema.Union([Schema.String, Schema.Array(ContentPart)]) }),
  Schema.Struct({
    role: Schema.Literal("assistant"),
    content: Schema.NullOr(Schema.String),
    /** Only for kinds of backends that read them, each its own. */
    reasoning: optional(Schema.String),
    reasoning_content: optional(Schema.String),
    tool_calls: optional(Schema.Array(ToolCall))
  }),
  Schema.Struct({ role: Schema.Literal("tool"), tool_call_id: Schema.String, content: Schema.String })
])
export type ChatMessage = typeof ChatMessage.Type

export const ChatTool = Schema.Struct({
  type: Schema.Literal("function"),
  function: Schema.Struct({
    name: Schema.String,
    description: optional(Schema.String),
    parameters: Schema.Record(Schema.String, Schema.Unknown),
    strict: optional(Schema.Boolean)
  })
})
export type ChatTool = typeof ChatTool.Type

export const ToolChoice = Schema.Union([
  Schema.Literals(["auto", "required", "none"]),
  Schema.Struct({ type: Schema.Literal("function"), function: Schema.Struct({ name: Schema.String }) })
])
export type ToolChoice = typeof ToolChoice.Type

/** What is sent to a backend; the keys always stand in this order, so that equal conversations give equal bytes. */
export const ChatRequest = Schema.Struct({
  model: Schema.String,
  max_tokens: optional(Schema.Number),
  /** Newer servers' name of the same. */
  max_completion_tokens: optional(Schema.Number),
  stream: Schema.Boolean,
  messages: Schema.Array(ChatMessage),
  stream_options: optional(Schema.Struct({ include_usage: Schema.Boolean })),
  temperature: optional(Schema.Number),
  top_p: optional(Schema.Number),
  stop: optional(Schema.Array(Schema.String)),
  tools: optional(Schema.Array(ChatTool)),
  tool_choice: optional(ToolChoice),
  parallel_tool_calls: optional(Schema.Boolean),
  user: optional(Schema.String),
  response_format: optional(
    Schema.Union([
      Schema.Struct({ type: Schema.Literal("json_object") }),
      Schema.Struct({
        type: Schema.Literal("json_schema"),
        json_schema: Schema.Struct({ name: Schema.String, schema: Schema.Unknown, strict: Schema.Boolean })
      })
    ])
  ),
  seed: optional(Schema.Number),
  frequency_penalty: optional(Schema.Number),
  presence_penalty: optional(Schema.Number),
  logprobs: optional(Schema.Boolean),
  top_logprobs: optional(Schema.Number),
  /** Extensions, only for kinds of backends that take them. */
  top_k: optional(Schema.Number),
  min_p: optional(Schema.Number),
  repeat_penalty: optional(Schema.Number),
  repetition_penalty: optional(Schema.Number),
  reasoning_effort: optional(Schema.String),
  chat_template_kwargs: optional(Schema.Struct({ enable_thinking: Schema.Boolean, thinking: Schema.Boolean })),
  prompt_cache_key: optional(Schema.String)
})
export type ChatRequest = typeof ChatRequest.Type

const said = {
  role: optional(Schema.NullOr(Schema.String)),
  content: optional(Schema.NullOr(Schema.Union([Schema.String, Schema.Array(Schema.Unknown)]))),
  /** vLLM and Ollama say `reasoning`, llama.cpp, SGLang and LM Studio `reasoning_content`. */
  reasoning: optional(Schema.NullOr(Schema.String)),
  reasoning_content: optional(Schema.NullOr(Schema.String)),
  refusal: optional(Schema.NullOr(Schema.String))
}

const choice = {
  finish_reason: optional(Schema.NullOr(Schema.String)),
  /** The stop string that matched, as vLLM and SGLang report it. */
  stop_reason: optional(Schema.NullOr(Schema.Union([Schema.String, Schema.Number]))),
  matched_stop: optional(Schema.NullOr(Schema.Union([Schema.String, Schema.Number])))
}

export const ChatUsage = Schema.Struct({
  prompt_tokens: Schema.Number,
  completion_tokens: Schema.Number,
  prompt_tokens_details: optional(Schema.NullOr(Schema.Struct({ cached_tokens: optional(Schema.NullOr(Schema.Number)) })))
})

const answer = { model: optional(Schema.String), usage: optional(Schema.NullOr(ChatUsage)) }

/** One `data:` payload of a stream. */
export const ChatChunk = Schema.Struct({
  ...answer,
  choices: Schema.Array(
    Schema.Struct({
      ...choice,
      delta: Schema.Struct({
        ...said,
        tool_calls: optional(
          Schema.NullOr(
            Schema.Array(
              Schema.Struct({
                index: optional(Schema.Number),
                id: optional(Schema.NullOr(Schema.String)),
                type: optional(Schema.NullOr(Schema.String)),
                function: optional(
                  Schema.Struct({ name: optional(Schema.NullOr(Schema.String)), arguments: optional(Schema.NullOr(Schema.Unknown)) })
                )
              })
            )
          )
        )
      })
    })
  )
})
export type ChatChunk = typeof ChatChunk.Type

export const ChatCompletion = Schema.Struct({
  ...answer,
  choices: Schema.Array(
    Schema.Struct({ ...choice, message: Schema.Struct({ ...said, tool_calls: optional(Schema.NullOr(Schema.Array(ToolCall))) }) })
  )
})
export type ChatCompletion = typeof ChatCompletion.Type

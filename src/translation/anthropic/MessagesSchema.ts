/**
 * Anthropic's Messages dialect as far as translations write it: the whole message, the events of a stream, the error
 * envelope. Every answer in translation is one of these and has no other fields. A native answer is never held against
 * them: it is relayed as it came, with whatever the API has learned since.
 *
 * Requests are read field by field instead (`MessagesRequest.ts`, `ToChatRequest.ts`): what a chat completion cannot say is
 * dropped or refused by the rule written there, and a request that is relayed keeps every byte.
 */
import * as Schema from "effect/Schema"

/** All four counts, always. */
export const Usage = Schema.Struct({
  input_tokens: Schema.Number,
  output_tokens: Schema.Number,
  cache_creation_input_tokens: Schema.Number,
  cache_read_input_tokens: Schema.Number
})
export type Usage = typeof Usage.Type

export const StopReason = Schema.Literals(["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"])
export type StopReason = typeof StopReason.Type

const Thinking = Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.String, signature: Schema.String })
const Text = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })
const ToolUse = Schema.Struct({
  type: Schema.Literal("tool_use"),
  id: Schema.String,
  name: Schema.String,
  input: Schema.Record(Schema.String, Schema.Unknown)
})
export const ContentBlock = Schema.Union([Thinking, Text, ToolUse])
export type ContentBlock = typeof ContentBlock.Type

const envelope = {
  id: Schema.String,
  type: Schema.Literal("message"),
  role: Schema.Literal("assistant"),
  model: Schema.String
}

export const Message = Schema.Struct({
  ...envelope,
  content: Schema.Array(ContentBlock),
  stop_reason: StopReason,
  stop_sequence: Schema.NullOr(Schema.String),
  usage: Usage
})
export type Message = typeof Message.Type

export const ErrorType = Schema.Literals([
  "invalid_request_error",
  "authentication_error",
  "billing_error",
  "permission_error",
  "not_found_error",
  "request_too_large",
  "rate_limit_error",
  "timeout_error",
  "overloaded_error",
  "api_error"
])
export type ErrorType = typeof ErrorType.Type

const fault = Schema.Struct({
  type: ErrorType,
  message: Schema.String,
  /** Codes that clients act on. */
  details: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
})

/** The body of an error answer. */
export const ErrorEnvelope = Schema.Struct({ type: Schema.Literal("error"), error: fault, request_id: Schema.optionalKey(Schema.String) })
export type ErrorEnvelope = typeof ErrorEnvelope.Type

export const StreamEvent = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("message_start"),
    message: Schema.Struct({
      ...envelope,
      content: Schema.Tuple([]),
      stop_reason: Schema.Null,
      stop_sequence: Schema.Null,
      usage: Usage
    })
  }),
  Schema.Struct({ type: Schema.Literal("content_block_start"), index: Schema.Int, content_block: ContentBlock }),
  Schema.Struct({
    type: Schema.Literal("content_block_delta"),
    index: Schema.Int,
    delta: Schema.Union([
      Schema.Struct({ type: Schema.Literal("text_delta"), text: Schema.String }),
      Schema.Struct({ type: Schema.Literal("thinking_delta"), thinking: Schema.String }),
      Schema.Struct({ type: Schema.Literal("signature_delta"), signature: Schema.String }),
      Schema.Struct({ type: Schema.Literal("input_json_delta"), partial_json: Schema.String })
    ])
  }),
  Schema.Struct({ type: Schema.Literal("content_block_stop"), index: Schema.Int }),
  Schema.Struct({
    type: Schema.Literal("message_delta"),
    delta: Schema.Struct({ stop_reason: StopReason, stop_sequence: Schema.NullOr(Schema.String) }),
    usage: Usage
  }),
  Schema.Struct({ type: Schema.Literal("message_stop") }),
  Schema.Struct({ type: Schema.Literal("ping") }),
  Schema.Struct({ type: Schema.Literal("error"), error: fault })
])
export type StreamEvent = typeof StreamEvent.Type

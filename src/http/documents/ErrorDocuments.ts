/** Errors of Olla's own where the client accepts JSON, and on Anthropic's routes. */
import * as Schema from "effect/Schema"

export const ErrorDocument = Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.Literals([
      "invalid_request_error",
      "authentication_error",
      "permission_error",
      "not_found_error",
      "timeout_error",
      "request_too_large",
      "rate_limit_error",
      "api_error"
    ]),
    code: Schema.NullOr(Schema.String).annotate({ description: "The reason token where routing, a limit or a key refused, else null" })
  })
}).annotate({ identifier: "Error" })

export const AnthropicErrorDocument = Schema.Struct({
  type: Schema.Literal("error"),
  error: Schema.Struct({ type: Schema.String, message: Schema.String }),
  request_id: Schema.String
}).annotate({ identifier: "AnthropicError" })

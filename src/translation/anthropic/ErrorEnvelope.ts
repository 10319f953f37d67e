/** Anthropic's error answers: the type for each status, the envelope, and the event that ends a stream badly. */
import { type JsonRecord, parseJson, recordOf } from "../JsonValue.ts"
import type { ErrorEnvelope, ErrorType } from "./MessagesSchema.ts"

/** Anthropic's type for each status. */
export const errorTypeOf = (status: number): ErrorType => {
  switch (status) {
    case 401:
      return "authentication_error"
    case 402:
      return "billing_error"
    case 403:
      return "permission_error"
    case 404:
      return "not_found_error"
    case 408:
    case 504:
      return "timeout_error"
    case 413:
      return "request_too_large"
    case 429:
      return "rate_limit_error"
    case 529:
      return "overloaded_error"
    default:
      return status >= 400 && status < 500 ? "invalid_request_error" : "api_error"
  }
}

export const errorBody = (status: number, message: string, requestId: string, details?: JsonRecord): string => {
  const envelope: ErrorEnvelope = {
    type: "error",
    error: { type: errorTypeOf(status), message, ...(details === undefined ? {} : { details }) },
    ...(requestId === "" ? {} : { request_id: requestId })
  }
  return JSON.stringify(envelope)
}

export const errorEvent = (type: ErrorType, message: string): string =>
  `event: error\ndata: ${JSON.stringify({ type: "error", error: { type, message } })}\n\n`

/** An error body that is already in Anthropic's form. */
export const isAnthropicError = (body: string): boolean => {
  const record = recordOf(parseJson(body))
  return record?.["type"] === "error" && recordOf(record["error"]) !== undefined
}

/** OpenAI's error answers, as clients of both its APIs read them. */
import type { JsonRecord } from "../JsonValue.ts"

const typeOf = (status: number): string => {
  switch (status) {
    case 400:
      return "invalid_request_error"
    case 401:
      return "authentication_error"
    case 403:
      return "permission_error"
    case 404:
      return "not_found_error"
    case 413:
      return "request_too_large"
    case 429:
      return "rate_limit_error"
    default:
      return status >= 400 && status < 500 ? "invalid_request_error" : "server_error"
  }
}

/** Sentences that servers have for a prompt that does not fit. */
const overflow =
  /context[ _-](?:length|size|window)|maximum context|exceed_context|context_length_exceeded|too many (?:input )?tokens|prompt is too long|(?:input|prompt|request)[^.]*(?:exceeds|longer than)[^.]*(?:context|maximum|limit)|reduce the length/i

export const isOverflow = (status: number, message: string): boolean =>
  (status === 400 || status === 413 || status === 422 || status === 500) && overflow.test(message)

/** What clients decide by. */
export const codeOf = (status: number, message: string): string | null => {
  if (isOverflow(status, message)) return "context_length_exceeded"
  if (status === 404) return "model_not_found"
  if (status === 429) return "rate_limit_exceeded"
  if (status === 503 || status === 529) return "server_is_overloaded"
  return status >= 500 ? "server_error" : null
}

export const errorOf = (status: number, message: string, details?: JsonRecord): JsonRecord => {
  const told = isOverflow(status, message) ? 400 : status
  return { message, type: typeOf(told), param: details?.["param"] ?? null, code: details?.["code"] ?? codeOf(status, message) }
}

export const errorBody = (status: number, message: string, _requestId: string, details?: JsonRecord): string =>
  JSON.stringify({ error: errorOf(status, message, details) })

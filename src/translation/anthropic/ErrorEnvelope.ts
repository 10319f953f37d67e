/** Anthropic's error answers: the type for each status, the envelope, and what a backend's own error body says. */
import { listOf, parseJson, recordOf, textOf } from "../JsonValue.ts"

/** anthropic.md 10.1 and B26. */
export const errorTypeOf = (status: number): string => {
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

export const errorBody = (status: number, message: string, requestId: string): string =>
  JSON.stringify({
    type: "error",
    error: { type: errorTypeOf(status), message },
    ...(requestId === "" ? {} : { request_id: requestId })
  })

export const errorEvent = (type: string, message: string): string =>
  `event: error\ndata: ${JSON.stringify({ type: "error", error: { type, message } })}\n\n`

/** The sentence in a backend's error body, whatever dialect it is in (B26). */
export const backendMessageOf = (body: string): string => {
  const value = parseJson(body)
  if (value === undefined) {
    const plain = body.trim()
    return plain !== "" && plain.length <= 512 && !plain.startsWith("<") ? plain : "Backend error"
  }
  const record = recordOf(value)
  const error = record?.["error"]
  const detail = record?.["detail"]
  return (
    textOf(recordOf(error)?.["message"]) ??
    textOf(error) ??
    textOf(record?.["message"]) ??
    textOf(detail) ??
    detailsOf(detail) ??
    textOf(value) ??
    "Backend error"
  )
}

/** FastAPI's list of complaints. */
const detailsOf = (detail: unknown): string | undefined => {
  const texts = (listOf(detail) ?? []).flatMap((item) => textOf(item) ?? textOf(recordOf(item)?.["msg"]) ?? [])
  return texts.length === 0 ? undefined : texts.join("; ")
}

/** An error body that is already in Anthropic's form. */
export const isAnthropicError = (body: string): boolean => {
  const record = recordOf(parseJson(body))
  return record?.["type"] === "error" && recordOf(record["error"]) !== undefined
}

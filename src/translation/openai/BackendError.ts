/** The sentence in a backend's error body, whatever server wrote it (anthropic.md B26). */
import { listOf, parseJson, recordOf, textOf } from "../JsonValue.ts"

/** A plain-text body longer than this is a page, not a sentence. */
const maxPlain = 512

export const backendMessageOf = (body: string): string => {
  const value = parseJson(body)
  if (value === undefined) {
    const plain = body.trim()
    return plain !== "" && plain.length <= maxPlain && !plain.startsWith("<") ? plain : "Backend error"
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

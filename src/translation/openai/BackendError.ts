/** The sentence in a backend's error body, whatever server wrote it, and the status that it names. */
import { isRecord, listOf, parseJson, recordOf, textOf } from "../JsonValue.ts"

/** A plain-text body longer than this is a page, not a sentence. */
const maxPlain = 512

/** `undefined` where a text is no sentence for a client: empty, a page, too long. */
export const plainSentence = (text: string): string | undefined => {
  const plain = text.trim()
  return plain !== "" && plain.length <= maxPlain && !plain.startsWith("<") ? plain : undefined
}

export const backendMessageOf = (body: string): string => {
  const value = parseJson(body)
  return (value === undefined ? plainSentence(body) : sentenceOf(value)) ?? "Backend error"
}

/** The sentence of an error that is JSON. Where there is none, its code or type is better than nothing. */
export const sentenceOf = (value: unknown): string | undefined => {
  const [first] = listOf(value) ?? []
  if (first !== undefined) return sentenceOf(first)
  const record = recordOf(value)
  const error = record?.["error"]
  const detail = record?.["detail"]
  const inner = recordOf(error)
  return (
    textOf(inner?.["message"]) ??
    textOf(error) ??
    textOf(record?.["message"]) ??
    textOf(detail) ??
    detailsOf(detail) ??
    sentenceIn(record?.["errors"]) ??
    textOf(value) ??
    wordOf(inner) ??
    wordOf(record)
  )
}

const sentenceIn = (errors: unknown): string | undefined => {
  const [first] = listOf(errors) ?? []
  return first === undefined ? undefined : sentenceOf(first)
}

const wordOf = (record: ReturnType<typeof recordOf>): string | undefined => textOf(record?.["code"]) ?? textOf(record?.["type"])

/** FastAPI's list of complaints. */
const detailsOf = (detail: unknown): string | undefined => {
  const texts = (listOf(detail) ?? []).flatMap((item) => textOf(item) ?? textOf(recordOf(item)?.["msg"]) ?? [])
  return texts.length === 0 ? undefined : texts.join("; ")
}

/** Status that an error names, in its `code` or `status`, as a number or a text; `undefined`: none that is an error's. */
export const statusIn = (value: unknown): number | undefined => {
  const record = recordOf(listOf(value)?.[0] ?? value)
  const error = recordOf(record?.["error"])
  return [error?.["code"], error?.["status"], record?.["code"], record?.["status"], record?.["status_code"]]
    .map((each) => (typeof each === "string" ? Number(each) : each))
    .find((each): each is number => typeof each === "number" && Number.isInteger(each) && each >= 400 && each <= 599)
}

/** Whether JSON where an answer was expected is a failure: servers say so with 200 as well. `mark`: what an answer would have. */
export const isFailure = (value: unknown, mark: string): boolean => {
  const [first] = listOf(value) ?? []
  if (first !== undefined) return isRecord(first) && (hasValue(first, "error") || first["object"] === "error")
  if (!isRecord(value)) return false
  if (hasValue(value, "error") || value["object"] === "error") return true
  return value[mark] === undefined && (hasValue(value, "detail") || (listOf(value["errors"]) ?? []).length > 0)
}

const hasValue = (record: { readonly [key: string]: unknown }, key: string): boolean => record[key] !== undefined && record[key] !== null

/** Reading JSON of unknown shape without trusting it: every accessor answers with the wanted kind or `undefined`. */

export type JsonRecord = { readonly [key: string]: unknown }

export const isRecord = (value: unknown): value is JsonRecord => typeof value === "object" && value !== null && !Array.isArray(value)

export const recordOf = (value: unknown): JsonRecord | undefined => (isRecord(value) ? value : undefined)

export const listOf = (value: unknown): ReadonlyArray<unknown> | undefined => (Array.isArray(value) ? value : undefined)

/** A non-empty string. */
export const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

export const numberOf = (value: unknown): number | undefined => (typeof value === "number" && Number.isFinite(value) ? value : undefined)

/** A count, written as a number or a text; 0 for everything else. */
export const countOf = (value: unknown): number => {
  const count = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof count === "number" && Number.isFinite(count) ? Math.max(0, Math.trunc(count)) : 0
}

/** `undefined` for anything that is not JSON. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** What a value is called in messages: `string`, `array`, `null`, ... */
export const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : value === undefined ? "missing" : typeof value

/** Characters of a value that is told back. */
const longestWord = 80

/** What stands where one word was expected, as an error tells it back. */
export const wordOf = (value: unknown): string =>
  value === undefined ? "" : (typeof value === "string" ? value : JSON.stringify(value)).slice(0, longestWord)

/** What a request brings along as a key. Nothing here is kept or told. */
import { holdsKey } from "../Redaction.ts"
import { isWholeKey, keyPrefix } from "./KeyForm.ts"

/** Header values as they came; empty: none. */
export interface KeyHeaders {
  readonly authorization: string
  readonly xApiKey: string
  readonly apiKey: string
  /** One of them came twice, with different values. */
  readonly hasConflict: boolean
}

const bearer = /^bearer[ \t]+/i
const basic = /^basic[ \t]+/i

const ofAuthorization = (value: string): string => {
  if (value.startsWith("Bearer olla_")) return value.slice("Bearer ".length).trimEnd()
  if (bearer.test(value)) return value.replace(bearer, "").trim()
  if (!basic.test(value)) return ""
  const pair = Buffer.from(value.replace(basic, "").trim(), "base64").toString("utf8")
  const colon = pair.indexOf(":")
  return colon < 0 ? "" : pair.slice(colon + 1).trim()
}

/** Each distinct value once. */
export const presentedKeys = ({ authorization, xApiKey, apiKey }: KeyHeaders): ReadonlyArray<string> => {
  const first = authorization === "" ? "" : ofAuthorization(authorization)
  if (xApiKey === "" && apiKey === "") return first === "" ? none : [first]
  return [...new Set([first, xApiKey.trim(), apiKey.trim()])].filter((value) => value !== "")
}

const none: ReadonlyArray<string> = []

const hasWhole = (text: string): boolean => (text.match(/olla_[0-9A-Za-z]{49}/g) ?? []).some(isWholeKey)

/** Does a value of the query, or the path, hold a key? It is in somebody's log by now. */
export const isInTarget = (path: string, query: string): boolean => {
  if (query !== "" && (query.includes(keyPrefix) || query.includes("%")))
    for (const pair of query.split("&")) if (holdsKey(pair, hasWhole)) return true
  return (path.includes(keyPrefix) || path.includes("%")) && holdsKey(path, hasWhole)
}

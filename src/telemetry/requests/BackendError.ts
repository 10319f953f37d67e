/**
 * The backend's own words about an error, for log, traces and status documents: from the beginning of its answer's body, and never
 * what a client sent or a secret. Pure.
 */
import type { Exchange } from "../../exchange/Exchange.ts"
import { redacted, redactText } from "../../guard/Redaction.ts"

/** Bytes of a body that are looked at, and characters that are told. */
const mostRead = 4096
const mostTold = 200
/** Backends quote prompts back: what is longer than this in quotation marks is left out. */
const longestQuote = 32

type Kept = Exchange["kept"]

const textOf = ({ head, tail }: Kept): string => {
  // The head is a part of its own once the tail has moved on.
  const parts = head === undefined || head === tail[0] ? tail : [head]
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.length)))
  return bytes.subarray(0, mostRead).toString("utf8")
}

const isEncoded = (headers: ReadonlyArray<string>): boolean => {
  for (let i = 0; i + 1 < headers.length; i += 2)
    if (headers[i]?.toLowerCase() === "content-encoding" && headers[i + 1]?.toLowerCase() !== "identity") return true
  return false
}

const wordsOf = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const { error, message, detail } = value as Record<string, unknown>
  if (typeof error === "object" && error !== null) {
    const inner = (error as Record<string, unknown>)["message"]
    if (typeof inner === "string") return inner
  }
  return [error, message, detail].find((word): word is string => typeof word === "string")
}

const keys = /\b(?:sk|pk|hf|gsk|xai|ghp)[-_][A-Za-z0-9_-]{8,}/g
const quotes = /"[^"]*"|'[^']*'|`[^`]*`|“[^”]*”/g

/** One line without control characters, secrets and long quotations, of at most 200 characters. */
export const tellable = (text: string): string => {
  const line = redactText(text)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ")
    .replace(keys, redacted)
    .replace(quotes, (quote) => (quote.length - 2 > longestQuote ? `${quote[0]}…${quote.at(-1)}` : quote))
    .trim()
  return line.length <= mostTold ? line : `${line.slice(0, mostTold - 1)}…`
}

/** `undefined`: it said nothing that can be told. */
export const backendError = (kept: Kept): string | undefined => {
  if (kept.tail.length === 0 || isEncoded(kept.headers)) return undefined
  const text = textOf(kept)
  const told = /^\s*[{[]/.test(text) ? wordsOf(parsed(text)) : /^text\/plain/i.test(kept.contentType) ? text : undefined
  const line = told === undefined ? "" : tellable(told)
  return line === "" ? undefined : line
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

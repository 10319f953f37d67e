/**
 * The shapes of a log record: a JSON object per line, `key=value` text, and
 * coloured text for a terminal. Every string passes the redactor, and no control character or escape sequence of a
 * client's reaches a file or a terminal.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { formatDuration } from "../config/Duration.ts"
import { keyPrefix } from "../guard/keys/KeyForm.ts"
import { redacted, redactText } from "../guard/Redaction.ts"
import type { Theme } from "./LogTheme.ts"

export type Level = "debug" | "info" | "warn" | "error"

export type LogForm = "json" | "text" | "pretty"

/** Values that are `undefined` are left out. */
export type Fields = Readonly<Record<string, unknown>>

/** A duration in a record: nanoseconds in JSON, `1m30s` in text. An Effect `Duration` is one too. */
export class LogDuration {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
}

const pad = (n: number, width = 2): string => String(n).padStart(width, "0")

/** Both spellings of a second, made once a second. */
class Second {
  #of = Number.NaN
  /** `2026-03-04 05:06:07` */
  local = ""
  zone = ""

  at(millis: number): this {
    const second = Math.floor(millis / 1000)
    if (second === this.#of) return this
    this.#of = second
    const date = new Date(millis)
    this.local = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
    const offset = -date.getTimezoneOffset()
    this.zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`
    return this
  }

  /** RFC 3339 with milliseconds. */
  zoned(millis: number): string {
    this.at(millis)
    const rest = Math.floor(millis) - Math.floor(millis / 1000) * 1000
    return `${this.local.slice(0, 10)}T${this.local.slice(11)}.${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}${this.zone}`
  }
}

/** The second of records, and that of times inside them: they differ, and would push each other out of one place. */
const now = new Second()
const other = new Second()

/** RFC 3339 with milliseconds and the local offset. */
export const zonedTime = (at: number): string => other.zoned(at)

/** `14:02:31`, local. */
export const clockTime = (at: number): string => now.at(at).local.slice(11)

const ansi = /\u001b\[[0-9;]*[a-zA-Z]/g
/**
 * What is not seen but acted on by a terminal, an editor or a reader of lines, as far as JSON does not escape it anyway: control
 * characters, line and paragraph separators, marks that turn the direction of writing round, zero widths, tags. Spelled out for
 * speed: the property test compares with Unicode's own classes.
 */
const unseen = String.raw`\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb`
/** Those beyond the first 65,536, by the first half of their pair. */
const unseenPairs = String.raw`[\ud804\ud80d\ud82f\ud834\udb40][\udc00-\udfff]`
/** A secret could be in it, or something unseen. */
const careful = new RegExp(`[\\u001b${unseen}]|${unseenPairs}|:\\/\\/|\\?|bearer |basic |olla_|%[0-7]`, "i")
const beyond = new RegExp(`[${unseen}]|${unseenPairs}`, "g")
const formatting = /\p{Cf}/u

const escapedUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

const escapedChar = (char: string): string => {
  if (char.length === 1) return escapedUnit(char)
  return formatting.test(char) ? escapedUnit(char) + escapedUnit(char.slice(1)) : char
}

const escaped = (json: string): string => json.replace(beyond, escapedChar)

const cleaned = (text: string): string => redactText(text.indexOf("\u001b") === -1 ? text : text.replace(ansi, ""))

/** Characters of one value. Clients may send a megabyte of headers, and several records tell of each request. */
export const longestValue = 8192

const slash = 0x2f

/** After redaction, so that no secret is cut where it would not be known as one. */
const bounded = (text: string): string =>
  text.length <= longestValue ? text : `${text.slice(0, longestValue)}… (${text.length - longestValue} more characters)`

/** Careful strings come again and again (targets, user agents), so what was made of short ones is kept for a while. */
const prepared = new Map<string, string>()
const maxPrepared = 256
const longestPrepared = 256

const prepare = (text: string): string => {
  const known = prepared.get(text)
  if (known !== undefined) return known
  const made = escaped(JSON.stringify(bounded(cleaned(text))))
  // A secret is kept nowhere.
  if (text.length <= longestPrepared && !made.includes(redacted)) {
    if (prepared.size >= maxPrepared) prepared.clear()
    prepared.set(text, made)
  }
  return made
}

/**
 * By character: it stands in JSON as it is, and nothing that it is part of can be a secret, but for a key of ours: letters, digits and
 * a few signs. Two of those that a URL needs, `:` and `/`, are among them, but not the `?` that a query begins with.
 */
const isPlain = Uint8Array.from({ length: 128 }, (_, code) => (/[\w\-.,:;@+/()[\]]/.test(String.fromCharCode(code)) ? 1 : 0))
/** Longer ones are looked at by other means. */
const longestPlain = 64

const jsonString = (text: string): string => {
  const { length } = text
  if (length <= longestPlain) {
    let at = 0
    for (let before = 0; at < length; at++) {
      const code = text.charCodeAt(at)
      // `://` is careful's affair.
      if (code >= 128 || isPlain[code] === 0 || (code === slash && before === slash)) break
      before = code
    }
    if (at === length && !text.includes(keyPrefix)) return `"${text}"`
  }
  return careful.test(text) ? prepare(text) : JSON.stringify(bounded(text))
}

const describe = (error: Error): string => {
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ""
  return `${error.message === "" ? error.name : error.message}${cause}`
}

const millisOf = (value: object): number | undefined =>
  value instanceof LogDuration ? value.millis : Duration.isDuration(value) ? Duration.toMillis(value) : undefined

/** Objects inside a record: the same rules for their strings. */
const nested = (_key: string, value: unknown): unknown => {
  if (typeof value === "string") return bounded(careful.test(value) ? cleaned(value) : value)
  if (typeof value === "bigint") return value.toString()
  if (value instanceof Error) return describe(value)
  if (Redacted.isRedacted(value)) return "[REDACTED]"
  return value
}

const jsonObject = (value: object): string => {
  const millis = millisOf(value)
  if (millis !== undefined) return String(Math.round(millis * 1e6))
  if (value instanceof Error) return jsonString(describe(value))
  if (value instanceof Date) return JSON.stringify(zonedTime(value.getTime()))
  try {
    return escaped(JSON.stringify(value, nested) ?? '""')
  } catch {
    return jsonString(String(value))
  }
}

const jsonValue = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return jsonString(value)
    case "number":
      return Number.isFinite(value) ? String(value) : "null"
    case "boolean":
      return value ? "true" : "false"
    case "object":
      return value === null ? "null" : jsonObject(value)
    default:
      return jsonString(String(value))
  }
}

/** Encoded `,"key":` of the keys in use; records have a few dozen of them. A key of the record itself gets a mark. */
const encodedKeys = new Map<string, string>()
const maxKeys = 1000
const reserved = new Set(["timestamp", "level", "msg", "time"])

const jsonKey = (key: string): string => {
  const known = encodedKeys.get(key)
  if (known !== undefined) return known
  const made = `,${JSON.stringify(reserved.has(key) ? `field_${key}` : key)}:`
  if (encodedKeys.size < maxKeys) encodedKeys.set(key, made)
  return made
}

/**
 * What the last record with this message said, and how: most of it is what the next one says (who was asked, for what, by whom), and a
 * comparison costs less than another look for secrets. A record has its fields in the same order each time.
 */
interface Remembered {
  /** Level and message, as they stand in the record. */
  readonly level: Level
  readonly head: string
  readonly keys: Array<string>
  readonly texts: Array<string>
  readonly pieces: Array<string>
}

const remembered = new Map<string, Remembered>()
const mostRemembered = 200
/** Characters of a text that is remembered. */
const longestRemembered = 128

const rememberedOf = (level: Level, message: string): Remembered => {
  const known = remembered.get(message)
  if (known !== undefined && known.level === level) return known
  const made = { level, head: `,"level":"${level.toUpperCase()}","msg":${jsonString(message)},"time":"`, keys: [], texts: [], pieces: [] }
  if (remembered.size >= mostRemembered) remembered.clear()
  remembered.set(message, made)
  return made
}

/** `at`: epoch milliseconds. */
export const jsonLine = (level: Level, message: string, fields: Fields, at: number): string => {
  const time = now.zoned(at)
  const { head, keys, texts, pieces } = rememberedOf(level, message)
  let line = `{"timestamp":"${now.local}"${head}${time}"`
  let field = 0
  for (const key in fields) {
    const value = fields[key]
    const place = field++
    if (value === undefined) continue
    if (typeof value !== "string") {
      line += jsonKey(key) + jsonValue(value)
      continue
    }
    if (texts[place] === value && keys[place] === key) {
      line += pieces[place]
      continue
    }
    const piece = jsonKey(key) + jsonString(value)
    line += piece
    if (value.length <= longestRemembered) {
      keys[place] = key
      texts[place] = value
      pieces[place] = piece
    }
  }
  return `${line}}`
}

const plainText = (value: unknown): string => {
  if (typeof value === "string") return bounded(careful.test(value) ? cleaned(value) : value)
  if (typeof value !== "object" || value === null) return String(value)
  const millis = millisOf(value)
  if (millis !== undefined) return formatDuration(Math.round(millis * 1e6) / 1e6)
  if (value instanceof Error) return bounded(cleaned(describe(value)))
  if (value instanceof Date) return zonedTime(value.getTime())
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return plainText(value.join(", "))
  try {
    return JSON.stringify(value, nested) ?? ""
  } catch {
    return String(value)
  }
}

const bare = /^[^\s"=\p{Cc}\p{Cf}]+$/u
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const shown = (char: string): string => {
  const code = (char.codePointAt(0) ?? 0).toString(16)
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`
}

/** For people: what is not seen is spelled out. */
export const visible = (text: string): string => text.replace(hidden, shown)

/** Quoted where a reader could not tell where it ends. */
const quoted = (text: string): string => (bare.test(text) ? text : visible(JSON.stringify(text)))

export const textLine = (level: Level, message: string, fields: Fields, at: number): string => {
  let line = `time=${now.zoned(at)} level=${level.toUpperCase()} msg=${quoted(plainText(message))}`
  for (const key in fields) {
    const value = fields[key]
    if (value !== undefined) line += ` ${key}=${quoted(plainText(value))}`
  }
  return line
}

const healthWords = /\b(Healthy|Busy|Offline|Warming|Unhealthy|Unknown|Config Error|Rate Limited)\b/g
const countWords = /\((\d+)\)/g
const endpointKeys: ReadonlySet<string> = new Set(["endpoint", "endpoint_name", "name"])

export const prettyLine = (level: Level, message: string, fields: Fields, at: number, theme: Theme): string => {
  const { local } = now.at(at)
  const paint = (colour: string, text: string): string => `\u001b[${colour}m${text}\u001b[0m`
  const text = visible(plainText(message))
    .replace(healthWords, (word) => paint(theme.health[word] ?? theme.message, word))
    .replace(countWords, (_all, count: string) => `(${paint(theme.number, count)})`)
  let line = `${paint(theme.time, local.slice(11))} ${paint(theme.levels[level], level.toUpperCase().padEnd(5))} ${text}`
  for (const key in fields) {
    const value = fields[key]
    if (value === undefined) continue
    const colour = typeof value === "number" ? theme.number : endpointKeys.has(key) ? theme.endpoint : theme.message
    line += ` ${paint(theme.key, `${key}=`)}${paint(colour, quoted(plainText(value)))}`
  }
  return line
}

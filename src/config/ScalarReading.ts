/** One value of a file by its key's kind, and the rules that a key has by itself. */
import { parseByteSize } from "./ByteSize.ts"
import type { KeyInfo } from "./ConfigKey.ts"
import { formatDuration, isTooLong, meantDuration, parseDuration, shortestDuration } from "./Duration.ts"
import { nearest } from "./NearestWord.ts"
import type { YamlNode } from "./YamlTree.ts"

export type Scalar = Extract<YamlNode, { readonly kind: "scalar" }>

/** A value that is used, wherever it was written. */
export type Usable =
  | { readonly _tag: "ok"; readonly value: unknown }
  /** A word that only warns: the key's fallback is used. */
  | {
      readonly _tag: "warn"
      readonly value: unknown
      readonly message: string
      readonly detail: string
      readonly fields: Readonly<Record<string, unknown>>
    }

export type Reading = Usable | { readonly _tag: "wrong"; readonly message: string; readonly example: string | undefined }

const ok = (value: unknown): Reading => ({ _tag: "ok", value })
const yes = /^(?:true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/
const no = /^(?:false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/

/** What a key of a kind wants, in words. */
export const wanted: Readonly<Record<KeyInfo["kind"], string>> = {
  string: "a text",
  int: "a whole number",
  number: "a number",
  bool: "true or false",
  duration: "a duration such as 30s or 1m30s",
  size: "a size in bytes or with a unit",
  strings: "a list",
  words: "a list",
  ints: "a list of whole numbers",
  word: "a word",
  map: "a mapping",
  aliases: "a mapping of lists",
  entries: "a list of mappings",
  policy: "a word or a mapping"
}

/** "needs a list", or "must be a list" where refusals are worded so. */
export const wish = (info: KeyInfo): string => `${info.mustBe === undefined ? "needs" : "must be"} ${wanted[info.kind]}`

export const lastOf = (path: string): string => path.slice(path.lastIndexOf(".") + 1)

export const exampleFor = (info: KeyInfo, path: string): string | undefined =>
  info.example === undefined ? undefined : `${lastOf(path).replace(/\[\d+\]$/, "")}: ${info.example}`

/** What stands there, short and without what may be a secret. */
export const shown = (node: YamlNode, secret: boolean): string => {
  if (node.kind !== "scalar") return node.kind === "list" ? "a list" : "a mapping"
  if (secret) return "a text"
  const text = node.text.length > 80 ? `${node.text.slice(0, 80)}...` : node.text
  // Control characters are replaced, so that no terminal acts on them.
  return node.quoted || /[\p{Cc}\p{Cf}]/u.test(text) ? JSON.stringify(text) : `\`${text}\``
}

export const readScalar = (info: KeyInfo, node: Scalar, path: string): Reading => {
  const { text } = node
  const wrong = (hint?: string, said = `${path} ${wish(info)}, got ${shown(node, info.secret === true)}`): Reading => ({
    _tag: "wrong",
    message: said,
    example: hint === undefined ? exampleFor(info, path) : `${lastOf(path)}: ${hint}`
  })
  switch (info.kind) {
    case "bool":
      if (node.quoted && (text === "true" || text === "false")) return ok(text === "true")
      if (!node.quoted && (yes.test(text) || no.test(text))) return ok(yes.test(text))
      return /^(?:1|y|yes|on|enabled?|true)$/i.test(text)
        ? wrong("true")
        : /^(?:0|n|no|off|disabled?|false)$/i.test(text)
          ? wrong("false")
          : wrong()
    case "int": {
      const value = node.quoted ? undefined : parseInteger(text)
      if (value !== undefined) return ok(value)
      const bare = node.quoted ? parseInteger(text) : undefined
      if (bare !== undefined) return wrong(text, `${path} needs a whole number without quotes, got ${shown(node, false)}`)
      if (/^[-+]?\d{16,}$/.test(text)) return wrong(undefined, `${path} is too large, got ${shown(node, false)}`)
      // Some count in seconds.
      const millis = /(?:_seconds|max_age)$/.test(path) ? meantDuration(text) : undefined
      return millis === undefined
        ? wrong()
        : wrong(String(Math.round(millis / 1000)), `${path} is a whole number of seconds, got ${shown(node, false)}`)
    }
    case "number": {
      const value = node.quoted || !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number.NaN : Number(text)
      return Number.isFinite(value) ? ok(value) : wrong()
    }
    case "size": {
      const value = (node.quoted ? undefined : parseInteger(text)) ?? parseByteSize(text)
      if (value !== undefined) return ok(value)
      return /^ *\d{16,} *$/.test(text) ? wrong("50MB", `${path} is too large, got ${shown(node, false)}`) : wrong("50MB")
    }
    case "duration": {
      const value = parseDuration(text)
      if (value !== undefined) return ok(value)
      if (/^[-+]?\d+(?:\.\d+)?$/.test(text)) return wrong(`${text}s`, `${path} needs a unit, got ${shown(node, false)}`)
      if (isTooLong(text)) return wrong(undefined, `${path} is too long, got ${shown(node, false)}`)
      const meant = meantDuration(text)
      return meant === undefined ? wrong() : wrong(shortestDuration(meant))
    }
    case "word":
    case "policy":
      return readWord(info, text, path)
    default:
      return ok(text)
  }
}

/** A word of a closed list, from the file or a variable. */
export const readWord = (info: KeyInfo, text: string, path: string): Reading => {
  const words = info.words ?? []
  const word = path === "logging.level" ? text.toLowerCase().replace(/^warning$/, "warn") : text
  if (words.includes(word)) return ok(word)
  if (text === "" && info.whenEmpty !== undefined) return ok(info.whenEmpty)
  if (info.fallback !== undefined)
    return {
      _tag: "warn",
      value: info.fallback,
      message: path.startsWith("logging.")
        ? `Invalid ${path} in config, falling back to default`
        : "Unknown routing strategy type, defaulting to strict",
      detail: `"${text}"${oneOf(words, text)}`,
      fields: { configured: text, default: info.fallback }
    }
  const meant = nearestWord(words, text)
  const example = meant === undefined ? exampleFor(info, path) : `${lastOf(path)}: ${meant}`
  return { _tag: "wrong", message: info.mustBe === undefined ? wordProblem(path, text, words) : wordDemand(info, path, text), example }
}

/** The same as `oneOf` for a key that says what it must be. */
export const wordDemand = (info: KeyInfo, path: string, text: string): string => {
  const near = nearestWord(info.words ?? [], text)
  return `${path} must be ${info.mustBe}, got "${text}"${near === undefined ? "" : `; did you mean "${near}"?`}`
}

/** The words that may stand there, and the one that was probably meant. */
export const oneOf = (words: ReadonlyArray<string>, text: string): string => {
  const near = nearestWord(words, text)
  return ` (one of: ${words.filter((word) => word !== "").join(", ")})${near === undefined ? "" : `; did you mean "${near}"?`}`
}

/** A typo of one or two letters, or a prefix of exactly one of them. */
const nearestWord = (words: ReadonlyArray<string>, text: string): string | undefined => {
  const named = words.filter((word) => word !== "")
  const begun = text.length < 3 ? [] : named.filter((word) => word.startsWith(text.toLowerCase()))
  return nearest(text, named) ?? (begun.length === 1 ? begun[0] : undefined)
}

/** What is said of words that name a part of Olla: tools look for these texts. */
const wordProblem = (path: string, text: string, words: ReadonlyArray<string>): string => {
  const allowed = oneOf(words, text)
  const empty: Readonly<Record<string, string>> = {
    "discovery.type": '"static"',
    "proxy.engine": '"sherpa" or "olla"',
    "proxy.load_balancer": '"priority"'
  }
  if (text === "" && empty[path] !== undefined) return `${path} must not be empty (e.g. ${empty[path]})`
  switch (path) {
    case "discovery.type":
      return `${path}: unsupported discovery type: ${text}${allowed}`
    case "model_registry.type":
      return `${path}: failed to create model registry: unsupported registry type: ${text}${allowed}`
    case "proxy.load_balancer":
      return `${path}: failed to create load balancer: unknown load balancer strategy: ${text}${allowed}`
    case "proxy.engine":
      return `${path}: failed to create proxy service: unknown proxy implementation: ${text}${allowed}`
    default:
      return `${path}: unknown word "${text}"${allowed}`
  }
}

/** Decimal, 0x, 0o or leading zero, 0b, `_` between digits, and floats without a fraction. */
export const parseInteger = (text: string): number | undefined => {
  if (!/^[+-]?\d/.test(text)) return undefined
  const bare = text.replace(/_/g, "")
  const match = /^([+-]?)(0x[0-9a-f]+|0o?[0-7]+|0b[01]+|\d+(?:\.0*)?|\d+(?:\.\d+)?e\+?\d+)$/i.exec(bare)
  if (match === null) return undefined
  const digits = /^0[0-7]+$/.test(match[2] ?? "") ? `0o${(match[2] ?? "").slice(1)}` : (match[2] ?? "")
  const value = Number(digits) * (match[1] === "-" ? -1 : 1)
  return Number.isSafeInteger(value) ? value : undefined
}

/** Bounds that a single key has by itself. */
export const rangeProblem = (info: KeyInfo, value: unknown, path: string): string | undefined => {
  if (typeof value !== "number") return undefined
  if (path === "server.port" && (value < 1 || value > 65535)) return `server.port must be between 1 and 65535, got ${value}`
  const say = info.kind === "duration" ? formatDuration : String
  const isBelow = info.min !== undefined && value < info.min && !(info.orZero === true && value === 0)
  if (info.mustBe !== undefined && (isBelow || (info.max !== undefined && value > info.max)))
    return `${path} must be ${info.mustBe}, got ${say(value)}`
  if (info.min !== undefined && isBelow)
    return `${path} must not be ${info.min === 0 ? "negative" : `below ${say(info.min)}`}, got ${say(value)}`
  if (info.max !== undefined && value > info.max) return `${path} must not be above ${say(info.max)}, got ${say(value)}`
  return undefined
}

/**
 * A size or time that is allowed and yet no such thing: what it counts as is the key's manual text. `undefined`: nothing is odd about it.
 */
export const oddAmount = (info: KeyInfo, value: unknown, path: string): string | undefined => {
  if (typeof value !== "number" || (info.kind !== "size" && info.kind !== "duration")) return undefined
  const say = info.kind === "duration" ? formatDuration : String
  const what = info.kind === "size" ? "size" : "time"
  if (value < 0 && !/\bnegative:/i.test(info.doc)) return `${path} is ${say(value)}, which is no ${what}: ${info.doc}`
  if (value === 0 && !/\b0s?\b/.test(info.doc) && info.min !== 0) return `${path} is 0, which is no ${what}: ${info.doc}`
  return undefined
}

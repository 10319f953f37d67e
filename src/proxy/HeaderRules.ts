/**
 * Which headers pass, in and out. What is done with a name is looked up once for each spelling;
 * the memory of spellings is bounded, since clients choose them.
 */
import { headerValue } from "../exchange/RawHeaders.ts"
import { connectionHeaders } from "../exchange/TransportHeaders.ts"

export const PASS = 0
export const DROP = 1
export const CONNECTION = 2
export const VIA = 3
export const FORWARDED_FOR = 4
export const FORWARDED_PROTO = 5
export const FORWARDED_HOST = 6
export const REAL_IP = 7
export const HOST = 8
export const VARY = 9
export const CORS = 10
export const MODEL = 11
export const LENGTH = 12
export const DATE = 13
export const LOCATION = 20
export const ACCEL_BUFFERING = 14
export const TRACEPARENT = 15
export const TRACESTATE = 16
/** Said to Olla, where requests may wait. */
export const WISH = 17

export type Rule = number

const hopByHop = [...connectionHeaders, "proxy-authenticate"]
const credentials = ["authorization", "x-api-key", "x-auth-token", "proxy-authorization"]

/** `content-encoding`: bodies are unpacked when they are read, and go on plain. */
const requestRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...[...hopByHop, ...credentials, "cookie", "expect", "content-length", "content-encoding", "x-proxied-by", "x-request-id"].map(
    (name) => [name, DROP] as const
  ),
  ["connection", CONNECTION],
  ["via", VIA],
  ["x-forwarded-for", FORWARDED_FOR],
  ["x-forwarded-proto", FORWARDED_PROTO],
  ["x-forwarded-host", FORWARDED_HOST],
  ["x-real-ip", REAL_IP],
  ["host", HOST],
  ["traceparent", TRACEPARENT],
  ["tracestate", TRACESTATE],
  ["x-model", MODEL],
  ["x-olla-priority", WISH],
  ["x-olla-max-wait", WISH]
])

const responseRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...[...hopByHop, ...credentials, "set-cookie", "x-served-by", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(
    (name) => [name, DROP] as const
  ),
  ["connection", CONNECTION],
  ["via", VIA],
  ["vary", VARY],
  ["content-length", LENGTH],
  ["date", DATE],
  ["location", LOCATION],
  ["content-location", LOCATION],
  ["x-accel-buffering", ACCEL_BUFFERING]
])

/** Spellings remembered for each direction. */
const maxSpellings = 2_000

const remembering = (rules: ReadonlyMap<string, Rule>, byPrefix: (low: string) => Rule): ((name: string) => Rule) => {
  const known = new Map<string, Rule>()
  return (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const low = name.toLowerCase()
    const rule = rules.get(low) ?? byPrefix(low)
    if (known.size < maxSpellings) known.set(name, rule)
    return rule
  }
}

export const requestRule = remembering(requestRules, () => PASS)
export const responseRule = remembering(responseRules, (low) =>
  low.startsWith("x-olla-") ? DROP : low.startsWith("access-control-") ? CORS : PASS
)

/** Lower-cased names that the `Connection` headers take with them; `undefined`: none, as nearly always. */
export const namedByConnection = (pairs: ReadonlyArray<string>): ReadonlySet<string> | undefined => {
  let named: Set<string> | undefined
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string
    if (name.length !== 10 || name.toLowerCase() !== "connection") continue
    const value = (pairs[i + 1] as string).toLowerCase()
    if (value === "keep-alive" || value === "close") continue
    named ??= new Set()
    for (const each of value.split(",")) named.add(each.trim())
  }
  return named
}

/** A list header's value with one more line of it. */
export const listed = (list: string, value: string): string => (list === "" ? value : `${list}, ${value}`)

/** Is there a transfer coding that is not undone here? Such a body would be passed on as something that it is not. */
export const hasUnknownCoding = (pairs: ReadonlyArray<string>): boolean => {
  const coding = headerValue(pairs, "transfer-encoding")
  return coding !== "" && coding.toLowerCase() !== "chunked"
}

const ascii = /^[\x20-\x7e]*$/
const controls = /[\x00-\x1f\x7f]+/g

/**
 * A name or a text as the value of a header: a model's name comes from a body, and may be anything. Control
 * characters are blanks, what is beyond ASCII goes out as its UTF-8 bytes: node writes one byte for each character.
 */
export const asHeader = (text: string): string =>
  ascii.test(text) ? text : Buffer.from(text.replace(controls, " "), "utf8").toString("latin1")

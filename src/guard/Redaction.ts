/**
 * One redactor for everything that is written down: secrets in query strings, credentials in URLs, authorization values. Text without any sign of a secret comes back as it is, unscanned.
 */

import { keyLength, keyPrefix } from "./keys/KeyForm.ts"

export const redacted = "[REDACTED]"

const secretNames: ReadonlySet<string> = new Set([
  "api_key",
  "token",
  "access_token",
  "key",
  "password",
  "secret",
  "auth",
  "apikey",
  "api-key",
  "x-api-key",
  "bearer",
  "client_secret",
  "refresh_token",
  "id_token",
  "sig",
  "signature",
  "code"
])

/** Percent-decoded name of a pair; a malformed escape leaves it raw. */
const decoded = (name: string): string => {
  if (name.indexOf("%") === -1 && name.indexOf("+") === -1) return name
  try {
    return decodeURIComponent(name.replace(/\+/g, " "))
  } catch {
    return name
  }
}

const isSecretName = (name: string): boolean => secretNames.has(decoded(name).toLowerCase())

/** More than any program escapes by mistake. */
const mostEscapes = 3
const escaped = /%([0-7][0-9a-f])/gi
const unescaped = (text: string): string => text.replace(escaped, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** As whoever reads it may unpack it: escaped once, twice, or not at all. */
export const holdsKey = (text: string, isKey: (text: string) => boolean = (found) => redactKeys(found) !== found): boolean => {
  let reading = text
  for (let turn = 0; reading.length >= keyLength; turn++) {
    if (reading.includes(keyPrefix) && isKey(reading)) return true
    if (turn === mostEscapes || !reading.includes("%")) return false
    reading = unescaped(reading)
  }
  return false
}

const redactPair = (pair: string): string => {
  const equals = pair.indexOf("=")
  if (equals === -1) return holdsKey(pair) ? redacted : pair
  const name = pair.slice(0, equals)
  if (holdsKey(name)) return `${redacted}=${redacted}`
  return isSecretName(name) || holdsKey(pair.slice(equals + 1)) ? `${name}=${redacted}` : pair
}

/** A query without its `?`: values of secret names and keys replaced, everything else and the order as it was. */
export const redactQuery = (query: string): string => query.split("&").map(redactPair).join("&")

/** Keys that this program makes, wherever they stand. */
export const redactKeys = (text: string): string => (text.includes(keyPrefix) ? text.replace(keyAnywhere, redacted) : text)

/** Not only whole words: what stands next to a key does not make it less of one. */
const keyAnywhere = /olla_[0-9A-Za-z]{49}/g

/** A request target or URL: userinfo and secret query values removed. */
export const redactUrl = (url: string): string => {
  const bare = url.indexOf("@") === -1 ? url : url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*(?:@[^/?#@]*)*@/i, "$1")
  const question = bare.indexOf("?")
  if (question === -1) return bare
  const hash = bare.indexOf("#", question)
  const end = hash === -1 ? bare.length : hash
  return bare.slice(0, question + 1) + redactQuery(bare.slice(question + 1, end)) + bare.slice(end)
}

/** Where a secret could be: a URL, a query, or an authorization scheme. */
const suspicious = /:\/\/|\?|bearer\s|basic\s|olla_|%[0-7][0-9a-f]/i

/** What stands between the parts of a target, and of a sentence. */
const word = /[^\s"'<>&?=#/]+/g

const redactEscaped = (text: string): string =>
  text.includes("%") ? text.replace(word, (part) => (part.includes("%") && holdsKey(part) ? redacted : part)) : text

/** A scheme and a word that no language has: with a digit, a sign, or a capital inside. */
const authorization = /\b((?:[Bb]earer|[Bb]asic|BEARER|BASIC)\s+)(?=\S*(?:[\d=+/_~-]|[a-z][A-Z]))[A-Za-z0-9._~+/=-]{8,}/g

/** A name and its `=` behind `?` or `&`. What may follow is looked at again: a value can be a URL with a query of its own. */
const parameter = /[?&]([^\s=&?"'<>#]+)=/g
const valueEnd = /[\s&"'<>#]|$/g

const redactParameters = (text: string): string => {
  let out = ""
  let from = 0
  parameter.lastIndex = 0
  for (let match = parameter.exec(text); match !== null; match = parameter.exec(text)) {
    if (!isSecretName(match[1] ?? "")) continue
    out += text.slice(from, parameter.lastIndex) + redacted
    valueEnd.lastIndex = parameter.lastIndex
    from = valueEnd.exec(text)?.index ?? text.length
    parameter.lastIndex = from
  }
  return out + text.slice(from)
}

/**
 * Free text, such as an error's message: every URL, query and authorization value in it. Clients choose what is logged, so
 * each pattern here passes over a text once, whatever stands in it.
 */
export const redactText = (text: string): string => {
  if (!suspicious.test(text)) return text
  return redactParameters(redactEscaped(redactKeys(text)).replace(/:\/\/[^\s/?#"'<>]*@/g, "://")).replace(authorization, `$1${redacted}`)
}

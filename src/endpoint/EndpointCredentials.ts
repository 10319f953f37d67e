/**
 * `auth:` and `headers:` of one endpoint: shape, resolution of variables and files, and what HTTP allows.
 * Values appear in no message.
 */
import { authExamples } from "../config/ConfigExamples.ts"
import { reasonOf } from "../config/FileReason.ts"
import { nearest } from "../config/NearestWord.ts"
import type { AuthConfig, EndpointConfig } from "../config/OllaConfig.ts"
import { expandVariables, missingVariables, withFallback } from "../config/VariableExpansion.ts"
import { sendersOwn } from "../exchange/TransportHeaders.ts"
import type { Credentials } from "./Origin.ts"

/** A complaint about one key below the endpoint. */
export interface Complaint {
  readonly severity: "error" | "warning" | "info"
  /** Relative to the endpoint: `auth`, `headers.X-Team`. */
  readonly at: string
  readonly message: string
  /** How it would be right, where the key alone does not say. */
  readonly example?: string
}

export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Throws as `node:fs` does. */
  readonly readFile: (path: string) => string
}

export interface ResolvedCredentials {
  readonly credentials: Credentials
  readonly complaints: ReadonlyArray<Complaint>
}

type Kind = "bearer" | "api_key" | "basic"

interface Pair {
  readonly inline: "token" | "key" | "username" | "password"
  readonly file: "token_file" | "key_file" | "username_file" | "password_file"
}

const pair = (inline: Pair["inline"]): Pair => ({ inline, file: `${inline}_file` })
const pairsOf: Readonly<Record<Kind, ReadonlyArray<Pair>>> = {
  bearer: [pair("token")],
  api_key: [pair("key")],
  basic: [pair("username"), pair("password")]
}

/** How resolution failures name the credential. */
const labelOf = (kind: Kind, of: Pair): string =>
  kind === "bearer" ? "bearer token" : kind === "api_key" ? "api_key" : `basic ${of.inline}`

const foreign = (kind: Kind): ReadonlyArray<{ readonly text: string; readonly pairs: ReadonlyArray<Pair> }> => [
  ...(kind === "bearer" ? [] : [{ text: "token/token_file", pairs: pairsOf.bearer }]),
  ...(kind === "api_key" ? [] : [{ text: "key/key_file", pairs: pairsOf.api_key }]),
  ...(kind === "basic" ? [] : [{ text: "username/password", pairs: pairsOf.basic }])
]

const isKind = (type: string): type is Kind => Object.hasOwn(pairsOf, type)
const isSet = (value: string | undefined): value is string => value !== undefined && value !== ""

/** By a word that is nearly one, else by the fields that are there. */
const meantKind = (auth: AuthConfig): Kind | undefined => {
  const kinds = Object.keys(pairsOf) as ReadonlyArray<Kind>
  const near = nearest(auth.type, kinds) as Kind | undefined
  return near ?? kinds.find((kind) => pairsOf[kind].some((each) => isSet(auth[each.inline]) || isSet(auth[each.file])))
}

/** Texts of everything that is wrong with the shape; empty when it can be resolved. */
export const checkAuthShape = (auth: AuthConfig): ReadonlyArray<string> => {
  const kind = auth.type
  if (!isKind(kind)) {
    const meant = meantKind(auth)
    const hint = kind === "" || meant === undefined ? "" : `; did you mean "${meant}"?`
    return [`auth.type "${kind}" is not valid (must be bearer, api_key, or basic)${hint}`]
  }
  const out: Array<string> = []
  for (const each of pairsOf[kind]) {
    const { inline, file } = each
    if (isSet(auth[inline]) && isSet(auth[file])) out.push(`${kind} auth has both ${inline} and ${file} set; use exactly one`)
    else if (!isSet(auth[inline]) && !isSet(auth[file])) out.push(`${kind} auth requires ${inline} or ${file}`)
  }
  for (const { text, pairs } of foreign(kind))
    if (pairs.some((each) => isSet(auth[each.inline]) || isSet(auth[each.file]))) out.push(`${kind} auth does not accept ${text} fields`)
  return out
}

const token = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/
const illegalValue = /[^\t\u0020-\u007e\u0080-\u00ff]/
const control = /[\u0000-\u001f\u007f]/

/** `name` is what messages call the endpoint. */
export const resolveCredentials = (config: EndpointConfig, name: string, sources: SecretSources): ResolvedCredentials => {
  const complaints: Array<Complaint> = []
  const say = (severity: Complaint["severity"], at: string, text: string, example?: string): void => {
    complaints.push({ severity, at, message: `endpoint "${name}": ${text}`, ...(example === undefined ? {} : { example }) })
  }
  const headers = new Map<string, readonly [string, string]>()
  const names = new Set<string>()
  const setHeader = (header: string, value: string): void => {
    // Delete first: a later header also takes the later place.
    headers.delete(header.toLowerCase())
    headers.set(header.toLowerCase(), [header, value])
  }

  for (const [header, raw] of Object.entries(config.headers)) {
    const at = `headers.${header}`
    if (!token.test(header)) {
      say("error", at, `header "${header.replace(new RegExp(control, "g"), "?")}": is not a valid HTTP header name`)
      continue
    }
    names.add(header.toLowerCase())
    const expanded = expandVariables(raw, sources.env)
    if (expanded._tag === "Missing")
      say("error", at, `header "${header}": ${missingVariables(expanded.names)}`, withFallback(header, expanded.names))
    else if (illegalValue.test(expanded.value)) say("error", at, `header "${header}": its value has characters that HTTP does not allow`)
    else if (sendersOwn.has(header.toLowerCase()))
      say("warning", at, `header "${header}": is set by the connection itself; the configured value is not sent`)
    else setHeader(header, expanded.value)
  }

  const auth = config.auth
  if (auth !== undefined) {
    const wrong = checkAuthShape(auth)
    const example = authExamples[meantKind(auth) ?? "bearer"]
    for (const text of wrong) complaints.push({ severity: "error", at: "auth", message: `endpoint "${name}": ${text}`, example })
    if (isSet(auth.header) && auth.type !== "api_key" && isKind(auth.type))
      say("warning", "auth.header", `auth.header is only used by api_key auth; ${auth.type} auth sends Authorization`)
    const header = auth.type === "api_key" && isSet(auth.header) ? auth.header : auth.type === "api_key" ? "X-Api-Key" : "Authorization"
    if (!token.test(header)) say("error", "auth.header", "auth.header is not a valid HTTP header name")
    else if (sendersOwn.has(header.toLowerCase())) say("error", "auth.header", `auth.header "${header}" is set by the connection itself`)
    else if (wrong.length === 0 && isKind(auth.type)) {
      const kind = auth.type
      const values = pairsOf[kind].map((each) => {
        const label = labelOf(kind, each)
        const resolved = resolveSecret(auth, each, sources)
        if (resolved._tag === "Missing") {
          say("error", `auth.${resolved.key}`, `${label}: ${resolved.why}`, resolved.example)
          return undefined
        }
        if (resolved.value === "") say("error", `auth.${resolved.key}`, `${label} resolved to empty string`)
        else if (control.test(resolved.value) || (kind !== "basic" && illegalValue.test(resolved.value)))
          say("error", `auth.${resolved.key}`, `${label}: has characters that HTTP does not allow in a header`)
        else return resolved.value
        return undefined
      })
      names.add(header.toLowerCase())
      const [first, second] = values
      if (kind === "bearer" && first !== undefined) setHeader(header, `Bearer ${first}`)
      if (kind === "api_key" && first !== undefined) setHeader(header, first)
      if (kind === "basic" && first !== undefined && second !== undefined)
        setHeader(header, `Basic ${Buffer.from(`${first}:${second}`, "utf8").toString("base64")}`)
    }
  }
  return { credentials: { headers: [...headers.values()], names }, complaints }
}

type Resolved =
  | { readonly _tag: "Value"; readonly key: string; readonly value: string }
  | { readonly _tag: "Missing"; readonly key: string; readonly why: string; readonly example?: string }

const resolveSecret = (auth: AuthConfig, { inline, file }: Pair, sources: SecretSources): Resolved => {
  const path = auth[file]
  if (isSet(path)) {
    try {
      return { _tag: "Value", key: file, value: sources.readFile(path).trim() }
    } catch (cause) {
      return { _tag: "Missing", key: file, why: `reading secret file "${path}": ${reasonOf(cause)}` }
    }
  }
  const expanded = expandVariables(auth[inline] ?? "", sources.env)
  return expanded._tag === "Missing"
    ? { _tag: "Missing", key: inline, why: missingVariables(expanded.names), example: withFallback(inline, expanded.names) }
    : { _tag: "Value", key: inline, value: expanded.value }
}

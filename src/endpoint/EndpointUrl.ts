/**
 * URLs of endpoints, judged and joined on their text: a forgiving parser would repair what an operator should hear about,
 * and would add slashes or drop ports that identity and display must keep.
 */
import { cleanPath } from "../exchange/PathCleaning.ts"
import { baseFor } from "./BasePath.ts"
import type { Origin, TlsOptions } from "./Origin.ts"

interface UrlParts {
  readonly scheme: string
  /** Without userinfo, as written. */
  readonly authority: string
  readonly userinfo: string | undefined
  readonly path: string
  /** With `?`, or empty. */
  readonly query: string
  /** With `#`, or empty. */
  readonly fragment: string
}

const split = (text: string): UrlParts | undefined => {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(text)
  if (match === null) return undefined
  const [, scheme = "", written = "", path = "", query = "", fragment = ""] = match
  // Percent-encoded it is meant as the same character, and no host name has it.
  const full = written.replaceAll("%40", "@")
  const at = full.lastIndexOf("@")
  return {
    scheme: scheme.toLowerCase(),
    authority: full.slice(at + 1),
    userinfo: at === -1 ? undefined : full.slice(0, at),
    path,
    query,
    fragment
  }
}

const control = /[\u0000-\u001f\u007f]/
const badEscape = /%(?![0-9A-Fa-f]{2})/

/** Why the text is no URL at all; `undefined` when it is one (whatever its scheme). */
const unparseable = (text: string): string | undefined => {
  if (control.test(text)) return "contains a control character"
  const parts = split(text)
  if (parts === undefined) return text.startsWith(":") ? "missing scheme" : undefined
  if (badEscape.test(parts.path) || badEscape.test(parts.fragment)) return "invalid percent escape"
  if (/[\s<>"{}|\\^`]/.test(parts.authority)) return "invalid character in host name"
  if (parts.authority !== "" && !/^(?:\[[^\]]*\]|[^:]*)(?::\d*)?$/.test(parts.authority)) return "invalid host or port"
  return (parts.scheme === "http" || parts.scheme === "https") && hasHost(parts) && !URL.canParse(text) ? "invalid host or port" : undefined
}

const hasHost = (parts: UrlParts): boolean => parts.authority !== "" && !parts.authority.startsWith(":")

export type UrlProblem =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Credentials" }
  | { readonly _tag: "Unparseable"; readonly why: string }
  /** No http or https, or no host. */
  | { readonly _tag: "NotHttp" }

/** What is wrong with a base URL, or with an absolute health or model URL. */
export const checkUrl = (text: string): UrlProblem | undefined => {
  if (text === "") return { _tag: "Empty" }
  const parts = split(text)
  if (parts?.userinfo !== undefined) return { _tag: "Credentials" }
  const why = unparseable(text)
  if (why !== undefined) return { _tag: "Unparseable", why }
  if (parts === undefined || !/^https?$/.test(parts.scheme) || !hasHost(parts)) return { _tag: "NotHttp" }
  return undefined
}

/** For messages: userinfo and query never appear. */
export const redactUrl = (text: string): string => {
  const bare = text.replace(/[?#].*$/s, "")
  const parts = split(bare)
  if (parts === undefined) return bare.includes("@") ? "[redacted]" : bare
  return `${parts.scheme}://${parts.authority}${parts.path}`
}

/** Base URL without userinfo, query and fragment; nothing else is touched. */
export const displayUrl = (text: string): string => {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)([^/?#]*)([^?#]*)/.exec(text)
  if (match === null || checkUrl(text) !== undefined) return "[unparseable url]"
  const [, scheme = "", authority = "", path = ""] = match
  return `${scheme}${authority.slice(authority.lastIndexOf("@") + 1)}${path}`
}

/**
 * `host:port` as written, for endpoints without a name, and what tells one of several on a server from the others; `undefined` when
 * there is no host.
 */
export const hostOf = (text: string): string | undefined => {
  const parts = split(text)
  return parts === undefined || parts.authority === "" ? undefined : parts.authority + parts.fragment
}

/** Two spellings of one endpoint compare equal: an empty path is `/`. */
export const sameEndpointKey = (text: string): string => {
  const parts = split(text)
  return parts === undefined
    ? text
    : `${parts.scheme}://${parts.authority}${parts.path === "" ? "/" : parts.path}${parts.query}${parts.fragment}`
}

export const isAbsolute = (text: string): boolean => /^https?:\/\//i.test(text)

/** Another scheme, or `host:port/...` without one: neither absolute nor a path. */
const looksSchemed = (text: string): boolean => !isAbsolute(text) && /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)

export type JoinProblem = { readonly why: string; readonly credentials: boolean }

/** What is wrong with a configured health or model URL. */
export const checkReference = (text: string): JoinProblem | undefined => {
  if (isAbsolute(text)) {
    const problem = checkUrl(text)
    if (problem === undefined) return undefined
    return { why: problem._tag === "Unparseable" ? problem.why : "it has no host", credentials: problem._tag === "Credentials" }
  }
  if (text.startsWith("//") && text.slice(2).split("/")[0]?.includes("@")) return { why: "it embeds credentials", credentials: true }
  if (looksSchemed(text)) return { why: "neither a path nor an http or https URL", credentials: text.includes("@") }
  if (control.test(text)) return { why: "contains a control character", credentials: false }
  if (badEscape.test(text.replace(/[?#].*$/s, ""))) return { why: "invalid percent escape", credentials: false }
  return undefined
}

/**
 * Where a health or model path of an endpoint leads. Absolute values stay; all others extend the base path, with a `/v1` that both have
 * once. `isOfKind`: the path is the kind's own, not configured (`BasePath.ts`).
 */
export const joinUrl = (base: string, reference: string, isOfKind = false): string => {
  if (base === "") return reference
  if (reference === "") return base
  if (isAbsolute(reference)) return reference
  const parts = split(base)
  if (parts === undefined || unparseable(base) !== undefined) return reference
  const plain = reference.replace(/#.*$/s, "")
  const at = plain.indexOf("?")
  const path = cleanPath(`${baseFor(parts.path, plain, isOfKind)}/${at === -1 ? plain : plain.slice(0, at)}`)
  return `${parts.scheme}://${parts.authority}${path}${at === -1 ? parts.query : plain.slice(at)}${parts.fragment}`
}

/** Scheme, host and port: what decides whether credentials may follow a redirect. */
export const originOf = (text: string): string => new URL(text).origin

/** For a base URL that passed `checkUrl`. */
export const parseOrigin = (text: string, tls: TlsOptions | undefined): Origin => {
  const parts = split(text)
  const url = new URL(text)
  const secure = url.protocol === "https:"
  return {
    secure,
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    authority: /^[\x21-\x7e]+$/.test(parts?.authority ?? "") ? (parts?.authority ?? "") : url.host,
    basePath: parts?.path ?? "",
    tls
  }
}

/** Loopback, private and link-local addresses, and names that only a local network resolves: plain http is nobody else's business there. */
export const isPrivateHost = (hostname: string): boolean => {
  const host = hostname.toLowerCase()
  const v4 = /^(?:::ffff:)?(\d+)\.(\d+)\.\d+\.\d+$/.exec(host)
  if (v4 !== null) {
    const [a, b] = [Number(v4[1]), Number(v4[2])]
    return (
      a === 127 ||
      a === 10 ||
      (a === 172 && b >= 16 && b <= 31) ||
      (a === 192 && b === 168) ||
      (a === 169 && b === 254) ||
      (a === 100 && b >= 64 && b <= 127)
    )
  }
  if (host.includes(":")) return host === "::1" || /^f[cd]/.test(host) || /^fe[89ab]/.test(host)
  return !host.includes(".") || /\.(?:localhost|local|lan|internal|home\.arpa)$/.test(host)
}

/** The refusal of `user:pass@host`, with the same URL rewritten; neither user nor password appear. */
export const credentialsRefusal = (name: string, text: string, noun = "endpoint URL"): string => {
  const parts = split(text)
  if (parts === undefined)
    return `${noun} for "${name}" must not embed credentials (user:pass@host); move them to the auth config block (type: basic, with username_file / password_file to read from files)`
  const plain = `${parts.scheme}://${parts.authority}${parts.path}`
  const withPassword = parts.userinfo?.includes(":") === true
  const shown = withPassword ? "<your username>:<your password>" : "<your username>"
  const basic = [
    `${noun} for "${name}" must not embed credentials (user:pass@host); move them to the auth config block. Rewrite`,
    `  ${parts.scheme}://${shown}@${parts.authority}${parts.path}`,
    "as",
    `  ${plain}`,
    "auth:",
    "  type: basic",
    "  username: <your username>",
    "  password: <your password>",
    "  # or username_file / password_file to read from a file"
  ]
  if (withPassword) return basic.join("\n")
  return [
    ...basic,
    "",
    "Basic auth requires a password. A lone name before the host (https://token@host) is probably a token; then use bearer auth:",
    `  ${plain}`,
    "auth:",
    "  type: bearer",
    "  token: <your token>",
    "  # or token_file to read from a file"
  ].join("\n")
}

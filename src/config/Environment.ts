/** `OLLA_*` variables: a closed table of overrides (configuration.md 5.2). A bad one warns and is skipped. */
import { parseByteSize } from "./ByteSize.ts"
import { rangeProblem } from "./Coercion.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { parseDuration } from "./Duration.ts"
import { type KeyTree, keyTree } from "./SchemaTree.ts"

export type Environment = Readonly<Record<string, string | undefined>>

/** Variable to key; each is read by the key's kind. */
export const overrides: Readonly<Record<string, string>> = {
  OLLA_SERVER_HOST: "server.host",
  OLLA_SERVER_PORT: "server.port",
  OLLA_SERVER_READ_TIMEOUT: "server.read_timeout",
  OLLA_SERVER_READ_HEADER_TIMEOUT: "server.read_header_timeout",
  OLLA_SERVER_WRITE_TIMEOUT: "server.write_timeout",
  OLLA_SERVER_MAX_BODY_SIZE: "server.request_limits.max_body_size",
  OLLA_SERVER_MAX_HEADER_SIZE: "server.request_limits.max_header_size",
  OLLA_SERVER_GLOBAL_RATE_LIMIT: "server.rate_limits.global_requests_per_minute",
  OLLA_SERVER_PER_IP_RATE_LIMIT: "server.rate_limits.per_ip_requests_per_minute",
  OLLA_SERVER_HEALTH_RATE_LIMIT: "server.rate_limits.health_requests_per_minute",
  OLLA_SERVER_RATE_BURST_SIZE: "server.rate_limits.burst_size",
  OLLA_SERVER_RATE_CLEANUP_INTERVAL: "server.rate_limits.cleanup_interval",
  OLLA_SERVER_TRUST_PROXY_HEADERS: "server.rate_limits.trust_proxy_headers",
  OLLA_SERVER_TRUSTED_PROXY_CIDRS: "server.rate_limits.trusted_proxy_cidrs",
  OLLA_SERVER_CORS_ENABLED: "server.cors.enabled",
  OLLA_SERVER_CORS_ALLOWED_ORIGINS: "server.cors.allowed_origins",
  OLLA_SERVER_CORS_ALLOWED_METHODS: "server.cors.allowed_methods",
  OLLA_SERVER_CORS_ALLOWED_HEADERS: "server.cors.allowed_headers",
  OLLA_SERVER_CORS_EXPOSED_HEADERS: "server.cors.exposed_headers",
  OLLA_SERVER_CORS_ALLOW_CREDENTIALS: "server.cors.allow_credentials",
  OLLA_SERVER_CORS_MAX_AGE: "server.cors.max_age",
  OLLA_PROXY_ENGINE: "proxy.engine",
  OLLA_PROXY_PROFILE: "proxy.profile",
  OLLA_PROXY_LOAD_BALANCER: "proxy.load_balancer",
  OLLA_PROXY_RESPONSE_TIMEOUT: "proxy.response_timeout",
  OLLA_PROXY_READ_TIMEOUT: "proxy.read_timeout",
  OLLA_PROXY_RESPONSE_HEADER_TIMEOUT: "proxy.response_header_timeout",
  OLLA_PROXY_TLS_HANDSHAKE_TIMEOUT: "proxy.tls_handshake_timeout",
  OLLA_PROXY_CONNECTION_KEEP_ALIVE: "proxy.connection_keep_alive",
  OLLA_PROXY_STICKY_SESSIONS_ENABLED: "proxy.sticky_sessions.enabled",
  OLLA_LOGGING_LEVEL: "logging.level",
  OLLA_LOGGING_FORMAT: "logging.format",
  OLLA_LOGGING_OUTPUT: "logging.output",
  OLLA_SHOW_NERD_STATS: "engineering.show_nerdstats",
  OLLA_MODEL_REGISTRY_TYPE: "model_registry.type",
  OLLA_MODEL_UNIFIER_ENABLED: "model_registry.enable_unifier",
  OLLA_TRANSLATORS_ANTHROPIC_ENABLED: "translators.anthropic.enabled",
  OLLA_TRANSLATORS_ANTHROPIC_PASSTHROUGH_ENABLED: "translators.anthropic.passthrough_enabled",
  OLLA_TRANSLATORS_ANTHROPIC_MAX_MESSAGE_SIZE: "translators.anthropic.max_message_size"
}

const families = /^OLLA_(?:SERVER|PROXY|LOGGING|MODEL|TRANSLATORS)_/

export interface Overlay {
  /** Path to value, ready for the Schema. */
  readonly values: ReadonlyMap<string, unknown>
  /** Path to the variable that set it. */
  readonly origins: ReadonlyMap<string, string>
  readonly diagnostics: ReadonlyArray<
    Diagnostic & { readonly variable?: string; readonly value?: string; readonly variables?: ReadonlyArray<string> }
  >
}

export const readEnvironment = (env: Environment): Overlay => {
  const values = new Map<string, unknown>()
  const origins = new Map<string, string>()
  const diagnostics: Array<Overlay["diagnostics"][number]> = []
  for (const [variable, path] of Object.entries(overrides)) {
    const text = env[variable]
    if (text === undefined || text === "") continue
    const read = readVariable(path, text)
    if (read._tag === "bad") {
      diagnostics.push({ severity: "warning", message: `${variable} is ignored: ${read.why}`, path, variable, value: text })
      continue
    }
    values.set(path, read.value)
    origins.set(path, variable)
  }
  const unknown = Object.keys(env)
    .filter((name) => families.test(name) && overrides[name] === undefined && (env[name] ?? "") !== "")
    .sort()
  if (unknown.length > 0)
    diagnostics.push({ severity: "warning", message: "environment variables that Olla does not know", variables: unknown })
  return { values, origins, diagnostics }
}

const find = (path: string): KeyTree | undefined => {
  let tree: KeyTree | undefined = keyTree
  for (const step of path.split(".")) tree = tree?.kind === "section" ? tree.keys.get(step) : undefined
  return tree
}

type Reading = { readonly _tag: "ok"; readonly value: unknown } | { readonly _tag: "bad"; readonly why: string }

const readVariable = (path: string, text: string): Reading => {
  const tree = find(path)
  if (tree?.kind !== "key") return { _tag: "bad", why: "no such key" }
  const info = tree.info
  const bad = (syntax: string): Reading => ({ _tag: "bad", why: `expected ${syntax}` })
  let value: unknown
  switch (info.kind) {
    case "int":
      if (!/^[+-]?\d+$/.test(text)) return bad("a whole number")
      value = Number(text)
      break
    case "size":
      value =
        /^-?\d+$/.test(text) && path !== "server.request_limits.max_body_size" && path !== "server.request_limits.max_header_size"
          ? Number(text)
          : parseByteSize(text)
      if (value === undefined) return bad("a size such as 50MB")
      break
    case "bool":
      if (/^(?:1|t|T|true|True|TRUE)$/.test(text)) value = true
      else if (/^(?:0|f|F|false|False|FALSE)$/.test(text)) value = false
      else return bad("true or false")
      break
    case "duration":
      value = parseDuration(text)
      if (value === undefined) return bad("a duration such as 30s")
      break
    case "strings":
      value = text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "")
      break
    case "word": {
      const word = info.words?.includes("debug") === true ? text.toLowerCase().replace(/^warning$/, "warn") : text
      // A wrong word in a variable is as wrong as in the file: the loader judges it there, with the variable's name.
      value = word
      break
    }
    default:
      value = text
  }
  const range = rangeProblem(info, value, path)
  return range === undefined || path === "server.port" ? { _tag: "ok", value } : { _tag: "bad", why: range }
}

/**
 * `OLLA_*` variables: a closed table of overrides. One that does not parse warns and is skipped;
 * one that parses is judged like the same value in the file. So is a list with a wrong network in it: leaving it out would
 * trust more proxies than was asked for.
 */
import { parseByteSize } from "./ByteSize.ts"
import type { KeyInfo } from "./ConfigKey.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { parseDuration } from "./Duration.ts"
import { nearest } from "./NearestWord.ts"
import { oddAmount, rangeProblem, readWord, type Usable } from "./ScalarReading.ts"
import { allKeys } from "./SchemaTree.ts"

export type Environment = Readonly<Record<string, string | undefined>>

/** Variable to key; each is read by the key's kind. */
export const overrides: Readonly<Record<string, string>> = {
  OLLA_SERVER_HOST: "server.host",
  OLLA_SERVER_PORT: "server.port",
  OLLA_SERVER_READ_TIMEOUT: "server.read_timeout",
  OLLA_SERVER_READ_HEADER_TIMEOUT: "server.read_header_timeout",
  OLLA_SERVER_WRITE_TIMEOUT: "server.write_timeout",
  OLLA_SERVER_MAX_BODY_SIZE: "server.request_limits.max_body_size",
  OLLA_SERVER_MAX_BUFFERED: "server.request_limits.max_buffered",
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
  OLLA_SERVER_TLS_CERT_FILE: "server.tls.cert_file",
  OLLA_SERVER_TLS_KEY_FILE: "server.tls.key_file",
  OLLA_SERVER_TLS_CLIENT_CA_FILE: "server.tls.client_ca_file",
  OLLA_SERVER_TLS_CLIENT_AUTH: "server.tls.client_auth",
  OLLA_SERVER_TLS_MIN_VERSION: "server.tls.min_version",
  OLLA_SERVER_TLS_REDIRECT_PORT: "server.tls.redirect_port",
  OLLA_SERVER_UNIX_SOCKET: "server.unix_socket.path",
  OLLA_ACCESS_KEYS_FILE: "access.keys_file",
  OLLA_ACCESS_API_KEY: "access.api_key",
  OLLA_ACCESS_ANONYMOUS: "access.anonymous",
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
  OLLA_LOGGING_REQUESTS: "logging.requests",
  OLLA_SHOW_NERD_STATS: "engineering.show_nerdstats",
  OLLA_MODEL_REGISTRY_TYPE: "model_registry.type",
  OLLA_MODEL_UNIFIER_ENABLED: "model_registry.enable_unifier",
  OLLA_TRANSLATORS_ANTHROPIC_ENABLED: "translators.anthropic.enabled",
  OLLA_TRANSLATORS_ANTHROPIC_PASSTHROUGH_ENABLED: "translators.anthropic.passthrough_enabled",
  OLLA_TRANSLATORS_ANTHROPIC_MAX_MESSAGE_SIZE: "translators.anthropic.max_message_size",
  OLLA_TRANSLATORS_RESPONSES_ENABLED: "translators.responses.enabled",
  OLLA_TRANSLATORS_RESPONSES_PASSTHROUGH_ENABLED: "translators.responses.passthrough_enabled",
  OLLA_TRANSLATORS_RESPONSES_MAX_MESSAGE_SIZE: "translators.responses.max_message_size",
  OLLA_TRANSLATORS_RESPONSES_CODEX_INSTRUCTIONS: "translators.responses.codex_instructions",
  OLLA_TRANSLATORS_OLLAMA_ENABLED: "translators.ollama.enabled",
  OLLA_TRANSLATORS_OLLAMA_PASSTHROUGH_ENABLED: "translators.ollama.passthrough_enabled",
  OLLA_TRANSLATORS_OLLAMA_MAX_MESSAGE_SIZE: "translators.ollama.max_message_size",
  OLLA_TRANSLATORS_CHAT_ENABLED: "translators.chat.enabled",
  OLLA_TRANSLATORS_CHAT_PASSTHROUGH_ENABLED: "translators.chat.passthrough_enabled",
  OLLA_TRANSLATORS_CHAT_MAX_MESSAGE_SIZE: "translators.chat.max_message_size",
  OLLA_TRAFFIC_ENABLED: "traffic.enabled",
  OLLA_TRANSLATION_PREFER: "translation.prefer",
  OLLA_TRANSLATION_KEEP_ALIVE_FIRST: "translation.keep_alive.first",
  OLLA_TRANSLATION_KEEP_ALIVE_INTERVAL: "translation.keep_alive.interval",
  OLLA_TRANSLATION_ASSUMED_CONTEXT: "translation.assumed_context",
  OLLA_TRANSLATION_REASONING: "translation.reasoning",
  OLLA_TRANSLATION_THINK_TAGS: "translation.think_tags",
  OLLA_TRANSLATION_ECHO_ALIAS: "translation.echo_alias"
}

const variables: ReadonlyMap<string, string> = new Map(Object.entries(overrides).map(([variable, path]) => [path, variable]))

/** The variable that sets this key, where there is one. */
export const variableOf = (path: string): string | undefined => variables.get(path)

const families = /^OLLA_(?:SERVER|ACCESS|PROXY|LOGGING|MODEL|TRAFFIC|TRANSLATORS|TRANSLATION)_/

/** Set and empty they would switch off what they protect. */
const strict = /^OLLA_(?:ACCESS_|SERVER_TLS_|SERVER_UNIX_SOCKET)/

export interface Overlay {
  /** Path to value, ready for the Schema. */
  readonly values: ReadonlyMap<string, unknown>
  /** Path to the variable that set it. */
  readonly origins: ReadonlyMap<string, string>
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

export const readEnvironment = (env: Environment): Overlay => {
  const values = new Map<string, unknown>()
  const origins = new Map<string, string>()
  const diagnostics: Array<Diagnostic> = []
  const infos = new Map(allKeys().map(({ path, info }) => [path, info]))
  for (const [variable, path] of Object.entries(overrides)) {
    const text = env[variable]
    const info = infos.get(path)
    if (text === "" && strict.test(variable)) {
      origins.set(path, variable)
      diagnostics.push({ severity: "error", message: `${variable} is set and empty: give it a value, or unset it`, path })
      continue
    }
    if (text === undefined || text === "" || info === undefined) continue
    const read = readVariable(info, path, text)
    if (read._tag === "unread") {
      const { expected } = read
      diagnostics.push({
        severity: "warning",
        message: "Environment variable ignored, its value cannot be used",
        detail: `${variable}="${text}", expected ${expected}`,
        path,
        fields: { variable, value: text, expected }
      })
      continue
    }
    origins.set(path, variable)
    if (read._tag === "wrong") diagnostics.push({ severity: "error", message: `${variable}: ${read.message}`, path })
    else values.set(path, read.value)
    const odd = read._tag === "ok" ? oddAmount(info, read.value, path) : undefined
    if (odd !== undefined) diagnostics.push({ severity: "warning", message: `${variable}: ${odd}`, path })
    if (read._tag === "warn")
      diagnostics.push({
        severity: "warning",
        message: read.message,
        detail: `${variable}=${read.detail}`,
        path,
        fields: { ...read.fields, variable, value: text }
      })
  }
  const variables = Object.keys(env)
    .filter((name) => families.test(name) && overrides[name] === undefined && (env[name] ?? "") !== "")
    .sort()
  if (variables.length > 0)
    diagnostics.push({
      severity: "warning",
      message: "Environment variables that Olla does not know, they have no effect",
      detail: variables.map(withNearest).join(", "),
      fields: { variables }
    })
  return { values, origins, diagnostics }
}

const withNearest = (name: string): string => {
  const near = nearest(name, Object.keys(overrides))
  return near === undefined ? name : `${name} (did you mean ${near}?)`
}

type Reading =
  | Usable
  /** Does not parse: ignored with a warning. */
  | { readonly _tag: "unread"; readonly expected: string }
  /** Parses, but the value is not allowed. */
  | { readonly _tag: "wrong"; readonly message: string }

const readVariable = (info: KeyInfo, path: string, text: string): Reading => {
  if (info.kind === "word" || info.kind === "policy") return readWord(info, text, path)
  const read = readValue(info, path, text)
  if (read._tag !== "ok") return read
  const problem = rangeProblem(info, read.value, path)
  return problem === undefined ? read : { _tag: "wrong", message: problem }
}

/** Each kind has a stricter syntax here than in YAML: one spelling of a number, no byte sizes where the file has none. */
const readValue = (info: KeyInfo, path: string, text: string): Extract<Reading, { readonly _tag: "ok" | "unread" }> => {
  const unread = (expected: string) => ({ _tag: "unread", expected }) as const
  const ok = (value: unknown) => ({ _tag: "ok", value }) as const
  switch (info.kind) {
    case "int": {
      const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
      return Number.isSafeInteger(value) ? ok(value) : unread("a whole number")
    }
    case "number": {
      const value = Number(text)
      return Number.isFinite(value) ? ok(value) : unread("a number")
    }
    case "size": {
      // A plain number of bytes may be negative here as in the file: the rule for it says what that means.
      const isPlain = path === "translators.anthropic.max_message_size" && /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text))
      const value = isPlain ? Number(text) : parseByteSize(text)
      return value === undefined ? unread("a size such as 50MB") : ok(value)
    }
    case "bool":
      if (/^(?:1|t|T|true|True|TRUE)$/.test(text)) return ok(true)
      return /^(?:0|f|F|false|False|FALSE)$/.test(text) ? ok(false) : unread("true or false")
    case "duration": {
      const value = parseDuration(text)
      return value === undefined ? unread("a duration such as 30s") : ok(value)
    }
    case "strings": {
      const value = text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "")
      return ok(value)
    }
    default:
      return ok(text)
  }
}

/**
 * Rules over the decoded configuration; every rule is judged, not only the
 * first that fails. What a key may be by itself is judged where it is read.
 */
import { checkCidr, checkProxyNetwork } from "./Cidr.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { checkFilter } from "./FilterPattern.ts"
import { checkInspectorFolder } from "./InspectorFolder.ts"
import { type OllaConfig, policyOf, targetsOf } from "./OllaConfig.ts"
import { trafficRules } from "./TrafficRules.ts"

const error = (path: string, message: string): Diagnostic => ({ severity: "error", path, message })
const warning = (path: string, message: string): Diagnostic => ({ severity: "warning", path, message })

/** `cwd`: what relative folders are relative to; the inspector's is looked up there. */
export const validate = (config: OllaConfig, cwd: string): ReadonlyArray<Diagnostic> => [
  ...discoveryRules(config),
  ...serverRules(config),
  ...translatorRules(config, cwd),
  ...dashboardRules(config),
  ...filterRules(config),
  ...aliasRules(config),
  ...trafficRules(config),
  ...remarks(config)
]

/** Printable ASCII: these entries stand in headers of answers as they are. */
const headerText = /^[\x20-\x7e]*$/
/** What a browser says, or such with a `*` in it. */
const originText = /^(?:null|[^/?#\s]*\*[^/?#\s]*|[^/?#\s]+:\/\/[^/?#\s]+)$/i

const discoveryRules = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const discovery = config.discovery.model_discovery
  if (!discovery.enabled) return []
  return (["interval", "concurrent_workers", "timeout"] as const)
    .filter((key) => discovery[key] <= 0)
    .map((key) => error(`discovery.model_discovery.${key}`, `discovery.model_discovery.${key} must be > 0 when model discovery is enabled`))
}

const serverRules = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const { rate_limits: limits, cors } = config.server
  const out: Array<Diagnostic> = []
  if (limits.burst_size === 0)
    out.push(warning("server.rate_limits.burst_size", "server.rate_limits.burst_size is 0: every limited request will be refused"))
  for (const [index, cidr] of limits.trusted_proxy_cidrs.entries()) {
    const problem = checkProxyNetwork(cidr)
    if (problem !== undefined)
      out.push(
        error(
          `server.rate_limits.trusted_proxy_cidrs[${index}]`,
          `server.rate_limits.trusted_proxy_cidrs: invalid entry "${cidr}": ${problem}`
        )
      )
  }
  if (config.server.port === 443 && config.server.tls.cert_file === "")
    out.push(warning("server.port", "server.port is 443, but Olla speaks plain HTTP: set server.tls.cert_file, or put TLS in front of it"))
  const { path, mode, only } = config.server.unix_socket
  if (Buffer.byteLength(path) > 107)
    out.push(error("server.unix_socket.path", "server.unix_socket.path has more than 107 bytes, which is all that the system takes"))
  if (!/^0?[0-7]{3}$/.test(mode)) out.push(error("server.unix_socket.mode", `server.unix_socket.mode: "${mode}" is no mode such as "0660"`))
  if (only && path === "")
    out.push(error("server.unix_socket.only", "server.unix_socket.only leaves nothing to listen on without server.unix_socket.path"))
  if (!cors.enabled) return out
  for (const key of ["allowed_origins", "allowed_methods", "allowed_headers", "exposed_headers"] as const)
    for (const [index, entry] of cors[key].entries())
      if (!headerText.test(entry))
        out.push(
          error(
            `server.cors.${key}[${index}]`,
            `server.cors config invalid: ${key} holds ${JSON.stringify(entry)}, which no header can carry`
          )
        )
  const fail = (key: string, text: string) => out.push(error(`server.cors.${key}`, `server.cors config invalid: ${text}`))
  if (cors.allowed_origins.length === 0)
    fail("allowed_origins", 'cors: allowed_origins must not be empty when cors is enabled; set ["*"] to allow all origins explicitly')
  for (const [index, origin] of cors.allowed_origins.entries()) {
    if (origin.split("*").length > 2)
      fail(`allowed_origins[${index}]`, `cors: allowed_origins entry "${origin}" has more than one *; one in each is allowed`)
    else if (!originText.test(origin))
      out.push(
        warning(
          `server.cors.allowed_origins[${index}]`,
          `server.cors.allowed_origins: "${origin}" matches no browser's Origin, which is scheme://host or scheme://host:port without a path`
        )
      )
  }
  if (cors.max_age < 0) fail("max_age", `cors.max_age must be non-negative, got ${cors.max_age}`)
  if (cors.allow_credentials && cors.allowed_origins.includes("*"))
    fail("allow_credentials", 'cors: allow_credentials=true is incompatible with allowed_origins=["*"]; list explicit origins instead')
  return out
}

const translatorRules = (config: OllaConfig, cwd: string): ReadonlyArray<Diagnostic> =>
  (["anthropic", "responses", "ollama", "chat"] as const).flatMap((name) => rulesOfTranslator(config, name, cwd))

const rulesOfTranslator = (config: OllaConfig, name: keyof OllaConfig["translators"], cwd: string): ReadonlyArray<Diagnostic> => {
  const { max_message_size: size, inspector } = config.translators[name]
  const at = `translators.${name}`
  const wrap = `translators config invalid: ${name} translator config invalid: `
  const out: Array<Diagnostic> = []
  if (size < 0) out.push(error(`${at}.max_message_size`, `${wrap}max_message_size must be non-negative, got ${size}`))
  if (size > 104_857_600) out.push(error(`${at}.max_message_size`, `${wrap}max_message_size exceeds 100 MiB safety limit, got ${size}`))
  if (size === 0) out.push(warning(`${at}.max_message_size`, "Invalid or missing max_message_size, using default (32 MiB)"))
  if (!inspector.enabled) return out
  const folder = checkInspectorFolder(inspector.output_dir, cwd)
  if (folder !== undefined) out.push(error(`${at}.inspector.output_dir`, `${wrap}inspector config invalid: ${folder}`))
  if (!/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/.test(inspector.session_header))
    out.push(
      error(
        `${at}.inspector.session_header`,
        `${wrap}inspector config invalid: session_header contains invalid characters (must be valid HTTP header name): ${inspector.session_header}`
      )
    )
  return out
}

const dashboardRules = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  if (!config.dashboard.enabled && !config.dashboard.gate_internal_api) return []
  const cidrs = config.dashboard.access_policy.allowed_cidrs
  const at = "dashboard.access_policy.allowed_cidrs"
  if (cidrs.length === 0) return [error(at, "dashboard config invalid: dashboard: access_policy.allowed_cidrs must not be empty")]
  return cidrs.flatMap((cidr, index) => {
    const problem = checkCidr(cidr)
    return problem === undefined
      ? []
      : [error(`${at}[${index}]`, `dashboard config invalid: dashboard: invalid access_policy.allowed_cidrs entry "${cidr}": ${problem}`)]
  })
}

const filterRules = (config: OllaConfig): ReadonlyArray<Diagnostic> =>
  checkFilter(config.proxy.profile_filter).map(({ at, message }) =>
    error(`proxy.profile_filter.${at}`, `failed to apply profile filter: invalid filter configuration: ${message}`)
  )

const aliasRules = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = []
  const seen = new Map<string, string>()
  for (const [alias, given] of Object.entries(config.model_aliases)) {
    const path = `model_aliases.${alias}`
    const targets = targetsOf(given)
    const list = policyOf(given) === undefined ? path : `${path}.targets`
    if (alias === "") out.push(error("model_aliases", "model alias name cannot be empty"))
    else if (alias !== alias.trim()) out.push(error(path, `model alias "${alias}" contains leading/trailing whitespace`))
    if (targets.length === 0 && list === path) out.push(error(path, `model alias "${alias}" has no actual models configured`))
    else if (targets.length === 0)
      out.push({ ...error(list, `${list} must be at least one model, got none`), example: 'targets: ["qwen3:32b", "qwen3:8b"]' })
    for (const [index, target] of targets.entries()) {
      if (target === "") out.push(error(`${list}[${index}]`, `model alias "${alias}" has empty model name at position ${index}`))
      else if (targets.indexOf(target) < index) out.push(warning(`${list}[${index}]`, `model alias "${alias}" lists "${target}" twice`))
    }
    const other = seen.get(alias.toLowerCase())
    if (other !== undefined) out.push(error(path, `model aliases "${other}" and "${alias}" differ only in case; keep one of them`))
    seen.set(alias.toLowerCase(), alias)
  }
  return out
}

/** Keys that do nothing say so when they look as if they were meant to. */
const inert = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const { proxy, discovery } = config
  const usual = { "proxy.max_retries": 3, "proxy.retry_backoff": 500, "discovery.refresh_interval": 30_000 }
  const actual = {
    "proxy.max_retries": proxy.max_retries,
    "proxy.retry_backoff": proxy.retry_backoff,
    "discovery.refresh_interval": discovery.refresh_interval
  }
  return (Object.keys(usual) as ReadonlyArray<keyof typeof usual>)
    .filter((path) => actual[path] !== usual[path])
    .map((path) => ({ severity: "info", path, message: `${path} has no effect` }))
}

const remarks = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = [...inert(config)]
  const { sticky_sessions: sticky } = config.proxy
  if (sticky.enabled && sticky.idle_ttl_seconds <= 0)
    out.push(
      warning("proxy.sticky_sessions.idle_ttl_seconds", "proxy.sticky_sessions.idle_ttl_seconds is 0 or less: sessions never expire")
    )
  const refresh = "model_registry.routing_strategy.options.discovery_timeout"
  if (config.model_registry.routing_strategy.options.discovery_timeout <= 0)
    out.push(warning(refresh, `${refresh} is 0 or less: 2s is used`))
  return out
}

/**
 * From `discovery.static.endpoints` to specs: every rule that can be judged without the network, each complaint with its
 * place. The same function serves start-up, `validate` and reload.
 */
import type { Diagnostic } from "../config/Diagnostic.ts"
import { formatDuration } from "../config/Duration.ts"
import { checkFilter } from "../config/FilterPattern.ts"
import { nearest } from "../config/NearestWord.ts"
import type { EndpointConfig, OllaConfig } from "../config/OllaConfig.ts"
import { expandVariables, missingVariables, withFallback } from "../config/VariableExpansion.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import { hasPath } from "./BasePath.ts"
import { type Complaint, resolveCredentials, type SecretSources } from "./EndpointCredentials.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { healthUrlOf, modelUrlOf } from "./EndpointSpec.ts"
import { resolveTls } from "./EndpointTls.ts"
import {
  checkReference,
  checkUrl,
  credentialsRefusal,
  displayUrl,
  hostOf,
  isAbsolute,
  isPrivateHost,
  joinUrl,
  originOf,
  parseOrigin,
  redactUrl,
  sameEndpointKey
} from "./EndpointUrl.ts"

export interface LoadedEndpoints {
  /** Those without errors, in configuration order; of two with one URL the later. */
  readonly specs: ReadonlyArray<EndpointSpec>
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

const listPath = "discovery.static.endpoints"

export const loadEndpoints = (
  config: OllaConfig,
  profiles: ProfileSet,
  env: SecretSources["env"],
  readFile: SecretSources["readFile"]
): LoadedEndpoints => {
  const { specs, complaints } = judge(config, profiles, { env, readFile })
  return { specs, diagnostics: complaints.map(({ at, ...rest }) => ({ ...rest, path: at })) }
}

const judge = (
  config: OllaConfig,
  profiles: ProfileSet,
  sources: SecretSources
): { readonly specs: ReadonlyArray<EndpointSpec>; readonly complaints: ReadonlyArray<Complaint> } => {
  const complaints: Array<Complaint> = []
  const byKey = new Map<string, EndpointSpec>()
  for (const [index, entry] of config.discovery.static.endpoints.entries()) {
    const loaded = loadEndpoint(entry, index, profiles, sources)
    complaints.push(
      ...loaded.complaints.map((each) => ({ ...each, at: each.at === "" ? itemPath(index) : `${itemPath(index)}.${each.at}` }))
    )
    if (loaded.spec === undefined) continue
    const key = sameEndpointKey(loaded.spec.url)
    const earlier = byKey.get(key)
    if (earlier !== undefined)
      complaints.push({
        severity: "warning",
        at: `${itemPath(index)}.url`,
        message: `duplicate endpoint URL, later entry wins: "${loaded.spec.name}" replaces "${earlier.name}" (${loaded.spec.displayUrl}); to keep both, end their URLs with different #names`
      })
    byKey.delete(key)
    byKey.set(key, loaded.spec)
  }
  const specs = [...byKey.values()].map((spec, index) => ({ ...spec, index }))
  const names = new Set<string>()
  for (const spec of byKey.values()) {
    if (names.has(spec.name))
      complaints.push({
        severity: "warning",
        at: `${itemPath(spec.index)}.name`,
        message: `duplicate endpoint name "${spec.name}": both work, but headers, logs and status cannot tell them apart`
      })
    names.add(spec.name)
  }
  return { specs, complaints }
}

/** What will be asked for: a path in the URL is easily meant otherwise. */
const pathsOf = (spec: EndpointSpec): string => {
  const { profile } = spec
  const chat = joinUrl(spec.preservePath ? spec.url : originOf(spec.url), profile?.chatPath ?? "/v1/chat/completions", true)
  const [checks, lists, chats] = [healthUrlOf(spec, profile), modelUrlOf(spec, profile), chat].map(redactUrl)
  return `checks ${checks}, lists ${lists}, chats at ${chats}`
}

const itemPath = (index: number): string => `${listPath}[${index}]`

export const loadEndpoint = (
  entry: EndpointConfig,
  index: number,
  profiles: ProfileSet,
  sources: SecretSources
): { readonly spec: EndpointSpec | undefined; readonly complaints: ReadonlyArray<Complaint> } => {
  const complaints: Array<Complaint> = []
  const url = expandVariables(entry.url, sources.env)
  const name = entry.name !== "" ? entry.name : ((url._tag === "Expanded" ? hostOf(url.value) : undefined) ?? `#${index + 1}`)
  const fail = (at: string, text: string): void => {
    complaints.push({ severity: "error", at, message: `invalid endpoint config for "${name}": ${text}` })
  }
  const warn = (at: string, text: string): void => {
    complaints.push({ severity: "warning", at, message: `endpoint "${name}": ${text}` })
  }
  const missing = (at: string, names: ReadonlyArray<string>): void => {
    complaints.push({
      severity: "error",
      at,
      message: `endpoint "${name}": ${at}: ${missingVariables(names)}`,
      example: withFallback(at, names)
    })
  }

  let base: string | undefined
  if (url._tag === "Missing") missing("url", url.names)
  else {
    const problem = checkUrl(url.value)
    if (problem === undefined) base = url.value
    else if (problem._tag === "Empty") fail("url", "endpoint URL cannot be empty")
    else if (problem._tag === "Credentials") fail("url", credentialsRefusal(name, url.value))
    else if (problem._tag === "NotHttp") fail("url", `endpoint URL must be http or https with a host, got "${redactUrl(url.value)}"`)
    else complaints.push({ severity: "error", at: "url", message: `invalid endpoint URL "${redactUrl(url.value)}": ${problem.why}` })
  }

  const { check_interval: interval, check_timeout: timeout } = entry
  if (interval < 1000) fail("check_interval", `check_interval too short: minimum 1s, got ${formatDuration(interval)}`)
  // Without a timeout of its own it follows from the interval, and so does what is wrong with it.
  if (timeout <= 0 && interval > 0) fail("check_timeout", `check_timeout must be positive, got ${formatDuration(timeout)}`)
  else if (timeout >= interval && interval > 0)
    fail("check_timeout", `check_timeout (${formatDuration(timeout)}) must be less than check_interval (${formatDuration(interval)})`)
  if (timeout > 30_000) fail("check_timeout", `check_timeout too long: maximum 30s, got ${formatDuration(timeout)}`)
  if (entry.priority < 0) fail("priority", `priority must be non-negative, got ${entry.priority}`)

  const isAuto = entry.type === "" || entry.type === "auto"
  const profile = isAuto ? undefined : profiles.resolveType(entry.type)
  if (!isAuto && profile === undefined) {
    const near = nearest(entry.type, profiles.typeNames)
    const hint = near === undefined ? "" : `; did you mean "${near}"?`
    complaints.push({
      severity: "error",
      at: "type",
      message: `invalid endpoint config for "${name}": unsupported endpoint type: ${entry.type}, supported types: [${profiles.typeNames.join(" ")}]${hint}`,
      ...(near === undefined ? {} : { example: `type: ${near}` })
    })
  }

  for (const { at, message } of checkFilter(entry.model_filter)) fail(`model_filter.${at}`, `model_filter: ${message}`)

  const reference = (key: "health_check_url" | "model_url", noun: string): string | undefined => {
    const raw = entry[key]
    if (raw === undefined || raw === "") return undefined
    const expanded = expandVariables(raw, sources.env)
    if (expanded._tag === "Missing") {
      missing(key, expanded.names)
      return undefined
    }
    const problem = checkReference(expanded.value)
    if (problem === undefined) return expanded.value
    if (problem.credentials) fail(key, credentialsRefusal(name, expanded.value, `${noun} URL`))
    else complaints.push({ severity: "error", at: key, message: `invalid ${noun} URL "${redactUrl(expanded.value)}": ${problem.why}` })
    return undefined
  }
  const healthReference = reference("health_check_url", "health check")
  const modelReference = reference("model_url", "model")

  const resolved = resolveCredentials(entry, name, sources)
  const secure = base !== undefined && new URL(base).protocol === "https:"
  const tls = resolveTls(entry.tls, name, secure || base === undefined, sources)
  complaints.push(...resolved.complaints, ...tls.complaints)

  if (base === undefined || complaints.some((each) => each.severity === "error")) return { spec: undefined, complaints }
  const spec: EndpointSpec = {
    url: base,
    displayUrl: displayUrl(base),
    name,
    type: entry.type,
    profile,
    isAuto,
    index,
    priority: entry.priority,
    preservePath: entry.preserve_path || ![healthReference, modelReference].every((url) => url !== undefined && isAbsolute(url)),
    healthReference,
    modelReference,
    probes: entry.health_check !== "none",
    checkInterval: interval,
    checkTimeout: timeout,
    modelFilter: entry.model_filter,
    weight: entry.weight,
    maxConcurrent: entry.max_concurrent,
    maxResident: entry.max_resident,
    labels: entry.labels,
    origin: parseOrigin(base, tls.tls),
    credentials: resolved.credentials
  }
  if (/^[^#]*\?/.test(base))
    warn(
      "url",
      "its query goes along with checks and model lists alone, never with requests: move it to health_check_url or model_url, or a key to auth"
    )
  for (const [at, text] of [
    ["health_check_url", healthReference],
    ["model_url", modelReference]
  ] as const)
    if (text?.includes("#") === true) warn(at, "what stands behind # is never sent: leave it out, or write %23")
  if (hasPath(spec.origin.basePath)) complaints.push({ severity: "info", at: "url", message: `endpoint "${name}": ${pathsOf(spec)}` })
  if (resolved.credentials.headers.length > 0) {
    if (entry.auth !== undefined && !secure && !isPrivateHost(spec.origin.hostname))
      warn("auth", `credentials travel unencrypted: ${spec.displayUrl} is plain http and neither loopback nor a private address`)
    for (const [key, target] of [
      ["health_check_url", healthUrlOf(spec, profile)],
      ["model_url", modelUrlOf(spec, profile)]
    ] as const)
      if (originOf(target) !== originOf(base))
        warn(key, `leads to ${originOf(target)}: the endpoint's credentials and headers are sent there too`)
  }
  return { spec, complaints }
}

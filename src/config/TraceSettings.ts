/**
 * Whether and how traces are sent: `telemetry.otlp` with the standard `OTEL_*` variables laid over it. Those win over the file, and the
 * form with `_TRACES_` over the general one. What cannot be used warns and counts as not given: telemetry never ends a start.
 */
import type { LoadedConfig } from "./ConfigLoading.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import type { Environment } from "./Environment.ts"
import type { OllaConfig } from "./OllaConfig.ts"
import { expandVariables, missingVariables } from "./VariableExpansion.ts"

export type TraceProtocol = "http/json" | "http/protobuf"

export interface TraceSettings {
  /** Where to, as it is. */
  readonly url: string
  readonly protocol: TraceProtocol
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds. */
  readonly interval: number
  readonly timeout: number
  /** Spans that wait at most, and that go out at once. */
  readonly queue: number
  readonly batch: number
  readonly serviceName: string
  readonly resource: Readonly<Record<string, string>>
  /** 0 to 1, of the traces that nobody has decided on before. */
  readonly ratio: number
  /** The flag of the client's trace decides where there is one. */
  readonly followsClient: boolean
  readonly parent: "continue" | "link"
  readonly keepErrors: boolean
  /** Milliseconds; 0: off. */
  readonly keepSlow: number
  readonly controlPlane: "none" | "changes" | "all"
}

/** What a variable says instead of a key. */
export interface Override {
  readonly variable: string
  /** As the key would have it. */
  readonly value: unknown
}

export interface TraceReading {
  /** `undefined`: none are sent. */
  readonly settings: TraceSettings | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** By key of `telemetry.otlp`. */
  readonly overrides: ReadonlyMap<string, Override>
}

type OtlpConfig = OllaConfig["telemetry"]["otlp"]

const usualBatch = 512
/** What is added to a base URL. */
const tracesPath = "/v1/traces"

const isUrl = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text)
const based = (base: string): string => `${base.replace(/\/+$/, "")}${tracesPath}`

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const headerText = /^[\t\x20-\x7e\x80-\xff]*$/

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text.trim())
  } catch {
    return undefined
  }
}

/** `a=1,b=2`, percent-encoded; `undefined`: it is no such list. */
const pairsOf = (text: string): Readonly<Record<string, string>> | undefined => {
  const out: Record<string, string> = {}
  for (const part of text.split(",")) {
    if (part.trim() === "") continue
    const at = part.indexOf("=")
    const name = at <= 0 ? undefined : decoded(part.slice(0, at))
    const value = decoded(part.slice(at + 1))
    if (name === undefined || name === "" || value === undefined) return undefined
    out[name] = value
  }
  return out
}

const areHeaders = (pairs: Readonly<Record<string, string>>): boolean =>
  Object.entries(pairs).every(([name, value]) => headerName.test(name) && headerText.test(value))

interface Sampler {
  readonly ratio: number | "arg"
  readonly followsClient: boolean
}

const samplers: Readonly<Record<string, Sampler>> = {
  always_on: { ratio: 1, followsClient: false },
  always_off: { ratio: 0, followsClient: false },
  traceidratio: { ratio: "arg", followsClient: false },
  parentbased_always_on: { ratio: 1, followsClient: true },
  parentbased_always_off: { ratio: 0, followsClient: true },
  parentbased_traceidratio: { ratio: "arg", followsClient: true }
}

/** The variables, each read once; those that cannot be used are told. */
class Variables {
  readonly diagnostics: Array<Diagnostic> = []
  readonly overrides = new Map<string, Override>()
  readonly #env: Environment

  constructor(env: Environment) {
    this.#env = env
  }

  ignore(variable: string, expected: string, secret = false): void {
    const value = secret ? "[REDACTED]" : (this.#env[variable] ?? "")
    this.diagnostics.push({
      severity: "warning",
      message: "Environment variable ignored, its value cannot be used",
      detail: `${variable}="${value}", expected ${expected}`,
      fields: { variable, value, expected }
    })
  }

  text(variable: string): string | undefined {
    const value = this.#env[variable]?.trim()
    return value === undefined || value === "" ? undefined : value
  }

  /** `variable` says this instead of `key`. */
  override(key: string, variable: string, value: unknown): void {
    this.overrides.set(key, { variable, value })
  }

  /** The first of them that can be used, which stands instead of `key`; empty: there is no such key. `read` returns `undefined` for what cannot. */
  first<A>(
    key: string,
    names: ReadonlyArray<string>,
    read: (text: string, name: string) => A | undefined,
    expected: string,
    secret = false
  ): A | undefined {
    for (const name of names) {
      const value = this.text(name)
      if (value === undefined) continue
      const result = read(value, name)
      if (result !== undefined) {
        if (key !== "") this.override(key, name, result)
        return result
      }
      this.ignore(name, expected, secret)
    }
    return undefined
  }

  number(key: string, names: ReadonlyArray<string>, min: number, max: number, expected: string): number | undefined {
    return this.first(
      key,
      names,
      (text) => {
        const value = Number(text)
        return Number.isFinite(value) && value >= min && value <= max ? value : undefined
      },
      expected
    )
  }
}

const both = (name: string): ReadonlyArray<string> => [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`]

/** Milliseconds that a timer can count. */
const longest = 2 ** 31 - 1

const warning = (path: string, message: string, detail: string): Diagnostic => ({
  severity: "warning",
  path,
  message,
  detail,
  fields: { problem: detail }
})

/** What is wrong with the address itself, whatever the variables say. */
const addressProblems = ({ endpoint }: OtlpConfig): ReadonlyArray<Diagnostic> =>
  endpoint === "" || isUrl(endpoint)
    ? []
    : [
        warning(
          "telemetry.otlp.endpoint",
          "The collector's address cannot be used, it counts as not given",
          "telemetry.otlp.endpoint needs a URL such as http://localhost:4318"
        )
      ]

/** Those of the file, with variables in their values expanded; what cannot be sent is left out. */
const writtenHeaders = (headers: OtlpConfig["headers"], env: Environment) => {
  const sent: Record<string, string> = {}
  const diagnostics: Array<Diagnostic> = []
  for (const [name, value] of Object.entries(headers)) {
    const expanded = expandVariables(value, env)
    const problem =
      expanded._tag === "Missing"
        ? missingVariables(expanded.names)
        : areHeaders({ [name]: expanded.value })
          ? undefined
          : "it has characters that HTTP does not allow"
    if (expanded._tag === "Expanded" && problem === undefined) sent[name] = expanded.value
    else
      diagnostics.push(
        warning(
          "telemetry.otlp.headers",
          "A header for the collector cannot be sent, it is left out",
          `telemetry.otlp.headers: ${name}: ${problem}`
        )
      )
  }
  return { sent, diagnostics }
}

const address = "a URL with http or https"

export const readTraceSettings = (otlp: OtlpConfig, env: Environment): TraceReading => {
  const variables = new Variables(env)
  const written = writtenHeaders(otlp.headers, env)
  const reading = (settings: TraceSettings | undefined): TraceReading => ({
    settings,
    diagnostics: [...addressProblems(otlp), ...written.diagnostics, ...variables.diagnostics],
    overrides: variables.overrides
  })
  const off = (variable: string): TraceReading => {
    variables.override("endpoint", variable, "")
    return reading(undefined)
  }
  if (variables.text("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return off("OTEL_SDK_DISABLED")
  const exporter = variables.text("OTEL_TRACES_EXPORTER")
  if (exporter !== undefined && exporter !== "otlp") {
    if (exporter !== "none") variables.ignore("OTEL_TRACES_EXPORTER", "otlp or none; no traces are sent")
    return off("OTEL_TRACES_EXPORTER")
  }
  const asIs = (text: string) => (isUrl(text) ? text : undefined)
  const exact = variables.first("endpoint", ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], asIs, address)
  const base =
    exact === undefined ? (variables.first("endpoint", ["OTEL_EXPORTER_OTLP_ENDPOINT"], asIs, address) ?? asIs(otlp.endpoint)) : undefined
  const url = exact ?? (base === undefined ? undefined : based(base))
  if (url === undefined) return reading(undefined)
  const protocol =
    variables.first(
      "protocol",
      both("PROTOCOL"),
      (text) => (text === "http/json" || text === "http/protobuf" || text === "grpc" ? text : undefined),
      "http/json or http/protobuf"
    ) ?? otlp.protocol
  if (protocol === "grpc") {
    variables.diagnostics.push({
      severity: "warning",
      message: "No traces are sent, since gRPC is not spoken: use http/protobuf and the collector's port for it, mostly 4318",
      detail: "protocol grpc",
      fields: { protocol }
    })
    return reading(undefined)
  }
  const sampler = variables.first(
    "",
    ["OTEL_TRACES_SAMPLER"],
    (text) => (Object.hasOwn(samplers, text) ? samplers[text] : undefined),
    `one of ${Object.keys(samplers).join(", ")}`
  )
  const isUnknown = variables.text("OTEL_TRACES_SAMPLER") !== undefined && sampler === undefined
  const arg = sampler?.ratio === "arg" ? (variables.number("", ["OTEL_TRACES_SAMPLER_ARG"], 0, 1, "a number from 0 to 1") ?? 1) : 1
  const ratio = isUnknown ? 1 : sampler === undefined ? otlp.sample : sampler.ratio === "arg" ? arg : sampler.ratio
  if (isUnknown || sampler !== undefined) variables.override("sample", "OTEL_TRACES_SAMPLER", ratio)
  const attributes = variables.first("", ["OTEL_RESOURCE_ATTRIBUTES"], pairsOf, "a list such as team=research,site=lab") ?? {}
  const { "service.name": named, ...resource } = { ...otlp.resource, ...attributes }
  const { "service.name": _, ...added } = attributes
  if (Object.keys(added).length > 0) variables.override("resource", "OTEL_RESOURCE_ATTRIBUTES", resource)
  const headers =
    variables.first(
      "headers",
      both("HEADERS"),
      (text) => {
        const pairs = pairsOf(text)
        return pairs !== undefined && areHeaders(pairs) ? pairs : undefined
      },
      "a list of headers such as x-api-key=secret",
      true
    ) ?? written.sent
  const serviceName = variables.first("service_name", ["OTEL_SERVICE_NAME"], (text) => text, "a name")
  if (serviceName === undefined && attributes["service.name"])
    variables.override("service_name", "OTEL_RESOURCE_ATTRIBUTES", attributes["service.name"])
  return reading({
    url,
    protocol,
    headers,
    interval: variables.number("interval", ["OTEL_BSP_SCHEDULE_DELAY"], 0, longest, "milliseconds") ?? otlp.interval,
    timeout: variables.number("timeout", both("TIMEOUT"), 1, longest, "milliseconds, more than 0") ?? otlp.timeout,
    queue: Math.trunc(variables.number("queue", ["OTEL_BSP_MAX_QUEUE_SIZE"], 1, 1e9, "a number of spans, more than 0") ?? otlp.queue),
    batch: Math.trunc(
      variables.number("", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], 1, 1e9, "a number of spans, more than 0") ?? Math.min(usualBatch, otlp.queue)
    ),
    serviceName: serviceName ?? (attributes["service.name"] || named || otlp.service_name),
    resource,
    ratio,
    followsClient: sampler?.followsClient ?? true,
    parent: otlp.parent,
    keepErrors: otlp.keep_errors,
    keepSlow: otlp.keep_slow,
    controlPlane: otlp.control_plane
  })
}

const section = "telemetry.otlp"

/** The configuration as it is in force: with what variables say instead of the keys, and which. For people. */
export const withTraceVariables = (loaded: LoadedConfig, env: Environment): LoadedConfig => {
  const { config } = loaded
  if (config === undefined) return loaded
  const { overrides } = readTraceSettings(config.telemetry.otlp, env)
  if (overrides.size === 0) return loaded
  const changed = Object.fromEntries([...overrides].map(([key, { value }]) => [key, value]))
  const otlp = { ...config.telemetry.otlp, ...changed } as OtlpConfig
  const written = config.telemetry.otlp.resource
  return {
    ...loaded,
    config: { ...config, telemetry: { ...config.telemetry, otlp } },
    originOf: (path) => {
      const [key = "", name] = path.startsWith(`${section}.`) ? splitOnce(path.slice(section.length + 1)) : []
      const override = overrides.get(key)
      // Resource attributes of the file that no variable names stay the file's.
      const isKept = key === "resource" && name !== undefined && written[name] === otlp.resource[name] && Object.hasOwn(written, name)
      return override === undefined || isKept ? loaded.originOf(path) : override.variable
    }
  }
}

const splitOnce = (path: string): readonly [string, string | undefined] => {
  const dot = path.indexOf(".")
  return dot < 0 ? [path, undefined] : [path.slice(0, dot), path.slice(dot + 1)]
}

/**
 * Whether and how traces are sent: `telemetry.otlp` with the standard `OTEL_*` variables laid over it. Those win over the file, and the
 * form with `_TRACES_` over the general one. What cannot be used warns and counts as not given: telemetry never ends a start.
 */
import type { Diagnostic } from "./Diagnostic.ts"
import type { Environment } from "./Environment.ts"
import type { OllaConfig } from "./OllaConfig.ts"

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

export interface TraceReading {
  /** `undefined`: none are sent. */
  readonly settings: TraceSettings | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
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

  /** The first of them that can be used. `read` returns `undefined` for what cannot. */
  first<A>(
    names: ReadonlyArray<string>,
    read: (text: string, name: string) => A | undefined,
    expected: string,
    secret = false
  ): A | undefined {
    for (const name of names) {
      const value = this.text(name)
      if (value === undefined) continue
      const result = read(value, name)
      if (result !== undefined) return result
      this.ignore(name, expected, secret)
    }
    return undefined
  }

  number(names: ReadonlyArray<string>, min: number, max: number, expected: string): number | undefined {
    return this.first(
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

/** What is wrong with the keys themselves, whatever the variables say. */
const keyProblems = (otlp: OtlpConfig): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = []
  if (otlp.endpoint !== "" && !isUrl(otlp.endpoint))
    out.push(
      warning(
        "telemetry.otlp.endpoint",
        "The collector's address cannot be used, it counts as not given",
        "telemetry.otlp.endpoint needs a URL such as http://localhost:4318"
      )
    )
  for (const [name, value] of Object.entries(otlp.headers))
    if (!areHeaders({ [name]: value }))
      out.push(
        warning("telemetry.otlp.headers", "A header for the collector cannot be sent, it is left out", `telemetry.otlp.headers: ${name}`)
      )
  return out
}

export const readTraceSettings = (otlp: OtlpConfig, env: Environment): TraceReading => {
  const variables = new Variables(env)
  const off = (): TraceReading => ({ settings: undefined, diagnostics: [...keyProblems(otlp), ...variables.diagnostics] })
  if (variables.text("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return off()
  const exporter = variables.text("OTEL_TRACES_EXPORTER")
  if (exporter === "none") return off()
  if (exporter !== undefined && exporter !== "otlp") {
    variables.ignore("OTEL_TRACES_EXPORTER", "otlp or none; no traces are sent")
    return off()
  }
  const url =
    variables.first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], (text) => (isUrl(text) ? text : undefined), "a URL with http or https") ??
    variables.first(["OTEL_EXPORTER_OTLP_ENDPOINT"], (text) => (isUrl(text) ? based(text) : undefined), "a URL with http or https") ??
    (isUrl(otlp.endpoint) ? based(otlp.endpoint) : undefined)
  if (url === undefined) return off()
  const protocol =
    variables.first(
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
    return off()
  }
  const sampler = variables.first(
    ["OTEL_TRACES_SAMPLER"],
    (text) => (Object.hasOwn(samplers, text) ? samplers[text] : undefined),
    `one of ${Object.keys(samplers).join(", ")}`
  )
  const isUnknown = variables.text("OTEL_TRACES_SAMPLER") !== undefined && sampler === undefined
  const arg = sampler?.ratio === "arg" ? (variables.number(["OTEL_TRACES_SAMPLER_ARG"], 0, 1, "a number from 0 to 1") ?? 1) : 1
  const ratio = isUnknown ? 1 : sampler === undefined ? otlp.sample : sampler.ratio === "arg" ? arg : sampler.ratio
  const attributes = variables.first(["OTEL_RESOURCE_ATTRIBUTES"], pairsOf, "a list such as team=research,site=lab") ?? {}
  const { "service.name": named, ...resource } = { ...otlp.resource, ...attributes }
  const headers =
    variables.first(
      both("HEADERS"),
      (text) => {
        const pairs = pairsOf(text)
        return pairs !== undefined && areHeaders(pairs) ? pairs : undefined
      },
      "a list of headers such as x-api-key=secret",
      true
    ) ?? Object.fromEntries(Object.entries(otlp.headers).filter(([name, value]) => areHeaders({ [name]: value })))
  const settings: TraceSettings = {
    url,
    protocol,
    headers,
    interval: variables.number(["OTEL_BSP_SCHEDULE_DELAY"], 0, longest, "milliseconds") ?? otlp.interval,
    timeout: variables.number(both("TIMEOUT"), 1, longest, "milliseconds, more than 0") ?? otlp.timeout,
    queue: Math.trunc(variables.number(["OTEL_BSP_MAX_QUEUE_SIZE"], 1, 1e9, "a number of spans, more than 0") ?? otlp.queue),
    batch: Math.trunc(
      variables.number(["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], 1, 1e9, "a number of spans, more than 0") ?? Math.min(usualBatch, otlp.queue)
    ),
    serviceName: variables.text("OTEL_SERVICE_NAME") ?? (attributes["service.name"] || named || otlp.service_name),
    resource,
    ratio,
    followsClient: sampler?.followsClient ?? true,
    parent: otlp.parent,
    keepErrors: otlp.keep_errors,
    keepSlow: otlp.keep_slow,
    controlPlane: otlp.control_plane
  }
  return { settings, diagnostics: [...keyProblems(otlp), ...variables.diagnostics] }
}

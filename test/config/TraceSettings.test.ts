import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { shownValues } from "../../src/config/ConfigPrinting.ts"
import { readTraceSettings, type TraceSettings, withTraceVariables } from "../../src/config/TraceSettings.ts"

const read = (otlp = "{}", env: Readonly<Record<string, string>> = {}) => {
  const { config, diagnostics } = decodeConfig(`telemetry: {otlp: ${otlp}}\n`, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  const reading = readTraceSettings(config.telemetry.otlp, env)
  return { settings: reading.settings, warnings: [...diagnostics, ...reading.diagnostics] }
}
const file = '{endpoint: "http://file:4318"}'

describe("where traces are sent", () => {
  it("is nowhere unless somebody says so, and then nothing is said either", () => {
    expect(read()).toEqual({ settings: undefined, warnings: [] })
  })

  it.each<[string, string, Readonly<Record<string, string>>, string | undefined]>([
    ["a base URL of the file", file, {}, "http://file:4318/v1/traces"],
    ["a base URL with a path", '{endpoint: "http://file:4318/otlp/"}', {}, "http://file:4318/otlp/v1/traces"],
    ["a base URL of a variable before that", file, { OTEL_EXPORTER_OTLP_ENDPOINT: "https://env" }, "https://env/v1/traces"],
    [
      "the URL for traces before both, as it is",
      file,
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://env", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://env/mine" },
      "http://env/mine"
    ],
    ["what an empty variable leaves", file, { OTEL_EXPORTER_OTLP_ENDPOINT: "" }, "http://file:4318/v1/traces"],
    ["nowhere with the SDK disabled", file, { OTEL_SDK_DISABLED: "true" }, undefined],
    ["nowhere with the exporter none", file, { OTEL_TRACES_EXPORTER: "none" }, undefined],
    ["there with the exporter otlp", file, { OTEL_TRACES_EXPORTER: "otlp" }, "http://file:4318/v1/traces"]
  ])("%s", (_what, otlp, env, url) => {
    const { settings, warnings } = read(otlp, env)
    expect([settings?.url, warnings]).toEqual([url, []])
  })

  it.each<[string, Readonly<Record<string, string>>, Partial<TraceSettings>]>([
    ["headers", { OTEL_EXPORTER_OTLP_HEADERS: "a=b%20c, x-key=d" }, { headers: { a: "b c", "x-key": "d" } }],
    ["headers for traces", { OTEL_EXPORTER_OTLP_HEADERS: "a=b", OTEL_EXPORTER_OTLP_TRACES_HEADERS: "c=d" }, { headers: { c: "d" } }],
    ["time-out", { OTEL_EXPORTER_OTLP_TIMEOUT: "1500" }, { timeout: 1500 }],
    ["protocol", { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf" }, { protocol: "http/protobuf" }],
    ["name", { OTEL_SERVICE_NAME: "one", OTEL_RESOURCE_ATTRIBUTES: "service.name=two" }, { serviceName: "one", resource: {} }],
    ["attributes", { OTEL_RESOURCE_ATTRIBUTES: "service.name=two,site=lab%202" }, { serviceName: "two", resource: { site: "lab 2" } }],
    [
      "batches",
      { OTEL_BSP_SCHEDULE_DELAY: "100", OTEL_BSP_MAX_QUEUE_SIZE: "9", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "3" },
      { interval: 100, queue: 9, batch: 3 }
    ],
    ["sampler always_on", { OTEL_TRACES_SAMPLER: "always_on" }, { ratio: 1, followsClient: false }],
    ["sampler always_off", { OTEL_TRACES_SAMPLER: "always_off" }, { ratio: 0, followsClient: false }],
    ["sampler by ratio", { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" }, { ratio: 0.25, followsClient: false }],
    [
      "sampler of the parent",
      { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" },
      { ratio: 0.5, followsClient: true }
    ]
  ])("with the %s of a variable before the file's", (_what, env, wanted) => {
    const { settings, warnings } = read('{endpoint: "http://c:1", headers: {f: g}, timeout: 3s, service_name: file, sample: 0.1}', env)
    expect(settings).toMatchObject(wanted)
    expect(warnings).toEqual([])
  })

  it.each<[string, string, Readonly<Record<string, string>>, Partial<TraceSettings> | undefined, RegExp]>([
    ["an address that is no URL", '{endpoint: "collector:4318"}', {}, undefined, /address cannot be used, it counts as not given/],
    [
      "a variable that is no URL",
      file,
      { OTEL_EXPORTER_OTLP_ENDPOINT: "c:4318" },
      { url: "http://file:4318/v1/traces" },
      /OTEL_EXPORTER_OTLP_ENDPOINT/
    ],
    ["gRPC", file, { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, undefined, /4318/],
    [
      "a protocol that nobody knows",
      file,
      { OTEL_EXPORTER_OTLP_PROTOCOL: "smoke" },
      { protocol: "http/json" },
      /http\/json or http\/protobuf/
    ],
    ["another exporter", file, { OTEL_TRACES_EXPORTER: "zipkin" }, undefined, /otlp or none/],
    ["headers that are none", file, { OTEL_EXPORTER_OTLP_HEADERS: "a b=hidden" }, { headers: {} }, /list of headers/],
    ["headers in the file that cannot be sent", '{endpoint: "http://c", headers: {"a b": c, d: e}}', {}, { headers: { d: "e" } }, /a b/],
    ["a time-out of nothing", file, { OTEL_EXPORTER_OTLP_TIMEOUT: "0" }, { timeout: 10_000 }, /milliseconds/],
    ["a sampler that nobody knows", file, { OTEL_TRACES_SAMPLER: "jaeger_remote" }, { ratio: 1, followsClient: true }, /always_on/],
    ["a ratio above 1", file, { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "7" }, { ratio: 1 }, /from 0 to 1/],
    ["attributes that are none", file, { OTEL_RESOURCE_ATTRIBUTES: "lab" }, { resource: {} }, /team=research/],
    ["a queue of nothing", file, { OTEL_BSP_MAX_QUEUE_SIZE: "-1" }, { queue: 4096 }, /spans/],
    ["a key of another kind", '{endpoint: "http://c", sample: most}', {}, { ratio: 1 }, /sample needs a number/],
    ["a key out of range", '{endpoint: "http://c", sample: 2}', {}, { ratio: 1 }, /above 1/],
    ["a word that nobody knows", '{endpoint: "http://c", protocol: grpc}', {}, { protocol: "http/json" }, /unknown word .*grpc/]
  ])("warns of %s and goes on without", (_what, otlp, env, wanted, words) => {
    const { settings, warnings } = read(otlp, env)
    if (wanted === undefined) expect(settings).toBeUndefined()
    else expect(settings).toMatchObject(wanted)
    expect(warnings.map(({ severity }) => severity)).toEqual(["warning"])
    expect(JSON.stringify(warnings[0])).toMatch(words)
    expect(JSON.stringify(warnings)).not.toContain("hidden")
  })

  it("is off as a whole where the section is no section", () => {
    const { config, diagnostics } = decodeConfig("telemetry: {otlp: nonsense}\n", "test.yaml", {})
    expect(config?.telemetry.otlp.endpoint).toBe("")
    expect(diagnostics.map(({ severity }) => severity)).toEqual(["warning"])
  })
})

describe("headers for the collector", () => {
  it("take their secrets from variables, as other secrets do", () => {
    const otlp = '{endpoint: "http://c:1", headers: {authorization: "Bearer ${OTLP_TOKEN}", team: "${TEAM:-lab}"}}'
    expect(read(otlp, { OTLP_TOKEN: "t0k" })).toMatchObject({
      settings: { headers: { authorization: "Bearer t0k", team: "lab" } },
      warnings: []
    })
  })

  it("are left out with a warning where a variable is not set or has what HTTP cannot carry, and no start is refused", () => {
    const { settings, warnings } = read('{endpoint: "http://c:1", headers: {a: "${MISSING}", b: "${ODD}", c: d}}', { ODD: "x\ny" })
    expect(settings?.headers).toEqual({ c: "d" })
    expect(warnings.map(({ severity, detail }) => [severity, detail])).toEqual([
      ["warning", 'telemetry.otlp.headers: a: required environment variable "MISSING" is not set'],
      ["warning", "telemetry.otlp.headers: b: it has characters that HTTP does not allow"]
    ])
  })
})

describe("the configuration as it is shown", () => {
  const shown = (text: string, env: Readonly<Record<string, string>>) => {
    const values = shownValues(withTraceVariables(decodeConfig(text, "olla.yaml", {}), env), (said) => said)
    return Object.fromEntries(
      values
        .filter(({ path }) => path.startsWith("telemetry.otlp."))
        .map(({ path, value, origin }) => [path.slice(15), `${value} ${origin}`])
    )
  }
  const text = 'telemetry:\n  otlp:\n    endpoint: "http://file:4318"\n    sample: 0.5\n    resource: {site: lab, rack: one}\n'

  it("says which variable a value is from", () => {
    const env = {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://env:4318/mine",
      OTEL_EXPORTER_OTLP_HEADERS: "x-key=s3cret",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_RESOURCE_ATTRIBUTES: "service.name=two,site=desk",
      OTEL_EXPORTER_OTLP_TIMEOUT: "soon"
    }
    expect(shown(text, env)).toMatchObject({
      endpoint: "http://env:4318/mine OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
      "headers.x-key": "******** OTEL_EXPORTER_OTLP_HEADERS",
      sample: "0.25 OTEL_TRACES_SAMPLER",
      service_name: "two OTEL_RESOURCE_ATTRIBUTES",
      "resource.site": "desk OTEL_RESOURCE_ATTRIBUTES",
      "resource.rack": "one olla.yaml:5",
      timeout: "10s default"
    })
  })

  it("says that a variable has switched traces off, and nothing where none is set", () => {
    expect(shown(text, { OTEL_SDK_DISABLED: "true" })["endpoint"]).toBe(" OTEL_SDK_DISABLED")
    expect(shown(text, {})).toMatchObject({ endpoint: "http://file:4318 olla.yaml:3", sample: "0.5 olla.yaml:4" })
  })
})

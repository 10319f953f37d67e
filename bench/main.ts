/**
 * `npm run bench`: CPU time of the proxy process for each small request, streamed token and 400 KB prompt, beside the raw
 * baseline measured in the same run, in short alternating rounds over the same backends. Prints medians, spreads and ratios; asserts nothing.
 *
 *   npm run bench -- [--rounds 9] [--only requests,tokens,prompts] [--targets raw,olla,undici,logging,native,translated]
 *   npm run bench -- --targets features    what each feature costs alone
 *   npm run bench -- --targets traffic --only requests,prompts    eight candidates: without traffic handling, with it, and adaptive
 *   npm run bench -- traffic               what balancing and failover are worth: simulations and live trials (`traffic/main.ts`)
 *   npm run bench -- --targets olla-log,keys1000 --only requests    what asking clients for keys costs
 *   npm run bench -- --targets engines     both engines, both clients of `olla`
 *   npm run bench -- --targets raw,olla,olla-otel0,olla-otel1,olla-log,olla-logfull    what telling of requests costs
 *   npm run bench -- --only thousand,storm --targets raw,olla,storm
 *   npm run bench -- --targets raw,olla,before --before dist-of-yesterday    the same daemon as it was
 */
import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import type { Job, Result } from "./load.ts"
import {
  cpuMicros,
  type OllaOptions,
  residentMb,
  startBackend,
  startCollector,
  startLoader,
  startOlla,
  startScriptTarget,
  type Target
} from "./processes.ts"

const argument = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback)
}

const rounds = Number(argument("rounds", "9"))
const only = argument("only", "requests,tokens,prompts").split(",")
const groups: Readonly<Record<string, string>> = {
  features: "raw,olla,logging,sticky,alias,cors,priority,rotation,gathered,native,translated",
  engines: "raw,olla,undici,sherpa",
  traffic: "raw,plain8,traffic8,adaptive8"
}
const asked = argument("targets", "raw,olla,logging,native,translated")
const wanted = (groups[asked] ?? asked).split(",")

const variants: Readonly<Record<string, OllaOptions>> = {
  olla: { name: "olla" },
  logging: { name: "olla, default logging", logging: true },
  undici: { name: "olla on undici", env: { OLLA_ENGINE_CLIENT: "undici" } },
  sticky: { name: "olla, sticky sessions", yaml: "proxy: {sticky_sessions: {enabled: true}}" },
  translated: { name: "olla, translated", yaml: "translators: {anthropic: {passthrough_enabled: false}}", speaks: "messages" },
  native: { name: "olla, messages natively", speaks: "messages" },
  alias: { name: "olla, model by alias", yaml: "model_aliases: {nick: [test-model]}", model: "nick" },
  cors: { name: "olla, CORS", server: "cors: {enabled: true, allowed_origins: [https://app.example]}" },
  priority: { name: "olla, priority", yaml: "proxy: {load_balancer: priority}" },
  rotation: { name: "olla, round-robin", yaml: "proxy: {load_balancer: round-robin}" },
  gathered: { name: "olla, profile standard", yaml: "proxy: {profile: standard}" },
  storm: { name: "olla, failover storm", storm: true, endpoint: "check_interval: 1s" },
  plain8: { name: "8, traffic off", yaml: "traffic: {enabled: false}", isWide: true },
  traffic8: { name: "8, traffic on", isWide: true },
  adaptive8: { name: "8, adaptive", yaml: "proxy: {load_balancer: adaptive}", isWide: true },
  before: { name: "olla before", dist: resolve(argument("before", "dist")) },
  "olla-otel0": { name: "olla, traces, none sampled", traces: 0 },
  "olla-otel1": { name: "olla, traces, all sampled", traces: 1 },
  "olla-log": { name: "olla, default log", logging: true },
  "olla-logfull": { name: "olla, full log", logging: true, env: { OLLA_LOGGING_REQUESTS: "full" } },
  keys1000: { name: "olla, 1,000 keys", keys: 1_000, logging: true },
  sherpa: { name: "sherpa", yaml: "proxy: {engine: sherpa}" }
}

/** Those that differ from `olla` by what they tell. */
const told: ReadonlySet<string> = new Set(
  ["olla-otel0", "olla-otel1", "olla-log", "olla-logfull"].map((name) => variants[name]?.name ?? "")
)

/** Of each the one that it is measured against. */
const narrower: Readonly<Record<string, OllaOptions | undefined>> = {
  "8, traffic on": variants["plain8"],
  "8, adaptive": variants["traffic8"],
  // Both read usage figures.
  "olla, 1,000 keys": variants["olla-log"]
}

const tracesYaml = (collector: number, sample: number): string =>
  `telemetry: {otlp: {endpoint: "http://127.0.0.1:${collector}", sample: ${sample}, queue: 100000}}`

interface Scenario {
  readonly title: string
  readonly unit: (result: Result) => number
  readonly job: Omit<Job, "port" | "path">
}

const scenarios: Readonly<Record<string, Scenario>> = {
  requests: {
    title: "us CPU per small request",
    unit: (result) => result.done,
    job: { kind: "requests", parallel: 16, count: 5_000, size: 300, tokens: 0, every: 0 }
  },
  tokens: {
    title: "us CPU per streamed token (100 streams x 50 tokens/s)",
    unit: (result) => result.tokens,
    job: { kind: "streams", parallel: 100, count: 100, size: 300, tokens: 200, every: 20 }
  },
  thousand: {
    title: "us CPU per streamed token (1,000 streams x 5 tokens/s)",
    unit: (result) => result.tokens,
    job: { kind: "streams", parallel: 1_000, count: 1_000, size: 300, tokens: 25, every: 200 }
  },
  storm: {
    title: "us CPU per request while one of three backends resets whatever it gets (storm alone has it)",
    unit: (result) => result.done,
    job: { kind: "requests", parallel: 64, count: 12_000, size: 300, tokens: 0, every: 0 }
  },
  prompts: {
    title: "us CPU per 400 KB prompt",
    unit: (result) => result.done,
    job: { kind: "requests", parallel: 4, count: 250, size: 400_000, tokens: 0, every: 0 }
  }
}

/** The first round only warms up: what is compiled while it runs takes some ten thousand requests, or tokens, until it is done. */
const hurried = ({ tokens, every }: Scenario["job"]) => ({ tokens: tokens * 4, every: every / 4 })

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const shown = (n: number): string => (n >= 100 ? n.toFixed(0) : n.toFixed(1))

/** Round by round, as the machine's speed drifts between them. */
const ratioTo = (name: string, values: ReadonlyArray<number>, base: ReadonlyArray<number> | undefined): string => {
  if (base === undefined) return ""
  const ratios = values.map((value, i) => value / (base[i] ?? value))
  return `  ratio to ${name} ${median(ratios).toFixed(2)} [${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}]`
}

/** What it costs more, round by round. */
const moreThan = (name: string, values: ReadonlyArray<number>, base: ReadonlyArray<number> | undefined): string => {
  if (base === undefined) return ""
  const more = values.map((value, i) => value - (base[i] ?? value))
  const part = values.map((value, i) => value / (base[i] ?? value) - 1)
  return `  than ${name} ${median(more) >= 0 ? "+" : ""}${median(more).toFixed(1)} us (${(100 * median(part)).toFixed(1)} %)`
}

const endpointsOf = (
  variant: OllaOptions,
  backends: ReadonlyArray<{ readonly port: number; readonly ports: ReadonlyArray<number> }>,
  resetting: number | undefined
): ReadonlyArray<number> => {
  if (variant.isWide === true) return backends.flatMap(({ ports }) => ports)
  const ports = backends.map(({ port }) => port)
  return variant.storm === true && resetting !== undefined ? [...ports, resetting] : ports
}

const main = async (): Promise<void> => {
  console.log(`node ${process.version}, ${availableParallelism()} cores, ${rounds} rounds, targets in changing order`)
  const backends = [await startBackend(false, 4), await startBackend(false, 4)]
  const ports = backends.map((backend) => backend.port)
  const resetting = wanted.includes("storm") ? await startBackend(true) : undefined
  const collector = wanted.some((name) => variants[name]?.traces !== undefined) ? await startCollector() : undefined
  const loader = startLoader()
  const targets: Array<Target> = []
  for (const name of wanted) {
    const variant = variants[name]
    targets.push(
      variant === undefined
        ? await startScriptTarget(name, name === "raw" ? "raw.ts" : name, ...ports)
        : await startOlla(endpointsOf(variant, backends, resetting?.port), {
            ...variant,
            ...(variant.traces === undefined || collector === undefined ? {} : { yaml: tracesYaml(collector.port, variant.traces) })
          })
    )
  }
  for (const target of targets) console.log(`${target.name}: ${Math.round(target.startMillis)} ms to the first 200`)
  try {
    for (const [name, scenario] of Object.entries(scenarios)) {
      if (!only.includes(name)) continue
      const cost = new Map<string, Array<number>>()
      const latency = new Map<string, Array<number>>()
      let failed = 0
      for (let round = -1; round < rounds; round++) {
        const order = round % 2 === 0 ? targets : [...targets].reverse()
        for (const target of order) {
          const before = cpuMicros(target.pid)
          const { job } = scenario
          const count = round < 0 && job.kind === "requests" ? job.count * 3 : job.count
          const result = await loader.run({
            ...job,
            ...(round < 0 ? hurried(job) : {}),
            count,
            parallel: Math.min(count, job.parallel),
            port: target.port,
            path: target.path,
            speaks: target.speaks,
            ...(target.model === undefined ? {} : { model: target.model })
          })
          const spent = cpuMicros(target.pid) - before
          failed += result.failed
          if (round < 0) continue
          cost.set(target.name, [...(cost.get(target.name) ?? []), spent / scenario.unit(result)])
          latency.set(target.name, [...(latency.get(target.name) ?? []), result.p50])
        }
      }
      console.log(`\n${scenario.title}${failed === 0 ? "" : ` (${failed} FAILED)`}`)
      const base = cost.get("raw")
      const relayed = cost.get("olla")
      for (const [target, values] of cost) {
        let ratio = target === "raw" ? "" : ratioTo("raw", values, base)
        const base8 = narrower[target]?.name
        if (base8 !== undefined) ratio += moreThan(base8, values, cost.get(base8))
        if (told.has(target)) ratio += moreThan("olla", values, relayed)
        if (target === variants["translated"]?.name || target === variants["native"]?.name) ratio += ratioTo("olla", values, relayed)
        console.log(
          `  ${target.padEnd(24)} ${shown(median(values)).padStart(7)} [${shown(Math.min(...values))}-${shown(Math.max(...values))}]  p50 ${median(latency.get(target) ?? []).toFixed(2)} ms${ratio}`
        )
      }
    }
    console.log("\nresident memory after it all")
    for (const target of targets) console.log(`  ${target.name.padEnd(24)} ${residentMb(target.pid).toFixed(0)} MB`)
  } finally {
    await loader.stop()
    for (const target of targets) await target.stop()
    for (const backend of [...backends, ...(collector === undefined ? [] : [collector]), ...(resetting === undefined ? [] : [resetting])])
      await backend.stop()
  }
}

if (process.argv[2] === "traffic") await import("./traffic/main.ts")
else await main()

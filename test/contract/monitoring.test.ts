/**
 * The example for Prometheus and Grafana: every expression is PromQL, and every metric and label that it names stands in a real scrape of
 * a daemon that did everything that there is to measure.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { SyntaxNode } from "@lezer/common"
import { parser } from "@prometheus-io/lezer-promql"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { causesByOutcome } from "../../src/exchange/Cause.ts"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type ReadFamily, readPrometheus } from "../telemetry/promText.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"

const folder = join(import.meta.dirname, "..", "..", "examples", "monitoring")
const text = (name: string): string => readFileSync(join(folder, name), "utf8")

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

interface Panel {
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
}

const rules = (parse(text("olla.rules.yaml")) as { groups: ReadonlyArray<{ rules: ReadonlyArray<Rule> }> }).groups.flatMap(
  (group) => group.rules
)
const board = JSON.parse(text("grafana/olla.json")) as {
  panels: ReadonlyArray<Panel>
  templating: { list: ReadonlyArray<{ name: string; definition?: string }> }
}
const tests = (
  parse(text("olla.rules.test.yaml")) as {
    tests: ReadonlyArray<{
      alert_rule_test?: ReadonlyArray<{ alertname: string; exp_alerts?: ReadonlyArray<object> }>
      input_series: ReadonlyArray<{ series: string }>
    }>
  }
).tests

/** What Grafana puts in for its variables. */
const filledIn = (expr: string): string => expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(endpoint|model)\b/g, ".*")

interface Named {
  readonly metric: string
  readonly labels: ReadonlyArray<string>
  readonly values: ReadonlyArray<readonly [label: string, value: string]>
}

const read = (given: string): { readonly selectors: ReadonlyArray<Named>; readonly grouped: ReadonlyArray<string> } => {
  const expr = filledIn(given)
  const tree = parser.parse(expr)
  const textOf = ({ from, to }: { from: number; to: number }) => expr.slice(from, to)
  const selectors: Array<Named> = []
  const grouped: Array<string> = []
  const names = (node: SyntaxNode, kind: string): ReadonlyArray<SyntaxNode> => {
    const found: Array<SyntaxNode> = []
    node.cursor().iterate((inner) => {
      if (inner.name === kind) found.push(inner.node)
    })
    return found
  }
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expr}`)
      if (node.name === "VectorSelector") {
        const matchers = names(node.node, "UnquotedLabelMatcher")
        const pairs = matchers.map((matcher): readonly [string, string] => {
          const [label] = names(matcher, "LabelName")
          const [value] = names(matcher, "StringLiteral")
          return [label === undefined ? "" : textOf(label), value === undefined ? "" : textOf(value).slice(1, -1)]
        })
        const [name] = names(node.node, "Identifier")
        selectors.push({ metric: name === undefined ? "" : textOf(name), labels: pairs.map(([label]) => label), values: pairs })
      }
      if (node.name === "GroupingLabels") grouped.push(...names(node.node, "LabelName").map(textOf))
    }
  })
  if (selectors.length === 0) throw new Error(`nothing is selected: ${expr}`)
  return { selectors, grouped }
}

/** Of Prometheus' own making. */
const added = ["job", "instance"]

let collector: Server
let good: SimulatedBackend
let gone: SimulatedBackend
let sick: SimulatedBackend
let daemon: Daemon
const labels = new Map<string, ReadonlySet<string>>()

const ask = async (model: string, stream = false): Promise<void> => {
  const answer = await fetch(`${daemon.url}/olla/openai/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, stream, stream_options: { include_usage: true }, messages: [{ role: "user", content: "Hi" }] })
  })
  await answer.text()
}

const scrape = async (): Promise<ReadonlyMap<string, ReadFamily>> =>
  readPrometheus(await (await fetch(`${daemon.url}/internal/metrics`)).text())

beforeAll(async () => {
  collector = createServer((req, res) => {
    req.resume()
    req.on("end", () => res.writeHead(200, { "content-type": "application/json" }).end("{}"))
  })
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
  good = await startBackend({ kind: "vllm", models: ["good", "both"] })
  sick = await startBackend({ kind: "vllm", models: ["both"] })
  gone = await startBackend({ kind: "vllm", models: ["gone"] })
  daemon = await startDaemon(
    `telemetry: {otlp: {endpoint: "http://127.0.0.1:${(collector.address() as AddressInfo).port}", interval: 10ms}}
${endpointsYaml([
  { name: "good", backend: good },
  { name: "gone", backend: gone },
  { name: "sick", backend: sick }
])}`
  )
  await gone.kill()
  await ask("gone")
  await ask("good")
  await ask("good", true)
  await ask("nobody")
  good.setFault({ _tag: "status", status: 500 }, "inference", 1)
  await ask("good")
  // Until it is left out, one request after the other is good elsewhere.
  sick.setFault({ _tag: "status", status: 503 }, "inference")
  while ((await scrape()).get("olla_ejections_total")?.samples.length === 0) await ask("both")
  const families = await eventually(scrape, (all) => (all.get("olla_trace_spans_exported_total")?.samples[0]?.value ?? 0) > 0)
  for (const { samples } of families.values())
    for (const sample of samples) labels.set(sample.name, new Set([...(labels.get(sample.name) ?? []), ...sample.labelNames]))
  labels.set("up", new Set())
  for (const { record, expr } of rules)
    if (record !== undefined) labels.set(record, new Set(read(expr).grouped.filter((label) => label !== "le")))
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([good, gone, sick].map((backend) => backend?.stop()))
  collector?.close()
})

const causes: ReadonlyArray<string> = Object.values(causesByOutcome).flat()
const words: Readonly<Record<string, ReadonlyArray<string>>> = { outcome: Object.keys(causesByOutcome), cause: causes }

const check = (expr: string): void => {
  const { selectors, grouped } = read(expr)
  const all = new Set(added)
  for (const { metric, labels: named, values } of selectors) {
    const known = labels.get(metric)
    expect(known, `${metric} in ${expr}`).toBeDefined()
    for (const label of [...(known ?? [])]) all.add(label)
    for (const label of named) expect([...added, ...(known ?? [])], `${label} of ${metric}`).toContain(label)
    for (const [label, value] of values)
      for (const word of value.split("|")) if (words[label] !== undefined) expect(words[label], `${label}="${word}"`).toContain(word)
  }
  for (const label of grouped) expect([...all], `${label} in ${expr}`).toContain(label)
}

describe("the rules", () => {
  it.each(rules.map((rule) => [rule.record ?? rule.alert ?? "", rule] as const))("%s", (_name, { expr, annotations = {} }) => {
    check(expr)
    const { selectors, grouped } = read(expr)
    const there = new Set([...added, ...grouped, ...selectors.flatMap(({ metric }) => [...(labels.get(metric) ?? [])])])
    for (const [, label] of JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)) expect([...there]).toContain(label)
  })

  it("each have a test in which the alert fires", () => {
    const fired = tests.flatMap(({ alert_rule_test = [] }) =>
      alert_rule_test.flatMap(({ alertname, exp_alerts = [] }) => (exp_alerts.length > 0 ? [alertname] : []))
    )
    expect([...new Set(fired)].toSorted()).toEqual(rules.flatMap(({ alert }) => alert ?? []).toSorted())
    for (const { severity } of rules.flatMap(({ alert, labels: given }) => (alert === undefined ? [] : [given ?? {}])))
      expect(["page", "ticket", "info"]).toContain(severity)
  })

  it("are tested with series that there are", () => {
    for (const { input_series } of tests) for (const { series } of input_series) check(series)
  })

  // The tool comes with Prometheus and is no dependency: OLLA_PROMTOOL names it.
  it.skipIf(process.env["OLLA_PROMTOOL"] === undefined)("pass their tests", () => {
    execFileSync(process.env["OLLA_PROMTOOL"] ?? "promtool", ["test", "rules", join(folder, "olla.rules.test.yaml")])
  })
})

describe("the board", () => {
  it.each(board.panels.map((panel) => [panel.title, panel] as const))("%s", (title, { targets }) => {
    expect(title).toContain("?")
    expect(targets.length).toBeGreaterThan(0)
    for (const { expr, legendFormat } of targets) {
      check(expr)
      const { grouped, selectors } = read(expr)
      const there = [...grouped, ...selectors.flatMap(({ metric }) => [...(labels.get(metric) ?? [])])]
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(there).toContain(label)
    }
  })

  it("has panels that do not lie on one another", () => {
    const cells = board.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`)
    )
    expect(new Set(cells).size).toBe(cells.length)
    for (const { gridPos } of board.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
  })

  it("has its variables from labels that there are", () => {
    for (const { definition } of board.templating.list) {
      if (definition === undefined) continue
      const [, metric = "", label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? []
      expect([...(labels.get(metric) ?? [])]).toContain(label)
    }
  })
})

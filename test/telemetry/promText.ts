/**
 * A strict reader of the Prometheus text format 0.0.4, written from its specification: one block per family (HELP, TYPE,
 * samples), no series twice, histograms complete and cumulative. It throws where a scraper would drop the scrape.
 */
import type { TextForm } from "../../src/telemetry/OpenMetrics.ts"
import { type Family, prometheusText } from "../../src/telemetry/PrometheusText.ts"

/** The text in one go; a scrape gets it in steps. */
export const wholeText = (families: ReadonlyArray<Family>, form?: TextForm): string => {
  const steps = prometheusText(families, form)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

export interface ReadFamily {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<ReadSample>
}

export interface ReadSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly labelNames: ReadonlyArray<string>
  readonly value: number
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const types = new Set(["counter", "gauge", "histogram", "summary", "untyped"])

const fail = (line: string, why: string): never => {
  throw new Error(`${why}: ${line}`)
}

const numberOf = (text: string, line: string): number => {
  if (text === "+Inf") return Number.POSITIVE_INFINITY
  if (text === "-Inf") return Number.NEGATIVE_INFINITY
  if (text === "NaN") return Number.NaN
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : fail(line, "not a number")
}

const readLabels = (text: string, line: string): ReadonlyArray<readonly [string, string]> => {
  const out: Array<readonly [string, string]> = []
  let at = 0
  while (at < text.length) {
    const equals = text.indexOf("=", at)
    const name = text.slice(at, equals)
    if (!labelName.test(name)) fail(line, `bad label name ${name}`)
    if (text[equals + 1] !== '"') fail(line, "label value without quotes")
    let value = ""
    let i = equals + 2
    for (; text[i] !== '"'; i++) {
      if (i >= text.length) fail(line, "label value without end")
      if (text[i] !== "\\") value += text[i]
      else {
        const escaped = { "\\": "\\", '"': '"', n: "\n" }[text[++i] ?? ""]
        value += escaped ?? fail(line, "unknown escape")
      }
    }
    if (out.some(([known]) => known === name)) fail(line, `label ${name} twice`)
    out.push([name, value])
    at = i + 1
    if (at < text.length && text[at] !== ",") fail(line, "labels without comma")
    at++
  }
  return out
}

const readSample = (line: string): ReadSample => {
  const match = /^([^{\s]+)(?:\{(.*)\})? (\S+)$/.exec(line)
  if (match === null) return fail(line, "not a sample")
  const [, name = "", labels, value = ""] = match
  if (!metricName.test(name)) fail(line, "bad metric name")
  const pairs = labels === undefined ? [] : readLabels(labels, line)
  return { name, labels: Object.fromEntries(pairs), labelNames: pairs.map(([key]) => key), value: numberOf(value, line) }
}

const checkHistogram = (family: ReadFamily): void => {
  const groups = Map.groupBy(family.samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest))
  for (const [key, samples] of groups) {
    const buckets = samples.filter(({ name }) => name === `${family.name}_bucket`)
    const bounds = buckets.map(({ labels }) => numberOf(labels["le"] ?? "", `le of ${key}`))
    for (let i = 1; i < buckets.length; i++)
      if (bounds[i - 1]! >= bounds[i]! || buckets[i - 1]!.value > buckets[i]!.value) fail(key, "buckets are not cumulative")
    const count = samples.filter(({ name }) => name === `${family.name}_count`)
    const sum = samples.filter(({ name }) => name === `${family.name}_sum`)
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || count.length !== 1 || sum.length !== 1) fail(key, "incomplete histogram")
    if (count[0]?.value !== buckets.at(-1)?.value) fail(key, "count is not the last bucket")
  }
}

export const readPrometheus = (text: string): ReadonlyMap<string, ReadFamily> => {
  if (!text.endsWith("\n")) throw new Error("the text does not end with a newline")
  const families = new Map<string, ReadFamily & { samples: Array<ReadSample> }>()
  const series = new Set<string>()
  let current: { name: string; help: string } | undefined
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP (\S+) (.*)$/.exec(line)
    const type = /^# TYPE (\S+) (\S+)$/.exec(line)
    if (help !== null) {
      if (families.has(help[1]!)) fail(line, "family twice")
      current = { name: help[1]!, help: help[2]! }
    } else if (type !== null) {
      if (current?.name !== type[1] || families.has(type[1]!)) fail(line, "TYPE without its HELP before it")
      if (!types.has(type[2]!)) fail(line, "unknown type")
      families.set(type[1]!, { name: type[1]!, help: current?.help ?? "", type: type[2]!, samples: [] })
    } else {
      const sample = readSample(line)
      const family = families.get(current?.name ?? "") ?? fail(line, "sample without a family")
      const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      if (!suffixes.some((suffix) => sample.name === family.name + suffix)) fail(line, `sample in the block of ${family.name}`)
      const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`
      if (series.has(key)) fail(line, "series twice")
      series.add(key)
      if (family.type === "counter" && !(sample.value >= 0)) fail(line, "negative counter")
      family.samples.push(sample)
    }
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family)
  return families
}

/**
 * The text of /internal/metrics, put together by the platform's own module, in either form. The figures come from
 * the statistics that are kept anyway; each scrape registers them as pull-style metrics in a registry of its own, so
 * nothing is counted twice and nothing costs a request. What the page asks for beyond the module is done here: HELP and
 * TYPE of families that have no samples, the order, and numbers of at most six decimals.
 *
 * The module brings Effect's HTTP router with it (60 ms and 9 MB), so it is loaded with the first scrape, and not for
 * those who never scrape.
 */
import { createRequire } from "node:module"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type { HistogramTotals } from "./metrics/Histogram.ts"
import { openMetricsBlock, openMetricsEnd, type TextForm } from "./OpenMetrics.ts"

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  /** In the order in which they are printed. */
  readonly labels: Labels
  readonly value: number
}

export interface HistogramSample {
  readonly labels: Labels
  readonly histogram: HistogramTotals
}

interface Described {
  readonly name: string
  readonly help: string
}

export type Family =
  | (Described & { readonly type: "gauge" | "counter"; readonly samples: ReadonlyArray<Sample> })
  | (Described & { readonly type: "histogram"; readonly samples: ReadonlyArray<HistogramSample> })

const require = createRequire(import.meta.url)
let loaded: typeof PrometheusMetrics | undefined
const platform = (): typeof PrometheusMetrics => {
  loaded ??= require("effect/observability/PrometheusMetrics") as typeof PrometheusMetrics
  return loaded
}

const sixDecimals = (value: number): number => Number(value.toFixed(6))

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

const ignored = () => {}
const pull = <State>(state: State) => ({ get: () => state, update: ignored, modify: ignored })

/** By label values, one after the other. */
const inOrder = <S extends { readonly labels: Labels }>(samples: ReadonlyArray<S>): ReadonlyArray<S> =>
  samples.length < 2
    ? samples
    : samples
        .map((sample) => ({ sample, key: Object.values(sample.labels).join("\u0000") }))
        .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
        .map(({ sample }) => sample)

/** `samples` in the order in which they are printed. */
const register = (family: Family, registry: Context.Context<never>): void => {
  const { name, help: description } = family
  if (family.type === "histogram") {
    for (const { labels: attributes, histogram } of family.samples) {
      const { buckets, count, sum } = histogram
      const boundaries = buckets.map(([bound]) => bound)
      const state = { buckets: buckets.map(([bound, n]): [number, number] => [bound, n]), count, sum: sixDecimals(sum), min: 0, max: 0 }
      Metric.registerUnsafe(Metric.histogram(name, { description, attributes, boundaries }), registry, pull(state))
    }
    return
  }
  for (const { labels: attributes, value } of family.samples) {
    const number = sixDecimals(value)
    if (family.type === "gauge") Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), registry, pull({ value: number }))
    else Metric.registerUnsafe(Metric.counter(name, { description, attributes }), registry, pull({ count: number, incremental: true }))
  }
}

const block = (family: Family): string => {
  if (family.samples.length === 0) return `# HELP ${family.name} ${escapeHelp(family.help)}\n# TYPE ${family.name} ${family.type}\n`
  const registry = Context.make(Metric.MetricRegistry, new Map()) as Context.Context<never>
  register(family, registry)
  return platform().formatUnsafe(registry)
}

const sorted = (family: Family): Family =>
  family.type === "histogram" ? { ...family, samples: inOrder(family.samples) } : { ...family, samples: inOrder(family.samples) }

/** Samples that are written at once, since a family may have thousands; a histogram is some twenty lines. */
const atOnce = { histogram: 5, counter: 50, gauge: 50 } as const

/** One block in parts; only the first has its head. */
function* parts(family: Family, isOpen: boolean): Generator<string> {
  const write = (some: Family): string => (isOpen ? openMetricsBlock(some, block(some)) : block(some))
  const { samples } = family
  const size = atOnce[family.type]
  if (samples.length <= size) {
    yield write(family)
    return
  }
  for (let from = 0; from < samples.length; from += size) {
    const part = write({ ...family, samples: samples.slice(from, from + size) } as Family)
    yield from === 0 ? part : part.slice(part.indexOf("\n", part.indexOf("\n") + 1) + 1)
  }
}

/** Families by name, each one block, its samples by label values; a step for each part of a block. */
export function* prometheusText(families: ReadonlyArray<Family>, form: TextForm = "prometheus"): Generator<void, string> {
  const isOpen = form === "openMetrics"
  let text = ""
  for (const one of families.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const part of parts(sorted(one), isOpen)) {
      text += part
      yield
    }
  }
  return isOpen ? text + openMetricsEnd : text
}

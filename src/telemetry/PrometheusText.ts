/**
 * The text of /internal/metrics, in Prometheus' form or as OpenMetrics 1.0. The figures come from the statistics that are kept anyway, so
 * nothing is counted twice and nothing costs a request. A family may have thousands of samples: what they have in common is put
 * together once. No name differs between the two forms: Prometheus asks for OpenMetrics by itself, and would otherwise store other
 * series than before.
 */
import type { HistogramTotals } from "./metrics/Histogram.ts"
import type { TextForm } from "./OpenMetrics.ts"

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

/** At most six decimals. */
const numberText = (value: number): string => {
  if (Number.isInteger(value)) return String(value)
  if (Number.isFinite(value)) return String(Number(value.toFixed(6)))
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf"
}

const escapedHelp = (text: string, isOpen: boolean): string => {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
  return isOpen ? escaped.replaceAll('"', '\\"') : escaped
}

const needsEscape = /[\\"\n]/
const escapedValue = (text: string): string =>
  needsEscape.test(text) ? text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") : text

/** `a="1",b="2"` */
const labelText = (labels: Labels): string => {
  let text = ""
  for (const name in labels) text += `${text === "" ? "" : ","}${name}="${escapedValue(labels[name] ?? "")}"`
  return text
}

interface Sorted<S> {
  readonly sample: S
  readonly key: string
}

/** By label values, one after the other. */
const inOrder = <S extends { readonly labels: Labels }>(samples: ReadonlyArray<S>): ReadonlyArray<S> => {
  if (samples.length < 2) return samples
  const keyed = samples.map((sample): Sorted<S> => {
    let key = ""
    for (const name in sample.labels) key += `${sample.labels[name]}\u0000`
    return { sample, key }
  })
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ sample }) => sample)
}

const total = "_total"

/** HELP and TYPE. OpenMetrics names counters without their suffix; one that never had it is of no type that it knows. */
const head = ({ name, help, type }: Family, isOpen: boolean): string => {
  const isNamed = type === "counter" && name.endsWith(total)
  const family = isOpen && isNamed ? name.slice(0, -total.length) : name
  return `# HELP ${family} ${escapedHelp(help, isOpen)}\n# TYPE ${family} ${isOpen && type === "counter" && !isNamed ? "unknown" : type}\n`
}

const boundText = (bound: number, isOpen: boolean): string => {
  const text = numberText(bound)
  // Whole numbers have a decimal point there.
  return isOpen && /^\d+$/.test(text) ? `${text}.0` : text
}

/** Beginnings of a histogram's bucket lines, behind the labels; the bounds of a family's samples are the same. */
class BoundTexts {
  readonly #isOpen: boolean
  #texts: ReadonlyArray<readonly [bound: number, text: string]> = []

  constructor(isOpen: boolean) {
    this.#isOpen = isOpen
  }

  of(index: number, bound: number): string {
    const known = this.#texts[index]
    if (known !== undefined && known[0] === bound) return known[1]
    const text = `le="${boundText(bound, this.#isOpen)}"} `
    this.#texts = this.#texts.toSpliced(index, 1, [bound, text])
    return text
  }
}

const histogramText = (name: string, { labels, histogram }: HistogramSample, bounds: BoundTexts, isOpen: boolean): string => {
  const { buckets, count, sum, exemplars } = histogram
  const own = labelText(labels)
  const bucket = `${name}_bucket{${own}${own === "" ? "" : ","}`
  const rest = own === "" ? " " : `{${own}} `
  let text = ""
  for (let i = 0; i < buckets.length; i++) {
    const [bound, value] = buckets[i] as readonly [number, number]
    const exemplar = isOpen ? exemplars?.[i] : undefined
    const seen = exemplar === undefined ? "" : ` # {trace_id="${exemplar.traceId}"} ${exemplar.value} ${exemplar.at}`
    text += `${bucket}${bounds.of(i, bound)}${value}${seen}\n`
  }
  return `${text}${name}_sum${rest}${numberText(sum)}\n${name}_count${rest}${count}\n`
}

/** Samples that are written at once; a histogram is some twenty lines. */
const atOnce = { histogram: 10, counter: 200, gauge: 200 } as const

/** One block, a part at a time. */
function* block(family: Family, isOpen: boolean): Generator<string> {
  const { name, type } = family
  const step = atOnce[type]
  let text = head(family, isOpen)
  let written = 0
  if (family.type === "histogram") {
    const bounds = new BoundTexts(isOpen)
    for (const sample of inOrder(family.samples)) {
      text += histogramText(name, sample, bounds, isOpen)
      if (++written % step !== 0) continue
      yield text
      text = ""
    }
  } else
    for (const { labels, value } of inOrder(family.samples)) {
      const own = labelText(labels)
      text += `${own === "" ? name : `${name}{${own}}`} ${numberText(value)}\n`
      if (++written % step !== 0) continue
      yield text
      text = ""
    }
  yield text
}

/** Families by name, each one block, its samples by label values; a step for each part of a block. */
export function* prometheusText(families: ReadonlyArray<Family>, form: TextForm = "prometheus"): Generator<void, string> {
  const isOpen = form === "openMetrics"
  let text = ""
  for (const family of families.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    for (const part of block(family, isOpen)) {
      text += part
      yield
    }
  return isOpen ? `${text}# EOF\n` : text
}

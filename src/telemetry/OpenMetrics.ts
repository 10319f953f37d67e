/**
 * A block of Prometheus' text as OpenMetrics 1.0 has it, and who gets which of the two. No old name changes: Prometheus asks for
 * OpenMetrics by itself, and would otherwise store other series than before. Pure.
 */
import type { HistogramTotals } from "./metrics/Histogram.ts"

export const contentTypes = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
} as const

export type TextForm = keyof typeof contentTypes

/** Other versions than these are not ours to send. */
const versions = new Set(["1.0.0", "0.0.1"])

/** How much `Accept` wants each; 0: it does not name it. */
const wishes = (accept: string): { readonly openMetrics: number; readonly text: number } => {
  let [openMetrics, text] = [0, 0]
  for (const part of accept.split(",")) {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase())
    const value = (name: string) =>
      parameters
        .find((parameter) => parameter.startsWith(`${name}=`))
        ?.slice(name.length + 1)
        .replace(/^"(.*)"$/, "$1")
    const q = Number(value("q") ?? 1)
    const version = value("version")
    if (type === "application/openmetrics-text" && (version === undefined || versions.has(version))) openMetrics = Math.max(openMetrics, q)
    else if (type === "text/plain" || type === "text/*") text = Math.max(text, q)
  }
  return { openMetrics, text }
}

export const formOf = (accept: string): TextForm => {
  const { openMetrics, text } = wishes(accept)
  return openMetrics > text ? "openMetrics" : "prometheus"
}

/** Whole numbers have a decimal point there. */
const canonical = (bound: string): string => (/^\d+$/.test(bound) ? `${bound}.0` : bound)

const total = "_total"
const bound = /\ble="([^"]*)"/

interface Printed {
  readonly name: string
  readonly type: "gauge" | "counter" | "histogram"
  /** In the order in which they are printed. */
  readonly samples: ReadonlyArray<{ readonly labels: unknown; readonly histogram?: HistogramTotals }>
}

/** What goes behind each bucket's line. */
const exemplarsOf = ({ samples }: Printed): ReadonlyArray<string> =>
  samples.flatMap(({ histogram }) =>
    (histogram?.buckets ?? []).map((_, index) => {
      const exemplar = histogram?.exemplars?.[index]
      return exemplar === undefined ? "" : ` # {trace_id="${exemplar.traceId}"} ${exemplar.value} ${exemplar.at}`
    })
  )

/** `block`: HELP, TYPE and samples of one family in the older text. */
export const openMetricsBlock = (printed: Printed, block: string): string => {
  const { name, type } = printed
  // Counters are named without their suffix; one that never had it is of no type that OpenMetrics knows.
  const isCounter = type === "counter"
  const isNamed = isCounter && name.endsWith(total)
  const family = isNamed ? name.slice(0, -total.length) : name
  const exemplars = type === "histogram" ? exemplarsOf(printed) : []
  let bucket = 0
  return block
    .split("\n")
    .map((line) => {
      if (line.startsWith("# HELP ")) return `# HELP ${family}${line.slice(7 + name.length).replaceAll('"', '\\"')}`
      if (line.startsWith("# TYPE ")) return `# TYPE ${family} ${isCounter && !isNamed ? "unknown" : type}`
      if (type !== "histogram" || !line.startsWith(`${name}_bucket`)) return line
      return line.replace(bound, (_, le: string) => `le="${canonical(le)}"`) + (exemplars[bucket++] ?? "")
    })
    .join("\n")
}

export const openMetricsEnd = "# EOF\n"

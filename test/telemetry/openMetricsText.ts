/**
 * A strict reader of OpenMetrics 1.0, written from its specification, for what Olla says in it: names by type, canonical bounds,
 * exemplars within their buckets, the end mark, no family whose samples another could have.
 */
export interface OpenSample {
  readonly name: string
  readonly labels: string
  readonly value: number
  readonly exemplar: { readonly traceId: string; readonly value: number; readonly at: number } | undefined
}

export interface OpenFamily {
  readonly type: string
  readonly help: string
  readonly samples: Array<OpenSample>
}

const suffixes: Readonly<Record<string, ReadonlyArray<string>>> = {
  counter: ["_total"],
  gauge: [""],
  unknown: [""],
  histogram: ["_bucket", "_count", "_sum"]
}

const number = String.raw`[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)`
const label = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"`
const sampleLine = new RegExp(
  String.raw`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(${label}(?:,${label})*)\})? (${number})(?: # \{trace_id="([0-9a-f]{32})"\} (${number}) (${number}))?$`
)

const numberOf = (text: string): number => Number(text.replace("Inf", "Infinity"))

export const readOpenMetrics = (text: string): ReadonlyMap<string, OpenFamily> => {
  const fail = (why: string, line: string): never => {
    throw new Error(`${why}: ${line}`)
  }
  if (!text.endsWith("\n# EOF\n")) throw new Error("the text does not end with # EOF")
  const families = new Map<string, OpenFamily>()
  const owned = new Map<string, string>()
  let current: string | undefined
  let help = ""
  for (const line of text.slice(0, -"\n# EOF\n".length).split("\n")) {
    const described = /^# HELP (\S+) (.*)$/.exec(line)
    const typed = /^# TYPE (\S+) (\S+)$/.exec(line)
    if (described !== null) {
      if (/(?<!\\)(?:\\\\)*"/.test(described[2] ?? "")) fail("a quotation mark that is not escaped", line)
      current = described[1]
      help = described[2] ?? ""
    } else if (typed !== null) {
      const [, name = "", type = ""] = typed
      if (current !== name || families.has(name)) fail("TYPE without its HELP, or twice", line)
      for (const suffix of suffixes[type] ?? fail("unknown type", line)) {
        if (owned.has(name + suffix)) fail(`a name of ${owned.get(name + suffix)}`, line)
        owned.set(name + suffix, name)
      }
      families.set(name, { type, help, samples: [] })
    } else {
      const [, name = "", labels = "", value = "", traceId, exemplar = "", at = ""] = sampleLine.exec(line) ?? fail("no sample", line)
      const family = families.get(current ?? "") ?? fail("sample without a family", line)
      if (owned.get(name) !== current) fail(`no sample of ${current}`, line)
      const le = /\ble="([^"]*)"/.exec(labels)?.[1]
      if (family.type === "histogram" && name.endsWith("_bucket")) {
        if (le === undefined || (le !== "+Inf" && !/^\d+\.\d+$/.test(le))) fail("a bound that is not canonical", line)
        if (traceId !== undefined && numberOf(exemplar) > numberOf(le ?? "")) fail("an exemplar beyond its bucket", line)
      } else if (traceId !== undefined) fail("an exemplar where none may be", line)
      family.samples.push({
        name,
        labels,
        value: numberOf(value),
        exemplar: traceId === undefined ? undefined : { traceId, value: numberOf(exemplar), at: numberOf(at) }
      })
    }
  }
  return families
}

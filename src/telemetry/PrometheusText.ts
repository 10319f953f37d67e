/**
 * /internal/metrics (observability.md 3.11). The names, the `N/A` rules and the values that equal the JSON documents'
 * come from statistics that are kept anyway; a second set of counters in Effect's metric registry would count everything
 * twice, so the text is written from the same figures.
 */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: "gauge" | "counter"
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

const escapeLabel = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")

const number = (value: number): string => String(Number(value.toFixed(6)))

const line = (name: string, sample: Sample): string => {
  const labels = Object.entries(sample.labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`)
  return `${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`} ${number(sample.value)}`
}

/** Families by name, samples under their header, in stable order. */
export const prometheusText = (families: ReadonlyArray<Family>): string =>
  [...families]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, help, samples }) =>
      [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((sample) => line(name, sample)).sort()].join("\n")
    )
    .join("\n")
    .concat("\n")

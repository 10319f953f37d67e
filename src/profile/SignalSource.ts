/** Where a kind of backend tells of its load and of what it has in memory: `signals.sources` of a profile (docs/backends.md has the keys). */

export type SignalFormat = "prometheus" | "json"

export interface SignalSource {
  readonly path: string
  readonly format: SignalFormat
  /** Names of series, or paths into the answer; the first that is there counts. Requests that are worked on, and that wait. */
  readonly running: ReadonlyArray<string>
  readonly waiting: ReadonlyArray<string>
  /** Share of the memory for prompts that is in use, 0 to 1. */
  readonly kvUsed: ReadonlyArray<string>
  /** Requests that are worked on at once. */
  readonly slots: ReadonlyArray<string>
  /** Tokens that fit into the memory for prompts: factors; of a series its value, or those of its labels that follow its name. */
  readonly cacheTokens: ReadonlyArray<string>
  /** Labels that name a model; a series without them is of all models of the server. */
  readonly modelLabels: ReadonlyArray<string>
  /** Which models are in memory: entries of a list, by what names them, those whose field has the value where one is given. */
  readonly loaded:
    | { readonly list: string; readonly names: ReadonlyArray<string>; readonly field: string; readonly value: string }
    | undefined
  /** Path of a value that is true while the server has put its models out of memory; empty: it does not say. */
  readonly asleep: string
}

const formats: ReadonlyArray<SignalFormat> = ["prometheus", "json"]

type Raw = { readonly [key: string]: unknown }

const isMap = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value)

/** `value`: of `signals.sources`. What cannot be used is left out, with a finding. */
export const signalSourcesOf = (
  value: unknown
): { readonly sources: ReadonlyArray<SignalSource>; readonly findings: ReadonlyArray<string> } => {
  const findings: Array<string> = []
  const sources = (Array.isArray(value) ? value : []).filter(isMap).flatMap((raw, n): ReadonlyArray<SignalSource> => {
    const text = (of: unknown): string => (typeof of === "string" ? of : "")
    const texts = (of: unknown): ReadonlyArray<string> => (Array.isArray(of) ? of.filter((item) => typeof item === "string") : [])
    const path = text(raw["path"])
    const called = text(raw["format"]) || "json"
    const format = formats.find((known) => known === called)
    if (!path.startsWith("/")) findings.push(`signals.sources[${n}] needs a path that starts with /, it is left out`)
    else if (format === undefined)
      findings.push(`signals.sources[${n}] has the unknown format "${called}", it is left out (known: ${formats.join(", ")})`)
    if (!path.startsWith("/") || format === undefined) return []
    const loaded = raw["loaded"]
    return [
      {
        path,
        format,
        running: texts(raw["running"]),
        waiting: texts(raw["waiting"]),
        kvUsed: texts(raw["kv_used"]),
        slots: texts(raw["slots"]),
        cacheTokens: texts(raw["cache_tokens"]),
        modelLabels: texts(raw["model_labels"]),
        loaded: isMap(loaded)
          ? {
              list: text(loaded["list"]),
              names: texts(loaded["names"]),
              field: text(loaded["field"]),
              value: text(loaded["value"])
            }
          : undefined,
        asleep: text(raw["asleep"])
      }
    ]
  })
  return { sources, findings }
}

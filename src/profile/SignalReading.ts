/** What a backend's answer says of its load and of what it has in memory, as its kind's profile says where to look. Never fails: what cannot be read says nothing. */
import type { SignalSource } from "./SignalSource.ts"

/** `undefined`: nothing is said. */
export interface LoadFigures {
  running: number | undefined
  waiting: number | undefined
  /** 0 to 1. */
  kvUsed: number | undefined
  slots: number | undefined
  cacheTokens: number | undefined
}

/** More than any server has of anything: whatever is beyond is no count, and nobody reckons with it. */
const most = 1e12

const upTo = (limit: number, value: number | undefined): number | undefined => (value === undefined ? undefined : Math.min(limit, value))

/** As they can be reckoned with and shown, whatever the server says: finite, slots in whole ones. */
const bounded = ({ running, waiting, kvUsed, slots, cacheTokens }: LoadFigures): LoadFigures => ({
  running: upTo(most, running),
  waiting: upTo(most, waiting),
  kvUsed: upTo(1, kvUsed),
  // Who takes none at all, or a part of one, does not say what he takes.
  slots: slots === undefined || slots < 1 ? undefined : Math.floor(Math.min(most, slots)),
  cacheTokens: upTo(most, cacheTokens)
})

export interface SignalReport {
  /** Of the server, whatever the model. */
  readonly all: LoadFigures
  /** By the server's names of its models. */
  readonly byModel: ReadonlyMap<string, LoadFigures>
  /** Names of the models that are in memory; `undefined`: it does not say. */
  readonly loaded: ReadonlySet<string> | undefined
  /** None of its models is in memory. */
  readonly isAsleep: boolean | undefined
}

const nothing = (): LoadFigures => ({
  running: undefined,
  waiting: undefined,
  kvUsed: undefined,
  slots: undefined,
  cacheTokens: undefined
})

/** `undefined`: the answer has nothing of what was looked for. */
export const readSignals = (source: SignalSource, body: string): SignalReport | undefined =>
  source.format === "prometheus" ? ofSeries(source, body) : ofJson(source, body)

const figures = ["running", "waiting", "kvUsed", "slots"] as const

interface Series {
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

const ofSeries = (source: SignalSource, text: string): SignalReport | undefined => {
  const all = nothing()
  const byModel = new Map<string, LoadFigures>()
  let isEmpty = true
  const figuresOf = ({ labels }: Series): LoadFigures => {
    const label = source.modelLabels.find((each) => labels.get(each))
    if (label === undefined) return all
    const model = labels.get(label) as string
    const known = byModel.get(model)
    if (known !== undefined) return known
    const made = nothing()
    byModel.set(model, made)
    return made
  }
  for (const figure of figures) {
    const found = firstOf(source[figure], text)
    const counts = new Map<LoadFigures, number>()
    for (const series of found) {
      const into = figuresOf(series)
      const count = (counts.get(into) ?? 0) + 1
      counts.set(into, count)
      const before = into[figure] ?? 0
      // Of servers of several parts loads add up, and shares have a mean.
      into[figure] = figure === "kvUsed" ? before + (series.value - before) / count : before + series.value
      isEmpty = false
    }
  }
  const [name, ...labels] = source.cacheTokens
  for (const series of name === undefined ? [] : seriesOf(name, text)) {
    const factors = labels.length === 0 ? [series.value] : labels.map((label) => Number(series.labels.get(label)))
    const tokens = factors.reduce((product, factor) => product * factor, 1)
    if (!(tokens > 0)) continue
    const into = figuresOf(series)
    into.cacheTokens = (into.cacheTokens ?? 0) + tokens
    isEmpty = false
  }
  if (isEmpty) return undefined
  for (const [model, its] of byModel) byModel.set(model, bounded(its))
  return { all: bounded(all), byModel, loaded: undefined, isAsleep: undefined }
}

const firstOf = (names: ReadonlyArray<string>, text: string): ReadonlyArray<Series> => {
  for (const name of names) {
    const found = seriesOf(name, text)
    if (found.length > 0) return found
  }
  return []
}

/** Lines that begin with just this name; a long text is not cut into lines for a few of them. */
const seriesOf = (name: string, text: string): ReadonlyArray<Series> => {
  const out: Array<Series> = []
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + name.length)) {
    const before = text[at - 1]
    const after = text[at + name.length]
    if ((at > 0 && before !== "\n") || (after !== "{" && after !== " " && after !== "\t")) continue
    const end = text.indexOf("\n", at)
    const series = read(text.slice(at + name.length, end < 0 ? undefined : end))
    if (series !== undefined) out.push(series)
  }
  return out
}

const label = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g

/** What follows a name: labels perhaps, a value, a time perhaps. */
const read = (rest: string): Series | undefined => {
  const close = rest.startsWith("{") ? rest.lastIndexOf("}") : -1
  const value = Number(
    rest
      .slice(close + 1)
      .trim()
      .split(/\s+/)[0] || Number.NaN
  )
  if (!Number.isFinite(value) || value < 0) return undefined
  const labels = new Map<string, string>()
  for (const [, key, held] of close < 0 ? [] : rest.slice(0, close).matchAll(label))
    labels.set(
      key as string,
      (held as string).replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c))
    )
  return { labels, value }
}

const ofJson = (source: SignalSource, body: string): SignalReport | undefined => {
  let answer: unknown
  try {
    answer = JSON.parse(body)
  } catch {
    return undefined
  }
  const numberAt = (path: string): number | undefined => {
    const value = at(answer, path)
    return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined
  }
  const first = (paths: ReadonlyArray<string>): number | undefined => {
    for (const path of paths) {
      const value = numberAt(path)
      if (value !== undefined) return value
    }
    return undefined
  }
  const factors = source.cacheTokens.map(numberAt)
  const tokens = factors.reduce<number>((product, factor) => product * (factor ?? Number.NaN), 1)
  const all = bounded({
    running: first(source.running),
    waiting: first(source.waiting),
    kvUsed: first(source.kvUsed),
    slots: first(source.slots),
    cacheTokens: factors.length > 0 && tokens > 0 ? tokens : undefined
  })
  const asleep = source.asleep === "" ? undefined : at(answer, source.asleep)
  const isAsleep = typeof asleep === "boolean" ? asleep : undefined
  const loaded = loadedOf(source, answer)
  const isEmpty = loaded === undefined && isAsleep === undefined && Object.values(all).every((value) => value === undefined)
  return isEmpty ? undefined : { all, byModel: new Map(), loaded, isAsleep }
}

const loadedOf = ({ loaded }: SignalSource, answer: unknown): ReadonlySet<string> | undefined => {
  if (loaded === undefined) return undefined
  const list = at(answer, loaded.list)
  if (!Array.isArray(list)) return undefined
  const entries: ReadonlyArray<unknown> = list
  const isIn = (entry: unknown) => loaded.field === "" || String(at(entry, loaded.field)) === loaded.value
  const names = entries.filter(isIn).flatMap((entry) => loaded.names.map((name) => at(entry, name)))
  return new Set(names.filter((name) => typeof name === "string"))
}

/** `a.b`: own members only. */
const at = (value: unknown, path: string): unknown =>
  path
    .split(".")
    .reduce<unknown>(
      (node, step) =>
        typeof node === "object" && node !== null && Object.hasOwn(node, step)
          ? (node as Readonly<Record<string, unknown>>)[step]
          : undefined,
      value
    )

/**
 * Usage figures from an answer's kept bytes, after its end: whole JSON, NDJSON or SSE; by the kind's own paths, then by those of
 * OpenAI, Anthropic and Responses. All of them are looked for in one pass, from the last line back until nothing is missing.
 */
import { addPath, findPaths, type PathTree, pathTree, stepsOf } from "./JsonPaths.ts"
import { compileExpression, type Expression, type Value, type Values } from "./MetricsExpression.ts"
import type { Profile } from "./Profile.ts"

export interface UsageFigures {
  readonly inputTokens?: number
  readonly outputTokens?: number
  readonly totalTokens?: number
  readonly tokensPerSecond?: number
  readonly ttftMs?: number
  readonly totalMs?: number
  readonly promptMs?: number
  readonly generationMs?: number
  readonly modelLoadMs?: number
  readonly model?: string
  readonly finishReason?: string
  readonly isComplete?: boolean
}

type Paths = Readonly<Record<string, string>>

/** Further places to look, in their order, for what a kind's own paths do not find. */
const elsewhere: ReadonlyArray<Paths> = [
  {
    model: "$.model",
    finish_reason: "$.choices[0].finish_reason",
    input_tokens: "$.usage.prompt_tokens",
    output_tokens: "$.usage.completion_tokens",
    total_tokens: "$.usage.total_tokens"
  },
  { finish_reason: "$.stop_reason", input_tokens: "$.usage.input_tokens", output_tokens: "$.usage.output_tokens" },
  { finish_reason: "$.delta.stop_reason", model: "$.message.model", input_tokens: "$.message.usage.input_tokens" },
  {
    model: "$.response.model",
    input_tokens: "$.response.usage.input_tokens",
    output_tokens: "$.response.usage.output_tokens",
    total_tokens: "$.response.usage.total_tokens"
  },
  { finish_reason: "$.done_reason" }
]

/** Values that mean something by themselves, in the places that they have in every profile; those after them are for calculations only. */
const fields = [
  "model",
  "finish_reason",
  "input_tokens",
  "output_tokens",
  "total_tokens",
  "is_complete",
  "done",
  "ttft_ms",
  "total_ms",
  "total_time_ms",
  "generation_time_ms",
  "generation_ms",
  "prompt_duration_ns",
  "prompt_eval_duration",
  "eval_duration_ns",
  "eval_duration",
  "total_duration_ns",
  "load_duration_ns",
  "response_time_ms"
] as const
type Field = (typeof fields)[number]
const at = Object.fromEntries(fields.map((field, place) => [field, place])) as Readonly<Record<Field, number>>

/** Calculations whose results mean something; the others are only checked. */
const meant = ["tokens_per_second", "ttft_ms", "total_ms", "model_load_ms", "is_complete"] as const
type Meant = (typeof meant)[number]
type Calculated = Partial<Record<Meant, number>>

interface Compiled {
  readonly tree: PathTree
  /** By place in the tree: keys as they must stand in a body that has the path, each byte a character. */
  readonly signs: ReadonlyArray<ReadonlyArray<string>>
  /** Nothing found, to be copied. */
  readonly nothing: ReadonlyArray<undefined>
  /** By value: places in the tree, the first that has something wins. */
  readonly sources: ReadonlyArray<ReadonlyArray<number>>
  readonly calculations: ReadonlyArray<readonly [Meant, Expression]>
  /** Lower-case names. */
  readonly headers: ReadonlyArray<readonly [value: number, header: string]>
}

const compiled = new WeakMap<Profile, Compiled>()

const isMeant = (name: string): name is Meant => (meant as ReadonlyArray<string>).includes(name)

const compile = (profile: Profile): Compiled => {
  const known = compiled.get(profile)
  if (known !== undefined) return known
  const { paths, calculations, headers } = profile.metrics
  const values = new Map<string, number>(Object.entries(at))
  const placeFor = (name: string): number => {
    const value = values.get(name) ?? values.size
    values.set(name, value)
    return value
  }
  const tree = pathTree()
  const signs: Array<ReadonlyArray<string>> = []
  const sources: Array<Array<number>> = []
  for (const [name, path] of [paths, ...elsewhere].flatMap((some) => Object.entries(some))) {
    const steps = stepsOf(path)
    if (steps.length === 0) continue
    const place = addPath(tree, steps, signs.length)
    if (place === signs.length)
      signs.push(steps.filter((step) => !/^\d+$/.test(step)).map((step) => Buffer.from(`"${step}"`).toString("latin1")))
    const value = placeFor(name)
    sources[value] = [...(sources[value] ?? []), place]
  }
  const made: Compiled = {
    tree,
    signs,
    calculations: Object.entries(calculations).flatMap(([name, source]) => {
      try {
        return isMeant(name) ? [[name, compileExpression(source, values)] as const] : []
      } catch {
        // Told as a finding when the file is read; here it is only left out.
        return []
      }
    }),
    headers: Object.entries(headers).map(([name, header]) => [placeFor(name), header.toLowerCase()] as const),
    nothing: signs.map(() => undefined),
    sources: Array.from({ length: values.size }, (_, value) => sources[value] ?? [])
  }
  compiled.set(profile, made)
  return made
}

/** Complaints about calculations that do not compile. */
export const checkCalculations = (profile: Profile): ReadonlyArray<string> =>
  Object.entries(profile.metrics.calculations).flatMap(([name, source]) => {
    try {
      compileExpression(source)
      return []
    } catch (error) {
      return [`invalid calculation ${name}: ${error instanceof Error ? error.message : String(error)}`]
    }
  })

/** By place in the tree. */
type Found = Array<Value | undefined>

const newline = 0x0a

/** `data:`, which a line of SSE with content begins with. */
const isData = (line: Buffer): boolean => line[0] === 0x64 && line[1] === 0x61 && line[2] === 0x74 && line[3] === 0x61 && line[4] === 0x3a

/** The last line that says something counts: usage often comes in a final event of its own. */
const inLines = (bytes: Buffer, isStream: boolean, { tree, signs, nothing }: Compiled): Found => {
  const found: Found = nothing.slice()
  const text = bytes.toString("latin1")
  const missing = new Set<number>()
  for (let place = 0; place < signs.length; place++) if (signs[place]?.every((sign) => text.includes(sign))) missing.add(place)
  for (let end = bytes.length; end > 0 && missing.size > 0; ) {
    const start = bytes.lastIndexOf(newline, end - 1) + 1
    const line = bytes.subarray(start, end)
    end = start - 1
    if (isStream && !isData(line)) continue
    const here: Found = nothing.slice()
    if (!findPaths(isStream ? line.subarray(5) : line, tree, here)) continue
    for (const place of missing)
      if (here[place] !== undefined) {
        found[place] = here[place]
        missing.delete(place)
      }
  }
  return found
}

/** A tail's broken beginning is passed over. */
const inBody = (contentType: string, bytes: Buffer, to: Compiled): Found => {
  if (/text\/event-stream/i.test(contentType)) return inLines(bytes, true, to)
  const found: Found = to.nothing.slice()
  return findPaths(bytes, to.tree, found) ? found : inLines(bytes, false, to)
}

const most = 2_147_483_647

/** What is known of an answer after its end. */
export interface AnswerSeen {
  readonly contentType: string
  /** Beginning and end of the body; asked for only where the body is read at all. */
  readonly bytes: () => Buffer
  /** Names and values by turns. */
  readonly headers: ReadonlyArray<string>
  /** Milliseconds from the request's being sent to the last byte; 0: not known. `response_time_ms` in calculations. */
  readonly responseMs: number
}

/** `undefined`: nothing was found. */
export const extractUsage = (profile: Profile, answer: AnswerSeen): UsageFigures | undefined => {
  if (!profile.metrics.enabled) return undefined
  const to = compile(profile)
  const { sources, headers } = to
  const values: Array<Value | undefined> = []
  for (let value = 0; value < sources.length; value++) values.push(undefined)
  let known = headers.length > 0 ? readHeaders(answer.headers, headers, values) : 0
  if (profile.metrics.source !== "response_headers") {
    const found = inBody(answer.contentType, answer.bytes(), to)
    // What a body says wins over a header.
    for (let value = 0; value < sources.length; value++) {
      const places = sources[value] as ReadonlyArray<number>
      for (let i = 0; i < places.length; i++) {
        const one = found[places[i] as number]
        if (one === undefined) continue
        values[value] = one
        known++
        break
      }
    }
  }
  if (known === 0) return undefined
  if (answer.responseMs > 0) values[at.response_time_ms] = answer.responseMs
  const calculated: Calculated = {}
  for (const [name, { variables, evaluate }] of to.calculations) {
    if (variables.length > 0 && !variables.some((variable) => values[variable] !== undefined)) continue
    const value = evaluate(values)
    if (name === "is_complete") {
      if (typeof value === "boolean") values[at.is_complete] = value
    } else if (typeof value === "number") calculated[name] = Number.isFinite(value) ? value : 0
  }
  return figuresOf(values, calculated)
}

/** Numbers by their look: a header is always text. How many there were. */
const readHeaders = (raw: ReadonlyArray<string>, wanted: Compiled["headers"], into: Array<Value | undefined>): number => {
  let known = 0
  for (const [value, header] of wanted)
    for (let i = 0; i + 1 < raw.length; i += 2) {
      if (raw[i]?.toLowerCase() !== header) continue
      const text = raw[i + 1]?.trim() ?? ""
      if (text !== "") {
        into[value] = /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
        known++
      }
      break
    }
  return known
}

const numberOf = (value: Value | undefined): number => (typeof value === "number" && Number.isFinite(value) ? value : 0)
const textOf = (value: Value | undefined): string => (typeof value === "string" ? value : "")
const count = (n: number): number => Math.min(most, Math.max(0, Math.trunc(n)))

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** Of what is 0, empty or false nothing is told. */
const figuresOf = (values: Values, calculated: Calculated): UsageFigures | undefined => {
  const number = (field: Field): number => numberOf(values[at[field]])
  /** The first of two that is a number. */
  const either = (field: Field, other: Field): number => number(typeof values[at[field]] === "number" ? field : other)
  const nanos = (value: number): number => Math.trunc(value / 1e6)
  const inputTokens = count(number("input_tokens"))
  const outputTokens = count(number("output_tokens"))
  const totalTokens = count(number("total_tokens")) || (inputTokens > 0 && outputTokens > 0 ? inputTokens + outputTokens : 0)
  const promptMs = nanos(either("prompt_duration_ns", "prompt_eval_duration"))
  const generationMs = nanos(either("eval_duration_ns", "eval_duration")) || Math.trunc(either("generation_time_ms", "generation_ms"))
  const ttftMs = Math.trunc(calculated.ttft_ms ?? (number("ttft_ms") || promptMs))
  const totalMs = Math.trunc(calculated.total_ms ?? (nanos(number("total_duration_ns")) || either("total_ms", "total_time_ms")))
  const modelLoadMs = Math.trunc(calculated.model_load_ms ?? nanos(number("load_duration_ns")))
  const tokensPerSecond = calculated.tokens_per_second || (outputTokens > 0 && generationMs > 0 ? (outputTokens * 1000) / generationMs : 0)
  const model = textOf(values[at.model])
  const finishReason = textOf(values[at.finish_reason])
  const figures: Writable<UsageFigures> = {}
  if (inputTokens !== 0) figures.inputTokens = inputTokens
  if (outputTokens !== 0) figures.outputTokens = outputTokens
  if (totalTokens !== 0) figures.totalTokens = totalTokens
  if (promptMs !== 0) figures.promptMs = promptMs
  if (generationMs !== 0) figures.generationMs = generationMs
  if (ttftMs !== 0) figures.ttftMs = ttftMs
  if (totalMs !== 0) figures.totalMs = totalMs
  if (modelLoadMs !== 0) figures.modelLoadMs = modelLoadMs
  if (tokensPerSecond !== 0) figures.tokensPerSecond = tokensPerSecond
  if (model !== "") figures.model = model
  if (finishReason !== "") figures.finishReason = finishReason
  if (values[at.is_complete] === true || values[at.done] === true) figures.isComplete = true
  for (const _ in figures) return figures
  return undefined
}

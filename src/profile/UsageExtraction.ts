/**
 * Usage figures from an answer's kept bytes, after its end: whole JSON, NDJSON
 * or SSE; by the kind's own paths, then by OpenAI's, then by Anthropic's.
 */
import { compileExpression, type Expression, type Value } from "./MetricsExpression.ts"
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

/** `$.a.b[0]['k']` as steps. */
const stepsOf = (path: string): ReadonlyArray<string> => path.replace(/^\$\.?/, "").match(/[^.[\]'"]+/g) ?? []

const read = (value: unknown, steps: ReadonlyArray<string>): unknown =>
  steps.reduce<unknown>(
    (node, step) => (typeof node === "object" && node !== null ? (node as Record<string, unknown>)[step] : undefined),
    value
  )

const openAi: Readonly<Record<string, string>> = {
  model: "$.model",
  finish_reason: "$.choices[0].finish_reason",
  input_tokens: "$.usage.prompt_tokens",
  output_tokens: "$.usage.completion_tokens",
  total_tokens: "$.usage.total_tokens"
}
const anthropic: ReadonlyArray<Readonly<Record<string, string>>> = [
  { model: "$.model", finish_reason: "$.stop_reason", input_tokens: "$.usage.input_tokens", output_tokens: "$.usage.output_tokens" },
  { model: "$.message.model", input_tokens: "$.message.usage.input_tokens" },
  { finish_reason: "$.delta.stop_reason" }
]

interface Compiled {
  readonly paths: ReadonlyArray<readonly [string, ReadonlyArray<string>]>
  readonly calculations: ReadonlyArray<readonly [string, Expression]>
  /** Lower-case names. */
  readonly headers: ReadonlyArray<readonly [field: string, header: string]>
}

const compiled = new WeakMap<Profile, Compiled>()

const compile = (profile: Profile): Compiled => {
  const known = compiled.get(profile)
  if (known !== undefined) return known
  const made: Compiled = {
    paths: Object.entries(profile.metrics.paths).map(([name, path]) => [name, stepsOf(path)] as const),
    calculations: Object.entries(profile.metrics.calculations).flatMap(([name, source]) => {
      try {
        return [[name, compileExpression(source)] as const]
      } catch {
        // Told as a finding when the file is read; here it is only left out.
        return []
      }
    }),
    headers: Object.entries(profile.metrics.headers).map(([field, header]) => [field, header.toLowerCase()] as const)
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

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** The JSON documents of a body, first to last; a tail's broken beginning is skipped. */
export const documentsOf = (contentType: string, text: string): ReadonlyArray<unknown> => {
  const type = contentType.toLowerCase()
  if (type.includes("text/event-stream"))
    return text
      .split(/\r?\n/)
      .filter((line) => line.startsWith("data:"))
      .map((line) => parse(line.slice(5)))
      .filter((value) => value !== undefined)
  const whole = parse(text)
  if (whole !== undefined) return [whole]
  return text
    .split(/\r?\n/)
    .map((line) => parse(line))
    .filter((value) => typeof value === "object" && value !== null)
}

const collect = (documents: ReadonlyArray<unknown>, paths: Compiled["paths"], into: Map<string, Value>): void => {
  for (const [name, steps] of paths) {
    // The last value that says something: usage often comes in a final event of its own.
    for (let i = documents.length - 1; i >= 0; i--) {
      const value = read(documents[i], steps)
      if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") {
        into.set(name, value)
        break
      }
    }
  }
}

const pathsOf = (paths: Readonly<Record<string, string>>): Compiled["paths"] =>
  Object.entries(paths).map(([name, path]) => [name, stepsOf(path)] as const)

const openAiPaths = pathsOf(openAi)
const anthropicPaths = anthropic.map(pathsOf)
const donePath = pathsOf({ finish_reason: "$.done_reason" })

const most = 2_147_483_647

/** What is known of an answer after its end. */
export interface AnswerSeen {
  readonly contentType: string
  /** Beginning and end of the body; asked for only where the body is read at all. */
  readonly text: () => string
  /** Names and values by turns. */
  readonly headers: ReadonlyArray<string>
  /** Milliseconds from the request's being sent to the last byte; 0: not known. `response_time_ms` in calculations. */
  readonly responseMs: number
}

/** `undefined`: nothing was found. */
export const extractUsage = (profile: Profile, answer: AnswerSeen): UsageFigures | undefined => {
  if (!profile.metrics.enabled) return undefined
  const { paths, calculations, headers } = compile(profile)
  const values = new Map<string, Value>()
  readHeaders(answer.headers, headers, values)
  if (profile.metrics.source !== "response_headers") readBody(documentsOf(answer.contentType, answer.text()), paths, values)
  if (values.size === 0) return undefined
  if (answer.responseMs > 0) values.set("response_time_ms", answer.responseMs)
  const calculated = new Map<string, number>()
  for (const [name, { variables, evaluate }] of calculations) {
    if (variables.size > 0 && ![...variables].some((variable) => values.has(variable))) continue
    const value = evaluate(values)
    if (typeof value === "boolean" && name === "is_complete") values.set(name, value)
    else if (typeof value === "number") calculated.set(name, Number.isFinite(value) ? value : 0)
  }
  return figuresOf(values, calculated)
}

/** Numbers by their look: a header is always text. */
const readHeaders = (raw: ReadonlyArray<string>, wanted: Compiled["headers"], into: Map<string, Value>): void => {
  for (const [name, header] of wanted)
    for (let i = 0; i + 1 < raw.length; i += 2) {
      if (raw[i]?.toLowerCase() !== header) continue
      const text = raw[i + 1]?.trim() ?? ""
      if (text !== "") into.set(name, /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text)
      break
    }
}

/** By the kind's own paths, then by OpenAI's, then by Anthropic's. */
const readBody = (documents: ReadonlyArray<unknown>, paths: Compiled["paths"], values: Map<string, Value>): void => {
  if (documents.length === 0) return
  collect(documents, paths, values)
  const hasTokens = () => values.has("input_tokens") || values.has("output_tokens")
  for (const others of [openAiPaths, ...anthropicPaths]) if (!hasTokens() || others === anthropicPaths[1]) fill(documents, others, values)
  if (!values.has("finish_reason")) collect(documents, donePath, values)
}

/** Only what is not known yet. */
const fill = (documents: ReadonlyArray<unknown>, paths: Compiled["paths"], values: Map<string, Value>): void => {
  const found = new Map<string, Value>()
  collect(documents, paths, found)
  for (const [name, value] of found) if (!values.has(name)) values.set(name, value)
}

const figuresOf = (values: ReadonlyMap<string, Value>, calculated: ReadonlyMap<string, number>): UsageFigures | undefined => {
  const number = (...names: ReadonlyArray<string>): number => {
    for (const name of names) {
      const value = values.get(name)
      if (typeof value === "number" && Number.isFinite(value)) return value
    }
    return 0
  }
  const text = (name: string): string => {
    const value = values.get(name)
    return typeof value === "string" ? value : ""
  }
  const count = (n: number) => Math.min(most, Math.max(0, Math.trunc(n)))
  const nanos = (...names: ReadonlyArray<string>) => Math.trunc(number(...names) / 1e6)
  const inputTokens = count(number("input_tokens"))
  const outputTokens = count(number("output_tokens"))
  const promptMs = nanos("prompt_duration_ns", "prompt_eval_duration")
  const generationMs = nanos("eval_duration_ns", "eval_duration") || Math.trunc(number("generation_time_ms", "generation_ms"))
  const figures: Record<string, number | string | boolean> = {
    inputTokens,
    outputTokens,
    totalTokens: count(number("total_tokens")) || (inputTokens > 0 && outputTokens > 0 ? inputTokens + outputTokens : 0),
    promptMs,
    generationMs,
    ttftMs: Math.trunc(calculated.get("ttft_ms") ?? (number("ttft_ms") || promptMs)),
    totalMs: Math.trunc(calculated.get("total_ms") ?? (nanos("total_duration_ns") || number("total_ms", "total_time_ms"))),
    modelLoadMs: Math.trunc(calculated.get("model_load_ms") ?? nanos("load_duration_ns")),
    tokensPerSecond:
      calculated.get("tokens_per_second") || (outputTokens > 0 && generationMs > 0 ? (outputTokens * 1000) / generationMs : 0),
    model: text("model"),
    finishReason: text("finish_reason"),
    isComplete: values.get("is_complete") === true || values.get("done") === true
  }
  const known = Object.entries(figures).filter(([, value]) => value !== 0 && value !== "" && value !== false)
  return known.length === 0 ? undefined : (Object.fromEntries(known) as UsageFigures)
}

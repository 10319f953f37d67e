/**
 * One unified model and its sources. What lists show and requests never ask for (the
 * metadata) is worked out when a list asks. A class and not a literal: derived fields then
 * cost no memory.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Source } from "./Inventory.ts"
import { parameterSize, parameterText } from "./ModelAttributes.ts"
import type { UnifiedModel } from "./ModelOffer.ts"
import type { NameMap } from "./NameMap.ts"
import type { NameReading } from "./NameReading.ts"

export interface Merging {
  readonly reading: NameReading
  /** When a model was first seen, Unix seconds, by unified id; filled by the pass, kept by its owner. */
  readonly firstSeen: NameMap<number>
  /** Milliseconds: reports that lag behind the newest by more give way to it, whatever their endpoint's place. */
  readonly freshFor: number
}

/** One pass over all models, told from others by identity: what a broken-off one stamped must not count in the next. */
export type Pass = object

/** The first value that any report has. */
const first = <T>(reports: ReadonlyArray<Source>, get: (model: ListedModel) => T | undefined): T | undefined => {
  for (const { model } of reports) {
    const value = get(model)
    if (value !== undefined && value !== "") return value
  }
  return undefined
}

/** A request may go to any of them: what the narrowest takes. */
const leastContext = (reports: ReadonlyArray<Source>): number | undefined => {
  let least: number | undefined
  for (const { model } of reports) {
    const context = model.details?.max_context_length
    if (context !== undefined && (least === undefined || context < least)) least = context
  }
  return least
}

export class Merged implements UnifiedModel {
  readonly id: string
  readonly family: string
  readonly variant: string
  readonly parameterSize: string
  readonly parameterCount: number
  readonly quantization: string
  readonly format: string
  readonly maxContextLength: number | undefined
  readonly aliases: UnifiedModel["aliases"]
  readonly sources: ReadonlyArray<Source>
  readonly capabilities: ReadonlyArray<string>
  readonly created: number
  readonly #reading: NameReading
  readonly #freshFor: number
  #metadata: Readonly<Record<string, unknown>> | undefined
  #pass: Pass | undefined

  constructor(id: string, aliases: UnifiedModel["aliases"], reports: ReadonlyArray<Source>, { reading, firstSeen, freshFor }: Merging) {
    const exact = first(reports, (model) => model.details?.parameter_count)
    const stated = first(reports, (model) => model.details?.parameter_size)
    const size = stated === undefined ? { text: exact === undefined ? "" : parameterText(exact), count: 0 } : parameterSize(stated)
    const quantization = first(reports, (model) => model.details?.quantization_level)
    const { family, variant } = reading.family((reports[0] as Source).model)
    this.id = id
    this.family = family
    this.variant = variant
    this.parameterSize = size.text
    this.parameterCount = exact ?? size.count
    this.quantization = quantization === undefined ? "" : reading.rules.quantization(quantization)
    this.format = first(reports, (model) => model.details?.format) ?? ""
    this.maxContextLength = leastContext(reports)
    this.aliases = aliases
    this.sources = reports
    this.capabilities = capabilitiesOf(reports, reading)
    this.created = createdOf(id, reports, firstSeen)
    this.#reading = reading
    this.#freshFor = freshFor
    for (const report of reports) report.entry = this
  }

  /** A rebuild that would make the same again takes this one over; what follows the clock is worked out anew. */
  takenOver(): this {
    this.#metadata = undefined
    return this
  }

  /** It is part of this pass, and no longer of an earlier one. */
  stamp(pass: Pass): void {
    this.#pass = pass
  }

  isOf(pass: Pass): boolean {
    return this.#pass === pass
  }

  /** Two tags of one blob on one endpoint take the disk once. */
  get diskSize(): number {
    const { sources } = this
    if (sources.length === 1) return sources[0]?.diskSize ?? 0
    const largest = new Map<Endpoint, number>()
    for (const { endpoint, diskSize } of sources) if (diskSize > (largest.get(endpoint) ?? 0)) largest.set(endpoint, diskSize)
    let sum = 0
    for (const size of largest.values()) sum += size
    return sum
  }

  get lastSeen(): number {
    let latest = 0
    for (const source of this.sources) latest = Math.max(latest, source.lastSeen)
    return latest
  }

  get families(): ReadonlyArray<string> | undefined {
    return first(this.sources, (model) => model.details?.families)
  }

  get metadata(): Readonly<Record<string, unknown>> {
    this.#metadata ??= metadataOf(this.sources, this.#freshFor, this.#reading)
    return this.#metadata
  }
}

const capabilitiesOf = (reports: ReadonlyArray<Source>, reading: NameReading): ReadonlyArray<string> => {
  const one = reading.capabilities((reports[0] as Source).model)
  let all: Set<string> | undefined
  for (let i = 1; i < reports.length; i++) {
    const next = reading.capabilities((reports[i] as Source).model)
    if (next === one) continue
    all ??= new Set(one)
    for (const capability of next) all.add(capability)
  }
  return all === undefined ? one : reading.share([...all].sort())
}

const createdOf = (id: string, reports: ReadonlyArray<Source>, firstSeen: NameMap<number>): number => {
  let seen = firstSeen.get(id)
  if (seen === undefined) {
    seen = Math.trunc(reports.reduce((least, { model }) => Math.min(least, model.lastSeen), Number.POSITIVE_INFINITY) / 1000)
    firstSeen.set(id, seen)
  }
  return first(reports, (model) => model.created) ?? seen
}

/**
 * Fresh reports first, in configuration order, then older ones by age: a re-pulled model's new values win over
 * those of an endpoint that is away, and two endpoints that answer in turn do not alternate.
 */
const byFreshness = (reports: ReadonlyArray<Source>, freshFor: number): ReadonlyArray<Source> => {
  if (reports.length === 1) return reports
  const newest = reports.reduce((latest, report) => Math.max(latest, report.lastSeen), 0)
  const isFresh = (report: Source) => newest - report.lastSeen <= freshFor
  if (reports.every(isFresh)) return reports
  return [...reports.filter(isFresh), ...reports.filter((report) => !isFresh(report)).sort((a, b) => b.lastSeen - a.lastSeen)]
}

const metadataOf = (reports: ReadonlyArray<Source>, freshFor: number, { rules }: NameReading): Readonly<Record<string, unknown>> => {
  const out: Record<string, unknown> = {}
  const put = (key: string, value: unknown) => {
    if (value !== undefined && value !== "" && out[key] === undefined) out[key] = value
  }
  let latest = 0
  const ordered = byFreshness(reports, freshFor)
  for (const { model, platform } of ordered) {
    const details = model.details
    latest = Math.max(latest, model.lastSeen)
    put("platform", platform)
    put("type", model.type)
    put("description", model.description)
    if (details === undefined) continue
    put("digest", details.digest)
    put("model_type", details.type)
    put("publisher", details.publisher)
    put("format", details.format)
    if (details.family === undefined) put("families", details.families)
    put("state", details.state)
    put("parameter_size", details.parameter_size)
    put("quantization_level", details.quantization_level)
    put("parent_model", details.parent_model)
    put("embedding_length", details.embedding_length)
    put("loaded_context_length", details.loaded_context_length)
    put("listed_capabilities", details.capabilities)
    put("checkpoint", details.checkpoint)
    put("recipe", details.recipe)
    put("supports_vision", details.supports_vision)
    put("radix_cache_size", details.radix_cache_size)
    put("speculative_decoding", details.speculative_decoding)
    put("frontend_enabled", details.frontend_enabled)
    if (details.modified_at !== undefined) put("modified_at", new Date(details.modified_at).toISOString())
  }
  // What a name says of its publisher counts only where no endpoint names one.
  for (const { model } of ordered) if (out["publisher"] === undefined) put("publisher", rules.publisher(model))
  put("max_context_length", leastContext(reports))
  out["metadata_confidence"] = confidenceOf(reports)
  out["last_seen"] = new Date(latest).toISOString()
  return out
}

/** The share of digest, size, quantisation, family and context that is known. */
const confidenceOf = (reports: ReadonlyArray<Source>): number => {
  const known = [
    first(reports, (model) => model.details?.digest),
    first(reports, (model) => model.details?.parameter_size ?? model.details?.parameter_count),
    first(reports, (model) => model.details?.quantization_level),
    first(reports, (model) => model.details?.family),
    first(reports, (model) => model.details?.max_context_length)
  ]
  return known.filter((value) => value !== undefined).length / known.length
}

/**
 * One entry for the same model on several endpoints (models-and-routing.md 3): a pure pass over the lists in configuration
 * order, so that the order in which endpoints answered leaves no trace. Written as a generator: whoever runs it decides
 * how long it may hold the loop between two steps.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { AttributeRules, FamilyName } from "./AttributeRules.ts"
import { parameterSize, parameterText, stateOf } from "./ModelAttributes.ts"
import type { InventoryEntry, ModelSource, UnifiedModel } from "./Snapshot.ts"

export interface UnifyInput {
  /** Configuration order. */
  readonly listings: ReadonlyArray<InventoryEntry>
  readonly rules: AttributeRules
  /** When a model was first seen, Unix seconds, by unified id; filled by the pass, kept by its owner. */
  readonly firstSeen: Map<string, number>
  /** Milliseconds: reports that lag behind the newest by more give way to it, whatever their endpoint's place. */
  readonly freshFor: number
}

interface Report {
  readonly endpoint: Endpoint
  readonly platform: string
  readonly model: ListedModel
}

interface Draft {
  readonly id: string
  digest: string | undefined
  /** Names by `name\0platform`: first-named first, each platform that uses it. */
  readonly names: Map<string, { readonly name: string; readonly source: string }>
  readonly reports: Array<Report>
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 100

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

/** Entries in order of first appearance. */
export function* unify(input: UnifyInput): Generator<void, ReadonlyArray<UnifiedModel>> {
  const drafts = yield* draft(input.listings)
  const read = reader(input.rules)
  const out: Array<UnifiedModel> = []
  let n = 0
  for (const one of drafts) {
    out.push(finish(one, input, read))
    n += 1 + one.reports.length / 2
    if (n >= perStep) {
      n = 0
      yield
    }
  }
  return out
}

/** What merges with what (3.2), and the ids (3.3). */
function* draft(listings: ReadonlyArray<InventoryEntry>): Generator<void, ReadonlyArray<Draft>> {
  const drafts: Array<Draft> = []
  const byId = new Map<string, Draft>()
  const byName = new Map<string, Draft>()
  const byDigest = new Map<string, Draft>()
  let n = 0
  for (const { endpoint, platform, models } of listings) {
    for (const model of lastOfEachName(models)) {
      if (++n % perStep === 0) yield
      const low = model.name.toLowerCase()
      const digest = nonEmpty(model.details?.digest)
      const named = byId.get(model.name) ?? byName.get(low)
      const fits = named !== undefined && (digest === undefined || named.digest === undefined || digest === named.digest)
      let target = (digest === undefined ? undefined : byDigest.get(digest)) ?? (fits ? named : undefined)
      if (target === undefined) {
        target = { id: freeId(model.name, digest, byId), digest, names: new Map(), reports: [] }
        byId.set(target.id, target)
        drafts.push(target)
      }
      target.digest ??= digest
      if (digest !== undefined && !byDigest.has(digest)) byDigest.set(digest, target)
      if (!byName.has(low)) byName.set(low, target)
      const key = `${model.name}\0${platform}`
      if (!target.names.has(key)) target.names.set(key, { name: model.name, source: platform })
      target.reports.push({ endpoint, platform, model })
    }
  }
  return drafts
}

/** A list that names a model twice means the later one. */
const lastOfEachName = (models: ReadonlyArray<ListedModel>): Iterable<ListedModel> => {
  const byName = new Map(models.map((model) => [model.name, model]))
  return byName.size === models.length ? models : byName.values()
}

const freeId = (name: string, digest: string | undefined, taken: ReadonlyMap<string, unknown>): string => {
  if (!taken.has(name)) return name
  const short = `${name}-${(digest ?? "").slice(-8)}`
  if (!taken.has(short)) return short
  let id = `${name}-${digest ?? ""}`
  for (let i = 2; taken.has(id); i++) id = `${short}-${i}`
  return id
}

interface Reader {
  readonly family: (model: ListedModel) => FamilyName
  readonly capabilities: (model: ListedModel) => ReadonlyArray<string>
  readonly rules: AttributeRules
}

/** Most endpoints of a large fleet list the same names: what a name says is read once in each pass. */
const reader = (rules: AttributeRules): Reader => {
  const known = new Map<string, ReadonlyArray<string>>()
  return {
    rules,
    family: rules.family,
    capabilities: (model) => {
      const key = `${model.name}\0${model.type ?? ""}\0${model.details?.type ?? ""}\0${model.details?.max_context_length ?? ""}`
      let found = known.get(key)
      if (found === undefined) {
        found = rules.capabilities(model)
        known.set(key, found)
      }
      return found
    }
  }
}

const finish = ({ id, digest, names, reports }: Draft, input: UnifyInput, read: Reader): UnifiedModel => {
  const origin = (reports[0] as Report).model
  const first = <T>(get: (model: ListedModel) => T | undefined): T | undefined => {
    for (const { model } of reports) {
      const value = get(model)
      if (value !== undefined && value !== "") return value
    }
    return undefined
  }
  const exact = first((model) => model.details?.parameter_count)
  const stated = first((model) => model.details?.parameter_size)
  const size = stated === undefined ? { text: exact === undefined ? "" : parameterText(exact), count: 0 } : parameterSize(stated)
  const quantization = first((model) => model.details?.quantization_level)
  const context = first((model) => model.details?.max_context_length)
  const { family, variant } = read.family(origin)
  const known = [digest, stated ?? exact, quantization, first((model) => model.details?.family), context]
  const sources = reports.map(sourceOf)
  return {
    id,
    family,
    variant,
    parameterSize: size.text,
    parameterCount: exact ?? size.count,
    quantization: quantization === undefined ? "" : read.rules.quantization(quantization),
    format: first((model) => model.details?.format) ?? "",
    families: first((model) => model.details?.families),
    maxContextLength: context,
    aliases: [...names.values()],
    sources,
    capabilities: capabilitiesOf(reports, read),
    diskSize: diskSize(sources),
    get lastSeen() {
      return sources.reduce((latest, source) => Math.max(latest, source.lastSeen), 0)
    },
    created: createdOf(
      id,
      reports,
      first((model) => model.created),
      input.firstSeen
    ),
    metadata: metadataOf(reports, input.freshFor, known.filter((value) => value !== undefined).length / known.length, read.rules)
  }
}

const sourceOf = ({ endpoint, platform, model }: Report): ModelSource => {
  const listed = model.lastSeen
  return {
    endpoint,
    nativeName: model.name,
    platform,
    state: stateOf(model),
    diskSize: model.size ?? 0,
    // A list that says the same again makes no new snapshot, but it was seen.
    get lastSeen() {
      return Math.max(listed, endpoint.modelsSyncedAt)
    }
  }
}

const capabilitiesOf = (reports: ReadonlyArray<Report>, read: Reader): ReadonlyArray<string> => {
  const sets = new Set(reports.map(({ model }) => read.capabilities(model)))
  return [...new Set([...sets].flat())].sort()
}

const createdOf = (id: string, reports: ReadonlyArray<Report>, stated: number | undefined, firstSeen: Map<string, number>): number => {
  const known = firstSeen.get(id)
  const seen = known ?? Math.trunc(reports.reduce((least, { model }) => Math.min(least, model.lastSeen), Number.POSITIVE_INFINITY) / 1000)
  if (known === undefined) firstSeen.set(id, seen)
  return stated ?? seen
}

/** Two tags of one blob on one endpoint take the disk once. */
const diskSize = (sources: ReadonlyArray<ModelSource>): number => {
  if (sources.length === 1) return sources[0]?.diskSize ?? 0
  const largest = new Map<Endpoint, number>()
  for (const { endpoint, diskSize: size } of sources) if (size > (largest.get(endpoint) ?? 0)) largest.set(endpoint, size)
  let sum = 0
  for (const size of largest.values()) sum += size
  return sum
}

/**
 * Fresh reports first, in configuration order, then older ones by age (3.5, B21): a re-pulled model's new values win over
 * those of an endpoint that is away, and two endpoints that answer in turn do not alternate.
 */
const byFreshness = (reports: ReadonlyArray<Report>, freshFor: number): ReadonlyArray<Report> => {
  if (reports.length === 1) return reports
  const seen = ({ endpoint, model }: Report) => Math.max(model.lastSeen, endpoint.modelsSyncedAt)
  const newest = reports.reduce((latest, report) => Math.max(latest, seen(report)), 0)
  const isFresh = (report: Report) => newest - seen(report) <= freshFor
  if (reports.every(isFresh)) return reports
  return [...reports.filter(isFresh), ...reports.filter((report) => !isFresh(report)).sort((a, b) => seen(b) - seen(a))]
}

const metadataOf = (
  reports: ReadonlyArray<Report>,
  freshFor: number,
  confidence: number,
  rules: AttributeRules
): Readonly<Record<string, unknown>> => {
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
    put("max_context_length", details.max_context_length)
    put("state", details.state)
    put("parameter_size", details.parameter_size)
    put("quantization_level", details.quantization_level)
    put("parent_model", details.parent_model)
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
  out["metadata_confidence"] = confidence
  out["last_seen"] = new Date(latest).toISOString()
  return out
}

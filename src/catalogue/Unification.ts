/**
 * From the endpoints' listings to the snapshot: one pure pass in configuration order, so that the order in which
 * endpoints answered leaves no trace (models-and-routing.md 3). Written as a generator: whoever runs it decides how long
 * it may hold the loop between two steps.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { parameterSize, parameterText, publisherOf, stateOf } from "./ModelAttributes.ts"
import { OfferIndex, offerOf } from "./OfferIndex.ts"
import type { ModelOffer, ModelSource, Snapshot, UnifiedModel } from "./Snapshot.ts"

export interface Listing {
  readonly endpoint: Endpoint
  /** Canonical profile name. */
  readonly platform: string
  readonly models: ReadonlyArray<ListedModel>
}

/** What depends on configuration or `models.yaml`: how a listed model's attributes are read. */
export interface AttributeRules {
  readonly family: (model: ListedModel) => { readonly family: string; readonly variant: string }
  readonly quantization: (text: string) => string
  readonly capabilities: (model: ListedModel) => ReadonlyArray<string>
}

export interface BuildInput {
  /** Configuration order. */
  readonly listings: ReadonlyArray<Listing>
  readonly aliases: Readonly<Record<string, ReadonlyArray<string>>>
  readonly unify: boolean
  readonly rules: AttributeRules
  /** When a model was first seen, Unix seconds, by unified id; filled by the pass, kept by its owner. */
  readonly firstSeen: Map<string, number>
  readonly version: number
}

interface Draft {
  readonly id: string
  readonly digest: string | undefined
  readonly first: ListedModel
  readonly names: Map<string, string>
  readonly sources: Array<ModelSource & { readonly model: ListedModel }>
}

/** Names per step: small enough to stay far below five milliseconds. */
const perStep = 100

export function* buildSnapshot(input: BuildInput): Generator<void, Snapshot> {
  const index = new OfferIndex()
  let n = 0
  for (const { endpoint, platform, models } of input.listings) {
    for (const model of models) {
      index.add(endpoint, platform, model.name, model.details?.digest)
      if (++n % perStep === 0) yield
    }
  }
  yield* index.link()
  const offers = yield* index.offers()
  const unified = input.unify ? yield* unify(input) : []
  const byId = new Map<string, UnifiedModel>()
  const byAlias = new Map<string, UnifiedModel>()
  for (const model of unified) {
    byId.set(model.id, model)
    for (const alias of model.aliases) if (!byAlias.has(alias.name.toLowerCase())) byAlias.set(alias.name.toLowerCase(), model)
    if (++n % perStep === 0) yield
  }
  const aliases = new Map<string, { readonly name: string; readonly offer: ModelOffer }>()
  for (const [name, targets] of Object.entries(input.aliases)) {
    const offer = aliasOffer(targets, offers, input)
    if (offer !== undefined) aliases.set(name.toLowerCase(), { name, offer })
  }
  return {
    version: input.version,
    offer: (name) => offers.get(name.toLowerCase()),
    alias: (name) => aliases.get(name.toLowerCase()),
    unified,
    find: (name) => byId.get(name) ?? byAlias.get(name.toLowerCase()),
    capable: (required) => capable(unified, required)
  }
}

/** First listed target wins on an endpoint that has several. With discovery off nobody is known to have anything: see the caller. */
const aliasOffer = (
  targets: ReadonlyArray<string>,
  offers: ReadonlyMap<string, ModelOffer>,
  _input: BuildInput
): ModelOffer | undefined => {
  const byEndpoint = new Map<Endpoint, string>()
  for (const target of targets) {
    const offer = offers.get(target.toLowerCase())
    for (const [endpoint, native] of offer?.nativeNameOn ?? []) if (!byEndpoint.has(endpoint)) byEndpoint.set(endpoint, native)
  }
  return byEndpoint.size === 0 ? undefined : offerOf([...byEndpoint])
}

function* unify(input: BuildInput): Generator<void, ReadonlyArray<UnifiedModel>> {
  const drafts: Array<Draft> = []
  const byDigest = new Map<string, Draft>()
  const byName = new Map<string, Draft>()
  const ids = new Set<string>()
  let n = 0
  for (const { endpoint, platform, models } of input.listings) {
    for (const model of models) {
      if (++n % perStep === 0) yield
      const digest = model.details?.digest
      const named = byName.get(model.name.toLowerCase())
      const sameName =
        named !== undefined && !(digest !== undefined && named.digest !== undefined && digest !== named.digest) ? named : undefined
      let draft = (digest === undefined ? undefined : byDigest.get(digest)) ?? sameName
      if (draft === undefined) {
        const id = ids.has(model.name) ? `${model.name}-${(digest ?? "").slice(-8)}` : model.name
        ids.add(id)
        draft = { id, digest, first: model, names: new Map(), sources: [] }
        drafts.push(draft)
      }
      if (digest !== undefined && !byDigest.has(digest)) byDigest.set(digest, draft)
      if (!byName.has(model.name.toLowerCase())) byName.set(model.name.toLowerCase(), draft)
      if (!draft.names.has(`${model.name}\0${platform}`)) draft.names.set(`${model.name}\0${platform}`, model.name)
      draft.sources.push({
        endpoint,
        nativeName: model.name,
        platform,
        state: stateOf(model),
        diskSize: model.size ?? 0,
        lastSeen: model.lastSeen,
        model
      })
    }
  }
  const out: Array<UnifiedModel> = []
  for (const draft of drafts) {
    out.push(finish(draft, input))
    if (++n % perStep === 0) yield
  }
  return out.sort((a, b) => compareBytes(displayId(a), displayId(b)))
}

/** Ascending by UTF-8 bytes. */
export const compareBytes = (a: string, b: string): number => {
  if (a === b) return 0
  for (const text of [a, b]) if (/[\uD800-\uDFFF]/.test(text)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : 1
}

/** The name that listings show and clients can send. */
export const displayId = (model: UnifiedModel): string => model.aliases[0]?.name ?? model.id

const finish = (draft: Draft, { rules, firstSeen }: BuildInput): UnifiedModel => {
  const models = draft.sources.map((source) => source.model)
  const first = <T>(read: (model: ListedModel) => T | undefined): T | undefined => {
    for (const model of models) {
      const value = read(model)
      if (value !== undefined) return value
    }
    return undefined
  }
  const newest = models.reduce((a, b) => (b.lastSeen > a.lastSeen ? b : a))
  const exact = first((model) => model.details?.parameter_count)
  const stated = first((model) => model.details?.parameter_size)
  const size = stated === undefined ? { text: exact === undefined ? "" : parameterText(exact), count: 0 } : parameterSize(stated)
  const quantization = first((model) => model.details?.quantization_level)
  const context = first((model) => model.details?.max_context_length)
  const { family, variant } = rules.family(draft.first)
  const created = first((model) => model.created) ?? firstSeen.get(draft.id) ?? Math.trunc(draft.first.lastSeen / 1000)
  if (!firstSeen.has(draft.id)) firstSeen.set(draft.id, created)
  const known = [draft.digest, stated ?? exact, quantization, first((model) => model.details?.family), context].filter(
    (value) => value !== undefined
  ).length
  return {
    id: draft.id,
    family,
    variant,
    parameterSize: size.text,
    parameterCount: exact ?? size.count,
    quantization: quantization === undefined ? "" : rules.quantization(quantization),
    format: first((model) => model.details?.format) ?? "",
    maxContextLength: context,
    aliases: [...draft.names].map(([key, name]) => ({ name, source: key.slice(name.length + 1) })),
    sources: draft.sources.map(({ model: _, ...source }) => source),
    capabilities: [...new Set(models.flatMap(rules.capabilities))].sort(),
    diskSize: diskSize(draft.sources),
    lastSeen: newest.lastSeen,
    created,
    metadata: metadataOf(draft, newest, known / 5)
  }
}

/** Two tags of one blob on one endpoint take the disk once. */
const diskSize = (sources: ReadonlyArray<ModelSource>): number => {
  const largest = new Map<Endpoint, number>()
  for (const source of sources) largest.set(source.endpoint, Math.max(largest.get(source.endpoint) ?? 0, source.diskSize))
  return [...largest.values()].reduce((sum, size) => sum + size, 0)
}

const metadataOf = (draft: Draft, newest: ListedModel, confidence: number): Readonly<Record<string, unknown>> => {
  const out: Record<string, unknown> = {}
  // Older reports first, so that the newest wins key by key.
  for (const { model, platform } of [...draft.sources].sort((a, b) => a.model.lastSeen - b.model.lastSeen)) {
    const details = model.details
    const fields: Record<string, unknown> = {
      platform,
      type: model.type,
      model_type: details?.type,
      description: model.description,
      digest: details?.digest,
      publisher: publisherOf(model),
      format: details?.format,
      families: details?.family === undefined ? details?.families : undefined,
      max_context_length: details?.max_context_length,
      state: details?.state,
      parameter_size: details?.parameter_size,
      quantization_level: details?.quantization_level,
      parent_model: details?.parent_model,
      checkpoint: details?.checkpoint,
      recipe: details?.recipe,
      modified_at: details?.modified_at === undefined ? undefined : new Date(details.modified_at).toISOString()
    }
    for (const [key, value] of Object.entries(fields)) if (value !== undefined) out[key] = value
  }
  return { ...out, metadata_confidence: confidence, last_seen: new Date(newest.lastSeen).toISOString() }
}

const squash = (text: string): string => text.toLowerCase().replace(/_/g, "-")

const capable = (
  unified: ReadonlyArray<UnifiedModel>,
  required: ReadonlyArray<ReadonlyArray<string>>
): ReadonlySet<Endpoint> | undefined => {
  const out = new Set<Endpoint>()
  for (const model of unified) {
    const has = new Set(model.capabilities.map(squash))
    if (required.every((group) => group.some((name) => has.has(squash(name))))) for (const source of model.sources) out.add(source.endpoint)
  }
  return out.size === 0 ? undefined : out
}

/** What models there are: the inventory of `/internal/status/models`, and one model. */

import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { NameMap } from "../catalogue/NameMap.ts"
import type { Snapshot } from "../catalogue/Snapshot.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { sortInSteps } from "../profile/NameOrder.ts"
import type { InventoryDocument, InventoryModel, ModelDocument, ModelGroup } from "./documents/ModelsDocument.ts"
import { present } from "./documents/Values.ts"
import { endpointIds, plainId } from "./EndpointIds.ts"
import { ago, bytes, timestamp } from "./Formats.ts"

const inferred = (model: ListedModel): ReadonlyArray<string> => {
  const type = model.details?.type ?? model.type ?? ""
  const out: Array<string> = []
  if (type === "vlm") out.push("vision", "multimodal")
  if (type === "embeddings") out.push("embeddings", "vector_search")
  if (type === "llm") out.push("text_generation", "chat")
  if ((model.details?.max_context_length ?? 0) > 100_000) out.push("long_context")
  if (/fp16|bf16/.test((model.details?.quantization_level ?? "").toLowerCase())) out.push("high_precision")
  return out
}

const filled = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

const some = <A>(list: ReadonlyArray<A>): ReadonlyArray<A> | undefined => (list.length === 0 ? undefined : list)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** One name over all endpoints, in ascending order of their URLs. */
interface InventoryName {
  readonly name: string
  readonly holders: Array<{ readonly endpoint: Endpoint; readonly model: ListedModel }>
  seen: number
}

const firstOf = <T>({ holders }: InventoryName, read: (model: ListedModel) => T | undefined): T | undefined => {
  for (const { model } of holders) {
    const value = read(model)
    if (value !== undefined && value !== "") return value
  }
  return undefined
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 200

function* namesOf(snapshot: Snapshot): Generator<void, ReadonlyArray<InventoryName>> {
  const byName = new NameMap<InventoryName>()
  const all: Array<InventoryName> = []
  let n = 0
  for (const { endpoint, models } of [...snapshot.inventory].sort((a, b) => compare(a.endpoint.url, b.endpoint.url)))
    for (const model of models) {
      let known = byName.get(model.name)
      if (known === undefined) {
        known = { name: model.name, holders: [], seen: 0 }
        byName.set(model.name, known)
        all.push(known)
      }
      known.seen = Math.max(known.seen, model.lastSeen)
      if (known.holders[known.holders.length - 1]?.endpoint !== endpoint) known.holders.push({ endpoint, model })
      if (++n % perStep === 0) yield
    }
  return all
}

const familyOf = (entry: InventoryName, snapshot: Snapshot): string | undefined =>
  firstOf(entry, (model) => model.details?.family) ?? filled(snapshot.find(entry.name)?.family)

const inventoryModel = (
  entry: InventoryName,
  snapshot: Snapshot,
  ids: ReturnType<typeof endpointIds>,
  now: number
): typeof InventoryModel.Type => {
  const { name, holders, seen } = entry
  const places = holders
    .map(({ endpoint }) => ({ name: endpoint.name, id: ids.get(endpoint) ?? plainId(endpoint.displayUrl) }))
    .sort((a, b) => compare(a.name, b.name) || compare(a.id, b.id))
  const unified = snapshot.find(name)
  const others = unified === undefined ? [] : new Set([...unified.aliases.map((alias) => alias.name), unified.id])
  const size = firstOf(entry, (model) => model.size)
  return present<typeof InventoryModel.Type>({
    last_seen_at: seen > 0 ? timestamp(seen) : undefined,
    name,
    type: filled(firstOf(entry, (model) => model.details?.type ?? model.type)),
    family: familyOf(entry, snapshot),
    size: size === undefined ? undefined : bytes(size),
    params: filled(firstOf(entry, (model) => model.details?.parameter_size)),
    quant: filled(firstOf(entry, (model) => model.details?.quantization_level)),
    last_seen: ago(seen, now),
    endpoints: places.map((place) => place.name),
    endpoint_ids: some(places.map((place) => place.id)),
    aliases: some([...others].filter((other) => other !== name).sort()),
    capabilities: firstOf(entry, (model) => some(inferred(model)))
  })
}

/** The newest, by name where they are equally new; most names of a large fleet are never written out. */
const newest = (entries: ReadonlyArray<InventoryName>, count: number): ReadonlyArray<InventoryName> => {
  const out: Array<InventoryName> = []
  const before = (a: InventoryName, b: InventoryName) => b.seen - a.seen || compare(a.name, b.name)
  for (const entry of entries) {
    const last = out[out.length - 1]
    if (out.length >= count && last !== undefined && before(entry, last) > 0) continue
    out.push(entry)
    out.sort(before)
    out.length = Math.min(out.length, count)
  }
  return out
}

/** In steps: a fleet may have a hundred thousand names. */
export function* modelsDocument(
  endpoints: ReadonlyArray<Endpoint>,
  snapshot: Snapshot,
  now: number,
  grouped: boolean
): Generator<void, typeof InventoryDocument.Type> {
  const ids = endpointIds(endpoints)
  const entries = yield* namesOf(snapshot)
  const families = new Map<string, Array<InventoryName>>()
  for (const [i, entry] of entries.entries()) {
    const family = familyOf(entry, snapshot) ?? "unknown"
    const members = families.get(family)
    if (members === undefined) families.set(family, [entry])
    else members.push(entry)
    if (i % perStep === 0) yield
  }
  const byFamily: Array<readonly [family: string, members: ReadonlyArray<InventoryName>]> = []
  for (const [family, members] of families) byFamily.push([family, yield* sortInSteps(members, (a, b) => compare(a.name, b.name))])
  byFamily.sort(([a], [b]) => (a === "unknown" ? 1 : b === "unknown" ? -1 : compare(a, b)))
  const groups: Array<typeof ModelGroup.Type> = []
  for (const [family, members] of grouped ? byFamily : []) {
    const models: Array<typeof InventoryModel.Type> = []
    const places = new Set<string>()
    for (const [i, entry] of members.entries()) {
      models.push(inventoryModel(entry, snapshot, ids, now))
      for (const { endpoint } of entry.holders) places.add(endpoint.name)
      if (i % perStep === 0) yield
    }
    groups.push({ family, models, endpoints: [...places].sort(), model_count: members.length })
  }
  return {
    timestamp: timestamp(now),
    models_by_family: Object.fromEntries(byFamily.map(([family, members]) => [family, members.map((entry) => entry.name)])),
    recent_models: newest(entries, 10).map((entry) => inventoryModel(entry, snapshot, ids, now)),
    ...(groups.length > 0 ? { model_groups: groups } : {}),
    total_models: entries.length,
    total_families: families.size,
    total_endpoints: snapshot.inventory.length
  }
}

export const modelDocument = (model: UnifiedModel, now: number): typeof ModelDocument.Type => ({
  ...(model.maxContextLength === undefined ? {} : { max_context_length: model.maxContextLength }),
  id: model.id,
  family: model.family,
  variant: model.variant,
  parameter_size: model.parameterSize,
  quantization: model.quantization,
  format: model.format,
  total_disk_size: bytes(model.diskSize),
  last_seen: ago(model.lastSeen, now),
  aliases: [...new Set(model.aliases.map((alias) => alias.name))],
  endpoints: [...new Set(model.sources.map((source) => source.endpoint.name))],
  loaded_endpoints: [...new Set(model.sources.filter((source) => source.state === "loaded").map((source) => source.endpoint.name))],
  capabilities: model.capabilities,
  parameter_count: Math.round(model.parameterCount)
})

/** Model documents: the inventory, usage statistics, and one model (http-api.md 11.4 to 11.6, 13). */

import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { NameMap } from "../catalogue/NameMap.ts"
import type { Snapshot } from "../catalogue/Snapshot.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { sortInSteps } from "../profile/NameOrder.ts"
import type { ModelEndpointTotals, ModelsOverall, ModelTotals, TranslatorTotals } from "../telemetry/Statistics.ts"
import type { InventoryDocument, InventoryModel, ModelDocument, ModelGroup } from "./documents/ModelsDocument.ts"
import type { ModelEndpointStats, ModelStats, ModelStatsDocument, TranslatorStatsDocument } from "./documents/StatisticsDocuments.ts"
import { present } from "./documents/Values.ts"
import { endpointIds, plainId } from "./EndpointIds.ts"
import { ago, bytes, latency, percent, timestamp } from "./Formats.ts"

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

const rate = (good: number, total: number): number => (total === 0 ? 0 : (good / total) * 100)

const breakdown = (entry: ModelEndpointTotals, now: number): typeof ModelEndpointStats.Type => ({
  endpoint_name: entry.endpoint.name,
  average_latency: latency(entry.averageLatency),
  last_used: ago(entry.lastUsed, now),
  request_count: entry.requestCount,
  success_rate: rate(entry.successfulRequests, entry.requestCount),
  consecutive_errors: entry.consecutiveErrors
})

/** By name: what several have in common, because they bear one name or for several models, is summed up. */
const breakdowns = (
  entries: ReadonlyArray<ModelEndpointTotals>,
  now: number,
  errors: (a: number, b: number) => number
): Record<string, typeof ModelEndpointStats.Type> => {
  const byName = new Map<string, ModelEndpointTotals>()
  for (const entry of entries) {
    const known = byName.get(entry.endpoint.name)
    const successes = (known?.successfulRequests ?? 0) + entry.successfulRequests
    const latencies = (known?.averageLatency ?? 0) * (known?.successfulRequests ?? 0) + entry.averageLatency * entry.successfulRequests
    byName.set(entry.endpoint.name, {
      ...entry,
      requestCount: (known?.requestCount ?? 0) + entry.requestCount,
      successfulRequests: successes,
      averageLatency: successes === 0 ? 0 : Math.trunc(latencies / successes),
      lastUsed: Math.max(known?.lastUsed ?? 0, entry.lastUsed),
      consecutiveErrors: errors(known?.consecutiveErrors ?? 0, entry.consecutiveErrors)
    })
  }
  return Object.fromEntries([...byName].map(([name, entry]) => [name, breakdown(entry, now)]))
}

/** `overall`: what was counted since the start, models that have been forgotten included. */
export const modelStatsDocument = (
  models: ReadonlyArray<ModelTotals>,
  overall: ModelsOverall,
  now: number,
  withEndpoints: boolean,
  withSummary: boolean
): typeof ModelStatsDocument.Type => {
  const used = models.filter((model) => model.totalRequests > 0)
  return {
    timestamp: timestamp(now),
    // In a row makes no sense over several models.
    endpoints: withSummary
      ? breakdowns(
          models.flatMap((model) => model.endpoints),
          now,
          () => 0
        )
      : {},
    models: models.map((model) =>
      present<typeof ModelStats.Type>({
        endpoint_breakdown: withEndpoints && model.endpoints.length > 0 ? breakdowns(model.endpoints, now, Math.max) : undefined,
        name: model.name,
        success_rate: percent(rate(model.successfulRequests, model.totalRequests)),
        total_traffic: bytes(model.totalBytes),
        average_latency: latency(model.averageLatency),
        p95_latency: latency(model.p95Latency),
        p99_latency: latency(model.p99Latency),
        last_requested: ago(model.lastRequested, now),
        total_requests: model.totalRequests,
        successful_requests: model.successfulRequests,
        failed_requests: model.failedRequests,
        unique_clients: model.uniqueClients,
        routing_hits: model.routingHits,
        routing_misses: model.routingMisses,
        routing_fallbacks: model.routingFallbacks,
        requests_by_class: { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, transport: 0, cancelled: 0, ...model.statusClasses },
        latency_ms: model.latencyPercentiles,
        ttft_ms: model.firstTokenPercentiles,
        prompt_tokens: model.usage?.promptTokens,
        completion_tokens: model.usage?.completionTokens,
        avg_tokens_per_second: model.usage === undefined ? undefined : Math.round(model.usage.averageTokensPerSecond * 10) / 10
      })
    ),
    summary: {
      overall_success_rate: percent(rate(overall.successfulRequests, overall.totalRequests)),
      total_traffic: bytes(overall.totalBytes),
      most_popular_model: used[0]?.name ?? "",
      least_popular_model: used.at(-1)?.name ?? "",
      total_models: models.length,
      active_models: models.filter((model) => now - model.lastRequested < 3_600_000).length,
      total_requests: overall.totalRequests
    }
  }
}

export const translatorStatsDocument = (translators: ReadonlyArray<TranslatorTotals>, now: number): typeof TranslatorStatsDocument.Type => {
  const sum = (read: (one: TranslatorTotals) => number) => translators.reduce((total, one) => total + read(one), 0)
  const total = sum((one) => one.totalRequests)
  return {
    timestamp: timestamp(now),
    translators: translators.map((one) => ({
      translator_name: one.name,
      success_rate: percent(rate(one.successfulRequests, one.totalRequests)),
      passthrough_rate: percent(rate(one.passthroughRequests, one.totalRequests)),
      average_latency: latency(one.averageLatency),
      total_requests: one.totalRequests,
      successful_requests: one.successfulRequests,
      failed_requests: one.failedRequests,
      passthrough_requests: one.passthroughRequests,
      translation_requests: one.translationRequests,
      streaming_requests: one.streamingRequests,
      non_streaming_requests: one.nonStreamingRequests,
      fallback_no_compatible_endpoints: one.fallbackNoCompatibleEndpoints,
      fallback_translator_does_not_support_passthrough: one.fallbackTranslatorDoesNotSupportPassthrough,
      fallback_cannot_passthrough: one.fallbackCannotPassthrough,
      backend_errors: one.backendErrors
    })),
    summary: {
      overall_success_rate: percent(
        rate(
          sum((one) => one.successfulRequests),
          total
        )
      ),
      overall_passthrough_rate: percent(
        rate(
          sum((one) => one.passthroughRequests),
          total
        )
      ),
      total_translators: translators.length,
      active_translators: translators.filter((one) => one.totalRequests > 0).length,
      total_requests: total,
      total_passthrough: sum((one) => one.passthroughRequests),
      total_translations: sum((one) => one.translationRequests),
      total_streaming: sum((one) => one.streamingRequests),
      total_non_streaming: sum((one) => one.nonStreamingRequests)
    }
  }
}

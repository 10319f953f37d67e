/**
 * Statistics by model, and by model on one endpoint: for the documents under the name that was asked for, for metrics under a label
 * that clients cannot make up.
 */
import type { Attempt, AttemptedEndpoint } from "../exchange/Exchange.ts"
import { Counters, type Result, UsageCounters } from "./Counters.ts"
import { durationBounds, Histogram } from "./metrics/Histogram.ts"
import { mostNames, mostPairs, type Offered, otherModel } from "./metrics/ModelLabel.ts"
import { Reservoir } from "./Reservoir.ts"
import type { ModelEndpointTotals, ModelsOverall, ModelTotals, SeriesTotals, StatusClass } from "./Statistics.ts"
import type { Usage } from "./Usage.ts"

/** Models remembered: the most recently requested ones. */
export const maxModels = 50
/** Milliseconds after which a model that nobody asks for is forgotten. */
export const modelIdle = 6 * 3_600_000
const cleanEvery = 30 * 60_000
/** Clients remembered per model, the newest, for an hour. */
export const maxClients = 100
const clientIdle = 3_600_000

class PairRecord {
  readonly endpoint: AttemptedEndpoint
  count = 0
  successes = 0
  lastUsed = 0
  errors = 0
  #latencySum = 0
  readonly duration = new Histogram(durationBounds)
  readonly firstToken = new Histogram(durationBounds)
  readonly usage = new UsageCounters()

  constructor(endpoint: AttemptedEndpoint) {
    this.endpoint = endpoint
  }

  add(result: Result, now: number): void {
    this.count++
    this.lastUsed = now
    if (!result.success) {
      this.errors++
      return
    }
    this.errors = 0
    this.successes++
    this.#latencySum += result.latency
    this.duration.add(result.latency / 1000)
    if (result.firstToken !== undefined) this.firstToken.add(result.firstToken / 1000)
  }

  totals(): ModelEndpointTotals {
    const usage = this.usage.totals()
    return {
      endpoint: this.endpoint,
      requestCount: this.count,
      successfulRequests: this.successes,
      averageLatency: this.successes === 0 ? 0 : Math.trunc(this.#latencySum / this.successes),
      lastUsed: this.lastUsed,
      consecutiveErrors: this.errors,
      ...(usage === undefined ? {} : { usage })
    }
  }
}

class ModelRecord {
  readonly counters = new Counters()
  readonly latencies: Reservoir
  readonly clients = new Map<string, number>()
  readonly pairs = new Map<AttemptedEndpoint, PairRecord>()
  readonly usage = new UsageCounters()
  /** Which request touched it last: many come within one millisecond. */
  touched = 0
  /** What metrics count it under; itself in the normal case. */
  shown: ModelRecord = this
  /** The label of that. */
  label = otherModel
  hits = 0
  misses = 0
  fallbacks = 0

  readonly #gone: WeakSet<AttemptedEndpoint>

  /** `gone`: endpoints of which nothing is kept. */
  constructor(random: () => number, gone: WeakSet<AttemptedEndpoint>) {
    this.latencies = new Reservoir(random)
    this.#gone = gone
  }

  pair({ endpoint }: Attempt): PairRecord {
    let pair = this.pairs.get(endpoint)
    if (pair === undefined) {
      pair = new PairRecord(endpoint)
      if (!this.#gone.has(endpoint)) this.pairs.set(endpoint, pair)
    }
    return pair
  }

  attempt(result: Result, clientIp: string, now: number): void {
    this.counters.add(result, now)
    if (result.success) this.latencies.add(result.latency)
    this.#sawClient(clientIp, now)
  }

  routed({ answered, attempts, fallback }: RoutingResult): void {
    if (attempts > 1) this.misses++
    else if (answered) this.hits++
    if (fallback) this.fallbacks++
  }

  forgetClients(now: number): void {
    for (const [client, seen] of this.clients) if (now - seen > clientIdle) this.clients.delete(client)
  }

  #sawClient(ip: string, now: number): void {
    if (this.clients.size >= maxClients && !this.clients.has(ip)) {
      let oldest = ""
      let at = Number.POSITIVE_INFINITY
      for (const [client, seen] of this.clients)
        if (seen < at) {
          oldest = client
          at = seen
        }
      this.clients.delete(oldest)
    }
    this.clients.set(ip, now)
  }
}

/** A name's record, and the one that metrics show where that is another. */
const both = (record: ModelRecord | undefined): ReadonlyArray<ModelRecord> =>
  record === undefined ? [] : record.shown === record ? [record] : [record, record.shown]

/** How the exchange was answered, as far as routing is concerned. */
export interface RoutingResult {
  readonly answered: boolean
  readonly attempts: number
  readonly fallback: boolean
}

export class ModelStatistics {
  readonly #models = new Map<string, ModelRecord>()
  /** Endpoints that are configured no longer. */
  readonly #gone = new WeakSet<AttemptedEndpoint>()
  /** What metrics show: a sum over names that come and go would go down with them. */
  readonly #labelled = new Map<string, ModelRecord>()
  /** The same for pairs, by label and endpoint. */
  readonly #labelledPairs = new Map<string, Map<AttemptedEndpoint, PairRecord>>()
  #pairs = 0
  /** Requests without a model: only their histograms are wanted. */
  readonly #nameless: ModelRecord
  readonly #offered: Offered
  readonly #random: () => number
  #cleaned: number
  #touches = 0
  /** Of all models, those included that have been forgotten since: a sum over `totals` would go down. */
  #attempts = 0
  #successes = 0
  #bytes = 0

  constructor(now: number, offered: Offered = (name) => name, random: () => number = Math.random) {
    this.#offered = offered
    this.#random = random
    this.#nameless = new ModelRecord(random, this.#gone)
    this.#cleaned = now
  }

  attempt(name: string, attempt: Attempt, result: Result, clientIp: string, now: number): void {
    if (name === "") {
      this.#nameless.pair(attempt).add(result, now)
      return
    }
    const record = this.#recordOf(name, now)
    record.touched = ++this.#touches
    record.label = this.#labelOf(name)
    record.shown = this.#shownOf(name, record)
    this.#attempts++
    if (result.success) this.#successes++
    this.#bytes += result.bytes
    for (const one of both(record)) one.attempt(result, clientIp, now)
    for (const pair of this.#pairsOf(name, record, attempt)) pair.add(result, now)
  }

  /** That of the name, and the one that metrics show where that is another. */
  #pairsOf(name: string, record: ModelRecord, attempt: Attempt): ReadonlyArray<PairRecord> {
    const own = record.pair(attempt)
    const shown = this.#shownPair(record.label, attempt, record.label === name ? own : undefined)
    return shown === own ? [own] : [own, shown]
  }

  #shownPair(label: string, attempt: Attempt, own: PairRecord | undefined): PairRecord {
    const { endpoint } = attempt
    const known = this.#labelledPairs.get(label)?.get(endpoint)
    if (known !== undefined) return known
    if (this.#gone.has(endpoint)) return own ?? new PairRecord(endpoint)
    if (label !== otherModel && this.#pairs >= mostPairs) return this.#shownPair(otherModel, attempt, undefined)
    if (label !== otherModel) this.#pairs++
    const pairs = this.#labelledPairs.get(label) ?? new Map<AttemptedEndpoint, PairRecord>()
    this.#labelledPairs.set(label, pairs)
    const shown = own ?? new PairRecord(endpoint)
    pairs.set(endpoint, shown)
    return shown
  }

  #labelOf(name: string): string {
    const offered = this.#offered(name) ?? otherModel
    return this.#labelled.has(offered) || this.#labelled.size < mostNames ? offered : otherModel
  }

  #recordOf(name: string, now: number): ModelRecord {
    const known = this.#models.get(name)
    if (known !== undefined) return known
    this.#clean(now)
    if (this.#models.size >= maxModels) this.#forgetOldest()
    const record = new ModelRecord(this.#random, this.#gone)
    this.#models.set(name, record)
    return record
  }

  #shownOf(name: string, record: ModelRecord): ModelRecord {
    const { label } = record
    const known = this.#labelled.get(label)
    if (known !== undefined) return known
    const shown = label === name ? record : new ModelRecord(this.#random, this.#gone)
    this.#labelled.set(label, shown)
    return shown
  }

  #clean(now: number): void {
    if (now - this.#cleaned < cleanEvery) return
    this.#cleaned = now
    for (const [name, record] of this.#models) {
      if (now - record.counters.lastUsed > modelIdle) this.#models.delete(name)
      record.forgetClients(now)
    }
    for (const [label, record] of this.#labelled) {
      if (label !== otherModel && now - record.counters.lastUsed > modelIdle) {
        this.#labelled.delete(label)
        this.#pairs -= this.#labelledPairs.get(label)?.size ?? 0
        this.#labelledPairs.delete(label)
      }
      record.forgetClients(now)
    }
  }

  #forgetOldest(): void {
    let oldest = ""
    let at = Number.POSITIVE_INFINITY
    for (const [name, { touched }] of this.#models)
      if (touched < at) {
        oldest = name
        at = touched
      }
    this.#models.delete(oldest)
  }

  routed(name: string, how: RoutingResult): void {
    for (const record of both(this.#models.get(name))) record.routed(how)
  }

  used(name: string, attempt: Attempt, usage: Usage, latency: number): void {
    const record = name === "" ? this.#nameless : this.#models.get(name)
    if (record === undefined) return
    for (const one of both(record)) one.usage.add(usage, latency)
    const pairs = name === "" ? [record.pair(attempt)] : this.#pairsOf(name, record, attempt)
    for (const pair of pairs) pair.usage.add(usage, latency)
  }

  cancelled(name: string, was: StatusClass): void {
    for (const record of both(this.#models.get(name))) record.counters.cancelled(was)
  }

  /** Nothing of it is asked for any more; what its last exchange still reports counts for the model alone. */
  forget(endpoint: AttemptedEndpoint): void {
    this.#gone.add(endpoint)
    this.#nameless.pairs.delete(endpoint)
    for (const { pairs } of [...this.#models.values(), ...this.#labelled.values()]) pairs.delete(endpoint)
    for (const [label, pairs] of this.#labelledPairs) {
      if (pairs.delete(endpoint) && label !== otherModel) this.#pairs--
      if (pairs.size === 0) this.#labelledPairs.delete(label)
    }
  }

  totals(now: number): ReadonlyArray<ModelTotals> {
    return [...this.#models]
      .map(([name, record]) => totalsOf(name, record, now))
      .sort((a, b) => b.totalRequests - a.totalRequests || byText(a.name, b.name))
  }

  /** By label; counters never go down but where a label is gone. */
  labelled(now: number): ReadonlyArray<ModelTotals> {
    // Pairs beyond the bound are `other` though their models have names of their own.
    const labels = new Set([...this.#labelled.keys(), ...this.#labelledPairs.keys()])
    return [...labels].map((label) => {
      const record = this.#labelled.get(label) ?? new ModelRecord(this.#random, this.#gone)
      return totalsOf(label, record, now, this.#labelledPairs.get(label) ?? new Map())
    })
  }

  overall(): ModelsOverall {
    return { totalRequests: this.#attempts, successfulRequests: this.#successes, totalBytes: this.#bytes }
  }

  series(): ReadonlyArray<SeriesTotals> {
    return [["", this.#nameless.pairs] as const, ...this.#labelledPairs]
      .flatMap(([model, pairs]) =>
        [...pairs.values()].map(({ endpoint, duration, firstToken }) => ({
          model,
          endpoint,
          duration: duration.totals(),
          firstToken: firstToken.totals()
        }))
      )
      .sort((a, b) => byText(a.model, b.model) || byEndpoint(a, b))
  }
}

const byEndpoint = (a: { readonly endpoint: AttemptedEndpoint }, b: { readonly endpoint: AttemptedEndpoint }): number =>
  byText(a.endpoint.name, b.endpoint.name) || byText(a.endpoint.url, b.endpoint.url)

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const totalsOf = (
  name: string,
  record: ModelRecord,
  now: number,
  pairs = record.pairs as ReadonlyMap<AttemptedEndpoint, PairRecord>
): ModelTotals => {
  const { counters, latencies } = record
  const usage = record.usage.totals()
  let clients = 0
  for (const seen of record.clients.values()) if (now - seen <= clientIdle) clients++
  return {
    name,
    totalRequests: counters.total,
    successfulRequests: counters.successes,
    failedRequests: counters.failed,
    totalBytes: counters.bytes,
    averageLatency: counters.averageLatency,
    p95Latency: latencies.percentile(95),
    p99Latency: latencies.percentile(99),
    uniqueClients: clients,
    lastRequested: counters.lastUsed,
    routingHits: record.hits,
    routingMisses: record.misses,
    routingFallbacks: record.fallbacks,
    statusClasses: counters.classes,
    ...counters.windows(now),
    ...(usage === undefined ? {} : { usage }),
    endpoints: [...pairs.values()].map((pair) => pair.totals()).sort(byEndpoint)
  }
}

/** Statistics by model, and by model on one endpoint. */
import type { Attempt, AttemptedEndpoint } from "../exchange/Exchange.ts"
import { Counters, type Result, UsageCounters } from "./Counters.ts"
import { durationBounds, Histogram } from "./metrics/Histogram.ts"
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
  hits = 0
  misses = 0
  fallbacks = 0

  constructor(random: () => number) {
    this.latencies = new Reservoir(random)
  }

  pair(attempt: Attempt): PairRecord {
    const { endpoint } = attempt
    let pair = this.pairs.get(endpoint)
    if (pair === undefined) {
      pair = new PairRecord(endpoint)
      this.pairs.set(endpoint, pair)
    }
    return pair
  }

  sawClient(ip: string, now: number): void {
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

/** How the exchange was answered, as far as routing is concerned. */
export interface RoutingResult {
  readonly answered: boolean
  readonly attempts: number
  readonly fallback: boolean
}

export class ModelStatistics {
  readonly #models = new Map<string, ModelRecord>()
  /** Requests without a model: only their histograms are wanted. */
  readonly #nameless: ModelRecord
  readonly #random: () => number
  #cleaned: number
  #touches = 0
  /** Of all models, those included that have been forgotten since: a sum over `totals` would go down. */
  #attempts = 0
  #successes = 0
  #bytes = 0

  constructor(now: number, random: () => number = Math.random) {
    this.#random = random
    this.#nameless = new ModelRecord(random)
    this.#cleaned = now
  }

  attempt(name: string, attempt: Attempt, result: Result, clientIp: string, now: number): void {
    const record = name === "" ? this.#nameless : this.#recordOf(name, now)
    record.pair(attempt).add(result, now)
    if (name === "") return
    record.touched = ++this.#touches
    this.#attempts++
    if (result.success) this.#successes++
    this.#bytes += result.bytes
    record.counters.add(result, now)
    if (result.success) record.latencies.add(result.latency)
    record.sawClient(clientIp, now)
  }

  #recordOf(name: string, now: number): ModelRecord {
    const known = this.#models.get(name)
    if (known !== undefined) return known
    this.#clean(now)
    if (this.#models.size >= maxModels) this.#forgetOldest()
    const record = new ModelRecord(this.#random)
    this.#models.set(name, record)
    return record
  }

  #clean(now: number): void {
    if (now - this.#cleaned < cleanEvery) return
    this.#cleaned = now
    for (const [name, record] of this.#models) {
      if (now - record.counters.lastUsed > modelIdle) this.#models.delete(name)
      for (const [client, seen] of record.clients) if (now - seen > clientIdle) record.clients.delete(client)
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

  routed(name: string, { answered, attempts, fallback }: RoutingResult): void {
    const record = this.#models.get(name)
    if (record === undefined) return
    if (attempts > 1) record.misses++
    else if (answered) record.hits++
    if (fallback) record.fallbacks++
  }

  used(name: string, attempt: Attempt, usage: Usage, latency: number): void {
    const record = name === "" ? this.#nameless : this.#models.get(name)
    if (record === undefined) return
    record.usage.add(usage, latency)
    record.pair(attempt).usage.add(usage, latency)
  }

  cancelled(name: string, was: StatusClass): void {
    this.#models.get(name)?.counters.cancelled(was)
  }

  totals(now: number): ReadonlyArray<ModelTotals> {
    return [...this.#models]
      .map(([name, record]) => totalsOf(name, record, now))
      .sort((a, b) => b.totalRequests - a.totalRequests || byText(a.name, b.name))
  }

  overall(): ModelsOverall {
    return { totalRequests: this.#attempts, successfulRequests: this.#successes, totalBytes: this.#bytes }
  }

  series(): ReadonlyArray<SeriesTotals> {
    return [["", this.#nameless] as const, ...this.#models]
      .flatMap(([model, record]) =>
        [...record.pairs.values()].map(({ endpoint, duration, firstToken }) => ({
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

const totalsOf = (name: string, record: ModelRecord, now: number): ModelTotals => {
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
    endpoints: [...record.pairs.values()].map((pair) => pair.totals()).sort(byEndpoint)
  }
}

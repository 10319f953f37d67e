/**
 * What was done about who is asked: choices, attempts elsewhere, models taken out of use, clients that left. Labels are bounded: endpoints
 * are the configured ones, reasons closed lists, models those that are offered.
 */
import type { FleetEvent } from "../../endpoint/FleetEvent.ts"
import { attemptCause, endingOf } from "../../exchange/Cause.ts"
import type { Attempt, AttemptedEndpoint, Exchange, ModelMove } from "../../exchange/Exchange.ts"
import type { ExchangeObserver } from "../../exchange/Observer.ts"
import { Histogram, longBounds } from "./Histogram.ts"
import { mostNames, mostPairs, type Offered, otherModel } from "./ModelLabel.ts"

/** Where a client was when it left. */
export const leavingPhases = ["queued", "waiting", "streaming"] as const
export type LeavingPhase = (typeof leavingPhases)[number]

const phaseOfCause: Readonly<Record<string, LeavingPhase>> = {
  cancelled_queued: "queued",
  cancelled_waiting: "waiting",
  cancelled_streaming: "streaming"
}

export const queueCodes = ["queue_timeout", "queue_full", "client_queue_full", "all_paused"] as const
type Urgency = Exclude<Exchange["urgency"], "">

/** Of one model on one endpoint, by reason. */
export interface ModelCounts {
  readonly ejections: Map<string, number>
  readonly failovers: Map<string, number>
}

export interface PrefixTokens {
  hit: number
  miss: number
}

/** Of one endpoint; what never happened there was never made. */
export class EndpointTraffic {
  readonly picks = new Map<string, number>()
  readonly models = new Map<string, ModelCounts>()
  prefix: PrefixTokens | undefined
}

const isQueueCode = (cause: string): cause is (typeof queueCodes)[number] => (queueCodes as ReadonlyArray<string>).includes(cause)

const add = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

export class TrafficMetrics {
  readonly #offered: Offered
  readonly #endpoints = new WeakMap<AttemptedEndpoint, EndpointTraffic>()
  readonly #names = new Set<string>()
  #pairs = 0
  readonly left: Record<LeavingPhase, number> = { queued: 0, waiting: 0, streaming: 0 }
  /** Requests that were sent to a model that had been taken out of use, since nobody else was left. */
  panics = 0
  /** Requests that were not waited for any longer, or could not wait. */
  readonly refused: Record<(typeof queueCodes)[number], number> = { queue_timeout: 0, queue_full: 0, client_queue_full: 0, all_paused: 0 }
  /** How long requests waited that did, by model and class. */
  readonly waits = new Map<string, Partial<Record<Urgency, Histogram>>>()
  /** Times that an alias led on to another of its models; they are configured, all of them. */
  readonly moves = new Map<string, { readonly move: ModelMove; count: number }>()
  readonly observer: Required<Omit<ExchangeObserver, "settle">>

  constructor(offered: Offered) {
    this.#offered = offered
    this.observer = {
      dispatched: (_exchange, attempt) => this.#picked(attempt),
      movedOn: (_exchange, move) => this.#moved(move),
      attemptEnded: () => {},
      ended: (exchange) => this.#ended(exchange)
    }
  }

  /** `undefined`: nothing was counted there yet. */
  of(endpoint: AttemptedEndpoint): EndpointTraffic | undefined {
    return this.#endpoints.get(endpoint)
  }

  readonly heard = (event: FleetEvent): void => {
    if (event._tag === "EndpointGone") {
      this.#pairs -= this.#endpoints.get(event.endpoint)?.models.size ?? 0
      this.#endpoints.delete(event.endpoint)
    } else if (event._tag === "LaneTurned") {
      const { condition, why, model } = event.lane
      const isNew = condition.state === "ejected" && condition.ejections > 0 && condition.since !== event.before.since
      if (isNew) add(this.#countsOf(event.endpoint, model).ejections, why === "" ? "transport" : why)
    }
  }

  #endpoint(endpoint: AttemptedEndpoint): EndpointTraffic {
    let known = this.#endpoints.get(endpoint)
    if (known === undefined) {
      known = new EndpointTraffic()
      this.#endpoints.set(endpoint, known)
    }
    return known
  }

  /** Its name where it is one of those that are offered and may have series of their own. */
  labelOf(model: string): string {
    const name = model === "" ? otherModel : (this.#offered(model) ?? otherModel)
    if (name === otherModel || this.#names.has(name)) return name
    if (this.#names.size >= mostNames) return otherModel
    this.#names.add(name)
    return name
  }

  #countsOf(endpoint: AttemptedEndpoint, model: string): ModelCounts {
    const { models } = this.#endpoint(endpoint)
    let name = this.labelOf(model)
    if (!models.has(name) && this.#pairs >= mostPairs) name = otherModel
    let counts = models.get(name)
    if (counts === undefined) {
      if (name !== otherModel) this.#pairs++
      counts = { ejections: new Map(), failovers: new Map() }
      models.set(name, counts)
    }
    return counts
  }

  #picked({ endpoint, pick, promptTokens, cachedTokens }: Attempt): void {
    if (pick === "") return
    const traffic = this.#endpoint(endpoint)
    add(traffic.picks, pick)
    if (pick === "panic") this.panics++
    if (promptTokens === 0) return
    traffic.prefix ??= { hit: 0, miss: 0 }
    traffic.prefix.hit += Math.min(cachedTokens, promptTokens)
    traffic.prefix.miss += Math.max(0, promptTokens - cachedTokens)
  }

  #moved(move: ModelMove): void {
    const key = `${move.from}\u0000${move.to}\u0000${move.reason}`
    const known = this.moves.get(key)
    if (known !== undefined) known.count++
    else this.moves.set(key, { move, count: 1 })
  }

  #ended(exchange: Exchange): void {
    const { attempts } = exchange
    for (let i = 0; i + 1 < attempts.length; i++) this.#movedOn(attempts[i] as Attempt)
    const { outcome, cause } = endingOf(exchange)
    const phase = outcome === "cancelled" ? phaseOfCause[cause] : undefined
    if (phase !== undefined) this.left[phase]++
    if (exchange.urgency !== "") this.#waited(exchange, exchange.urgency)
    if (outcome === "refused" && isQueueCode(cause)) this.refused[cause]++
  }

  #waited(exchange: Exchange, urgency: Urgency): void {
    const model = this.labelOf(exchange.model)
    const waits = this.waits.get(model) ?? {}
    this.waits.set(model, waits)
    waits[urgency] ??= new Histogram(longBounds)
    waits[urgency].add(exchange.waited(exchange.timings.ended || exchange.timings.settled) / 1000)
  }

  /** Another attempt followed this one. Whoever was only found not to serve the path failed nobody. */
  #movedOn(attempt: Attempt): void {
    const reason = attempt.verdict?.reason ?? ""
    if (reason === "" || attemptCause(attempt) === "breaker_open") return
    add(this.#countsOf(attempt.endpoint, attempt.model).failovers, reason)
  }
}

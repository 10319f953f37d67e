/**
 * Whose time it was and what broke, as counters and histograms (docs/observability.md). Labels are bounded: endpoints are the
 * configured ones, causes and results closed lists, models those that the catalogue offers. A series hangs on its endpoint, its
 * pair of endpoint and model, or its cause: nothing here builds a key from strings.
 */
import { attemptCause, attemptFailed, type Cause, causesByOutcome, endingOf, type OutcomeWord } from "../../exchange/Cause.ts"
import type { Attempt, AttemptedEndpoint, Exchange } from "../../exchange/Exchange.ts"
import type { ExchangeObserver } from "../../exchange/Observer.ts"
import { attemptPhases, phasesOf } from "../../exchange/Phases.ts"
import { isStreamed, tokenInterval } from "../MeasuredSpeed.ts"
import type { ReadUsage } from "../Usage.ts"
import { connectBounds, Histogram, type HistogramTotals, longBounds, overheadBounds, tokenBounds } from "./Histogram.ts"
import { mostNames, mostPairs, type Offered, otherModel } from "./ModelLabel.ts"

/** `ok`: an answer below 500. */
export const attemptResults = ["ok", "failed", "cancelled"] as const
export type AttemptResult = (typeof attemptResults)[number]

type ByResult = Record<AttemptResult, Histogram>

const byResult = (bounds: ReadonlyArray<number>): ByResult => ({
  ok: new Histogram(bounds),
  failed: new Histogram(bounds),
  cancelled: new Histogram(bounds)
})

class PairSeries {
  readonly firstToken = new Histogram(longBounds)
  readonly perToken = new Histogram(tokenBounds)
}

/** All series of one endpoint; what never happened there was never made. */
export class EndpointSeries {
  readonly failures = new Map<Cause, number>()
  readonly models = new Map<string, PairSeries>()
  readonly headers = byResult(longBounds)
  readonly attempts = byResult(longBounds)
  #connects: ByResult | undefined

  get connects(): ByResult {
    this.#connects ??= byResult(connectBounds)
    return this.#connects
  }

  get hasConnects(): boolean {
    return this.#connects !== undefined
  }
}

export interface OutcomeCount {
  readonly outcome: OutcomeWord
  readonly cause: Cause
  value: number
}

export interface PhaseMetricsOptions {
  readonly offered: Offered
  readonly usage: ReadUsage
  /** Id of the trace that is exported for this exchange, and epoch seconds of its end; `undefined`: none is. */
  readonly exported?: (exchange: Exchange) => { readonly traceId: string; readonly at: number } | undefined
}

const resultOf = (attempt: Attempt): AttemptResult => {
  const cause = attemptCause(attempt)
  return cause === "cancelled_waiting" || cause === "cancelled_streaming" ? "cancelled" : attemptFailed(attempt) ? "failed" : "ok"
}

export class PhaseMetrics {
  readonly #options: PhaseMetricsOptions
  readonly #byCause: Readonly<Record<Cause, OutcomeCount>>
  readonly #requests: Readonly<Record<OutcomeWord, Histogram>>
  readonly #overhead = new Histogram(overheadBounds)
  readonly #endpoints = new WeakMap<AttemptedEndpoint, EndpointSeries>()
  readonly #names = new Set<string>()
  readonly #gone = new WeakSet<AttemptedEndpoint>()
  #pairs = 0
  readonly observer: ExchangeObserver

  constructor(options: PhaseMetricsOptions) {
    this.#options = options
    const words = Object.keys(causesByOutcome) as ReadonlyArray<OutcomeWord>
    this.#byCause = Object.fromEntries(
      words.flatMap((outcome) => causesByOutcome[outcome].map((cause) => [cause, { outcome, cause, value: 0 }]))
    ) as Record<Cause, OutcomeCount>
    this.#requests = Object.fromEntries(words.map((outcome) => [outcome, new Histogram(longBounds)])) as Record<OutcomeWord, Histogram>
    this.observer = {
      dispatched: () => {},
      attemptEnded: (_exchange, attempt) => this.#attemptEnded(attempt),
      ended: (exchange) => this.#ended(exchange)
    }
  }

  /** Pairs that were seen, and `ok`. */
  get outcomes(): ReadonlyArray<OutcomeCount> {
    return Object.values(this.#byCause).filter(({ cause, value }) => value > 0 || cause === "none")
  }

  requestTotals(outcome: OutcomeWord): HistogramTotals {
    return this.#requests[outcome].totals()
  }

  overheadTotals(): HistogramTotals {
    return this.#overhead.totals()
  }

  /** `undefined`: nothing was tried there yet. */
  seriesOf(endpoint: AttemptedEndpoint): EndpointSeries | undefined {
    return this.#endpoints.get(endpoint)
  }

  /** Its series are gone with it; pairs of others may take their places. */
  forget(endpoint: AttemptedEndpoint): void {
    this.#gone.add(endpoint)
    const series = this.#endpoints.get(endpoint)
    if (series === undefined) return
    this.#pairs -= series.models.size - (series.models.has(otherModel) ? 1 : 0)
    this.#endpoints.delete(endpoint)
  }

  #series(endpoint: AttemptedEndpoint): EndpointSeries {
    let series = this.#endpoints.get(endpoint)
    if (series === undefined) {
      series = new EndpointSeries()
      this.#endpoints.set(endpoint, series)
    }
    return series
  }

  #pairOf({ models }: EndpointSeries, model: string): PairSeries {
    let name = model === "" ? otherModel : (this.#options.offered(model) ?? otherModel)
    if (!this.#names.has(name) && name !== otherModel) {
      if (this.#names.size >= mostNames) name = otherModel
      else this.#names.add(name)
    }
    const known = models.get(name)
    if (known !== undefined) return known
    if (this.#pairs >= mostPairs && name !== otherModel) return this.#pairOf({ models } as EndpointSeries, "")
    if (name !== otherModel) this.#pairs++
    const made = new PairSeries()
    models.set(name, made)
    return made
  }

  #attemptEnded(attempt: Attempt): void {
    const series = this.#series(attempt.endpoint)
    const cause = attemptCause(attempt)
    if (attemptFailed(attempt) || cause === "upstream_429") series.failures.set(cause, (series.failures.get(cause) ?? 0) + 1)
    // A breaker's refusal was never sent out.
    if (cause === "breaker_open") return
    const result = resultOf(attempt)
    const phases = attemptPhases(attempt)
    if (phases.isNew) series.connects[result].add(phases.connect / 1000)
    if (attempt.timings.sent > 0) series.headers[result].add(phases.wait / 1000)
    series.attempts[result].add(phases.total / 1000)
  }

  #ended(exchange: Exchange): void {
    const { outcome, cause } = endingOf(exchange)
    const phases = phasesOf(exchange)
    const trace = this.#options.exported?.(exchange)
    this.#byCause[cause].value++
    this.#requests[outcome].add(phases.total / 1000, trace)
    const last = exchange.lastAttempt
    if (last === undefined) return
    this.#overhead.add(phases.overhead / 1000, trace)
    const { firstByte } = last.timings
    if (outcome !== "ok" || firstByte === 0 || last.status < 200 || last.status >= 300 || !isStreamed(exchange)) return
    if (this.#gone.has(last.endpoint)) return
    const pair = this.#pairOf(this.#series(last.endpoint), exchange.model)
    pair.firstToken.add(Math.max(0, firstByte - exchange.timings.accepted) / 1000, trace)
    const interval = tokenInterval(exchange, this.#options.usage(exchange, last))
    if (interval !== undefined) pair.perToken.add(interval / 1000)
  }
}

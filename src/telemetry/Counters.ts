/** The counters behind every statistic: successes and failures, bytes, latencies of successes, status classes, usage. */
import { LatencyWindow } from "./LatencyWindow.ts"
import type { EndpointTotals, StatusClass, UsageTotals } from "./Statistics.ts"
import type { Usage } from "./Usage.ts"

/** What one attempt or exchange came to. */
export interface Result {
  readonly success: boolean
  readonly statusClass: StatusClass
  /** Whole milliseconds. */
  readonly latency: number
  /** Whole milliseconds to the first body byte; `undefined`: there was none. */
  readonly firstToken: number | undefined
  readonly bytes: number
}

export class Counters {
  total = 0
  failed = 0
  bytes = 0
  lastUsed = 0
  #latencySum = 0
  #min = 0
  #max = 0
  readonly #classes: Record<StatusClass, number> = { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, transport: 0, cancelled: 0 }
  readonly #latencies = new LatencyWindow()
  readonly #firstTokens = new LatencyWindow()

  add(result: Result, now: number): void {
    this.total++
    this.bytes += result.bytes
    this.lastUsed = now
    this.#classes[result.statusClass]++
    if (!result.success) {
      this.failed++
      return
    }
    const { latency } = result
    this.#latencySum += latency
    if (this.total - this.failed === 1 || latency < this.#min) this.#min = latency
    if (latency > this.#max) this.#max = latency
    this.#latencies.add(latency, now)
    if (result.firstToken !== undefined) this.#firstTokens.add(result.firstToken, now)
  }

  /** An answer that counted by its status turned out to have been left by the client. */
  cancelled(was: StatusClass): void {
    if (was === "cancelled" || this.#classes[was] === 0) return
    this.#classes[was]--
    this.#classes.cancelled++
  }

  get successes(): number {
    return this.total - this.failed
  }

  get averageLatency(): number {
    return this.successes === 0 ? 0 : Math.trunc(this.#latencySum / this.successes)
  }

  get classes(): Readonly<Record<StatusClass, number>> {
    return { ...this.#classes }
  }

  windows(now: number): Pick<EndpointTotals, "latencyPercentiles" | "firstTokenPercentiles"> {
    const latencyPercentiles = this.#latencies.percentiles(now)
    const firstTokenPercentiles = this.#firstTokens.percentiles(now)
    return {
      ...(latencyPercentiles === undefined ? {} : { latencyPercentiles }),
      ...(firstTokenPercentiles === undefined ? {} : { firstTokenPercentiles })
    }
  }

  totals(now: number): EndpointTotals {
    return {
      totalRequests: this.total,
      successfulRequests: this.successes,
      failedRequests: this.failed,
      totalBytes: this.bytes,
      averageLatency: this.averageLatency,
      minLatency: this.#min,
      maxLatency: this.#max,
      lastUsed: this.lastUsed,
      statusClasses: this.classes,
      ...this.windows(now)
    }
  }
}

/** Token figures summed up. */
export class UsageCounters {
  #answers = 0
  #prompt = 0
  #completion = 0
  #latency = 0
  #speeds = 0
  #speedSum = 0

  add(usage: Usage, latency: number): void {
    if (usage.inputTokens === undefined && usage.outputTokens === undefined) return
    this.#answers++
    this.#prompt += usage.inputTokens ?? 0
    this.#completion += usage.outputTokens ?? 0
    this.#latency += latency
    if (usage.tokensPerSecond === undefined || !(usage.tokensPerSecond > 0)) return
    this.#speeds++
    this.#speedSum += usage.tokensPerSecond
  }

  /** `undefined` until figures were read. */
  totals(): UsageTotals | undefined {
    if (this.#answers === 0) return undefined
    return {
      answers: this.#answers,
      promptTokens: this.#prompt,
      completionTokens: this.#completion,
      averageLatency: Math.trunc(this.#latency / this.#answers),
      speeds: this.#speeds,
      averageTokensPerSecond: this.#speeds === 0 ? 0 : this.#speedSum / this.#speeds
    }
  }
}

const byDigit: ReadonlyArray<StatusClass | undefined> = [undefined, undefined, "2xx", "3xx", "4xx", "5xx"]

/** Class of an answer's status; `transport` where there was none. */
export const classOf = (status: number): StatusClass => byDigit[Math.floor(status / 100)] ?? "transport"

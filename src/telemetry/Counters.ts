/** The counters behind every statistic: successes and failures, bytes, latencies of successes, status classes. */
import type { EndpointTotals } from "./Statistics.ts"

export class Counters {
  total = 0
  failed = 0
  bytes = 0
  /** Milliseconds, successes only. */
  latencySum = 0
  minLatency = 0
  maxLatency = 0
  lastUsed = 0
  /** Answers by first digit of their status. */
  readonly classes = [0, 0, 0, 0, 0, 0]

  add(success: boolean, latency: number, bytes: number, status: number, now: number): void {
    this.total++
    this.bytes += bytes
    this.lastUsed = now
    const digit = Math.floor(status / 100)
    if (digit >= 1 && digit <= 5) this.classes[digit] = (this.classes[digit] ?? 0) + 1
    if (!success) {
      this.failed++
      return
    }
    const first = this.total - this.failed === 1
    this.latencySum += latency
    if (first || latency < this.minLatency) this.minLatency = latency
    if (latency > this.maxLatency) this.maxLatency = latency
  }

  totals(): EndpointTotals {
    const successes = this.total - this.failed
    return {
      totalRequests: this.total,
      successfulRequests: successes,
      failedRequests: this.failed,
      totalBytes: this.bytes,
      averageLatency: successes === 0 ? 0 : this.latencySum / successes,
      minLatency: this.minLatency,
      maxLatency: this.maxLatency,
      lastUsed: this.lastUsed,
      statusClasses: Object.fromEntries([1, 2, 3, 4, 5].map((digit) => [`${digit}xx`, this.classes[digit] ?? 0]))
    }
  }
}

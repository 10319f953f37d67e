/** What the limits refused: lifetime counts, and the last hour for the judgement. */
import type { SecurityTotals } from "./Statistics.ts"

/** Addresses remembered; new ones are not noted beyond it. */
export const maxLimitedIps = 10_000
const hour = 3_600_000
const sweepEvery = 5 * 60_000
const slots = 60

export class SecurityStatistics {
  #rateLimits = 0
  #sizeLimits = 0
  readonly #ips = new Map<string, number>()
  #swept = 0
  /** Violations per minute of the last hour. */
  readonly #minutes = Array.from({ length: slots }, () => ({ minute: -1, count: 0 }))

  rateLimited(ip: string, now: number): void {
    this.#rateLimits++
    this.#note(now)
    if (now - this.#swept >= sweepEvery) this.#sweep(now)
    if (this.#ips.size < maxLimitedIps || this.#ips.has(ip)) this.#ips.set(ip, now)
  }

  sizeLimited(now: number): void {
    this.#sizeLimits++
    this.#note(now)
  }

  #note(now: number): void {
    const minute = Math.floor(now / 60_000)
    const slot = this.#minutes[minute % slots]
    if (slot === undefined) return
    if (slot.minute !== minute) {
      slot.minute = minute
      slot.count = 0
    }
    slot.count++
  }

  #sweep(now: number): void {
    this.#swept = now
    for (const [ip, at] of this.#ips) if (now - at > hour) this.#ips.delete(ip)
  }

  totals(now: number): SecurityTotals {
    this.#sweep(now)
    const oldest = Math.floor(now / 60_000) - slots
    return {
      rateLimitViolations: this.#rateLimits,
      sizeLimitViolations: this.#sizeLimits,
      uniqueRateLimitedIps: this.#ips.size,
      recentViolations: this.#minutes.reduce((sum, slot) => sum + (slot.minute > oldest ? slot.count : 0), 0)
    }
  }
}

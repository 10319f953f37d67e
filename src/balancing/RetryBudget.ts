/**
 * How many attempts beyond the first all requests together may make: when everybody fails, repeating everything everywhere would only
 * add to it. One for the process.
 */
import { RecentCounts } from "../endpoint/RecentCounts.ts"

/** Milliseconds over which requests and further attempts are compared. */
const span = 10_000
/** So many further attempts are always free within the span: with few requests a share of them would be none. */
const free = 10

export class RetryBudget {
  readonly #counts = new RecentCounts(span)
  /** Further attempts that were not made for want of budget, since the start. */
  denied = 0
  /** Told of each that was not. */
  onDenial: () => void = () => {}

  /** A request makes its first attempt. `now`: milliseconds of the monotonic clock. */
  request(now: number): void {
    this.#counts.count(now, 1, 0)
  }

  /** A further attempt is made. */
  spend(now: number): void {
    this.#counts.count(now, 0, 1)
  }

  requests(now: number): number {
    return this.#counts.first(now)
  }

  extra(now: number): number {
    return this.#counts.second(now)
  }

  /** `percent`: `traffic.failover.budget_percent`. */
  allowed(now: number, percent: number): number {
    return free + (percent / 100) * this.requests(now)
  }

  /** May one more be made? A refusal is counted. */
  grants(now: number, percent: number): boolean {
    if (this.extra(now) < this.allowed(now, percent)) return true
    this.denied++
    this.onDenial()
    return false
  }
}

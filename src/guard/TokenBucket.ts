/**
 * One client's allowance: refilled by time, lazily. Synchronous arithmetic on two numbers; Effect's RateLimiter is an
 * effect per request, which on this path would cost more than the routing.
 */
export class TokenBucket {
  #tokens: number
  #at: number

  /** Starts full. `now` in milliseconds. */
  constructor(capacity: number, now: number) {
    this.#tokens = capacity
    this.#at = now
  }

  /** Takes one token if there is one. `perMinute` and `capacity` are read each time: they may be reloaded. */
  take(perMinute: number, capacity: number, now: number): boolean {
    this.#refill(perMinute, capacity, now)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Gives a token back that another limit made useless. */
  giveBack(): void {
    this.#tokens += 1
  }

  /** Whole tokens left. */
  get left(): number {
    return Math.floor(this.#tokens)
  }

  /** Milliseconds of the last use. */
  get lastUsed(): number {
    return this.#at
  }

  /** Seconds to the next token, rounded up, at least 1. */
  secondsToNext(perMinute: number): number {
    return Math.max(1, Math.ceil(((1 - this.#tokens) * 60) / perMinute))
  }

  /** Seconds until it is full again. */
  secondsToFull(perMinute: number, capacity: number): number {
    return Math.max(0, ((capacity - this.#tokens) * 60) / perMinute)
  }

  #refill(perMinute: number, capacity: number, now: number): void {
    this.#tokens = Math.min(capacity, this.#tokens + (Math.max(0, now - this.#at) * perMinute) / 60_000)
    this.#at = now
  }
}

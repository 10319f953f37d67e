/**
 * The three limits together: the client's bucket, the global one, and
 * health's own. A refused request costs nobody a token. Limits of 0 or less are off, each by itself.
 */
import { type Admission, type LimitScope, limitKeys } from "./Guard.ts"
import { type Bucket, hasToken, millisUntil, newBucket, type Rate, refill, TokenBuckets, wholeTokens } from "./TokenBuckets.ts"

export interface RateLimitSettings {
  readonly global_requests_per_minute: number
  readonly per_ip_requests_per_minute: number
  readonly health_requests_per_minute: number
  readonly burst_size: number
}

export interface Verdict extends Admission {
  /** Refused, and the first refusal of this client within a minute. */
  readonly first: boolean
}

/**
 * What holds for clients on the machine itself and in private networks: only limits that somebody has set, by their own number or
 * by `burst_size`. The defaults are for strangers; behind a proxy or a chat front end that is not told of as trusted, a whole
 * house is one address.
 */
export const withoutDefaults = (settings: RateLimitSettings, isWritten: (key: string) => boolean): RateLimitSettings => {
  const burst = isWritten("server.rate_limits.burst_size")
  const set = (scope: LimitScope, limit: number): number => (burst || isWritten(limitKeys[scope]) ? limit : 0)
  return {
    global_requests_per_minute: set("global", settings.global_requests_per_minute),
    per_ip_requests_per_minute: set("ip", settings.per_ip_requests_per_minute),
    health_requests_per_minute: set("health", settings.health_requests_per_minute),
    burst_size: settings.burst_size
  }
}

/** Refused keys of one address, where addresses have no limit of their own. */
const strangers: Rate = { perMinute: 120, burst: 60 }

/** Milliseconds between two reports about one client. */
const reportEvery = 60_000

const seconds = (millis: number): number => Math.max(1, Math.ceil(millis / 1000 - 1e-6))

export class RateLimits {
  readonly #clients: TokenBuckets
  readonly #health: TokenBuckets
  readonly #strangers: TokenBuckets
  #global: Bucket | undefined

  constructor(cap?: number) {
    this.#clients = new TokenBuckets(cap)
    this.#health = new TokenBuckets(cap)
    this.#strangers = new TokenBuckets(cap)
  }

  /** `now`: monotonic milliseconds; `wall`: epoch milliseconds. */
  admit(key: string, settings: RateLimitSettings, now: number, wall: number): Verdict {
    const burst = settings.burst_size
    const clientRate: Rate = { perMinute: settings.per_ip_requests_per_minute, burst }
    const client = clientRate.perMinute > 0 ? this.#clients.at(key, clientRate, now) : undefined
    if (client !== undefined && !hasToken(client)) return refused("ip", client, clientRate, client, clientRate, now, wall)
    const shared = this.shared(settings, now)
    if (shared !== undefined) {
      const globalRate: Rate = { perMinute: settings.global_requests_per_minute, burst }
      if (!hasToken(shared)) return refused("global", shared, globalRate, client, clientRate, now, wall)
      shared.tokens -= 1
    }
    return granted(client, clientRate, wall)
  }

  admitHealth(key: string, settings: RateLimitSettings, now: number, wall: number): Verdict {
    const rate: Rate = { perMinute: settings.health_requests_per_minute, burst: settings.burst_size }
    const bucket = rate.perMinute > 0 ? this.#health.at(key, rate, now) : undefined
    return bucket !== undefined && !hasToken(bucket)
      ? refused("health", bucket, rate, bucket, rate, now, wall)
      : granted(bucket, rate, wall)
  }

  /** The bucket of all clients together, filled up; `undefined`: there is no such limit. */
  shared(settings: RateLimitSettings, now: number): Bucket | undefined {
    if (settings.global_requests_per_minute <= 0) return undefined
    const burst = settings.burst_size
    this.#global ??= newBucket(burst, now)
    refill(this.#global, { perMinute: settings.global_requests_per_minute, burst }, now)
    return this.#global
  }

  /** Refuses for the limit of all clients, one that is not counted by its address. */
  refusedByAll(bucket: Bucket, settings: RateLimitSettings, now: number, wall: number): Verdict {
    const rate: Rate = { perMinute: settings.global_requests_per_minute, burst: settings.burst_size }
    return refused("global", bucket, rate, undefined, { perMinute: 0, burst: 0 }, now, wall)
  }

  /**
   * Somebody whom nobody knows takes a token of its address, however it is answered: a client that repeats a stale key is damped, and
   * its neighbours with good ones are not.
   */
  admitStranger(key: string, settings: RateLimitSettings, now: number, wall: number): Verdict {
    const isOff = settings.per_ip_requests_per_minute <= 0
    const rate: Rate = isOff ? strangers : { perMinute: settings.per_ip_requests_per_minute, burst: settings.burst_size }
    const bucket = (isOff ? this.#strangers : this.#clients).at(key, rate, now)
    return hasToken(bucket) ? granted(bucket, rate, wall) : refused("ip", bucket, rate, bucket, rate, now, wall)
  }

  sweep(settings: RateLimitSettings, now: number): void {
    this.#strangers.sweep(strangers, now)
    this.#clients.sweep({ perMinute: settings.per_ip_requests_per_minute, burst: settings.burst_size }, now)
    this.#health.sweep({ perMinute: settings.health_requests_per_minute, burst: settings.burst_size }, now)
  }

  /** Buckets held, for tests and figures. */
  get size(): number {
    return this.#clients.size + this.#health.size
  }
}

/** Takes the token. */
const granted = (bucket: Bucket | undefined, rate: Rate, wall: number): Verdict => {
  if (bucket !== undefined) bucket.tokens -= 1
  return {
    allowed: true,
    refusedBy: undefined,
    retryAfter: 0,
    limit: rate.perMinute,
    first: false,
    headers: limitHeaders(bucket, rate, bucket === undefined ? 0 : wholeTokens(bucket), wall)
  }
}

const refused = (
  by: LimitScope,
  refuser: Bucket,
  refuserRate: Rate,
  client: Bucket | undefined,
  clientRate: Rate,
  now: number,
  wall: number
): Verdict => {
  const retryAfter = seconds(millisUntil(refuser, refuserRate, 1))
  const reported = client ?? refuser
  const first = now - reported.reportedAt >= reportEvery
  if (first) reported.reportedAt = now
  const headers = [...limitHeaders(client, clientRate, 0, wall), "Retry-After", String(retryAfter), "X-Olla-Limit", limitKeys[by]]
  return { allowed: false, refusedBy: by, retryAfter, limit: refuserRate.perMinute, first, headers }
}

const limitHeaders = (bucket: Bucket | undefined, rate: Rate, remaining: number, wall: number): Array<string> => {
  const full = bucket === undefined ? wall : wall + millisUntil(bucket, rate, rate.burst)
  return [
    "X-RateLimit-Limit",
    rate.perMinute > 0 ? String(rate.perMinute) : "0",
    "X-RateLimit-Remaining",
    String(remaining),
    "X-RateLimit-Reset",
    String(Math.ceil(full / 1000))
  ]
}

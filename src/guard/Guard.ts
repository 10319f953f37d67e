/**
 * Who may ask, how often, how much (http-api.md 4, security.md). All synchronous: it stands before every request.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Settings } from "../config/Settings.ts"
import { networks, plainAddress } from "./Networks.ts"
import { TokenBucket } from "./TokenBucket.ts"

export interface Client {
  /** The peer, or what a trusted proxy says. */
  readonly ip: string
  /** The peer's forwarding headers count. */
  readonly trustedPeer: boolean
}

export interface Admission {
  readonly allowed: boolean
  /** `X-RateLimit-*` as flat pairs. */
  readonly headers: ReadonlyArray<string>
  /** Seconds; with a refusal. */
  readonly retryAfter: number
}

export class Guard extends Context.Service<
  Guard,
  {
    readonly clientOf: (peer: string, rawHeaders: ReadonlyArray<string>) => Client
    /** Takes from the buckets of the route's class. */
    readonly admit: (kind: "proxy" | "health", clientIp: string) => Admission
    /** Bytes; Infinity: unlimited. */
    readonly bodyLimit: () => number
    readonly headersTooLarge: (method: string, path: string, rawHeaders: ReadonlyArray<string>) => boolean
  }
>()("olla/guard/Guard") {}

/** Clients remembered at most; beyond it the longest idle go first. */
const maxClients = 100_000
/** A bucket that was idle this long is full again and may go, in milliseconds. */
const idleFor = 600_000

/** http-api.md 1: 0 or less is 1 MiB, less than 4 KiB is 4 KiB. */
export const headerLimit = (configured: number): number => (configured <= 0 ? 1_048_576 : Math.max(4096, configured))

/** http-api.md 4.1. */
export const headerSize = (method: string, path: string, rawHeaders: ReadonlyArray<string>): number => {
  let size = method.length + path.length + 12
  let previous = ""
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    size += (name === previous ? 0 : name.length) + (rawHeaders[i + 1] as string).length + 4
    previous = name
  }
  return size
}

const limitHeaders = (limit: number, left: number, reset: number): ReadonlyArray<string> => [
  "X-RateLimit-Limit",
  String(limit),
  "X-RateLimit-Remaining",
  String(left),
  "X-RateLimit-Reset",
  String(reset)
]

export const layer: Layer.Layer<Guard, never, Settings> = Layer.effect(
  Guard,
  Effect.gen(function* () {
    const settings = yield* Settings
    let global: TokenBucket | undefined
    const clients = new Map<string, TokenBucket>()
    const probers = new Map<string, TokenBucket>()
    let trustedFor: ReadonlyArray<string> = []
    let isTrusted: (address: string) => boolean = () => false

    const bucketOf = (map: Map<string, TokenBucket>, ip: string, capacity: number, now: number): TokenBucket => {
      const known = map.get(ip)
      if (known !== undefined) return known
      if (map.size >= maxClients) {
        const oldest = map.keys().next().value
        if (oldest !== undefined) map.delete(oldest)
      }
      const bucket = new TokenBucket(capacity, now)
      map.set(ip, bucket)
      return bucket
    }

    const limited = (map: Map<string, TokenBucket>, ip: string, perMinute: number, burst: number, now: number): Admission => {
      if (perMinute <= 0) return { allowed: true, headers: limitHeaders(0, 0, Math.floor(Date.now() / 1000) + 60), retryAfter: 0 }
      const bucket = bucketOf(map, ip, burst, now)
      const allowed = bucket.take(perMinute, burst, now)
      const reset = Math.ceil(Date.now() / 1000 + bucket.secondsToFull(perMinute, burst))
      return {
        allowed,
        headers: limitHeaders(perMinute, allowed ? bucket.left : 0, reset),
        retryAfter: allowed ? 0 : burst <= 0 ? Math.max(1, Math.floor(60 / perMinute)) : bucket.secondsToNext(perMinute)
      }
    }

    yield* Effect.suspend(() => {
      const every = settings.current().server.rate_limits.cleanup_interval
      return Effect.sleep(every > 0 ? every : 300_000)
    }).pipe(
      Effect.andThen(
        Effect.sync(() => {
          if (settings.current().server.rate_limits.cleanup_interval <= 0) return
          const before = performance.now() - idleFor
          for (const map of [clients, probers]) for (const [ip, bucket] of map) if (bucket.lastUsed < before) map.delete(ip)
        })
      ),
      Effect.forever,
      Effect.forkScoped
    )

    return Guard.of({
      clientOf: (peer, rawHeaders) => {
        const limits = settings.current().server.rate_limits
        const plain = plainAddress(peer)
        if (!limits.trust_proxy_headers) return { ip: plain, trustedPeer: false }
        if (trustedFor !== limits.trusted_proxy_cidrs) {
          trustedFor = limits.trusted_proxy_cidrs
          isTrusted = networks(trustedFor)
        }
        if (!isTrusted(plain)) return { ip: plain, trustedPeer: false }
        let forwarded = ""
        let real = ""
        for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
          const name = (rawHeaders[i] as string).toLowerCase()
          if (name === "x-forwarded-for" && forwarded === "") forwarded = ((rawHeaders[i + 1] as string).split(",")[0] ?? "").trim()
          else if (name === "x-real-ip" && real === "") real = (rawHeaders[i + 1] as string).trim()
        }
        return { ip: forwarded || real || plain, trustedPeer: true }
      },
      admit: (kind, clientIp) => {
        const limits = settings.current().server.rate_limits
        const now = performance.now()
        const burst = limits.burst_size
        if (kind === "health") return limited(probers, clientIp, limits.health_requests_per_minute, burst, now)
        const perMinute = limits.global_requests_per_minute
        if (perMinute > 0) {
          global ??= new TokenBucket(burst, now)
          if (!global.take(perMinute, burst, now)) {
            const reset = Math.ceil(Date.now() / 1000 + global.secondsToFull(perMinute, burst))
            const retryAfter = burst <= 0 ? Math.max(1, Math.floor(60 / perMinute)) : global.secondsToNext(perMinute)
            return { allowed: false, headers: limitHeaders(Math.max(0, limits.per_ip_requests_per_minute), 0, reset), retryAfter }
          }
        }
        const own = limited(clients, clientIp, limits.per_ip_requests_per_minute, burst, now)
        if (!own.allowed && perMinute > 0) global?.giveBack()
        return own
      },
      bodyLimit: () => {
        const limit = settings.current().server.request_limits.max_body_size
        return limit <= 0 ? Number.POSITIVE_INFINITY : limit
      },
      headersTooLarge: (method, path, rawHeaders) =>
        headerSize(method, path, rawHeaders) > headerLimit(settings.current().server.request_limits.max_header_size)
    })
  })
)

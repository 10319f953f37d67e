/**
 * Who may ask, how often, how much. Everything here is synchronous and costs well under a microsecond on the usual
 * path: no request waits for the guard. What it refuses it says as plain values; `http/` turns them into answers.
 *
 * Order per request: `preflight` - `crossSite` - `gate` - `admit` (limited routes) - `oversized` - handler; a body
 * without a declared length is counted by its reader against `maxBodySize()` and reported with `bodyOverflow`.
 */
import * as Context from "effect/Context"
import type { ExchangeClient } from "../exchange/Exchange.ts"
import type { AccessDenial } from "./AccessPolicy.ts"
import type { BodyBudget } from "./BodyBudget.ts"
import type { Client } from "./ClientAddress.ts"
import type { Asking, IdentityRefusal } from "./keys/Access.ts"
import type { KeyRefusal } from "./keys/KeyAdmission.ts"
import type { KeyClient } from "./keys/KeyClient.ts"
import type { OperatorRefusal } from "./OperatorAccess.ts"
import type { BodyLimit, HeadLimit, MeasuredHead } from "./SizeLimits.ts"

/** What the guard needs to know of a request; an `Exchange` is one. */
export interface GuardedRequest {
  readonly id: string
  readonly method: string
  /** As received, without query. */
  readonly path: string
  readonly peer: string
  readonly clientIp: string
  /** Who asks, where keys say that. */
  readonly client?: ExchangeClient | undefined
  holdsPlace?: boolean
  reserved?: number
}

/** The limits of `server.rate_limits` that can refuse: of one client, of all together, of one client's looks at `/internal/health`. */
export type LimitScope = "ip" | "global" | "health"

export interface Admission {
  readonly allowed: boolean
  /** Which bucket refused. */
  readonly refusedBy: LimitScope | undefined
  /** Requests a minute of that bucket; the client's limit when allowed. */
  readonly limit: number
  /** Seconds, at least 1; 0 when allowed. */
  readonly retryAfter: number
  /** A limit of the client's own, or of its group. */
  readonly key?: KeyRefusal
  /** `X-RateLimit-*` and, when refused, `Retry-After`: raw name/value pairs for every answer to this request. */
  readonly headers: ReadonlyArray<string>
}

/** Which size limit the request breaks: `body` is 413, `headers` 431. */
export type Oversize = { readonly reason: "body"; readonly limit: BodyLimit } | { readonly reason: "headers"; readonly limit: HeadLimit }

export class Guard extends Context.Service<
  Guard,
  {
    /** `peer` is `socket.remoteAddress`; `rawHeaders` the flat name/value array. */
    readonly clientOf: (peer: string | undefined, rawHeaders: ReadonlyArray<string>) => Client
    /** Proxy and translator routes: takes a token from the client's bucket and the global one, or from neither. */
    readonly admit: (request: GuardedRequest) => Admission
    /** The same for documents that are limited like them: by address and for all together, whoever asks. */
    readonly admitAddress: (request: GuardedRequest) => Admission
    /** What `admit` took goes back: the request is refused for its size after all. */
    readonly giveBack: (request: GuardedRequest) => void
    /** Tokens of the prompt, as far as its size tells: taken from the client's limits until it is known how many they were. */
    readonly reserve: (request: GuardedRequest, tokens: number) => void
    /** While keys are asked for: who this is; `undefined`: nobody is asked. */
    readonly identify: (asking: (identityHeader: string) => Asking) => KeyClient | IdentityRefusal | undefined
    /** Somebody whom nobody knows, or who may not do this: counted and reported. Of the first kind, not allowed: 429 instead. */
    readonly stranger: (request: GuardedRequest) => Admission
    /** Every 401 and 403 of keys. `name`: of the key, empty when it is not known. */
    readonly keyRefused: (request: GuardedRequest, code: string, name: string) => void
    /** `/internal/health`: its own bucket per client; the others are neither consulted nor charged. */
    readonly admitHealth: (request: GuardedRequest) => Admission
    /** Declared body length first, then the header estimate; counted and reported when there is something to refuse. */
    readonly oversized: (request: GuardedRequest, head: MeasuredHead) => Oversize | undefined
    /** A body of unknown length crossed the limit while it was read: counts and reports it. */
    readonly bodyOverflow: (request: GuardedRequest, received: number) => void
    /** What holds for one body of which so many copies are kept: it must fit into the budget of all bodies too. */
    readonly bodyLimit: (copies: number) => BodyLimit
    /** Memory for the bodies of all clients. */
    readonly bodies: BodyBudget
    /** There is no room for this request's body beside the others: reports it. */
    readonly bodiesFull: (request: GuardedRequest) => void
    /** Bytes, the effective limit: what the listener is opened with too. */
    readonly maxHeaderSize: () => number
    /** CORS is switched on: a backend's own `Access-Control-*` headers are dropped then. */
    readonly corsEnabled: () => boolean
    /** Headers of the 204 when this is a preflight that is answered here; `undefined`: not one, or CORS is off. */
    readonly preflight: (method: string, path: string, rawHeaders: ReadonlyArray<string>) => ReadonlyArray<string> | undefined
    /** Headers that every other answer carries while CORS is on: `Vary` first, raw pairs; empty when it is off. */
    readonly corsHeaders: (method: string, path: string, origin: string | undefined) => ReadonlyArray<string>
    /** With `server.cross_site_protection`: why the request gets 403; `undefined`: let it pass. */
    readonly crossSite: (path: string, host: string | undefined, origin: string | undefined) => "host" | "origin" | undefined
    /**
     * With `dashboard.gate_internal_api`: why a request for `/internal/*` or `/version` gets 403, or 401 for want of the token, reported; `undefined`: let it
     * pass. `path` is the decoded one.
     */
    readonly gate: (
      request: GuardedRequest,
      path: string,
      host: string | undefined,
      rawHeaders: ReadonlyArray<string>
    ) => AccessDenial | undefined
    /** Why an operator's action is refused, by the gate where it is on and by the rules of actions; `undefined`: let it pass. */
    readonly operator: (
      request: GuardedRequest,
      path: string,
      host: string | undefined,
      rawHeaders: ReadonlyArray<string>
    ) => OperatorRefusal | undefined
  }
>()("olla/guard/Guard") {}

/**
 * The port through which the guard tells what it refused. It stands here because telemetry, which counts and logs it,
 * comes after this room. Called synchronously; an implementation neither throws nor waits.
 */
export class GuardEvents extends Context.Service<
  GuardEvents,
  {
    /** Every 429. `first`: the client's first within a minute, the only one that gets a line of its own. */
    readonly rateLimited: (request: GuardedRequest, refusal: Admission, first: boolean) => void
    /** At most once a minute: refusals since the last call that got no line. */
    readonly rateLimitedQuietly: (count: number) => void
    /** Every 413 and 431. `size` and `limit` in bytes. */
    readonly sizeLimited: (request: GuardedRequest, reason: Oversize["reason"], size: number, limit: number) => void
    /** Every 503 for want of memory for bodies, in bytes. `line`: at most once a second; `quiet`: how many got none since the last one. */
    readonly bodiesFull: (request: GuardedRequest, held: number, limit: number, line: boolean, quiet: number) => void
    /** A 401 or 403 of keys, the first of its address and code within a minute. `name`: of the key, empty when it is not known. */
    readonly keyRefused: (request: GuardedRequest, code: string, name: string) => void
    /** At most once a minute: those since the last call that got no line. */
    readonly keysRefusedQuietly: (count: number) => void
    /** Every 403 of the access policy. */
    readonly accessDenied: (request: GuardedRequest, denial: AccessDenial, host: string) => void
  }
>()("olla/guard/GuardEvents") {}

/** The configuration key of each limit. */
export const limitKeys: Readonly<Record<LimitScope, string>> = {
  ip: "server.rate_limits.per_ip_requests_per_minute",
  global: "server.rate_limits.global_requests_per_minute",
  health: "server.rate_limits.health_requests_per_minute"
}

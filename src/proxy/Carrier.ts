/** Carries one exchange: attempts and failover, outbound request, engine, relay. */
import type { ServerResponse } from "node:http"
import * as Context from "effect/Context"
import type { StickyKey } from "../balancing/Balancer.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import type { Failure } from "../exchange/Failure.ts"
import type { Candidate, Inspection } from "../routing/Router.ts"
import type { Dialect } from "./Dialect.ts"
import type { Running } from "./Engine.ts"

export interface CarryRequest {
  readonly exchange: Exchange
  /** After prefix stripping, percent-encoding as received: `/v1/chat/completions?x=1`. */
  readonly target: string
  /** As received: flat name/value array. */
  readonly rawHeaders: ReadonlyArray<string>
  /** The peer is a trusted proxy: its forwarding headers count (security.md 10). */
  readonly trustedPeer: boolean
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly inspection: Inspection
  readonly candidates: ReadonlyArray<Candidate>
  /** Second choice, asked for once when no candidate could be reached: who may be tried then. */
  readonly reserve?: (() => ReadonlyArray<Candidate>) | undefined
  readonly sticky: StickyKey | undefined
  /** Absent: relayed as it came. */
  readonly dialect: Dialect | undefined
  /** Headers of ours that every answer of this request carries (rate limit, CORS, mode): raw name/value pairs. */
  readonly replyHeaders: ReadonlyArray<string>
  readonly response: ServerResponse
}

/** Nothing was committed, and nobody is left to try. `http/` turns it into an answer in the surface's dialect. */
export interface Refused {
  readonly _tag: "Refused"
  readonly failure: Failure
  /** Sentence for the client: names endpoints, never addresses. */
  readonly message: string
}

export class Carrier extends Context.Service<
  Carrier,
  {
    /**
     * Carries the exchange to its end, including the attempts' reports to observers, and sets `exchange.outcome`. When `arrived` is told,
     * once and perhaps before this returns, the response has been ended or destroyed, except with `Refused`. `abort` stops the
     * backend, frees the lease and records `cancelled`; nothing is told then. The caller reports `ended`. No effect: a fiber for each
     * exchange would be a tenth of what a request costs.
     */
    readonly start: (request: CarryRequest, arrived: (refused: Refused | undefined) => void) => Running
  }
>()("olla/proxy/Carrier") {}

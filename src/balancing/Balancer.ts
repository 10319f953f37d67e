/**
 * Which candidate serves the attempt. `acquire` picks, counts and returns the lease in one synchronous step, so that
 * parallel requests see each other.
 */
import * as Context from "effect/Context"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { StickyVerdict } from "../exchange/Exchange.ts"
import type { Candidate } from "../routing/Router.ts"

/** The right to use one endpoint for one attempt. */
export interface Lease {
  readonly candidate: Candidate
  readonly sticky: StickyVerdict | undefined
  /** How the endpoint's breaker let the attempt through, to be told with what comes of it; `undefined`: it is closed. */
  readonly trial: number | undefined
  /** Gives the slot back; the second call does nothing. */
  readonly release: () => void
}

/** What a session is recognised by: computed once per exchange, before the first attempt; `key` empty: no affinity. */
export interface StickyKey {
  readonly key: string
  readonly source: StickyVerdict["source"]
}

export interface StickyStats {
  readonly active_sessions: number
  readonly insertions: number
  readonly hits: number
  readonly misses: number
  readonly evictions: number
  readonly max_sessions: number
  readonly idle_ttl_seconds: number
}

/** A balancer's rule: one of the candidates, all of which can be asked. */
export type Pick = (candidates: ReadonlyArray<Candidate>) => Candidate | undefined

export class Balancer extends Context.Service<
  Balancer,
  {
    /** `undefined`: none of the candidates can be asked now. `preferred` is leased where it can be. */
    readonly acquire: (
      candidates: ReadonlyArray<Candidate>,
      sticky: StickyKey | undefined,
      preferred?: Endpoint | undefined
    ) => Lease | undefined
    /** `undefined` while sticky sessions are off. */
    readonly stickyStats: () => StickyStats | undefined
  }
>()("olla/balancing/Balancer") {}

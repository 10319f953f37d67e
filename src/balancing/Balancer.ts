/**
 * Which candidate serves the attempt. `acquire` picks, counts and returns the lease in one synchronous step, so that
 * parallel requests see each other.
 */
import * as Context from "effect/Context"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Candidate } from "../routing/Router.ts"
import type { Claim } from "./Claim.ts"
import type { Lease } from "./Lease.ts"

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
export type Pick = (candidates: ReadonlyArray<Candidate>, claim: Claim) => Candidate | undefined

export class Balancer extends Context.Service<
  Balancer,
  {
    /** `undefined`: none of the candidates can be asked now. `preferred` is leased where it can be. */
    readonly acquire: (candidates: ReadonlyArray<Candidate>, claim: Claim, preferred?: Endpoint | undefined) => Lease | undefined
    /** `undefined` while sticky sessions are off. */
    readonly stickyStats: () => StickyStats | undefined
  }
>()("olla/balancing/Balancer") {}

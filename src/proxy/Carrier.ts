/** Carries one exchange: attempts and failover, outbound request, engine, relay. */
import type { ServerResponse } from "node:http"
import * as Context from "effect/Context"
import type { Queue, QueueRefusal } from "../balancing/Queue.ts"
import type { RetryBudget } from "../balancing/RetryBudget.ts"
import type { StickyKey } from "../balancing/StickyKey.ts"
import type { Exchange, Outcome } from "../exchange/Exchange.ts"
import { type Failure, ruleOf } from "../exchange/Failure.ts"
import type { Chain } from "../routing/Chain.ts"
import type { Candidate, Inspection } from "../routing/Router.ts"
import type { RequestRules } from "../routing/Rules.ts"
import type { AnswerTranslator, Dialect } from "./Dialect.ts"
import type { EarlyStream } from "./EarlyStream.ts"

/** Whom a request may be sent to: those that are asked first, and whoever may be tried then. */
export interface CandidateGroups {
  readonly candidates: ReadonlyArray<Candidate>
  /** Asked for when none of them could be reached; empty: nobody is left. */
  readonly nextChoice?: (() => ReadonlyArray<Candidate>) | undefined
}

export interface CarryRequest extends CandidateGroups {
  readonly exchange: Exchange
  /** After prefix stripping, percent-encoding as received: `/v1/chat/completions?x=1`. */
  readonly target: string
  /** As received: flat name/value array. */
  readonly rawHeaders: ReadonlyArray<string>
  /** The peer is a trusted proxy: its forwarding headers count. */
  readonly trustedPeer: boolean
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly inspection: Inspection
  /** The body as it came, for those that get it so; absent: everybody does. */
  readonly original?: ReadonlyArray<Buffer> | undefined
  /** The candidates are those of one target of an alias, which may lead on to others. */
  readonly chain?: Chain<Candidate> | undefined
  /** How candidates of another target are asked. */
  readonly regroup?: ((candidates: ReadonlyArray<Candidate>) => CandidateGroups) | undefined
  readonly rules?: RequestRules | undefined
  /** It waits where nobody can take it (`traffic.enabled`): what its client says of that is for Olla alone. */
  readonly mayWait?: boolean
  /** Whom it could be sent to by now, while it waits; `undefined`: nobody else is known. Absent: that does not change. */
  readonly again?: (() => CandidateGroups | undefined) | undefined
  readonly sticky: StickyKey | undefined
  /** Absent: relayed as it came. */
  readonly dialect: Dialect | undefined
  /** An answer that sends the client elsewhere is none: what is asked for has its place here. */
  readonly refusesRedirects: boolean
  /**
   * Of a stream that is relayed as it comes: who keeps its client waiting while a backend has sent no head, and tells what comes after
   * that. Made when it is needed, for each attempt anew. Absent: nobody does.
   */
  readonly waited?: ((candidate?: Candidate) => AnswerTranslator) | undefined
  /** Keeps the client of a stream waiting, whatever it waits for; absent: nobody does but `waited`. */
  readonly early?: EarlyStream | undefined
  /**
   * Of a request that is relayed as it comes: who reads an answer that may say that the endpoint has not got the path, and can ask the
   * same endpoint in other words. `undefined`: there are none for this endpoint.
   */
  readonly otherwise?: ((candidate: Candidate) => AnswerTranslator | undefined) | undefined
  /** Headers of ours that every answer of this request carries (rate limit, CORS, mode): raw name/value pairs. */
  readonly replyHeaders: ReadonlyArray<string>
  readonly response: ServerResponse
  /**
   * An answer is there and nothing of the body is left to be written: it will not be sent again. `byOne`: it was handed to one
   * connection only, which has taken it: nobody reads it any more. Told at most once, and not of a body in other words.
   */
  readonly bodyTaken: (byOne: boolean) => void
}

/** Nothing was committed, and nobody is left to try: `http/` answers in the surface's words. */
export interface Refused {
  readonly _tag: "refused"
  readonly failure: Failure
  /** Sentence for the client: names endpoints, never addresses. */
  readonly message: string
  /** The word for it that a client's program may look for; absent: the status says it. */
  readonly code?: string | undefined
}

export type QueueCode = Exclude<QueueRefusal["code"], "nobody">

export const queueStatuses: Readonly<Record<QueueCode, 429 | 503>> = {
  queue_timeout: 503,
  queue_full: 503,
  client_queue_full: 429,
  all_paused: 429
}

/** Nobody could take it in time, or too many wait already: it was sent to nobody, or not again. Nothing was committed. */
export interface TurnedAway {
  readonly _tag: "turned_away"
  readonly code: QueueCode
  readonly status: number
  /** Whole seconds after which asking again makes sense. */
  readonly retryAfter: number
}

/**
 * How carrying ended. `completed`: the response has been ended. `failed`: it broke off after its beginning; what had come was
 * delivered, and the connection is cut.
 */
export type Ended = Extract<Outcome, { readonly _tag: "completed" | "failed" }> | Refused | TurnedAway

export type Completed = Extract<Outcome, { readonly _tag: "completed" }>

export type Cancelled = Extract<Outcome, { readonly _tag: "cancelled" }>

export const outcomeOf = (end: Ended): Outcome => {
  switch (end._tag) {
    case "refused":
      return { _tag: "failed", status: ruleOf(end.failure).status, failure: end.failure, committed: false }
    case "turned_away":
      return { _tag: "rejected", status: end.status, reason: end.code }
    default:
      return end
  }
}

/** An exchange that is being carried. */
export interface Carrying {
  /** Stops the backend and frees the lease; `ended` is not told any more. `completed`: the client had the last word of the stream. Called at most once, and not after the end. */
  readonly abort: () => Cancelled | Completed
}

export class Carrier extends Context.Service<
  Carrier,
  {
    /**
     * Carries the exchange to its end, which is told once and perhaps before this returns; attempts are told to the observer.
     * It settles nothing: that is the caller's. No effect: a fiber for each exchange would be a tenth of what a request costs.
     */
    readonly start: (request: CarryRequest, ended: (end: Ended) => void) => Carrying
    /** Of all attempts beyond the first. */
    readonly retries: RetryBudget
    /** Who waits. */
    readonly queue: Queue
  }
>()("olla/proxy/Carrier") {}

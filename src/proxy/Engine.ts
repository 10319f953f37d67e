/**
 * How bytes are moved for one attempt. Two engines implement this, and one contract suite runs against both: `olla`, the
 * fast one (callbacks, own client), and `sherpa`, the readable one (typed streams).
 */
import type { ServerResponse } from "node:http"
import type { Effect } from "effect"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import type { Failure } from "../exchange/Failure.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"

/** Milliseconds; 0 is off. */
export interface PhaseTimeouts {
  readonly connect: number
  readonly tls: number
  /** From the request's last byte to the answer's header block. */
  readonly headers: number
  /** `performance.now()` by which some attempt's header block must be in, whatever this one is doing until then. */
  readonly response: number
  /** Silence between bytes of the answer, while waiting for the backend. */
  readonly idle: number
  /** TCP keep-alive interval. */
  readonly keepAlive: number
}

/** Everything an engine needs for one attempt; URL, headers and body are final. */
export interface Sending {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly endpoint: Endpoint
  readonly method: string
  /** Request target: path and query. */
  readonly path: string
  /** Flat name/value pairs, `host` and `content-length` included. */
  readonly headers: ReadonlyArray<string>
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly timeouts: PhaseTimeouts
  /** From the backend's flat headers to the client's (filtered, ours added). Called once, when the head is in: it also tells the breaker. */
  readonly reply: (status: number, rawHeaders: ReadonlyArray<string>) => Array<string>
  /**
   * Called right before the last bytes of a complete answer are handed over, where the attempt's own end comes in a later
   * step: whoever has his whole answer may ask again, and must meet a slot that is free.
   */
  readonly relayed: () => void
  /** Push every read out at once, or gather (proxying.md 11.2), by the answer's content type. */
  readonly flushes: (contentType: string) => boolean
  readonly translator: AnswerTranslator | undefined
  readonly response: ServerResponse
  /** Largest single read, bytes; 0: the engine's default. */
  readonly bufferSize: number
}

export interface Engine {
  readonly name: "olla" | "sherpa"
  /**
   * Sends and relays to the end. Fails with a classified Failure; `response.headersSent` says whether anything was
   * committed: then what had come was delivered, the translator's last words were sent and the socket was destroyed.
   * A stale kept connection is repeated once on a fresh one, silently. Interruption aborts the upstream at once.
   * Succeeds with other words when the translator wants the same endpoint asked once more; nothing is committed then.
   * Writes `attempt.status`, `attempt.bytes`, `exchange.timings.{sent,headers,firstByte,lastByte}` and `exchange.kept`.
   */
  readonly send: (sending: Sending) => Effect.Effect<Spoken | undefined, Failure>
}

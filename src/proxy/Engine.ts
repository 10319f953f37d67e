/**
 * How bytes are moved for one attempt. Two engines implement this, and one contract suite runs against both: `olla`, the
 * fast one (callbacks, own client), and `sherpa`, the readable one (typed streams).
 */
import type { ServerResponse } from "node:http"
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { type Failure, failure } from "../exchange/Failure.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { Deadlines } from "./client/Transport.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import type { ReplyHead } from "./HeaderLines.ts"

/** What an engine tells while an attempt is under way. */
export interface AttemptProgress {
  /** The head of an answer is in, whatever it says; told once, before anything of it is passed on. */
  answered(): void
  /**
   * Of an answer that is relayed as it comes: it is being handed to the client, so that no other endpoint will be asked, and nothing
   * of the request is left to be written.
   * `once`: it was not written to another connection before. Told at most once.
   */
  bodyTaken(once: boolean): void
  /**
   * Told right before the last bytes of a complete answer are handed over, where the attempt's end comes in a later step:
   * a client that has its whole answer may send its next request at once, and must find the slot free.
   */
  relayed(): void
}

/** Everything an engine needs for one attempt; URL, headers and body are final. */
export interface Sending extends AttemptProgress {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly endpoint: Endpoint
  readonly method: string
  /** Request target: path and query. */
  readonly path: string
  /** All header lines, `Host` and `Content-Length` included. */
  readonly headers: string
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly timeouts: Deadlines
  /** From the backend's flat headers to the client's (filtered, ours added). */
  reply(rawHeaders: ReadonlyArray<string>): ReplyHead
  /** Push every read out at once, or gather, by the answer's content type. */
  flushes(contentType: string): boolean
  /** A good answer that ends with its connection before a byte of a body came is none. */
  readonly needsBody: boolean
  readonly translator: AnswerTranslator | undefined
  /** Who rewrites an answer of this status and declared length (negative: none); `undefined`: it is relayed as it comes. */
  translatorOf(status: number, length: number): AnswerTranslator | undefined
  readonly response: ServerResponse
  /** Largest single read, bytes; 0: the engine's default. */
  readonly bufferSize: number
}

/** Who is told how an attempt ended: exactly once, unless it was aborted. */
export interface AttemptEnd {
  /** Relayed to the end. With `again`, nothing was committed and the translator wants the same endpoint asked once more, by that request. */
  readonly done: (again: Spoken | undefined) => void
  /**
   * `attempt.isCommitted` says whether anything of the answer was handed to the client: then what had come was delivered, the
   * translator's last words were sent and the socket was destroyed. Else what the client has, if anything, only kept it waiting, and
   * another attempt may go on from there.
   */
  readonly failed: (why: Failure) => void
}

/** An attempt that is under way. */
export interface Running {
  /** The backend notices at once; the attempt's end is not told any more. */
  readonly abort: () => void
}

export interface Engine {
  readonly name: "olla" | "sherpa"
  /**
   * Sends and relays to the end, which may be told before this returns. A stale kept connection is repeated once on a fresh one,
   * silently. Writes `attempt.status`, `attempt.bytes`, all of `attempt.timings` but `leased`, and `exchange.kept`.
   */
  readonly start: (sending: Sending, end: AttemptEnd) => Running
}

/** An engine whose attempts are effects: each gets a fiber of its own. */
export const engineOf = (
  name: Engine["name"],
  send: (sending: Sending) => Effect.Effect<Spoken | undefined, Failure>,
  fork: (effect: Effect.Effect<Spoken | undefined, Failure>) => Fiber.Fiber<Spoken | undefined, Failure>
): Engine => ({
  name,
  start: (sending, end) => {
    const fiber = fork(send(sending))
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit)) end.done(exit.value)
      else if (!Exit.hasInterrupts(exit)) end.failed(failureOf(exit.cause, sending))
    })
    return { abort: () => fiber.interruptUnsafe() }
  }
})

const failureOf = (cause: Cause.Cause<Failure>, { response, attempt }: Sending): Failure => {
  for (const reason of cause.reasons) if (reason._tag === "Fail") return reason.error
  // A fault of ours: whoever was in the middle of an answer must see that it is broken.
  if (attempt.isCommitted) cutAfterFlush(response)
  return failure("internal", Cause.pretty(cause))
}

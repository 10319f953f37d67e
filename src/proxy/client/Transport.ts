/** How a request reaches a backend, and what becomes of the answer: the port that both clients implement and both engines use. */
import type { Socket } from "node:net"
import type { Origin } from "../../endpoint/Endpoint.ts"
import type { Failure } from "../../exchange/Failure.ts"
import type { ResponseHead } from "./ResponseHead.ts"

/** Milliseconds; 0: off. */
export interface Deadlines {
  readonly connect: number
  /** For the TLS handshake. */
  readonly tls: number
  /** From the request's last byte to the head of the answer. */
  readonly headers: number
  /** `performance.now()` by which the head of some attempt's answer must be in, whatever this one is doing until then. */
  readonly response: number
  /** `performance.now()` by which the first byte of the answer's body must be in. */
  readonly firstByte: number
  /** How long the head of a good answer waits for its first byte. */
  readonly hold: number
  /** Silence between bytes of the answer, while the backend is waited for. */
  readonly idle: number
  /** TCP keep-alive interval. */
  readonly keepAlive: number
}

export interface Outgoing {
  readonly origin: Origin
  readonly method: string
  /** Request target. */
  readonly path: string
  /** All header lines. */
  readonly headers: string
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly deadlines: Deadlines
  /** Largest single read, bytes; 0: the default. */
  readonly readSize: number
  /** Now, by `performance.now()`. */
  readonly at: number
}

/** What becomes of an answer. Called synchronously from the socket's reads. */
export interface Relay {
  /** A kept connection carries it. */
  readonly onReuse: () => void
  /** A connection has been made for it, TLS included. Not told on a kept one. */
  readonly onConnect: () => void
  /** The system has taken the last byte of the request, or the first of the answer came before that; may be told again. */
  readonly onSent: () => void
  /** `taken`: nothing of the request is left to be written. True: chunk frames may be passed on as they are; false: payload only. */
  readonly onHead: (head: ResponseHead, taken: boolean) => boolean
  /** The head came alone. */
  readonly onWait: () => void
  /** Nothing of the body has come for as long as the head may wait for it (`Deadlines.hold`). Told once, some time after. */
  readonly onHeld: () => void
  /**
   * The bytes are the relay's only until it returns: they may lie where the next read of any connection goes to.
   * Whole bytes of frames, or payload. False asks for a pause until `resume`. `payload`: what is between the frames, only
   * when `wantsPayload` and frames were asked for.
   */
  readonly onBytes: (bytes: Buffer, last: boolean, payload: ReadonlyArray<Buffer> | undefined) => boolean
  /** Frames are relayed, and somebody looks at what is in them as well. */
  readonly wantsPayload: boolean
  /** The answer is complete. `payload`: bytes of its body; `taken`: as of the head. */
  readonly onEnd: (payload: number, taken: boolean) => void
  /** `repeatable`: a kept connection was found dead, and the request may be sent once more without being served twice. */
  readonly onFail: (failure: Failure, repeatable: boolean, payload: number) => void
}

/** One request on its way. */
export interface Sent {
  readonly resume: () => void
  readonly abort: () => void
  /** Bytes of the answer's body so far. */
  readonly payload: number
}

export interface Transport {
  /** `fresh`: not on a kept connection. */
  readonly send: (outgoing: Outgoing, fresh: boolean, relay: Relay) => Sent
  /** Nobody is to be asked there any more: idle connections close, those in use when their answer is complete. */
  readonly retire: (origin: Origin) => void
  readonly close: () => void
}

const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE"])

/**
 * Whether a request may be sent once more on another connection although the backend may have read it: asking does no harm. What
 * generates, or changes something, is sent again only where nothing of it can have been read.
 */
export const isSafe = (method: string): boolean => safe.has(method)

/**
 * Tells the relay once the system has taken all that was written to the socket so far: mostly at once. Else a write of nothing
 * stands behind the rest in the queue, and its turn comes when the rest is out.
 */
export const whenTaken = (socket: Socket, relay: Pick<Relay, "onSent">): void => {
  if (socket.writableLength === 0) relay.onSent()
  else if (socket.writable)
    socket.write("", "latin1", (error) => {
      if (error === null || error === undefined) relay.onSent()
    })
}

/**
 * Once whatever has arrived by now has been read: a kept connection's end may lie there and wait, behind what called for the request.
 * The first turn lets pass what the system had told of already, the second one asks it again.
 */
export const afterNextReads = (then: () => void): void => {
  setImmediate(setImmediate, then)
}

/**
 * How an attempt is spoken to one endpoint. A relayed request needs no dialect; a translated one gets a new body, a new
 * path and a translator for its answer, decided per endpoint. `translation/` implements this; the engines only know
 * these shapes.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Failure } from "../exchange/Failure.ts"

/** The outbound request for one attempt. */
export interface Spoken {
  /** Path and query, before the endpoint's base path is applied. */
  readonly target: string
  readonly body: ReadonlyArray<Buffer>
  /** Raw name/value pairs that replace headers of the same name. */
  readonly headers: ReadonlyArray<string>
  /** Client headers that mean nothing in this dialect, by lower-cased name. */
  readonly without?: (name: string) => boolean
  /** The reader of its answers may ask the same server again in other words. */
  readonly maySpeakOtherwise?: true
  /** Absent: the answer is relayed as it comes. */
  readonly answer: (() => AnswerTranslator) | undefined
}

export interface AnswerHead {
  readonly status: number
  /** Raw name/value pairs. */
  readonly headers: ReadonlyArray<string>
}

/**
 * Rewrites one answer. Synchronous: bytes in, bytes out, as soon as they are known. `undefined` means nothing to send yet.
 */
export interface AnswerTranslator {
  /** What the client gets for the backend's head; `undefined` holds the head back until `push` or `end` says more. */
  readonly head: (head: AnswerHead) => AnswerHead | undefined
  readonly push: (bytes: Buffer) => Translated | undefined
  /** The backend's answer is complete. */
  readonly end: () => Translated | undefined
  /** Called about once a second while the answer is under way, with the milliseconds since anything was last sent to the client (or, before that, since the backend's head). */
  readonly silent?: (milliseconds: number) => Translated | undefined
  /**
   * Called about once a second while the backend has not sent a head, with the milliseconds since anything was last sent to the client
   * (or, before that, since the request was). `head`: what an answer would carry of ours.
   */
  readonly waiting?: (head: AnswerHead, milliseconds: number) => Translated | undefined
  /** The answer broke off: what the dialect says about it, once. */
  readonly fail: (failure: Failure) => LastWords | undefined
}

/** What a client is told of an answer that broke off. */
export interface LastWords {
  readonly bytes: Buffer
  /** They tell the client, in its dialect, that the answer broke off: it then ends normally. Otherwise the connection is cut. */
  readonly complete: boolean
}

export interface Translated {
  /** Sent once, before `bytes`, when `head` had held it back. */
  readonly head?: AnswerHead
  readonly bytes?: Buffer
  /** The client has all it gets: end its answer well now and drop what the backend still sends. */
  readonly done?: true
  /** With `done`: what the client gets, well ended, is or ends with an error about the backend's answer; recorded as this failure. */
  readonly fault?: Failure
  /** Nothing was committed: ask the same endpoint once more, with this request. */
  readonly again?: Spoken
  /** Nothing was committed: this endpoint cannot answer, somebody else may. */
  readonly elsewhere?: Failure
}

export interface Dialect {
  /** Called for each attempt with the endpoint just leased and its native name for the model. `undefined`: it is asked as it came. */
  readonly speak: (endpoint: Endpoint, nativeName: string) => Spoken | undefined
  /** Path and query by which that endpoint would be asked, without anything being written for it. `undefined`: as it came. */
  readonly target: (endpoint: Endpoint, nativeName: string) => string | undefined
}

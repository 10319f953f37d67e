/**
 * What a dialect must bring to be *read* from a backend: its streams and its whole answers as chat events. One file per
 * dialect implements it; nobody else knows that dialect's field names.
 */
import type { ChatEvent } from "./ChatEvent.ts"

/** Something odd that was tolerated, for the log. Never a body: `sample` has at most 20 characters. */
export interface Oddity {
  readonly what: string
  readonly count: number
  readonly sample?: string
  /** Characters of what `sample` begins. */
  readonly length?: number
}

export interface StreamReader {
  /** One event of the backend's stream; what it means is appended to `out`. */
  readonly push: (event: string, data: string, out: Array<ChatEvent>) => void
  /** The connection ended well: what was still held is appended. */
  readonly end: (out: Array<ChatEvent>) => void
  /** The backend has said its last word: what follows is not read. */
  readonly done: boolean
  /** It has said how the turn ended: an end of the connection after this is a good end. */
  readonly finished: boolean
  /** Reasoning or a call has begun and not ended: an end of the connection now is none that a server would mean. */
  readonly open: boolean
  /** Something was understood. */
  readonly understood: boolean
  /** Events that were none of this dialect; skipped. */
  readonly unreadable: number
  readonly oddities: () => ReadonlyArray<Oddity>
}

export type Reading =
  | { readonly _tag: "events"; readonly events: ReadonlyArray<ChatEvent>; readonly oddities: ReadonlyArray<Oddity> }
  /** Not an answer of this dialect; `why` is for the client. */
  | { readonly _tag: "invalid"; readonly why: string }

export interface AnswerReader {
  /** The dialect's name in sentences. */
  readonly title: string
  /** Its servers always say how a turn ended: a stream that ends without it was cut, however well its connection ended. */
  readonly saysItsEnd: boolean
  readonly stream: () => StreamReader
  /** Is this JSON one piece of a stream, and not a whole answer? */
  readonly isPiece: (body: unknown) => boolean
  /** One whole answer, parsed from JSON. */
  readonly whole: (body: unknown) => Reading
  /** The sentence in an error body, whatever server wrote it. */
  readonly errorMessage: (body: string) => string
}

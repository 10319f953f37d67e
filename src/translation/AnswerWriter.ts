/**
 * What a dialect must bring to be *written* to a client: a turn as a stream, as one whole message, and its errors. One file
 * per dialect implements it.
 */
import type { ChatEvent } from "./ChatEvent.ts"

export interface TurnOptions {
  /** What the client asked for, in case the backend does not say what answered. */
  readonly model: string
  /** `model` is what the client reads, whoever answers. */
  readonly echoes?: boolean
  /** Input tokens as estimated from the request, until the backend says better. */
  readonly estimate: number
  /** Stop sequences of the request. */
  readonly stops: ReadonlyArray<string>
  /** What the client allows the answer to have; absent: no limit. */
  readonly maxTokens?: number | undefined
}

export interface StreamWriter {
  /** The opening event is out. */
  readonly started: boolean
  readonly ended: boolean
  /** It ended with an error: the connection must not end well. */
  readonly broken: boolean
  /** The opening event, once; later an empty text. */
  readonly start: () => string
  /** Several events at once, as they came in one read. `End` among them finishes the stream. */
  readonly write: (events: ReadonlyArray<ChatEvent>) => string
  /** What keeps a client waiting; nothing that it would take for an answer. */
  readonly ping: () => string
  /** A good end. */
  readonly finish: () => string
  /** A bad end: the error and nothing after it. `status`: what it would have been before the first byte. */
  readonly fail: (status: number, message: string) => string
}

export interface WholeWriter {
  readonly write: (events: ReadonlyArray<ChatEvent>) => void
  readonly message: () => unknown
  /** Why no answer can be made of what was written. */
  readonly problem?: string | undefined
}

export interface AnswerWriter {
  /** Content type of its streams. */
  readonly streamType: string
  readonly stream: (options: TurnOptions) => StreamWriter
  readonly whole: (options: TurnOptions) => WholeWriter
  /** `requestId`: empty when there is none. */
  readonly errorBody: (status: number, message: string, requestId: string) => string
}

/** A request and its answer as Effect values: the head is an effect, the body a stream whose back-pressure reaches the backend. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Attempt } from "../../exchange/Exchange.ts"
import type { Failure } from "../../exchange/Failure.ts"
import { Coalescing } from "../Coalescing.ts"
import type { ResponseHead } from "../client/ResponseHead.ts"
import type { Outgoing, Relay, Sent, Transport } from "../client/Transport.ts"

/** A kept connection was found dead, and the request can be sent once more. Cannot happen on a fresh one. */
export interface Repeatable {
  readonly _tag: "Repeatable"
}
export const repeatable: Repeatable = { _tag: "Repeatable" }

/** Who keeps the times. */
type Marks = Pick<Attempt, "reuse" | "connect" | "requestSent">

type Parts = readonly [Buffer, ...Array<Buffer>]

export class Conversation implements Relay {
  readonly wantsPayload = false
  /** The answer's payload, as it comes. */
  readonly body: Stream.Stream<Buffer, Failure>
  readonly #readAhead: number
  readonly #marks: Marks
  #sent: Sent | undefined
  #coalescing: Coalescing | undefined
  #parts: Array<Buffer> = []
  #size = 0
  #paused = false
  #end: Effect.Effect<never, Failure | Cause.Done> | undefined
  /** Who waits for the head, and who for the next bytes. */
  #headIn: ((result: Effect.Effect<ResponseHead, Failure | Repeatable>) => void) | undefined
  #wake: (() => void) | undefined

  /** Told when nothing of the body came with the head. */
  onHeadAlone: () => void = () => {}

  /** Told when nothing of it came for as long as the head may wait. */
  onHeldOut: () => void = () => {}

  /** `readAhead`: bytes that may wait for their reader before the backend is held back. */
  constructor(readAhead: number, marks: Marks) {
    this.#readAhead = readAhead
    this.#marks = marks
    this.body = Stream.fromPull(Effect.succeed(this.#pull))
  }

  /** Sends the request; succeeds with the head of its answer. */
  ask(transport: Transport, outgoing: Outgoing, fresh: boolean): Effect.Effect<ResponseHead, Failure | Repeatable> {
    return Effect.callback((resume) => {
      this.#headIn = resume
      this.#sent = transport.send(outgoing, fresh, this)
      if (this.#end !== undefined) this.#sent = undefined
    })
  }

  /** From now on small pieces are gathered. */
  gather(): void {
    this.#coalescing = new Coalescing((bytes) => this.#offer(bytes))
  }

  /** The whole answer has arrived: what the next pull brings is the rest. */
  isComplete = false

  /** An answer is there, and nothing of the request is left to be written. */
  isBodyTaken = false

  /** The backend notices at once, unless it is through. */
  abort(): void {
    this.#coalescing?.rest()
    this.#sent?.abort()
    this.#sent = undefined
  }

  onReuse(): void {
    this.#marks.reuse()
  }

  onConnect(): void {
    this.#marks.connect()
  }

  onSent(): void {
    if (this.#end === undefined) this.#marks.requestSent()
  }

  onHead(head: ResponseHead, taken: boolean): boolean {
    this.isBodyTaken = taken
    this.#headIn?.(Effect.succeed(head))
    this.#headIn = undefined
    return false
  }

  onWait(): void {
    this.onHeadAlone()
  }

  onHeld(): void {
    this.onHeldOut()
  }

  onBytes(bytes: Buffer, last: boolean): boolean {
    const now = this.#coalescing === undefined ? Buffer.from(bytes) : this.#coalescing.push(Buffer.from(bytes), last)
    if (now !== undefined) this.#offer(now)
    this.#paused = this.#size >= this.#readAhead
    return !this.#paused
  }

  onEnd(_payload: number, taken: boolean): void {
    this.isBodyTaken = taken
    this.isComplete = true
    this.#finish(Cause.done())
  }

  onFail(why: Failure, mayRepeat: boolean): void {
    this.#headIn?.(Effect.fail(mayRepeat ? repeatable : why))
    this.#finish(Effect.fail(why))
  }

  #finish(end: Effect.Effect<never, Failure | Cause.Done>): void {
    this.#sent = undefined
    this.#end = end
    const rest = this.#coalescing?.rest()
    if (rest !== undefined) this.#offer(rest)
    else this.#wake?.()
  }

  #offer(bytes: Buffer): void {
    this.#parts.push(bytes)
    this.#size += bytes.length
    this.#wake?.()
  }

  #take(): Effect.Effect<Parts> {
    const parts = this.#parts as [Buffer, ...Array<Buffer>]
    this.#parts = []
    this.#size = 0
    if (this.#paused) {
      this.#paused = false
      this.#sent?.resume()
    }
    return Effect.succeed(parts)
  }

  readonly #pull: Effect.Effect<Parts, Failure | Cause.Done> = Effect.suspend(() => {
    if (this.#parts.length > 0) return this.#take()
    if (this.#end !== undefined) return this.#end
    return Effect.callback<Parts, Failure | Cause.Done>((resume) => {
      this.#wake = () => {
        this.#wake = undefined
        resume(this.#parts.length > 0 ? this.#take() : (this.#end as Effect.Effect<never, Failure | Cause.Done>))
      }
      return Effect.sync(() => {
        this.#wake = undefined
      })
    })
  })
}

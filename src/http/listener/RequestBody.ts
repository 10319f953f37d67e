/** Reads a request's body into memory, bounded, and shows each chunk to the inspector as it comes. */
import type { BodyShare } from "../../guard/BodyBudget.ts"
import type { Guard } from "../../guard/Guard.ts"
import type { BodyInspector } from "../../routing/Inspecting.ts"
import { type RequestContext, tolerated } from "../RequestContext.ts"
import { bodyRefusal, oversizeRefusal } from "../SizeRefusal.ts"
import { BodyDecoding, codingsOf, knownCodings } from "./BodyDecoding.ts"
import type { BodyTaker } from "./RequestMessage.ts"

export interface Body {
  readonly chunks: ReadonlyArray<Buffer>
  readonly size: number
  /** As it came, where something of it was made equal for the caches of servers: for those that get it as it is. */
  readonly original?: ReadonlyArray<Buffer>
}

const none: Body = { chunks: [], size: 0 }

export type BodyProblem = "tooLarge" | "bodiesFull" | "unreadable" | "tooSlow" | "unknownEncoding" | "badEncoding"

/** Chunks from this size on are memory of their own outside the heap, in bytes. */
const ownMemory = 16 * 1024

/**
 * Gives a body's memory back at once. Left to the collector, it is prompts that fill the limit of memory outside the heap, and
 * V8 answers each time with a full collection: of a 400 KB prompt that is most of the cost. Only when nobody reads it any more.
 */
export const releaseBody = (body: Body): void => {
  for (const { buffer, length } of body.chunks)
    if (length >= ownMemory && length === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Tells a client that waits for leave to send its body. */
const invite = (context: RequestContext): void => {
  const { expect } = context.head
  if (expect === "" || expect.toLowerCase() !== "100-continue") return
  context.res.writeContinue()
  context.invited = true
}

/**
 * For routes that are answered here and want no body: it must keep the limits, and a short one is read away before the
 * answer, so that nothing of it is taken for the next request. A longer one is not waited for: the connection ends with
 * the answer.
 */
export const discardBody = (guard: Guard["Service"], context: RequestContext, answer: () => void): void => {
  const { head, req, exchange } = context
  const over = guard.oversized(exchange, head)
  if (over !== undefined) {
    context.refuseUpload(oversizeRefusal(over, context))
    return
  }
  if (!head.hasBody || head.declaredLength > tolerated) {
    answer()
    return
  }
  invite(context)
  req.collect(new Discarding(guard, context, answer))
}

class Discarding implements BodyTaker {
  readonly #guard: Guard["Service"]
  readonly #context: RequestContext
  readonly #answer: () => void
  readonly #limit: number
  #size = 0
  #answered = false

  constructor(guard: Guard["Service"], context: RequestContext, answer: () => void) {
    this.#guard = guard
    this.#context = context
    this.#answer = answer
    this.#limit = guard.bodyLimit(1).bytes
  }

  take(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#answered || this.#size <= Math.min(this.#limit, tolerated)) return
    this.#answered = true
    const context = this.#context
    context.req.release()
    if (this.#size <= this.#limit) context.guarded(this.#answer)
    else {
      this.#guard.bodyOverflow(context.exchange, this.#size)
      context.refuseUpload(bodyRefusal("tooLarge", this.#guard.bodyLimit(1), context))
    }
  }

  complete(): void {
    if (this.#answered) return
    this.#answered = true
    this.#context.guarded(this.#answer)
  }

  fail(problem: "unreadable" | "tooSlow"): void {
    if (this.#answered) return
    this.#answered = true
    this.#context.req.release()
    this.#context.refuseUpload({ name: problem })
  }
}

/** Told exactly once of a short text's end. */
export interface TextReader {
  readonly received: (text: string) => void
  /** It is longer than the limit: to be answered by the reader. */
  readonly tooLong: () => void
  /** It has been answered already. */
  readonly unread: () => void
}

/** For routes that are answered here and want a few words, as they came: no coding of the body is undone. */
export const readText = (guard: Guard["Service"], context: RequestContext, limit: number, reader: TextReader): void => {
  const { head, req, exchange } = context
  const over = guard.oversized(exchange, head)
  if (over !== undefined) {
    context.refuseUpload(oversizeRefusal(over, context))
    reader.unread()
    return
  }
  if (head.declaredLength > limit) {
    reader.tooLong()
    return
  }
  if (!head.hasBody) {
    reader.received("")
    return
  }
  invite(context)
  req.collect(new ShortText(context, limit, reader))
}

class ShortText implements BodyTaker {
  readonly #context: RequestContext
  readonly #limit: number
  readonly #reader: TextReader
  #chunks: Array<Buffer> = []
  #size = 0
  #over = false

  constructor(context: RequestContext, limit: number, reader: TextReader) {
    this.#context = context
    this.#limit = limit
    this.#reader = reader
  }

  take(chunk: Buffer): void {
    if (this.#over) return
    this.#size += chunk.length
    this.#chunks.push(chunk)
    if (this.#size <= this.#limit) return
    this.#over = true
    this.#context.req.release()
    this.#context.guarded(() => this.#reader.tooLong())
  }

  complete(): void {
    if (this.#over) return
    this.#over = true
    this.#context.guarded(() => this.#reader.received(Buffer.concat(this.#chunks).toString("utf8")))
  }

  fail(problem: "unreadable" | "tooSlow"): void {
    if (this.#over) return
    this.#over = true
    this.#context.req.release()
    this.#context.refuseUpload({ name: problem })
    this.#reader.unread()
  }
}

/** Told exactly once of a body's end, unless its client is gone before. */
export interface BodyReader {
  readonly received: (body: Body) => void
  readonly unread: (problem: BodyProblem) => void
}

/** What there is for one body. */
export interface BodyRoom {
  /** Largest body, bytes. */
  readonly limit: number
  /** Of the budget of all bodies. */
  readonly share: BodyShare
  /** How many times the body will be kept, in one form or another. */
  readonly copies: number
}

export const readBody = (context: RequestContext, room: BodyRoom, inspector: BodyInspector | undefined, reader: BodyReader): void => {
  if (!context.head.hasBody) {
    reader.received(none)
    return
  }
  if (context.head.declaredLength > room.limit) {
    reader.unread("tooLarge")
    return
  }
  const { contentEncoding } = context.head
  const codings = contentEncoding === "" ? [] : codingsOf(contentEncoding)
  if (codings === undefined) {
    context.extra.push("Accept-Encoding", knownCodings)
    reader.unread("unknownEncoding")
    return
  }
  // Before anything is read: a request that was admitted must not be refused in the middle of its body.
  if (!room.share.reserve(context.head.declaredLength * room.copies)) {
    reader.unread("bodiesFull")
    return
  }
  invite(context)
  context.req.collect(new Collecting(context, room, codings, inspector, reader))
}

class Collecting implements BodyTaker {
  readonly #context: RequestContext
  readonly #room: BodyRoom
  readonly #inspector: BodyInspector | undefined
  readonly #reader: BodyReader
  readonly #decoding: BodyDecoding | undefined
  #chunks: Array<Buffer> = []
  #size = 0
  #packed = 0
  #over = false

  constructor(
    context: RequestContext,
    room: BodyRoom,
    codings: ReadonlyArray<string>,
    inspector: BodyInspector | undefined,
    reader: BodyReader
  ) {
    this.#context = context
    this.#room = room
    this.#inspector = inspector
    this.#reader = reader
    if (codings.length > 0)
      this.#decoding = new BodyDecoding(codings, {
        take: (chunk) => this.#keep(chunk),
        complete: () => this.#finish(),
        broken: () => this.fail("badEncoding")
      })
  }

  take(chunk: Buffer): void {
    if (this.#over) return
    if (this.#decoding === undefined) this.#keep(chunk)
    else {
      this.#packed += chunk.length
      if (this.#packed > this.#room.limit) this.fail("tooLarge")
      else if (this.#fits()) this.#decoding.write(chunk)
    }
  }

  #keep(chunk: Buffer): void {
    if (this.#over) return
    this.#size += chunk.length
    this.#chunks.push(chunk)
    if (this.#size > this.#room.limit) this.fail("tooLarge")
    else if (this.#fits()) this.#inspector?.push(chunk)
  }

  /** False: it has been refused. Compressed bytes that still wait to be unpacked count beside what has come out of the others. */
  #fits(): boolean {
    const { share, copies } = this.#room
    if (share.reserve(this.#packed + this.#size * copies)) return true
    this.fail("bodiesFull")
    return false
  }

  complete(): void {
    if (this.#over) return
    if (this.#decoding === undefined) this.#finish()
    else this.#decoding.end()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#room.share.shrink(this.#size * this.#room.copies)
    this.#reader.received({ chunks: this.#chunks, size: this.#size })
  }

  fail(problem: BodyProblem): void {
    if (this.#over) return
    this.#over = true
    this.#decoding?.stop()
    // Nobody else holds them: the inspector has looked at each chunk and kept none.
    releaseBody({ chunks: this.#chunks, size: this.#size })
    this.#chunks = []
    this.#room.share.release()
    this.#context.req.release()
    this.#reader.unread(problem)
  }
}

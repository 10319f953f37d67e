/**
 * Spans that wait to be sent: all of an exchange or none, within a bound of spans and of bytes. Who finds it full is dropped and
 * counted; nobody waits.
 */
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"

export const dropReasons = ["queue_full", "failed", "rejected", "shutdown"] as const
export type DropReason = (typeof dropReasons)[number]

/** Of the process' life. */
export interface SpanCounts {
  readonly exported: number
  readonly dropped: Readonly<Record<DropReason, number>>
  /** Waiting now. */
  readonly queued: number
}

/** What waits takes no more than this, in bytes as estimated. */
const mostBytes = 16 * 1024 * 1024

/** What a span takes without its attributes, and what each of them, each event and each link takes without its texts. */
const spanBytes = 500
const partBytes = 80

/** About what it takes in memory until it is sent. */
const bytesOf = ({ attributes, events, links }: ReadableSpan): number => {
  let bytes = spanBytes + (events.length + links.length) * partBytes
  for (const name in attributes) {
    const value = attributes[name]
    bytes += partBytes + (typeof value === "string" ? value.length : 0)
  }
  return bytes
}

/** How spans wait, and become the body of a request. */
export interface SpanEncoding<Packed> {
  /** Of spans that go together; asked once. */
  readonly pack: (spans: ReadonlyArray<ReadableSpan>) => Packed
  /** What was packed last is not wanted. */
  readonly undo: () => void
  readonly bytesOf: (packed: Packed) => number
  /** `undefined`: it cannot be done. */
  readonly body: (all: ReadonlyArray<Packed>) => Uint8Array | undefined
}

type Objects = ReadonlyArray<ReadableSpan>

/** They wait as they are, and are encoded together. */
export const objectEncoding = (body: (spans: Array<ReadableSpan>) => Uint8Array | undefined): SpanEncoding<Objects> => ({
  pack: (spans) => spans,
  undo: () => {},
  bytesOf: (spans) => spans.reduce((sum, span) => sum + bytesOf(span), 0),
  body: (all) => body(all.flat())
})

interface Waiting<Packed> {
  readonly packed: Packed
  readonly spans: number
  readonly bytes: number
}

/** What is taken together. */
export interface Batch<Packed> {
  readonly packed: ReadonlyArray<Packed>
  readonly spans: number
}

export class SpanQueue<Packed> {
  readonly #most: number
  readonly #encoding: SpanEncoding<Packed>
  #waiting: Array<Waiting<Packed>> = []
  #spans = 0
  #bytes = 0
  readonly #dropped: Record<DropReason, number> = { queue_full: 0, failed: 0, rejected: 0, shutdown: 0 }
  #exported = 0
  /** Told of each arrival. */
  onOffer: () => void = () => {}

  /** `most`: spans. */
  constructor(most: number, encoding: SpanEncoding<Packed>) {
    this.#most = most
    this.#encoding = encoding
  }

  get size(): number {
    return this.#spans
  }

  get counts(): SpanCounts {
    return { exported: this.#exported, dropped: { ...this.#dropped }, queued: this.#spans }
  }

  /** False: it is full, and all of them are dropped. */
  offer(spans: ReadonlyArray<ReadableSpan>): boolean {
    if (this.#spans + spans.length > this.#most) {
      this.drop(spans.length, "queue_full")
      return false
    }
    const packed = this.#encoding.pack(spans)
    const bytes = this.#encoding.bytesOf(packed)
    if (this.#bytes + bytes > mostBytes) {
      this.#encoding.undo()
      this.drop(spans.length, "queue_full")
      return false
    }
    this.#waiting.push({ packed, spans: spans.length, bytes })
    this.#spans += spans.length
    this.#bytes += bytes
    this.onOffer()
    return true
  }

  /** The first that came together, up to so many spans and at least those of one exchange. */
  take(most: number): Batch<Packed> {
    const packed: Array<Packed> = []
    let taken = 0
    for (const { packed: one, spans, bytes } of this.#waiting) {
      if (packed.length > 0 && taken + spans > most) break
      packed.push(one)
      taken += spans
      this.#bytes -= bytes
    }
    this.#waiting = this.#waiting.slice(packed.length)
    this.#spans -= taken
    return { packed, spans: taken }
  }

  sent(spans: number): void {
    this.#exported += spans
  }

  drop(spans: number, reason: DropReason): void {
    this.#dropped[reason] += spans
  }
}

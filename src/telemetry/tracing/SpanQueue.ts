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
export const bytesOf = ({ attributes, events, links }: ReadableSpan): number => {
  let bytes = spanBytes + (events.length + links.length) * partBytes
  for (const name in attributes) {
    const value = attributes[name]
    bytes += partBytes + (typeof value === "string" ? value.length : 0)
  }
  return bytes
}

interface Waiting {
  readonly spans: ReadonlyArray<ReadableSpan>
  readonly bytes: number
}

export class SpanQueue {
  readonly #most: number
  #waiting: Array<Waiting> = []
  #spans = 0
  #bytes = 0
  readonly #dropped: Record<DropReason, number> = { queue_full: 0, failed: 0, rejected: 0, shutdown: 0 }
  #exported = 0
  /** Told of each arrival. */
  onOffer: () => void = () => {}

  /** `most`: spans. */
  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#spans
  }

  get counts(): SpanCounts {
    return { exported: this.#exported, dropped: { ...this.#dropped }, queued: this.#spans }
  }

  /** False: it is full, and all of them are dropped. */
  offer(spans: ReadonlyArray<ReadableSpan>): boolean {
    const bytes = spans.reduce((sum, span) => sum + bytesOf(span), 0)
    if (this.#spans + spans.length > this.#most || this.#bytes + bytes > mostBytes) {
      this.drop(spans.length, "queue_full")
      return false
    }
    this.#waiting.push({ spans, bytes })
    this.#spans += spans.length
    this.#bytes += bytes
    this.onOffer()
    return true
  }

  /** The first that came together, up to so many spans and at least those of one exchange. */
  take(most: number): ReadonlyArray<ReadableSpan> {
    const out: Array<ReadableSpan> = []
    let n = 0
    for (; n < this.#waiting.length; n++) {
      const { spans, bytes } = this.#waiting[n] as Waiting
      if (n > 0 && out.length + spans.length > most) break
      out.push(...spans)
      this.#bytes -= bytes
    }
    this.#waiting = this.#waiting.slice(n)
    this.#spans -= out.length
    return out
  }

  sent(spans: number): void {
    this.#exported += spans
  }

  drop(spans: number, reason: DropReason): void {
    this.#dropped[reason] += spans
  }
}

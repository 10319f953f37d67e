/**
 * Sends what waits in the queue: one batch at a time, again and again where the collector may come back, and never in anybody's way.
 * An outage is told once, and its end.
 */

import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { TraceSettings } from "../../config/TraceSettings.ts"
import type { Collector, Sent } from "./Collector.ts"
import type { SpanEncoding, SpanQueue } from "./SpanQueue.ts"

/** How often one batch is sent at most. */
const mostTries = 5
/** Milliseconds before the first further try; they double up to the longest. */
const firstPause = 1_000
const longestPause = 30_000
/** The part by which a pause is shorter or longer by chance. */
const jitter = 0.2
/** Between two outages that are told, in milliseconds: a collector that comes and goes fills no log. */
const tellEvery = 60_000
/** What the end of the process waits for the collector at most, in milliseconds. */
const longestFlush = 3_000

export interface ExportEvents {
  readonly failing: (why: string) => void
  /** `dropped`: spans, since the outage began. */
  readonly working: (dropped: number) => void
}

type Settings = Pick<TraceSettings, "interval" | "timeout" | "batch">

export const pauseAfter = (failures: number, random: number): number =>
  Math.min(longestPause, firstPause * 2 ** (failures - 1)) * (1 - jitter + 2 * jitter * random)

class Exporting<Packed> {
  readonly #queue: SpanQueue<Packed>
  readonly #collector: Collector
  readonly #encode: SpanEncoding<Packed>["body"]
  readonly #settings: Settings
  readonly #events: ExportEvents
  readonly #now: () => number
  /** Taken from the queue, and not yet sent or given up; encoded at once, so that the spans themselves live no longer than they must. */
  #body: Uint8Array | undefined
  #inBody = 0
  /** One after the other, over all batches. */
  #failures = 0
  #pause: number | undefined
  #isTold = false
  #toldAt = Number.NEGATIVE_INFINITY
  #droppedBefore = 0
  #wake: (() => void) | undefined

  constructor(
    queue: SpanQueue<Packed>,
    collector: Collector,
    encode: SpanEncoding<Packed>["body"],
    settings: Settings,
    events: ExportEvents,
    now: () => number
  ) {
    this.#queue = queue
    this.#collector = collector
    this.#encode = encode
    this.#settings = settings
    this.#events = events
    this.#now = now
    queue.onOffer = () => this.#wake?.()
  }

  /** Until so many spans wait. */
  #atLeast(spans: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => {
        if (this.#queue.size < spans) return
        this.#wake = undefined
        resume(Effect.void)
      }
      this.#wake = look
      look()
      return Effect.sync(() => {
        this.#wake = undefined
      })
    })
  }

  readonly run: Effect.Effect<never> = Effect.forever(
    Effect.suspend(() =>
      this.#atLeast(1).pipe(
        Effect.andThen(Effect.raceFirst(Effect.sleep(this.#settings.interval), this.#atLeast(this.#settings.batch))),
        // Not on the turn of the request that filled the batch.
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.suspend(() => this.#sendOne()))
      )
    )
  )

  #sendOne(): Effect.Effect<void> {
    const body = this.#nextBody()
    return body === undefined ? Effect.void : this.#tryFrom(1, body)
  }

  /** `undefined`: nothing waits, or it cannot be encoded. */
  #nextBody(): Uint8Array | undefined {
    const { packed, spans } = this.#queue.take(this.#settings.batch)
    this.#inBody = spans
    this.#body = spans === 0 ? undefined : this.#encode(packed)
    if (this.#body === undefined && spans > 0) this.#giveUp("failed", "they cannot be encoded")
    return this.#body
  }

  /** Nothing is on its way. */
  #clear(): void {
    this.#body = undefined
    this.#inBody = 0
  }

  #tryFrom(nth: number, body: Uint8Array): Effect.Effect<void> {
    const pause = this.#failures === 0 ? 0 : (this.#pause ?? pauseAfter(this.#failures, Math.random()))
    return Effect.sleep(pause).pipe(
      Effect.andThen(Effect.suspend(() => this.#once(body))),
      Effect.flatMap((sent) => {
        if (this.#settle(sent)) return Effect.void
        if (nth < mostTries) return this.#tryFrom(nth + 1, body)
        this.#giveUp("failed")
        return Effect.void
      })
    )
  }

  #once(body: Uint8Array): Effect.Effect<Sent> {
    const { timeout } = this.#settings
    return Effect.timeoutOrElse(this.#collector.send(body), {
      duration: timeout,
      orElse: () => Effect.succeed<Sent>({ _tag: "later", why: `no answer within ${timeout} ms`, after: undefined })
    })
  }

  /** False: this batch may be tried again. */
  #settle(sent: Sent): boolean {
    switch (sent._tag) {
      case "later":
        this.#failures++
        this.#pause = sent.after
        this.#failing(sent.why)
        return false
      case "refused":
        this.#giveUp("rejected", sent.why)
        return true
      case "sent": {
        const rejected = Math.min(sent.rejected, this.#inBody)
        this.#queue.sent(this.#inBody - rejected)
        this.#queue.drop(rejected, "rejected")
        this.#clear()
        this.#failures = 0
        this.#pause = undefined
        if (rejected > 0) this.#failing(`it rejected ${rejected} spans${sent.why === "" ? "" : `: ${sent.why}`}`)
        else this.#working()
        return true
      }
    }
  }

  #giveUp(reason: "failed" | "rejected", why?: string): void {
    this.#queue.drop(this.#inBody, reason)
    this.#clear()
    if (why !== undefined) this.#failing(why)
  }

  get #dropped(): number {
    return Object.values(this.#queue.counts.dropped).reduce((a, b) => a + b, 0)
  }

  #failing(why: string): void {
    if (this.#isTold || this.#now() - this.#toldAt < tellEvery) return
    this.#isTold = true
    this.#toldAt = this.#now()
    this.#droppedBefore = this.#dropped
    this.#events.failing(why)
  }

  #working(): void {
    if (!this.#isTold) return
    this.#isTold = false
    this.#events.working(this.#dropped - this.#droppedBefore)
  }

  /** Once more what is left, within a short time; what is left then is lost. */
  readonly flush: Effect.Effect<void> = Effect.suspend(() => {
    const { timeout } = this.#settings
    const next = (): Effect.Effect<void> => {
      const body = this.#body ?? this.#nextBody()
      if (body === undefined) return Effect.void
      return Effect.flatMap(this.#collector.send(body), (sent) => (this.#settle(sent) ? next() : Effect.void))
    }
    return Effect.ensuring(
      Effect.timeoutOrElse(Effect.suspend(next), { duration: Math.min(timeout, longestFlush), orElse: () => Effect.void }),
      Effect.sync(() => {
        this.#queue.drop(this.#inBody + this.#queue.take(Number.POSITIVE_INFINITY).spans, "shutdown")
        this.#clear()
      })
    )
  })
}

/** What of this turn still ends in the same turn of the loop. */
const thisTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Exports for as long as the scope is open, and what is left at its end. */
export const exportSpans = <Packed>(
  queue: SpanQueue<Packed>,
  collector: Collector,
  encode: SpanEncoding<Packed>["body"],
  settings: Settings,
  events: ExportEvents,
  now: () => number
) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const exporting = new Exporting(queue, collector, encode, settings, events, now)
      return Effect.map(Effect.forkDetach(exporting.run), (fiber) => ({ exporting, fiber }))
    }),
    ({ exporting, fiber }) =>
      thisTurn.pipe(
        Effect.andThen(Fiber.interrupt(fiber)),
        Effect.andThen(exporting.flush),
        Effect.andThen(Effect.sync(() => collector.close()))
      )
  )

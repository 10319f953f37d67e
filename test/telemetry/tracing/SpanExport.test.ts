/** The exporter on the test clock, against a collector that does what a test says. */
import { expect, it } from "@effect/vitest"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import type { Sent } from "../../../src/telemetry/tracing/Collector.ts"
import { contextOf, FinishedSpan, noStatus } from "../../../src/telemetry/tracing/Span.ts"
import { exportSpans, pauseAfter } from "../../../src/telemetry/tracing/SpanExport.ts"
import { objectEncoding, SpanQueue } from "../../../src/telemetry/tracing/SpanQueue.ts"

const origin = { resource: {} as never, scope: { name: "olla", version: "1" } }
const span = (attributes: Record<string, string> = {}): ReadableSpan =>
  new FinishedSpan(
    {
      name: "x",
      kind: 0,
      traceId: "a".repeat(32),
      spanId: "b".repeat(16),
      parent: contextOf("a".repeat(32), "c".repeat(16)),
      start: 1,
      end: 2,
      attributes,
      events: [],
      status: noStatus,
      links: []
    },
    origin
  )
const spans = (count: number) => Array.from({ length: count }, () => span())

/** A byte each. */
const encoding = objectEncoding((batched) => new Uint8Array(batched.length))

const good: Sent = { _tag: "sent", rejected: 0, why: "" }
const later = (after?: number): Sent => ({ _tag: "later", why: "it answers 503", after })
const refused: Sent = { _tag: "refused", why: "it answers 413" }

const open = (says: (nth: number) => Sent | "hangs", { queue: most = 100, batch = 10, interval = 5_000, timeout = 10_000 } = {}) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const queue = new SpanQueue(most, encoding)
    const sent: Array<readonly [at: number, spans: number]> = []
    const told: Array<string> = []
    let aborted = 0
    const scope = yield* Scope.make()
    yield* exportSpans(
      queue,
      {
        send: (body) =>
          Effect.suspend(() => {
            sent.push([clock.currentTimeMillisUnsafe(), body.length])
            const said = says(sent.length)
            return said === "hangs" ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => aborted++)) : Effect.succeed(said)
          }),
        close: () => told.push("closed")
      },
      encoding.body,
      { interval, timeout, batch },
      { failing: (why) => told.push(`failing: ${why}`), working: (dropped) => told.push(`working: ${dropped}`) },
      () => clock.currentTimeMillisUnsafe()
    ).pipe(Effect.provideService(Scope.Scope, scope))
    const wait = (millis: number) => TestClock.adjust(millis)
    return { queue, sent, told, wait, aborted: () => aborted, close: Scope.close(scope, Exit.void) }
  })

/** The loop has gone round a few times, on a clock that stands. */
const turns = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => setImmediate(() => resume(Effect.void))))
})

describe("spans", () => {
  it.effect("are sent after the interval, together", () =>
    Effect.gen(function* () {
      const { queue, sent, wait, told } = yield* open(() => good)
      queue.offer(spans(2))
      yield* wait(3_000)
      queue.offer(spans(3))
      expect(sent).toEqual([])
      yield* wait(2_000)
      expect(sent).toEqual([[5_000, 5]])
      expect(queue.counts).toMatchObject({ exported: 5, queued: 0 })
      expect(told).toEqual([])
    })
  )

  it.effect("are sent at once when a batch is full, each exchange whole", () =>
    Effect.gen(function* () {
      const { queue, sent, wait } = yield* open(() => good)
      for (const count of [4, 4, 4]) queue.offer(spans(count))
      yield* turns
      expect(sent).toEqual([[0, 8]])
      yield* wait(5_000)
      expect(sent.at(-1)).toEqual([5_000, 4])
    })
  )

  it.effect("beyond the queue are dropped, all of an exchange or none, by number and by size", () =>
    Effect.gen(function* () {
      const { queue } = yield* open(() => "hangs", { queue: 10 })
      expect([queue.offer(spans(8)), queue.offer(spans(3)), queue.offer(spans(2))]).toEqual([true, false, true])
      expect(queue.counts).toEqual({ exported: 0, queued: 10, dropped: { queue_full: 3, failed: 0, rejected: 0, shutdown: 0 } })
      const large = new SpanQueue(1e9, encoding)
      let taken = 0
      while (large.offer([span({ text: "x".repeat(1_000_000) })])) taken++
      expect(taken).toBe(16)
    })
  )

  it.effect("are tried again, ever later, and given up after five times; the outage is told once, and its end", () =>
    Effect.gen(function* () {
      const { queue, sent, told, wait } = yield* open((nth) => (nth <= 6 ? later() : good))
      queue.offer(spans(2))
      yield* wait(5_000)
      yield* wait(60_000)
      expect(sent.length).toBe(5)
      const pauses = sent.slice(1).map(([at], i) => at - (sent[i] as readonly [number, number])[0])
      for (const [i, pause] of pauses.entries()) expect(Math.abs(pause - 1_000 * 2 ** i) / (1_000 * 2 ** i)).toBeLessThanOrEqual(0.2)
      expect(queue.counts.dropped.failed).toBe(2)
      queue.offer(spans(3))
      yield* wait(100_000)
      yield* wait(100_000)
      expect(queue.counts).toMatchObject({ exported: 3, queued: 0 })
      expect(told).toEqual(["failing: it answers 503", "working: 2"])
    })
  )

  it.effect("wait as long as the collector asks for", () =>
    Effect.gen(function* () {
      const { queue, sent, wait } = yield* open((nth) => (nth === 1 ? later(42_000) : good))
      queue.offer(spans(1))
      yield* wait(5_000)
      yield* wait(41_999)
      expect(sent.length).toBe(1)
      yield* wait(1)
      expect(sent.length).toBe(2)
    })
  )

  it.effect("are given up at once where they are refused, and those that a collector rejects are counted", () =>
    Effect.gen(function* () {
      const { queue, told, wait } = yield* open((nth) => (nth === 1 ? refused : { _tag: "sent", rejected: 2, why: "too old" }))
      queue.offer(spans(4))
      yield* wait(5_000)
      queue.offer(spans(5))
      yield* wait(5_000)
      expect(queue.counts).toMatchObject({ exported: 3, dropped: { rejected: 6 } })
      expect(told).toEqual(["failing: it answers 413"])
    })
  )

  it.effect("of a collector that hangs hold one request and no more than the queue, and end the request in time", () =>
    Effect.gen(function* () {
      const { queue, sent, told, wait, aborted } = yield* open(() => "hangs", { queue: 20 })
      for (let n = 0; n < 100; n++) {
        queue.offer(spans(1))
        yield* wait(100)
      }
      expect([sent.length, queue.size]).toEqual([1, 20])
      yield* wait(1_500)
      expect([sent.length - aborted(), told]).toEqual([0, ["failing: no answer within 10000 ms"]])
      expect(queue.counts.dropped.queue_full).toBeGreaterThan(60)
    })
  )

  it.effect("that are left at the end are sent once more, in several batches", () =>
    Effect.gen(function* () {
      const { queue, sent, told, close } = yield* open(() => good)
      for (let n = 0; n < 5; n++) queue.offer(spans(5))
      yield* close
      expect(sent.map(([, count]) => count)).toEqual([10, 10, 5])
      expect(queue.counts).toMatchObject({ exported: 25, queued: 0 })
      expect(told).toEqual(["closed"])
    })
  )

  it.effect("hold the end up for three seconds at most, and are counted as lost then", () =>
    Effect.gen(function* () {
      const { queue, close, wait } = yield* open(() => "hangs")
      queue.offer(spans(7))
      const closing = yield* Effect.forkChild(close)
      yield* turns
      yield* wait(2_999)
      expect(closing.pollUnsafe()).toBeUndefined()
      yield* wait(1)
      expect(closing.pollUnsafe()).toBeDefined()
      expect(queue.counts).toMatchObject({ queued: 0, dropped: { shutdown: 7 } })
    })
  )

  it("pauses never grow beyond half a minute and a fifth", () => {
    expect(pauseAfter(1, 0)).toBe(800)
    expect(pauseAfter(1, 1)).toBeCloseTo(1_200)
    expect(pauseAfter(50, 1)).toBeCloseTo(36_000)
  })
})

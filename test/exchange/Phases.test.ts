import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { attemptCause, causesByOutcome, endingOf } from "../../src/exchange/Cause.ts"
import { Attempt, Exchange, type Outcome } from "../../src/exchange/Exchange.ts"
import { type FailureKind, failure, failureRules } from "../../src/exchange/Failure.ts"
import { attemptPhases, phasesOf } from "../../src/exchange/Phases.ts"

const newExchange = (accepted = 1_000): Exchange =>
  new Exchange({ id: "r1", method: "POST", path: "/x", query: "", peer: "", clientIp: "", startedAt: 0, accepted })

const newAttempt = (marks: Partial<Attempt["timings"]>, ended: number): Attempt => {
  const attempt = new Attempt(
    { endpoint: { url: "http://a", name: "a" }, endpointName: "a", endpointType: "", profileName: "", model: "m" },
    marks.leased ?? 0
  )
  Object.assign(attempt.timings, marks)
  attempt.ended = ended
  return attempt
}

/** 0: not reached. */
const mark = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 4, arbitrary: fc.double({ min: 900, max: 2_000, noNaN: true }) })
const marks = fc.record({ leased: mark, started: mark, connected: mark, sent: mark, headers: mark, firstByte: mark, lastByte: mark })

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({ _tag: fc.constant("completed" as const), status: fc.constantFrom(200, 204, 301, 400, 404, 429, 500, 503) }),
  fc.record({ _tag: fc.constant("cancelled" as const), status: fc.constant(499), committed: fc.boolean() }),
  fc.record({
    _tag: fc.constant("failed" as const),
    status: fc.constant(502),
    committed: fc.boolean(),
    failure: fc.constantFrom(...(Object.keys(failureRules) as Array<FailureKind>)).map((kind) => failure(kind, ""))
  }),
  fc.record({
    _tag: fc.constant("rejected" as const),
    status: fc.constantFrom(400, 403, 404, 408, 413, 415, 429, 431, 503),
    reason: fc.constantFrom(
      "rate_limited_ip",
      "tooLarge",
      "model_not_found",
      "model_unavailable_no_refresh",
      "no_provider",
      "badMessage",
      "new"
    )
  })
)

const story = fc
  .tuple(
    fc.record({ received: mark, routed: mark, settled: mark, ended: mark }),
    fc.array(fc.tuple(marks, mark), { maxLength: 4 }),
    fc.array(fc.tuple(mark, mark), { maxLength: 3 }),
    outcome
  )
  .map(([timings, attempts, waits, end]) => {
    const exchange = newExchange()
    for (const [from, to] of waits) {
      exchange.beginWait(from)
      exchange.endWait(to)
    }
    for (const [times, ended] of attempts) exchange.attempts.push(newAttempt(times, ended))
    exchange.settle(end)
    Object.assign(exchange.timings, timings)
    return exchange
  })

describe("the phases of a request", () => {
  it("are never negative, and add up to the whole, whatever the marks are", () => {
    fc.assert(
      fc.property(story, (exchange) => {
        const { overhead, total, decide, ...phases } = phasesOf(exchange)
        for (const [name, value] of Object.entries({ ...phases, overhead, decide })) expect(value, name).toBeGreaterThanOrEqual(-1e-9)
        const sum = Object.values(phases).reduce((a, b) => a + b, overhead)
        expect(Math.abs(sum - total)).toBeLessThan(1e-6)
        for (const attempt of exchange.attempts) {
          const { isNew: _, total: whole, ...parts } = attemptPhases(attempt)
          for (const value of Object.values(parts)) expect(value).toBeGreaterThanOrEqual(0)
          expect(Math.abs(Object.values(parts).reduce((a, b) => a + b, 0) - whole)).toBeLessThan(1e-6)
        }
      })
    )
  })

  it("are those of the marks where they are in order", () => {
    const exchange = newExchange(1_000)
    exchange.attempts.push(
      newAttempt({ leased: 1_111, started: 1_111, connected: 0, sent: 0, headers: 0 }, 1_120),
      newAttempt({ leased: 1_121, started: 1_121, connected: 1_125, sent: 1_126, headers: 1_500, firstByte: 1_510, lastByte: 1_900 }, 1_900)
    )
    exchange.settle({ _tag: "completed", status: 200 })
    Object.assign(exchange.timings, { received: 1_100, routed: 1_101, settled: 1_901, ended: 1_950 })
    expect(phasesOf(exchange)).toEqual({
      receive: 100,
      decide: 1,
      queue: 0,
      connect: 13,
      send: 1,
      wait: 374,
      first: 10,
      stream: 390,
      deliver: 50,
      total: 950,
      overhead: 12
    })
    expect(attemptPhases(exchange.attempts[0]!)).toMatchObject({ isNew: true, connect: 9, wait: 0, first: 0, stream: 0 })
  })

  it("have a wait before an attempt as queue, and one that came to nothing as well", () => {
    const waited = newExchange(1_000)
    waited.beginWait(1_020)
    waited.endWait(1_320)
    waited.attempts.push(newAttempt({ leased: 1_321, connected: 1_321, sent: 1_321, headers: 1_400, firstByte: 1_400 }, 1_500))
    waited.settle({ _tag: "completed", status: 200 })
    Object.assign(waited.timings, { received: 1_010, routed: 1_015, settled: 1_500, ended: 1_500 })
    expect(phasesOf(waited)).toMatchObject({
      receive: 10,
      decide: 5,
      queue: 300,
      wait: 79,
      stream: 100,
      deliver: 0,
      total: 500,
      overhead: 11
    })
    expect([waited.waited(1_500), waited.isInLine]).toEqual([300, false])

    const left = newExchange(1_000)
    left.attempts.push(newAttempt({ leased: 1_010, connected: 1_010, sent: 1_010, headers: 1_050 }, 1_100))
    left.beginWait(1_100)
    left.settle({ _tag: "cancelled", status: 499, committed: false })
    Object.assign(left.timings, { received: 1_000, routed: 1_010, settled: 1_600, ended: 1_600 })
    expect(phasesOf(left)).toMatchObject({ queue: 500, deliver: 0, total: 600 })
    expect(endingOf(left)).toEqual({ outcome: "cancelled", cause: "cancelled_queued", phase: "queue" })
  })

  it("of a client that leaves in its upload are all upload", () => {
    const exchange = newExchange(1_000)
    exchange.settle({ _tag: "cancelled", status: 499, committed: false })
    exchange.timings.settled = 1_300
    expect(phasesOf(exchange)).toMatchObject({ receive: 300, overhead: 0, total: 300 })
  })
})

describe("the ending of a request", () => {
  it("is a pair of the closed list, whatever happened", () => {
    fc.assert(
      fc.property(story, (exchange) => {
        const { outcome, cause } = endingOf(exchange)
        expect(causesByOutcome[outcome] as ReadonlyArray<string>).toContain(cause)
      })
    )
  })

  const ends = (end: Outcome, timings: Partial<Exchange["timings"]> = {}, ...attempts: ReadonlyArray<Attempt>) => {
    const exchange = newExchange()
    exchange.attempts.push(...attempts)
    exchange.settle(end)
    Object.assign(exchange.timings, timings)
    const { outcome, cause, phase } = endingOf(exchange)
    return `${outcome} ${cause} ${phase}`
  }
  const cancelled: Outcome = { _tag: "cancelled", status: 499, committed: false }
  const failed = (kind: FailureKind): Outcome => ({ _tag: "failed", status: 502, failure: failure(kind, ""), committed: false })
  const refused = (status: number, reason: string): Outcome => ({ _tag: "rejected", status, reason })
  const waiting = newAttempt({ leased: 1_001, connected: 1_001, sent: 1_001 }, 1_100)
  const sending = newAttempt({ leased: 1_001, connected: 1_001 }, 1_100)
  const streaming = newAttempt({ leased: 1_001, sent: 1_001, headers: 1_002, firstByte: 1_003 }, 1_100)
  const unconnected = newAttempt({ leased: 1_001, started: 1_001 }, 1_100)
  unconnected.failure = failure("refused", "")

  it.each<[string, Outcome, Partial<Exchange["timings"]>, ReadonlyArray<Attempt>]>([
    ["ok none deliver", { _tag: "completed", status: 200 }, { received: 1_001, routed: 1_002 }, [streaming]],
    ["client_error upstream_429 stream", { _tag: "completed", status: 429 }, {}, [streaming]],
    ["client_error upstream_4xx stream", { _tag: "completed", status: 404 }, {}, [streaming]],
    ["failed upstream_5xx stream", { _tag: "completed", status: 503 }, {}, [streaming]],
    ["failed timeout_headers wait", failed("header_timeout"), {}, [waiting]],
    ["failed connect_refused connect", failed("refused"), {}, [unconnected]],
    ["failed broken_stream stream", failed("truncated"), {}, [streaming]],
    ["cancelled cancelled_upload receive", cancelled, {}, []],
    ["cancelled cancelled_queued decide", cancelled, { received: 1_001 }, []],
    ["cancelled cancelled_queued queue", cancelled, { received: 1_001, routed: 1_002 }, []],
    ["cancelled cancelled_waiting wait", cancelled, {}, [waiting]],
    ["cancelled cancelled_waiting send", cancelled, {}, [sending]],
    ["cancelled cancelled_streaming stream", cancelled, {}, [streaming]],
    ["refused rate_limited_global receive", refused(429, "rate_limited_global"), {}, []],
    ["refused timeout_upload receive", refused(408, "tooSlow"), {}, []],
    ["refused model_not_found queue", refused(404, "model_not_found"), { received: 1_001, routed: 1_002 }, []],
    ["refused model_unavailable queue", refused(503, "discovery_failed_no_fallback"), { received: 1_001, routed: 1_002 }, []],
    ["refused no_endpoint queue", refused(503, "no_healthy_after_discovery"), { received: 1_001, routed: 1_002 }, []],
    ["refused placement_unsatisfied queue", refused(503, "placement_unsatisfied"), { received: 1_001, routed: 1_002 }, []],
    ["refused bad_request receive", refused(400, "unreadable"), {}, []]
  ])("%s", (expected, end, timings, attempts) => expect(ends(end, timings, ...attempts)).toBe(expected))

  it("has a cause for every kind of failure of an attempt", () => {
    for (const kind of Object.keys(failureRules) as Array<FailureKind>) {
      const attempt = newAttempt({ leased: 1 }, 2)
      attempt.failure = failure(kind, "")
      expect(Object.values(causesByOutcome).flat()).toContain(attemptCause(attempt))
    }
  })
})

/** Who is asked after an answer or a failure that says that somebody else may do better, and what the client gets in the end. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import type { ProbeResult } from "../../src/endpoint/ProbeResult.ts"
import { Carrier } from "../../src/proxy/Carrier.ts"
import type { AnswerTranslator, Dialect } from "../../src/proxy/Dialect.ts"
import type { FakeEndpoint } from "../balancing/fakes.ts"
import { answers, carrying, type FakeResponse, type Fate, fails, hangs, opensAndFails, refusedOf, Scene, says } from "./carrying.ts"

const model = { inspection: { model: "m", spelling: "m" } }
const noModel = `{"error":"model 'm' not found"}`
const tooLong = `{"error":{"type":"exceed_context_size_error","message":""}}`

/** Endpoints a, b, c ..., in that order or by turns, the first of which meets this fate. */
const scene = (size: number, first: Fate, traffic = "", balancer = "priority"): Scene => {
  const made = new Scene(`load_balancer: ${balancer}`, traffic)
  for (const [i, name] of [..."abcdef".slice(0, size)].entries()) made.add(name, { priority: 100 - i })
  made.fates.set("a", first)
  return made
}

const response = (request: { readonly response: unknown }) => request.response as FakeResponse

describe("an answer that is an error", () => {
  it.effect.each([
    [429, "", true],
    [500, "", true],
    [502, "", true],
    [503, "", true],
    [504, "", true],
    [529, "", true],
    [404, noModel, true],
    [400, "", false],
    [400, tooLong, false],
    [401, "", false],
    [404, `{"oops":true}`, false],
    [413, "", false],
    [422, "", false],
    [500, tooLong, false],
    [505, "", false]
  ] as const)("of status %i (%s) sends a request with a model to somebody else: %s", ([status, body, again]) => {
    const it = scene(2, says(status, body))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      expect([it.tried, request.exchange.outcome]).toEqual([
        again ? ["a", "b"] : ["a"],
        { _tag: "completed", status: again ? 200 : status }
      ])
      expect(it.ended.map(({ status, failure }) => [status, failure])).toEqual(
        again
          ? [
              [status, undefined],
              [200, undefined]
            ]
          : [[status, undefined]]
      )
      expect(it.fleet.endpoints.map(({ inFlight }) => inFlight)).toEqual([0, 0])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect.each([
    ["POST", ["a"], 503],
    ["GET", ["a", "b"], 200],
    ["HEAD", ["a", "b"], 200]
  ] as const)("without a model is repeated where that does no harm: %s", ([method, tried, status]) => {
    const it = scene(2, says(503, "busy"))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request({ method })
      yield* carry(request)
      expect([it.tried, response(request).statusCode]).toEqual([tried, status])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is what the client gets, as it was, when everybody has one: the last of them", () => {
    const it = scene(3, says(503, "a is busy"))
    it.fates.set("b", says(500, "b is broken", ["X-B", "1"]))
    it.fates.set("c", says(529, "c is overloaded", ["X-C", "1"]))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      const { statusCode, written, headers } = response(request)
      expect([it.tried, statusCode, written, headers.slice(0, 2)]).toEqual([["a", "b", "c"], 529, "c is overloaded", ["X-C", "1"]])
      expect(request.exchange.outcome).toEqual({ _tag: "completed", status: 529 })
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is kept for the client while others are tried, who cannot be reached", () => {
    const it = scene(3, says(503, "a is busy", ["X-A", "1"]))
    it.fates.set("b", fails("refused"))
    it.fates.set("c", fails("malformed"))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      const { statusCode, written } = response(request)
      expect([it.tried, statusCode, written]).toEqual([["a", "b", "c"], 503, "a is busy"])
      expect(request.exchange.attempts[0]?.bytes).toBe("a is busy".length)
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is told in a stream's own words to a client who was kept waiting for another one meanwhile", () => {
    const it = scene(2, says(503, "a is busy"))
    it.fates.set("b", opensAndFails("closed"))
    const translator: AnswerTranslator = {
      head: (head) => head,
      push: (bytes) => ({ bytes }),
      end: () => undefined,
      fail: (why) => ({ bytes: Buffer.from(`told of ${why.kind}`), complete: true })
    }
    const dialect: Dialect = {
      speak: () => ({ target: "/x", body: [], headers: [], answer: () => translator }),
      target: () => "/x"
    }
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request({ ...model, dialect })
      yield* carry(request)
      expect([it.tried, response(request).written, response(request).ended]).toEqual([["a", "b"], "told of closed", true])
      expect(request.exchange.outcome).toMatchObject({ _tag: "failed", committed: true })
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is not kept where it is long: then what the others met is told", () => {
    const it = scene(2, says(503, "x".repeat(64 * 1024 + 1)))
    it.fates.set("b", fails("refused"))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const refused = refusedOf(yield* Effect.exit(carry(it.request(model))))
      expect([it.tried, refused?.failure.kind]).toEqual([["a", "b"], "refused"])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("reaches the client at any length where nobody else is left", () => {
    const it = scene(1, says(503, "x".repeat(64 * 1024 + 1)))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      expect(response(request).written.length).toBe(64 * 1024 + 1)
    }).pipe(Effect.provide(it.layer))
  })

  it.effect.each([
    [429, ["Retry-After", "120"], "60"],
    [429, [], "1"],
    [503, ["Retry-After", "7"], "7"],
    [503, [], undefined],
    [429, ["Retry-After", "rubbish"], "1"]
  ] as const)("of status %i with %s tells until when all want to be left alone: %s", ([status, headers, expected]) => {
    const it = scene(1, says(status, "", headers), "queue: { max_wait: 0s }")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      const told = response(request).headers
      expect(told.filter((_, i) => told[i - 1]?.toLowerCase() === "retry-after")).toEqual(expected === undefined ? [] : [expected])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("leaves a Retry-After alone while somebody is free", () => {
    const it = scene(2, says(429, "", ["Retry-After", "50"]), "failover: { max_attempts: 1 }")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      expect([it.tried, response(request).headers]).toEqual([["a"], ["Retry-After", "50"]])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is relayed as before with traffic off", () => {
    const it = scene(2, says(503, "busy"), "enabled: false")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      expect([it.tried, response(request).statusCode, request.exchange.attempts[0]?.verdict]).toEqual([["a"], 503, undefined])
    }).pipe(Effect.provide(it.layer))
  })
})

describe("a failure after the request was sent", () => {
  it.effect.each(["header_timeout", "malformed", "truncated", "idle_timeout"] as const)("goes on with a model: %s", (kind) => {
    const it = scene(2, fails(kind))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      yield* carry(request)
      expect(it.tried).toEqual(["a", "b"])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect.each(["response_timeout", "untranslatable", "internal"] as const)("ends the request: %s", (kind) => {
    const it = scene(2, fails(kind))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      expect(refusedOf(yield* Effect.exit(carry(it.request(model))))?.failure.kind).toBe(kind)
      expect(it.tried).toEqual(["a"])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect.each(["closed", "reset"] as const)("breaks two servers of five at most: %s", (kind) => {
    const it = scene(5, fails(kind))
    for (const name of "bcde") it.fates.set(name, fails(kind))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const refused = refusedOf(yield* Effect.exit(carry(it.request(model))))
      expect([it.tried.length, refused?.code, refused?.failure.kind]).toEqual([2, "upstream_crashed", kind])
    }).pipe(Effect.provide(it.layer))
  })
})

describe("a server that is waited for", () => {
  const lost: ProbeResult = { status: "offline", errorType: 1, statusCode: undefined, cause: "refused", latency: 1, rateLimit: undefined }

  it.effect.each([
    [2, 1, true],
    [2, 2, true],
    [1, 1, true],
    [1, 2, false]
  ] as const)("is left when its probes fail, or are late (2) and somebody else can be asked: of %i, %i", ([size, errorType, leaves]) => {
    const it = scene(size, hangs)
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = it.request(model)
      const fiber = yield* Effect.forkChild(Effect.exit(carry(request)))
      yield* TestClock.adjust("10 minutes")
      const a = it.fleet.endpoints[0] as FakeEndpoint
      expect([it.tried, a.patience.size]).toEqual([["a"], 1])
      for (let n = 0; n < 2; n++) a.probed({ ...lost, errorType }, it.fleet.clock(), 0, false)
      expect([it.tried, a.patience.size, a.inFlight]).toEqual([size === 2 ? ["a", "b"] : ["a"], leaves ? 0 : 1, leaves ? 0 : 1])
      if (!leaves) yield* Fiber.interrupt(fiber)
      else {
        const exit = yield* Fiber.join(fiber)
        if (size === 1) expect(refusedOf(exit)?.failure.kind).toBe("header_timeout")
        expect(it.ended[0]?.verdict?.reason).toBe("timeout")
      }
      expect([a.patience.size, a.inFlight]).toEqual([0, 0])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is not, where a limit is set, or traffic is off", () => {
    const it = scene(2, hangs, "", "priority, response_header_timeout: 1h")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const fiber = yield* Effect.forkChild(carry(it.request(model)))
      yield* TestClock.adjust("1 second")
      expect([it.tried, it.fleet.endpoints[0]?.patience.size]).toEqual([["a"], 0])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(it.layer))
  })
})

describe("the number of attempts", () => {
  it.effect.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [5, 5],
    [10, 6]
  ] as const)("is at most traffic.failover.max_attempts: %i", ([most, expected]) => {
    const it = scene(6, says(503), `failover: { max_attempts: ${most} }`)
    for (const name of "bcdef") it.fates.set(name, says(503))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* carry(it.request(model))
      expect(it.tried.length).toBe(expected)
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("does not count who could not be reached", () => {
    const it = scene(6, fails("refused"), "failover: { max_attempts: 2 }")
    for (const name of "bcd") it.fates.set(name, fails("refused"))
    it.fates.set("e", says(503))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* carry(it.request(model))
      expect(it.tried).toEqual(["a", "b", "c", "d", "e", "f"])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is bounded for all requests together", () => {
    const it = scene(2, says(503), "failover: { budget_percent: 20 }, ejection: { failures: 0 }")
    it.fates.set("b", says(503))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const { retries } = yield* Carrier
      for (let n = 0; n < 100; n++) yield* carry(it.request(model))
      // Ten are free, and one for each five requests.
      expect(it.tried.length).toBe(130)
      expect(retries.denied).toBe(70)
      yield* TestClock.adjust("10 seconds")
      yield* carry(it.request(model))
      expect(it.tried.length).toBe(132)
    }).pipe(Effect.provide(it.layer))
  })
})

describe("a server that fails again and again", () => {
  it.effect("is left out, tried once when its time is over, and is back when it serves", () => {
    const it = scene(3, says(503), "", "round-robin")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const many = function* (count: number) {
        it.sent.length = 0
        for (let n = 0; n < count; n++) yield* carry(it.request(model))
        return it.tried.filter((name) => name === "a").length
      }
      expect(yield* many(12)).toBe(3)
      expect(yield* many(30)).toBe(0)
      yield* TestClock.adjust("11 seconds")
      expect(yield* many(30)).toBe(1)
      yield* TestClock.adjust("11 seconds")
      expect(yield* many(30)).toBe(0)
      yield* TestClock.adjust("11 seconds")
      it.fates.set("a", answers())
      expect(yield* many(1)).toBe(1)
      expect(it.sent[0]?.attempt.pick).toBe("trial")
      // Slowly at first.
      expect(yield* many(30)).toBeLessThan(10)
      yield* TestClock.adjust("31 seconds")
      expect(yield* many(30)).toBe(10)
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is asked when the others are gone", () => {
    const it = scene(2, says(503), "", "round-robin")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let n = 0; n < 6; n++) yield* carry(it.request(model))
      it.fleet.endpoints[1]?.become("offline")
      it.fates.set("a", answers())
      const request = it.request(model)
      yield* carry(request)
      expect([request.exchange.lastAttempt?.endpointName, request.exchange.lastAttempt?.pick]).toEqual(["a", "panic"])
    }).pipe(Effect.provide(it.layer))
  })

  it.effect("is left out for one model only", () => {
    const it = scene(2, says(503), "", "round-robin")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let n = 0; n < 6; n++) yield* carry(it.request({ ...model, candidates: it.candidates("m") }))
      it.sent.length = 0
      it.fates.set("a", answers())
      for (let n = 0; n < 4; n++) yield* carry(it.request({ ...model, candidates: it.candidates("m") }))
      for (let n = 0; n < 4; n++) yield* carry(it.request({ ...model, candidates: it.candidates("other") }))
      expect(it.tried.join("")).toMatch(/^bbbb(abab|baba)$/)
    }).pipe(Effect.provide(it.layer))
  })
})

describe("whatever servers do", () => {
  const fate: fc.Arbitrary<Fate> = fc.oneof(
    { weight: 3, arbitrary: fc.constant(answers()) },
    fc.constantFrom(
      says(503),
      says(429, "", ["Retry-After", "2"]),
      says(429),
      says(404, noModel),
      says(500, "x".repeat(70_000)),
      fails("refused"),
      fails("closed"),
      fails("header_timeout"),
      fails("truncated"),
      fails("truncated", true),
      fails("client_write", true),
      hangs
    )
  )

  it.effect("counters come back to zero, nobody is asked twice, no more than the bounds are out or tried", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 6 }),
          fc.array(fc.tuple(fc.array(fate, { minLength: 6, maxLength: 6 }), fc.integer({ min: 0, max: 15_000 })), { maxLength: 25 }),
          fc.integer({ min: 1, max: 4 }),
          (size, requests, most) => {
            const it = scene(size, answers(), `failover: { max_attempts: ${most} }`)
            return Effect.gen(function* () {
              const { carry } = yield* carrying
              const { retries } = yield* Carrier
              for (const [fates, pause] of requests) {
                for (const [i, name] of [..."abcdef".slice(0, size)].entries()) it.fates.set(name, fates[i] as Fate)
                const request = it.request(model)
                // Who hangs is left by his client.
                yield* Effect.exit(
                  carry(request).pipe(Effect.timeoutOption(50), (waiting) => Effect.raceFirst(waiting, TestClock.adjust(60)))
                )
                const { attempts } = request.exchange
                const names = attempts.map(({ endpointName }) => endpointName)
                expect(new Set(names).size).toBe(names.length)
                expect(attempts.filter(({ verdict }) => verdict?.isFree === false).length).toBeLessThanOrEqual(most)
                const lanes = it.fleet.endpoints.map((endpoint) => endpoint.lanes.of(""))
                expect(lanes.filter(({ isOut }) => isOut).length).toBeLessThanOrEqual(size === 1 ? 0 : Math.max(1, Math.floor(size / 2)))
                expect(lanes.map(({ inFlight }) => inFlight)).toEqual(lanes.map(() => 0))
                expect(it.fleet.endpoints.map(({ inFlight }) => inFlight)).toEqual(lanes.map(() => 0))
                const now = it.fleet.clock()
                expect(retries.extra(now)).toBeLessThanOrEqual(retries.allowed(now, 20) + 1)
                for (const endpoint of it.fleet.endpoints) if (endpoint.state.status !== "healthy") endpoint.become("healthy")
                yield* TestClock.adjust(pause)
              }
            }).pipe(Effect.provide(it.layer), Effect.provide(TestClock.layer()), Effect.scoped, Effect.runPromise)
          }
        ),
        { numRuns: 40 }
      )
    )
  )
})

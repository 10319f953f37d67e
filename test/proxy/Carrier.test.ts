/** Attempts, failover, demotion and leases. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import fc from "fast-check"
import { type FailureKind, failureRules } from "../../src/exchange/Failure.ts"
import { timeoutsOf } from "../../src/proxy/AttemptSending.ts"
import type { AnswerTranslator, Dialect } from "../../src/proxy/Dialect.ts"
import type { Candidate } from "../../src/routing/Router.ts"
import { configOf } from "../balancing/fakes.ts"
import { answers, asksAgain, carrying, dies, type FakeResponse, fails, hangs, opensAndFails, refusedOf, Scene } from "./carrying.ts"

/** Failover of any request, demotion, breaker, status. */
const table: ReadonlyArray<readonly [FailureKind, boolean, boolean, boolean, number]> = [
  ["refused", true, true, true, 502],
  ["unreachable", true, true, true, 502],
  ["dns", true, true, true, 502],
  ["connect_timeout", true, true, true, 504],
  ["tls_timeout", true, true, true, 504],
  ["tls", true, false, true, 502],
  ["closed", true, true, true, 502],
  ["reset", true, true, true, 502],
  ["header_timeout", false, false, true, 504],
  ["response_timeout", false, false, true, 504],
  ["malformed", false, false, true, 502]
]

/** Of the only endpoint that could serve this is no fault while its probes succeed. */
/** One further choice, and then none. */
const once = (choice: ReadonlyArray<Candidate>) => {
  const left = [choice]
  return () => left.pop() ?? []
}

const isSlow = (kind: FailureKind): boolean => kind === "header_timeout" || kind === "response_timeout"

/** What does no harm is asked of somebody else as well when this one had the request already. */
const isWorthAnother = (kind: FailureKind): boolean => kind === "header_timeout" || kind === "malformed"

describe("a failure before anything is committed", () => {
  for (const method of ["GET", "POST", "DELETE"])
    it.effect.each(table)(`of a ${method}: %s`, ([kind, always, demote, trips, status]) => {
      const failover = always || (method === "GET" && isWorthAnother(kind))
      const scene = new Scene("load_balancer: round-robin")
      const a = scene.add("a")
      scene.add("b")
      scene.fates.set("a", fails(kind))
      return Effect.gen(function* () {
        const { carry } = yield* carrying
        const request = scene.request({ method })
        const exit = yield* Effect.exit(carry(request))
        expect(scene.tried).toEqual(failover ? ["a", "b"] : ["a"])
        expect(a.failures.length).toBe(demote ? 1 : 0)
        expect(a.inFlight).toBe(0)
        expect(scene.ended.map(({ failure }) => failure?.kind)).toEqual(failover ? [kind, undefined] : [kind])
        if (failover) expect(request.exchange.outcome).toEqual({ _tag: "completed", status: 200 })
        else {
          const refused = refusedOf(exit)
          expect([refused?.failure.kind, failureRules[kind].status]).toEqual([kind, status])
          expect(request.exchange.outcome).toMatchObject({ _tag: "failed", status, committed: false })
        }
        // Four more of the kind open the breaker, if it counts them.
        for (let i = 0; i < 4; i++) yield* Effect.exit(carry(scene.request({ method, among: [a] })))
        if (!demote) expect(a.breaker.phase).toBe(trips && !isSlow(kind) ? "open" : "closed")
      }).pipe(Effect.provide(scene.layer))
    })

  it.effect("tries each endpoint once, and says that all failed", () => {
    const scene = new Scene()
    for (const name of ["a", "b", "c"]) {
      scene.add(name, { url: `http://10.1.2.3:100${scene.fleet.endpoints.length}` })
      scene.fates.set(name, fails("refused"))
    }
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const refused = refusedOf(yield* Effect.exit(carry(scene.request())))
      expect([...scene.tried].sort()).toEqual(["a", "b", "c"])
      expect(refused?.message).toMatch(/^all endpoints failed with connection errors: connection refused after \d+\.\ds - /)
      expect(refused?.message).not.toContain("10.1.2.3")
      expect(scene.fleet.endpoints.map(({ state }) => state.status)).toEqual(["offline", "offline", "offline"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("keeps nothing of an answer after which the same endpoint was asked in other words", () => {
    const scene = new Scene()
    scene.add("a")
    scene.fates.set("a", (nth) => (nth === 1 ? asksAgain : fails("closed")))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = scene.request()
      expect(refusedOf(yield* Effect.exit(carry(request)))?.failure.kind).toBe("closed")
      expect(scene.tried).toEqual(["a", "a"])
      const [only, ...more] = request.exchange.attempts
      expect(more).toEqual([])
      expect([only?.status, only?.timings.headers, only?.timings.firstByte, only?.timings.lastByte]).toEqual([0, 0, 0, 0])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("goes to one more endpoint at most where backends die of the request", () => {
    const scene = new Scene("load_balancer: round-robin")
    for (const name of ["a", "b", "c", "d"]) {
      scene.add(name)
      scene.fates.set(name, fails(name === "a" ? "refused" : "closed"))
    }
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const refused = refusedOf(yield* Effect.exit(carry(scene.request({ nextChoice: once(scene.request().candidates) }))))
      expect([refused?.failure.kind, scene.tried[0], scene.tried.length]).toEqual(["closed", "a", 3])
      expect(scene.fleet.endpoints.map(({ state }) => state.status)).toEqual(["offline", "healthy", "healthy", "healthy"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("of the only candidate says that it was", () => {
    const scene = new Scene()
    scene.add("a")
    scene.fates.set("a", fails("closed"))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      expect(refusedOf(yield* Effect.exit(carry(scene.request())))?.message).toMatch(
        /^the only reachable endpoint for this request failed with a connection error: connection closed/
      )
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("does not go to an endpoint that went out of rotation meanwhile", () => {
    const scene = new Scene("load_balancer: round-robin")
    scene.add("a")
    const b = scene.add("b")
    scene.add("c")
    scene.fates.set("a", () => {
      b.become("unhealthy")
      return fails("refused")
    })
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* carry(scene.request())
      expect(scene.tried).toEqual(["a", "c"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("ends in a refusal when nobody is routable any more", () => {
    const scene = new Scene()
    scene.add("a", { status: "offline" })
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const refused = refusedOf(yield* Effect.exit(carry(scene.request())))
      expect(refused?.message).toBe("endpoint selection failed: no routable endpoints available")
      expect(scene.ended).toEqual([])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("inside Olla is no endpoint's, and nobody else is bothered", () => {
    const scene = new Scene("load_balancer: round-robin")
    const a = scene.add("a")
    scene.add("b")
    scene.fates.set("a", dies)
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let i = 0; i < 6; i++) {
        const request = scene.request({ among: [a] })
        const exit = yield* Effect.exit(carry(request))
        expect(refusedOf(exit)?.failure.kind).toBe("internal")
        expect(request.exchange.outcome).toMatchObject({ _tag: "failed", status: 500, failure: { kind: "internal" } })
      }
      expect([a.inFlight, a.failures.length, a.breaker.phase]).toEqual([0, 0, "closed"])
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("a request in other words", () => {
  it.effect("is written for whoever is asked, not to learn who serves its path", () => {
    const scene = new Scene("load_balancer: round-robin")
    const a = scene.add("a")
    const b = scene.add("b")
    a.unserved.add("POST", "/there/a", "")
    b.unserved.add("POST", "/elsewhere", "")
    const written: Array<string> = []
    const dialect: Dialect = {
      speak: ({ name }) => {
        written.push(name)
        return { target: `/there/${name}?x=1`, body: [], headers: [], answer: undefined }
      },
      target: ({ name }) => `/there/${name}?x=1`
    }
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* carry(scene.request({ dialect }))
      expect([scene.tried, written]).toEqual([["b"], ["b"]])
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("a client that was kept waiting for a backend without a head", () => {
  const translator: AnswerTranslator = {
    head: () => undefined,
    push: () => undefined,
    end: () => undefined,
    fail: (why) => ({ bytes: Buffer.from(`told of ${why.kind}`), complete: true })
  }
  const dialect = {
    speak: () => ({ target: "/x", body: [], headers: [], answer: () => translator }) as const,
    target: () => "/x"
  }

  it.effect("gets the answer of another endpoint", () => {
    const scene = new Scene("load_balancer: round-robin")
    scene.add("a")
    scene.add("b")
    scene.fates.set("a", opensAndFails("closed"))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = scene.request({ dialect })
      yield* carry(request)
      expect(scene.tried).toEqual(["a", "b"])
      expect(request.exchange.outcome).toMatchObject({ _tag: "completed", status: 200 })
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect.each(["header_timeout", "refused"] as const)("is told in its dialect where nobody is left: %s", (kind) => {
    const scene = new Scene()
    scene.add("a")
    scene.fates.set("a", opensAndFails(kind))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = scene.request({ dialect })
      yield* carry(request)
      const response = request.response as unknown as FakeResponse
      expect([response.written, response.ended]).toEqual([`told of ${kind}`, true])
      expect(request.exchange.outcome).toMatchObject({ _tag: "failed", status: 200, committed: true, failure: { kind } })
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("a failure after the commit", () => {
  it.effect.each(["truncated", "idle_timeout", "client_write"] as const)("%s is the end of it, whatever the method", (kind) => {
    const scene = new Scene("load_balancer: round-robin")
    const a = scene.add("a")
    scene.add("b")
    scene.fates.set("a", fails(kind, true))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = scene.request({ method: "GET" })
      yield* carry(request)
      expect(scene.tried).toEqual(["a"])
      expect([a.failures.length, a.inFlight, a.breaker.phase]).toEqual([0, 0, "closed"])
      expect(request.exchange.outcome).toMatchObject({ _tag: "failed", status: 200, committed: true, failure: { kind } })
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("a client that leaves", () => {
  it.effect("frees the lease, blames nobody, and is on record once", () => {
    const scene = new Scene("load_balancer: round-robin")
    const a = scene.add("a")
    scene.add("b")
    scene.fates.set("a", hangs)
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let i = 0; i < 6; i++) {
        const request = scene.request({ among: [a] })
        const fiber = yield* Effect.forkChild(carry(request), { startImmediately: true })
        expect(a.inFlight).toBe(1)
        yield* Fiber.interrupt(fiber)
        expect(request.exchange.outcome).toEqual({ _tag: "cancelled", status: 499, committed: false })
        expect(request.exchange.attempts.map(({ failure }) => failure?.kind)).toEqual(["client_gone"])
      }
      expect([a.inFlight, a.failures.length, a.breaker.phase, scene.ended.length]).toEqual([0, 0, "closed", 6])
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("the status on record", () => {
  it.effect("is what the client was told, where a translator told another than the backend", () => {
    const scene = new Scene()
    scene.add("a")
    scene.fates.set("a", fails("untranslatable", true, 502))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const request = scene.request()
      yield* Effect.exit(carry(request))
      expect(request.exchange.outcome).toMatchObject({ _tag: "failed", status: 502, committed: true })
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("a sticky session", () => {
  const sticky = { key: "k", source: "prefix_hash" } as const
  it.effect("is missed, hit, and pinned anew when its endpoint dies; the last attempt's word counts", () => {
    const scene = new Scene("load_balancer: least-connections, sticky_sessions: { enabled: true }")
    scene.add("a")
    scene.add("b")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      const said: Array<string | undefined> = []
      const ask = Effect.gen(function* () {
        const request = scene.request({ sticky })
        yield* carry(request)
        said.push(request.exchange.sticky?.outcome)
      })
      yield* ask
      yield* ask
      const first = scene.tried[0] as string
      scene.fates.set(first, fails("refused"))
      yield* ask
      yield* ask
      // The demotion purged the entry before the second attempt looked.
      expect(said).toEqual(["miss", "hit", "miss", "hit"])
      const other = first === "a" ? "b" : "a"
      expect(scene.tried).toEqual([first, first, first, other, other])
    }).pipe(Effect.provide(scene.layer))
  })
})

describe("leases", () => {
  it.effect("return to zero whatever the mixture of ends", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom(answers(), answers(503), fails("refused"), fails("malformed"), fails("truncated", true), dies, hangs), {
            minLength: 1,
            maxLength: 20
          }),
          fc.constantFrom("olla", "sherpa"),
          async (fates, engine) => {
            const scene = new Scene(`engine: ${engine}`)
            for (const name of ["a", "b", "c"]) {
              scene.add(name)
              let nth = 0
              scene.fates.set(name, () => fates[nth++ % fates.length] ?? answers())
            }
            const program = Effect.gen(function* () {
              const { carry } = yield* carrying
              for (let i = 0; i < 12; i++) {
                const request = scene.request()
                const fiber = yield* Effect.forkChild(carry(request), { startImmediately: true })
                yield* Fiber.interrupt(fiber)
                expect(request.exchange.outcome).toBeDefined()
                for (const endpoint of scene.fleet.endpoints) if (endpoint.state.status === "offline") endpoint.become("healthy")
              }
            }).pipe(Effect.provide(scene.layer))
            await Effect.runPromise(program)
            expect(scene.fleet.endpoints.map(({ inFlight }) => inFlight)).toEqual([0, 0, 0])
            expect(scene.ended.length).toBe(
              scene.dispatched.length + scene.ended.filter(({ failure }) => failure?.kind === "breaker_open").length
            )
          }
        ),
        { numRuns: 40 }
      )
    )
  )
})

describe("time limits", () => {
  it.each([
    ["the defaults", "", { connect: 60_000, tls: 10_000, keepAlive: 30_000, headers: 0, response: 901_000, idle: 600_000 }],
    [
      "zeros",
      "connection_timeout: 0s, tls_handshake_timeout: 0s, connection_keep_alive: 0s, response_header_timeout: 0s",
      { connect: 60_000, tls: 10_000, keepAlive: 30_000, headers: 30_000 }
    ],
    ["limits that are off", "response_header_timeout: -1s, response_timeout: 0s, read_timeout: 0s", { headers: 0, response: 0, idle: 0 }],
    ["a limit for heads that was set", "response_header_timeout: 5s", { headers: 5_000, response: 901_000 }]
  ] as const)("%s", (_, proxy, wanted) => {
    const timed = { firstLeased: 1_000, leased: 1_000, usesLanes: true, stream: true, firstToken: 0, isCold: false }
    expect(timeoutsOf(configOf(proxy), timed)).toMatchObject(wanted)
  })

  it.each([
    [0, true, true, { firstByte: 0, hold: 5_000 }],
    [0, false, true, { firstByte: 0, hold: 0 }],
    [20_000, true, true, { firstByte: 22_000, hold: 20_000 }],
    [2_000, true, true, { firstByte: 4_000, hold: 5_000 }],
    [20_000, true, false, { firstByte: 0, hold: 5_000 }],
    [20_000, false, true, { firstByte: 0, hold: 0 }]
  ] as const)("of the first byte: %d ms, lanes %s, stream %s", (firstToken, usesLanes, stream, wanted) => {
    const timed = { firstLeased: 1_000, leased: 2_000, usesLanes, stream, firstToken, isCold: false }
    expect(timeoutsOf(configOf(), timed)).toMatchObject(wanted)
  })

  it.each([
    ["", 0, "", { headers: 0, firstByte: 0, hold: 5_000 }],
    ["response_header_timeout: 10s", 20_000, "", { headers: 300_000, firstByte: 302_000, hold: 300_000 }],
    ["response_header_timeout: 10s", 0, "cold_start_timeout: 5s", { headers: 10_000 }]
  ] as const)("of a model that is to be loaded first: %s, %d, %s", (proxy, firstToken, traffic, wanted) => {
    const timed = { firstLeased: 1_000, leased: 2_000, usesLanes: true, stream: true, firstToken, isCold: true }
    expect(timeoutsOf(configOf(proxy, "", traffic), timed)).toMatchObject(wanted)
    const off = timeoutsOf(configOf(proxy, "", traffic), { ...timed, usesLanes: false })
    expect([off.firstByte, off.hold]).toEqual([0, 0])
  })
})

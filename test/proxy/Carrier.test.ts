/** Attempts, failover, demotion, breakers and leases. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import { type FailureKind, failureRules } from "../../src/exchange/Failure.ts"
import { timeoutsOf } from "../../src/proxy/AttemptSending.ts"
import type { AnswerTranslator } from "../../src/proxy/Dialect.ts"
import type { Candidate } from "../../src/routing/Router.ts"
import { candidatesOf, configOf } from "../balancing/fakes.ts"
import { answers, asksAgain, carrying, dies, type FakeResponse, fails, hangs, opensAndFails, refusedOf, Scene } from "./carrying.ts"

/** failover, demotion, breaker, status: as the page has them. */
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

describe("a failure before anything is committed", () => {
  for (const method of ["GET", "POST", "DELETE"])
    it.effect.each(table)(`of a ${method}: %s`, ([kind, failover, demote, trips, status]) => {
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
        /^the only endpoint for this request failed with a connection error: connection closed/
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

describe("a client that was kept waiting for a backend without a head", () => {
  const translator: AnswerTranslator = {
    head: () => undefined,
    push: () => undefined,
    end: () => undefined,
    fail: (why) => ({ bytes: Buffer.from(`told of ${why.kind}`), complete: true })
  }
  const dialect = {
    speak: () => ({ target: "/x", body: [], headers: [], answer: () => translator }) as const
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

describe("the breaker of the olla engine", () => {
  const opened = (proxy = "load_balancer: round-robin") => {
    const scene = new Scene(proxy)
    const a = scene.add("a")
    const b = scene.add("b")
    scene.fates.set("a", fails("malformed"))
    const open = Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let i = 0; i < 5; i++) yield* Effect.exit(carry(scene.request({ among: [a] })))
      scene.sent.length = 0
      scene.ended.length = 0
    })
    return { scene, a, b, open }
  }

  it.effect("passes an open endpoint over, and no request fails for it", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      expect(a.breaker.phase).toBe("open")
      for (let i = 0; i < 10; i++) yield* carry(scene.request())
      expect(scene.tried).toEqual(Array(10).fill("b"))
      expect(scene.ended.length).toBe(10)
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("refuses when nobody else is left, naming the endpoint", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      const request = scene.request({ among: [a] })
      const refused = refusedOf(yield* Effect.exit(carry(request)))
      expect([refused?.message, refused?.failure.kind]).toEqual(["circuit breaker open for endpoint a", "breaker_open"])
      expect(scene.tried).toEqual([])
      expect([a.inFlight, a.failures.length, a.state.status]).toEqual([0, 0, "healthy"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("calls the second choice up before it refuses, and puts no refusal on record then", () => {
    const { scene, a, b, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      yield* carry(scene.request({ among: [a], nextChoice: once(candidatesOf([b])) }))
      expect([scene.tried, scene.ended.map(({ endpointName, failure }) => [endpointName, failure])]).toEqual([["b"], [["b", undefined]]])
      const refused = refusedOf(yield* Effect.exit(carry(scene.request({ among: [a], nextChoice: () => [] }))))
      expect([refused?.failure.kind, scene.ended.at(-1)?.failure?.kind]).toEqual(["breaker_open", "breaker_open"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("lets exactly one through after thirty seconds, and all after its success", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      yield* TestClock.adjust(30_000)
      yield* carry(scene.request())
      expect(scene.tried).toEqual(["b"])
      scene.sent.length = 0
      yield* TestClock.adjust(1)
      expect(a.breaker.phase).toBe("half-open")
      scene.fates.set("a", hangs)
      const trial = yield* Effect.forkChild(carry(scene.request({ among: [a] })), { startImmediately: true })
      for (let i = 0; i < 5; i++) yield* carry(scene.request())
      expect(scene.tried).toEqual(["a", "b", "b", "b", "b", "b"])
      // The trial's client loses patience: its place is free for another.
      yield* Fiber.interrupt(trial)
      scene.fates.set("a", answers(500))
      yield* carry(scene.request({ among: [a] }))
      expect([scene.tried.at(-1), a.breaker.phase]).toEqual(["a", "closed"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("opens for thirty seconds more when the trial fails", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      yield* TestClock.adjust(30_001)
      yield* Effect.exit(carry(scene.request({ among: [a] })))
      expect([scene.tried, a.breaker.phase]).toEqual([["a"], "open"])
      yield* TestClock.adjust(29_000)
      yield* carry(scene.request())
      expect(scene.tried).toEqual(["a", "b"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("lets one request a second through where nobody else can be asked, and closes with the first that is answered", () => {
    const { scene, a, b, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      const ask = Effect.exit(carry(scene.request({ among: [a] })))
      for (let second = 0; second < 3; second++) {
        yield* TestClock.adjust(999)
        yield* ask
        expect(scene.tried.length).toBe(second)
        yield* TestClock.adjust(1)
        for (let i = 0; i < 3; i++) yield* ask
        expect(scene.tried.length).toBe(second + 1)
      }
      // Somebody else is there: no trial before its time.
      b.become("healthy")
      yield* TestClock.adjust(1000)
      yield* carry(scene.request())
      expect(scene.tried.at(-1)).toBe("b")
      scene.fates.set("a", answers())
      yield* carry(scene.request({ among: [a] }))
      expect([scene.tried.at(-1), a.breaker.phase]).toEqual(["a", "closed"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("replaces a trial that never reports, and ignores its late word", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      yield* TestClock.adjust(30_001)
      scene.fates.set("a", hangs)
      const first = yield* Effect.forkChild(carry(scene.request({ among: [a] })), { startImmediately: true })
      yield* TestClock.adjust(30_000)
      const second = yield* Effect.forkChild(carry(scene.request({ among: [a] })), { startImmediately: true })
      yield* Effect.exit(carry(scene.request({ among: [a] })))
      expect(scene.tried).toEqual(["a", "a"])
      yield* Fiber.interrupt(first)
      expect(a.breaker.phase).toBe("half-open")
      yield* Fiber.interrupt(second)
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("never trips on statuses", () => {
    const scene = new Scene()
    const a = scene.add("a")
    scene.fates.set("a", answers(500))
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let i = 0; i < 7; i++) yield* carry(scene.request())
      expect([scene.tried.length, a.breaker.phase, a.state.status]).toEqual([7, "closed", "healthy"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("starts anew when a probe brings an endpoint back, and only then", () => {
    const { scene, a, open } = opened()
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      a.become("healthy")
      expect(a.breaker.phase).toBe("open")
      a.become("unhealthy")
      a.become("healthy")
      expect(a.breaker.phase).toBe("closed")
      yield* Effect.exit(carry(scene.request({ among: [a] })))
      expect(scene.tried).toEqual(["a"])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("is not usable for a pinned session, which is pinned anew", () => {
    const { scene, a, open } = opened("load_balancer: round-robin, sticky_sessions: { enabled: true }")
    const sticky = { key: "k", source: "session_header" } as const
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      scene.fates.set("a", answers())
      yield* carry(scene.request({ among: [a], sticky }))
      scene.fates.set("a", fails("malformed"))
      yield* open
      const request = scene.request({ sticky })
      yield* carry(request)
      expect([scene.tried, request.exchange.sticky]).toEqual([["b"], { outcome: "repin", source: "session_header" }])
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect.each(["header_timeout", "response_timeout"] as const)(
    "counts a %s where somebody else could serve, or probes fail too",
    (kind) => {
      const { scene, a, b, open } = opened()
      scene.fates.set("a", fails(kind))
      return Effect.gen(function* () {
        const { carry } = yield* carrying
        yield* open
        expect([scene.sent.length, a.breaker.phase]).toEqual([0, "closed"])
        // Out of rotation, the other one is nobody.
        b.become("unhealthy")
        for (let i = 0; i < 5; i++) yield* Effect.exit(carry(scene.request()))
        expect([scene.tried.length, a.breaker.phase]).toEqual([5, "closed"])
        b.become("healthy")
        for (let i = 0; i < 10; i++) yield* Effect.exit(carry(scene.request()))
        expect(a.breaker.phase).toBe("open")
      }).pipe(Effect.provide(scene.layer))
    }
  )

  it.effect("counts a late head of the only endpoint when its probes fail as well", () => {
    const { scene, a } = opened()
    scene.fates.set("a", () => {
      a.become("unhealthy")
      return fails("header_timeout")
    })
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      for (let i = 0; i < 5; i++) {
        a.state = { ...a.state, status: "healthy" }
        yield* Effect.exit(carry(scene.request({ among: [a] })))
      }
      expect(a.breaker.phase).toBe("open")
    }).pipe(Effect.provide(scene.layer))
  })

  it.effect("is not told by sherpa, and stays closed", () => {
    const { scene, a, open } = opened("engine: sherpa")
    return Effect.gen(function* () {
      const { carry } = yield* carrying
      yield* open
      yield* Effect.exit(carry(scene.request({ among: [a] })))
      expect([scene.tried, a.breaker.phase]).toEqual([["a"], "closed"])
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
    expect(timeoutsOf(configOf(proxy).proxy, 1_000)).toMatchObject(wanted)
  })
})

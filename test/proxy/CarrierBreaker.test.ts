/** Which attempts the engine's breaker counts, lets through and holds back. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type { Candidate } from "../../src/routing/Router.ts"
import { candidatesOf } from "../balancing/fakes.ts"
import { answers, carrying, fails, hangs, refusedOf, Scene } from "./carrying.ts"

/** Of the only endpoint that could serve this is no fault while its probes succeed. */
/** One further choice, and then none. */
const once = (choice: ReadonlyArray<Candidate>) => {
  const left = [choice]
  return () => left.pop() ?? []
}

describe("the breaker of the olla engine", () => {
  const opened = (proxy = "load_balancer: round-robin") => {
    // Where lanes are kept, one that fails is left out long before its endpoint's breaker opens.
    const scene = new Scene(proxy, "enabled: false")
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

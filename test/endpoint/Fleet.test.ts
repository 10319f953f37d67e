import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { Fleet, type FleetEvent } from "../../src/endpoint/Fleet.ts"
import { failure } from "../../src/exchange/Failure.ts"
import {
  answer,
  askedAt,
  type Backend,
  endpointAt,
  failing,
  fleetLayer,
  hanging,
  messages,
  ollama,
  pass,
  refused,
  settle,
  started,
  world
} from "./fakeFleet.ts"

const refusal = (startedAt: number) => ({ failure: failure("refused", "ECONNREFUSED 10.0.0.1:80"), startedAt })

describe("start-up", () => {
  it.effect("is over when every endpoint has a first status, and the healthy ones their models", () => {
    const here = world({ a: ollama("m1", "m2"), b: () => answer(500) })
    return Effect.gen(function* () {
      const fleet = yield* started
      expect(fleet.endpoints.map(({ name, state, models }) => [name, state.status, models.map((model) => model.name)])).toEqual([
        ["a", "healthy", ["m1", "m2"]],
        ["b", "unhealthy", []],
        ["c", "offline", []]
      ])
      // One line each.
      expect(messages(here)).toHaveLength(3)
      expect(messages(here)).toEqual(
        expect.arrayContaining([
          "Endpoint a is Healthy",
          "Endpoint b is Unhealthy: HTTP 500",
          expect.stringMatching(/^Endpoint c is Offline: ./)
        ])
      )
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }, { host: "c" }])))
  })
  it.effect("waits no longer than 2 s for a hanging listing, which goes on behind it", () => {
    let late: Backend = () => hanging
    const here = world({ a: ollama("m"), slow: (path, request) => (path === "/" ? answer(200) : late(path, request)) })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      const ready = yield* Effect.forkChild(fleet.ready)
      yield* settle
      yield* TestClock.adjust("1 second")
      expect(ready.pollUnsafe()).toBeUndefined()
      expect(endpointAt(fleet, "a").models).toHaveLength(1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ready)
      late = ollama("late")
      yield* TestClock.adjust("5 minutes")
      expect(endpointAt(fleet, "slow").models.map(({ name }) => name)).toEqual(["late"])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "slow" }], "timeout: 60s")))
  })
  it.effect("of an empty fleet is over at once", () => {
    const here = world({})
    return Effect.gen(function* () {
      yield* (yield* Fleet).ready
    }).pipe(Effect.provide(fleetLayer(here, [])))
  })
})

describe("probing", () => {
  it.effect("keeps each endpoint's own interval", () => {
    const here = world({ fast: ollama(), slow: ollama() })
    return Effect.gen(function* () {
      yield* settle
      yield* pass(20)
      expect(askedAt(here, "fast", "/")).toEqual(Array.from({ length: 21 }, (_, n) => n))
      expect(askedAt(here, "slow", "/")).toEqual([0, 7, 14])
    }).pipe(
      Effect.provide(
        fleetLayer(here, [
          { host: "fast", keys: "type: ollama, check_interval: 1s" },
          { host: "slow", keys: "type: ollama, check_interval: 7s" }
        ])
      )
    )
  })
  it.effect("follows the timeline of a refused endpoint, retries included", () => {
    const here = world({})
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* settle
      yield* pass(100)
      here.backends["a"] = ollama("m")
      yield* pass(40)
      const starts = askedAt(here, "a", "/").filter((at, n, all) => n === 0 || at - (all[n - 1] ?? 0) > 1)
      expect(starts.map((at) => Math.floor(at))).toEqual([...Array.from({ length: 13 }, (_, n) => 5 * n), 70, 90, 130, 135, 140])
      expect(askedAt(here, "a", "/").slice(0, 4)).toEqual([0, 0.1, 0.3, 5])
      expect(endpointAt(fleet, "a").state).toMatchObject({ status: "healthy", consecutiveFailures: 0 })
      expect(endpointAt(fleet, "a").models).toMatchObject([{ name: "m" }])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
  it.effect("does not repeat a timeout, and asks with the time limit of the endpoint", () => {
    const here = world({ a: () => hanging })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* TestClock.adjust("4 seconds")
      expect(askedAt(here, "a", "/")).toEqual([0])
      expect(endpointAt(fleet, "a").state).toMatchObject({
        status: "offline",
        lastLatency: 3000,
        lastError: "timeout after 3s",
        nextCheck: 5000
      })
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a", keys: "type: ollama, check_timeout: 3s" }])))
  })
  it.effect("waits out what a 429 asks for", () => {
    const here = world({ a: () => answer(429, "", { retryAfter: "120" }) })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* TestClock.adjust("119 seconds")
      expect(endpointAt(fleet, "a").state).toMatchObject({ status: "rate_limited", nextCheck: 120_000 })
      yield* TestClock.adjust("2 seconds")
      expect(askedAt(here, "a", "/")).toEqual([0, 120])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
  it.effect("one hanging endpoint changes nothing for the others", () => {
    const here = world({ hang: () => hanging, a: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* TestClock.adjust("20 seconds")
      expect(askedAt(here, "a", "/")).toEqual([0, 5, 10, 15, 20])
      expect(endpointAt(fleet, "a").state.consecutiveFailures).toBe(0)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "hang" }, { host: "a" }])))
  })
  it.effect("that is cut off by the end of the daemon changes and says nothing", () => {
    const here = world({ a: () => hanging })
    return Effect.gen(function* () {
      const endpoint = yield* Effect.gen(function* () {
        const fleet = yield* Fleet
        yield* TestClock.adjust("1 second")
        return endpointAt(fleet, "a")
      }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
      yield* TestClock.adjust("1 minute")
      expect(endpoint.state.status).toBe("unknown")
      expect(here.log.filter(({ level }) => level === "Warn" || level === "Error")).toEqual([])
    })
  })
  it.effect("that cannot be made for want of descriptors changes nothing, and is told once", () => {
    const here = world({ a: ollama("m"), b: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* started
      for (const host of ["a", "b"]) here.backends[host] = () => failing("this process is out of file descriptors", "local")
      yield* pass(30)
      expect(fleet.endpoints.map(({ state }) => [state.status, state.consecutiveFailures, state.lastError])).toEqual([
        ["healthy", 0, ""],
        ["healthy", 0, ""]
      ])
      expect(askedAt(here, "a", "/").length).toBe(7)
      expect(messages(here).filter((text) => text.startsWith("Out of file descriptors"))).toHaveLength(1)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }])))
  })
  it.effect("survives a defect in one probe, which counts as offline", () => {
    let broken = true
    const here = world({ a: (path, request) => (broken ? Effect.die(new Error("bug")) : ollama("m")(path, request)) })
    return Effect.gen(function* () {
      const fleet = yield* started
      expect(endpointAt(fleet, "a").state).toMatchObject({ status: "offline", lastError: "internal error" })
      broken = false
      yield* TestClock.adjust("5 seconds")
      expect(endpointAt(fleet, "a").state.status).toBe("healthy")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

describe("a failed attempt", () => {
  it.effect("takes the endpoint out at once, and tells listeners before it returns", () => {
    const here = world({ a: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* started
      yield* TestClock.adjust("6 seconds")
      const events: Array<FleetEvent> = []
      fleet.onEvent((event) => events.push(event))
      const endpoint = endpointAt(fleet, "a")
      endpoint.attemptFailed(refusal(6500))
      expect(endpoint.state).toMatchObject({
        status: "offline",
        consecutiveFailures: 1,
        nextCheck: 12_000,
        lastError: "connection refused"
      })
      expect(events).toMatchObject([{ _tag: "StatusChanged", from: { status: "healthy" }, to: { status: "offline" } }])
      yield* TestClock.adjust("4999 millis")
      expect(endpoint.state.status).toBe("offline")
      yield* TestClock.adjust("1 millis")
      expect(endpoint.state.status).toBe("healthy")
      expect(here.log).toContainEqual({
        level: "Warn",
        message: "Endpoint a is Offline: connection refused",
        fields: { endpoint: "a", status: "offline", consecutive_failures: 1, next_check: "1970-01-01T00:00:12.000Z" }
      })
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
  it.effect("counts once for fifty requests, and not at all against a later healthy probe", () => {
    const here = world({ a: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* started
      yield* TestClock.adjust("6 seconds")
      const endpoint = endpointAt(fleet, "a")
      endpoint.attemptFailed(refusal(4000))
      expect(endpoint.state.status).toBe("healthy")
      for (let n = 0; n < 50; n++) endpoint.attemptFailed(refusal(6000 + n))
      expect(endpoint.state).toMatchObject({ consecutiveFailures: 1, backoffMultiplier: 2 })
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

describe("the system's time", () => {
  /** The test's clock, whose wall time somebody sets. */
  const settable = (clock: Clock.Clock) => {
    const set = { by: 0 }
    const wall = (): number => clock.currentTimeMillisUnsafe() + set.by
    return {
      set,
      clock: Object.assign(Object.create(clock) as Clock.Clock, {
        currentTimeMillisUnsafe: wall,
        currentTimeMillis: Effect.sync(wall),
        currentTimeNanosUnsafe: () => BigInt(wall()) * 1_000_000n
      })
    }
  }
  it.effect.each([-172_800_000, 172_800_000])("may be set by %d ms: probes, back-off, demotions and listings keep their pace", (jump) => {
    const here = world({ a: ollama("m"), down: () => refused })
    return Effect.gen(function* () {
      const { clock, set } = settable(yield* Clock.Clock)
      yield* Effect.gen(function* () {
        const fleet = yield* started
        yield* pass(9)
        set.by = jump
        yield* pass(80)
        expect(here.asked.filter(({ host, path }) => host === "a" && path === "/").length).toBe(19)
        const listings = here.asked.filter(({ path }) => path === "/api/tags").length
        // At the start, and at 30, 60 and 90 s.
        expect(listings).toBe(4)
        expect(endpointAt(fleet, "a").state.status).toBe("healthy")
        expect(fleet.now() - endpointAt(fleet, "a").state.lastChecked).toBeLessThanOrEqual(5000)
        here.backends["down"] = ollama("m")
        yield* pass(20)
        expect(endpointAt(fleet, "down").state.status).toBe("healthy")
        endpointAt(fleet, "a").attemptFailed(refusal(fleet.now()))
        expect(endpointAt(fleet, "a").state.status).toBe("offline")
        yield* pass(5)
        expect(endpointAt(fleet, "a").state.status).toBe("healthy")
        expect(endpointAt(fleet, "a").modelsAge).toBeLessThanOrEqual(30_000)
      }).pipe(
        Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "down" }], "interval: 30s")),
        Effect.provideService(Clock.Clock, clock)
      )
    })
  })
})

describe("recovery", () => {
  it.effect("reads the models anew", () => {
    const here = world({ a: ollama("old") })
    return Effect.gen(function* () {
      const fleet = yield* started
      delete here.backends["a"]
      yield* TestClock.adjust("5 seconds")
      expect(endpointAt(fleet, "a").state.status).toBe("offline")
      expect(endpointAt(fleet, "a").models).toMatchObject([{ name: "old" }])
      here.backends["a"] = ollama("new")
      yield* TestClock.adjust("5 seconds")
      expect(endpointAt(fleet, "a").state.status).toBe("healthy")
      expect(endpointAt(fleet, "a").models).toMatchObject([{ name: "new" }])
      expect(endpointAt(fleet, "a").modelsSyncedAt).toBe(10_000)
      expect(messages(here)).toContain("Endpoint recovered: a is Healthy")
      expect(here.log).toContainEqual({
        level: "Info",
        message: "Models changed",
        fields: { endpoint: "a", added: ["new"], removed: ["old"], total: 1 }
      })
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

describe("a crash in an actor", () => {
  it.effect("is logged, shown, and followed by a restart that leaves the others alone", () => {
    let broken = false
    const here = world({
      a: (path, request) => (broken && path === "/api/tags" ? Effect.die(new Error("bug in the reader")) : ollama("m")(path, request)),
      b: ollama("m")
    })
    return Effect.gen(function* () {
      const fleet = yield* started
      broken = true
      const refreshed = yield* Effect.forkChild(fleet.refreshModels([endpointAt(fleet, "a")]))
      yield* settle
      expect(yield* Fiber.join(refreshed)).toBe(false)
      expect(endpointAt(fleet, "a").state).toMatchObject({
        status: "healthy",
        lastError: "internal error while watching this endpoint; it was restarted"
      })
      expect(messages(here).filter((text) => text === "endpoint actor crashed, restarting")).toHaveLength(1)
      broken = false
      yield* TestClock.adjust("10 seconds")
      expect(askedAt(here, "a", "/")).toEqual([0, 5, 10])
      expect(askedAt(here, "b", "/")).toEqual([0, 5, 10])
      expect(endpointAt(fleet, "a").state.lastError).toBe("")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }])))
  })
  it.effect("again and again is restarted ever more slowly, up to half a minute", () => {
    const here = world({ a: (path) => (path === "/" ? answer(200) : Effect.die(new Error("bug"))) })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      const ask = fleet.refreshModels([endpointAt(fleet, "a")])
      for (let n = 0; n < 600; n++) {
        yield* Effect.forkChild(ask)
        yield* TestClock.adjust("1 second")
      }
      const crashes = messages(here).filter((text) => text === "endpoint actor crashed, restarting").length
      expect(crashes).toBeGreaterThan(15)
      expect(crashes).toBeLessThan(40)
      expect(endpointAt(fleet, "a").state.status).toBe("healthy")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
  it.effect("is not caused by a listener that throws", () => {
    const here = world({ a: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      fleet.onEvent(() => {
        throw new Error("bad listener")
      })
      yield* started
      expect(endpointAt(fleet, "a").state.status).toBe("healthy")
      expect(() => endpointAt(fleet, "a").attemptFailed(refusal(900))).not.toThrow()
      yield* TestClock.adjust("1 millis")
      expect(messages(here)).toContain("a listener of the fleet failed")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

describe("log lines", () => {
  const only = (here: ReturnType<typeof world>, level: string) =>
    here.log.filter((each) => each.level === level).map(({ message }) => message)
  it.effect("remind of a lasting failure at every fifth, and strip queries", () => {
    const here = world({ a: () => answer(500) })
    return Effect.gen(function* () {
      yield* settle
      yield* TestClock.adjust("4 seconds")
      expect(only(here, "Warn").slice(0, 2)).toEqual(["Endpoint a is Unhealthy: HTTP 500"])
      yield* TestClock.adjust("20 minutes")
      expect(only(here, "Warn")).toContain("Endpoint a is still Unhealthy: HTTP 500")
      expect(here.log.find(({ level }) => level === "Warn")?.fields).toMatchObject({
        status: "unhealthy",
        endpoint_url: "http://a/health",
        status_code: 500
      })
      expect(JSON.stringify(here.log)).not.toContain("s3cret")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a", keys: "type: ollama, health_check_url: '/health?key=s3cret'" }])))
  })
  it.effect("tell each change of status", () => {
    const here = world({ a: ollama("m") })
    return Effect.gen(function* () {
      yield* started
      here.backends["a"] = () => answer(401)
      yield* TestClock.adjust("5 seconds")
      here.backends["a"] = () => refused
      yield* TestClock.adjust("5 seconds")
      here.backends["a"] = () => answer(429)
      yield* TestClock.adjust("10 seconds")
      expect(only(here, "Warn")).toEqual([
        expect.stringMatching(/^Endpoint a is Config Error: ./),
        "Endpoint a is Offline: connection refused",
        expect.stringMatching(/^Endpoint a is Rate Limited: ./)
      ])
      expect(only(here, "Info")).toContain("Endpoint a is Healthy")
      expect(only(here, "Info")).toContain("no Retry-After header on 429, using default backoff")
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
  it.effect("name the kind of failure, not the backend's address", () => {
    const here = world({ a: () => failing("the certificate is not trusted") })
    return Effect.gen(function* () {
      const fleet = yield* started
      expect(endpointAt(fleet, "a").state.lastError).toBe("the certificate is not trusted")
      expect(only(here, "Warn")).toEqual(["Endpoint a is Offline: the certificate is not trusted"])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

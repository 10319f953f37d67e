import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { Balancer } from "../../src/balancing/Balancer.ts"
import { layer } from "../../src/balancing/BalancerLive.ts"
import type { Lease } from "../../src/balancing/Lease.ts"
import { Settings } from "../../src/config/Settings.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { candidatesOf, claimOf, configOf, FakeFleet } from "./fakes.ts"

const world = (fleet: FakeFleet, proxy: string) =>
  layer.pipe(Layer.provide(Layer.merge(Settings.layerOf(configOf(proxy)), Layer.succeed(Fleet, fleet.service))))

const three = () => {
  const fleet = new FakeFleet()
  for (const name of ["a", "b", "c"]) fleet.add(name)
  return fleet
}

const shown = (lease: Lease | undefined) =>
  lease === undefined
    ? "nobody"
    : [lease.candidate.endpoint.name, lease.sticky?.outcome, lease.sticky?.source].filter((part) => part !== undefined).join(" ")

const claim = claimOf(undefined)

const byHeader = { key: "k", source: "session_header" } as const

describe("a lease", () => {
  it.effect("takes a slot at once and gives it back exactly once", () => {
    const fleet = three()
    const candidates = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      const leases = Array.from({ length: 6 }, () => balancer.acquire(candidates, claim))
      assert.deepStrictEqual(
        fleet.endpoints.map((endpoint) => endpoint.inFlight),
        [2, 2, 2]
      )
      for (const lease of leases) lease?.release()
      leases[0]?.release()
      assert.deepStrictEqual(
        fleet.endpoints.map((endpoint) => endpoint.inFlight),
        [0, 0, 0]
      )
    }).pipe(Effect.provide(world(fleet, "")))
  })

  it.effect("is never on an endpoint that is not routable, and on nobody when nobody is", () => {
    const fleet = three()
    const candidates = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      fleet.endpoints[0]?.become("offline")
      fleet.endpoints[1]?.become("rate_limited")
      for (let n = 0; n < 4; n++) assert.strictEqual(shown(balancer.acquire(candidates, claim)), "c")
      fleet.endpoints[2]?.become("unhealthy")
      assert.isUndefined(balancer.acquire(candidates, claim))
      assert.isUndefined(balancer.acquire([], claim))
    }).pipe(Effect.provide(world(fleet, "")))
  })

  it.effect.each([
    ["round-robin", "a b c a"],
    ["least-connections", "a b c a"],
    ["priority", "b b b b"]
  ] as const)("is the configured balancer's: %s", ([name, expected]) => {
    const fleet = new FakeFleet()
    for (const one of ["a", "b", "c"]) fleet.add(one, { priority: one === "b" ? 200 : 100 })
    const candidates = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      const names = Array.from({ length: 4 }, () => {
        const lease = balancer.acquire(candidates, claim)
        lease?.release()
        return shown(lease)
      })
      assert.strictEqual(names.join(" "), expected)
    }).pipe(Effect.provide(world(fleet, `load_balancer: ${name}`)))
  })
})

describe("what a reload changes", () => {
  it.effect("counts with the next lease: the rule, stickiness, its bounds and the engine", () => {
    const fleet = three()
    const all = candidatesOf(fleet.endpoints)
    let config = configOf("load_balancer: round-robin")
    const settings = Layer.succeed(Settings, {
      ...Settings.of({
        current: () => config,
        folder: undefined,
        isWritten: () => true,
        dashboardToken: () => undefined,
        metricsToken: () => undefined,
        codexInstructions: () => "",
        generation: () => 1,
        onReplace: () => () => {}
      })
    })
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      const names = (count: number) => Array.from({ length: count }, () => shown(balancer.acquire(all, claimOf(byHeader)))).join(", ")
      assert.strictEqual(names(4), "a, b, c, a")
      config = configOf("load_balancer: round-robin, sticky_sessions: { enabled: true, max_sessions: 5 }")
      assert.strictEqual(names(2), "b miss session_header, b hit session_header")
      assert.strictEqual(balancer.stickyStats()?.max_sessions, 5)
      config = configOf("load_balancer: priority")
      assert.isUndefined(balancer.stickyStats())
      const b = fleet.endpoints[1]
      for (let n = 0; n < 5; n++) b?.breaker.fail(undefined)
      const leased = () => Array.from({ length: 60 }, () => balancer.acquire(all, claim)?.candidate.endpoint)
      assert.notInclude(leased(), b)
      config = configOf("engine: sherpa, load_balancer: round-robin")
      assert.include(leased(), b)
    }).pipe(Effect.provide(layer.pipe(Layer.provide(Layer.merge(settings, Layer.succeed(Fleet, fleet.service))))))
  })
})

describe("a sticky lease", () => {
  const sticky = "sticky_sessions: { enabled: true, idle_ttl_seconds: 60 }"

  it.effect("misses, hits, and is pinned anew when its endpoint cannot be used", () => {
    const fleet = three()
    const all = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "a miss session_header")
      // A hit ignores load.
      for (let n = 0; n < 3; n++) assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "a hit session_header")
      // The second attempt of a request, without the endpoint that failed; of the tied two it is the second one's turn.
      assert.strictEqual(shown(balancer.acquire(all.slice(1), claimOf(byHeader))), "c repin session_header")
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "c hit session_header")
      assert.deepInclude(balancer.stickyStats(), { active_sessions: 1, insertions: 1, hits: 5, misses: 1, evictions: 0 })
    }).pipe(Effect.provide(world(fleet, sticky)))
  })

  it.effect("is forgotten with its endpoint, and only then", () => {
    const fleet = three()
    const all = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      balancer.acquire(all, claimOf(byHeader))
      fleet.endpoints[0]?.become("busy")
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "a hit session_header")
      fleet.endpoints[0]?.become("offline")
      assert.strictEqual(balancer.stickyStats()?.active_sessions, 0)
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "c miss session_header")
    }).pipe(Effect.provide(world(fleet, sticky)))
  })

  it.effect("ends by the clock, renewed by each look", () => {
    const fleet = three()
    const all = candidatesOf(fleet.endpoints)
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      balancer.acquire(all, claimOf(byHeader))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "a hit session_header")
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(shown(balancer.acquire(all, claimOf(byHeader))), "c miss session_header")
    }).pipe(Effect.provide(world(fleet, sticky)))
  })

  it.effect("says disabled without a key, and writes nothing down when nobody can be had", () => {
    const fleet = three()
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      assert.strictEqual(shown(balancer.acquire(candidatesOf(fleet.endpoints), claimOf({ key: "", source: "none" }))), "a disabled none")
      assert.isUndefined(balancer.acquire([], claimOf(byHeader)))
      assert.deepInclude(balancer.stickyStats(), { active_sessions: 0, insertions: 0 })
    }).pipe(Effect.provide(world(fleet, sticky)))
  })

  it.effect("is not spoken of while sticky sessions are off", () => {
    const fleet = three()
    return Effect.gen(function* () {
      const balancer = yield* Balancer
      assert.strictEqual(shown(balancer.acquire(candidatesOf(fleet.endpoints), claimOf(byHeader))), "a")
      assert.isUndefined(balancer.stickyStats())
    }).pipe(Effect.provide(world(fleet, "")))
  })
})

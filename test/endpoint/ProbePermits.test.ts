import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { askedAt, endpointAt, fleetLayer, hanging, messages, ollama, pass, settle, started, world } from "./fakeFleet.ts"

describe("many endpoints that hang", () => {
  it.effect("hold up neither the healthy ones' probes nor the return of one that was only down", () => {
    const here = world({ a: ollama("m") })
    const hung = Array.from({ length: 19 }, (_, n) => `hung${n}`)
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* TestClock.adjust("70 seconds")
      // 19 that hang 30 s each would fill the five places for good; until each has hung once they may.
      for (const host of hung) here.backends[host] = () => hanging
      yield* TestClock.adjust("597 seconds")
      const seconds = askedAt(here, "a", "/").filter((at) => at > 370)
      expect(seconds).toEqual(seconds.map((_, n) => (seconds[0] ?? 0) + 5 * n))
      expect(seconds.length).toBe(59)
      const { nextCheck, status } = endpointAt(fleet, "down").state
      expect([status, nextCheck > 667_000 && nextCheck <= 730_000]).toEqual(["offline", true])
      here.backends["down"] = ollama("m")
      yield* TestClock.adjust(nextCheck - 667_000)
      expect(endpointAt(fleet, "down").state.status).toBe("healthy")
    }).pipe(
      Effect.provide(
        fleetLayer(here, [
          { host: "a" },
          { host: "down" },
          ...hung.map((host) => ({ host, keys: "type: ollama, check_interval: 31s, check_timeout: 30s" }))
        ])
      )
    )
  })
})

describe("the places for probes", () => {
  const hung = Array.from({ length: 40 }, (_, n) => `hung${n}`)
  const entries = (keys: string) => [...hung.map((host) => ({ host, keys: `type: ollama, ${keys}` })), { host: "a" }, { host: "b" }]
  const backends = () => world({ ...Object.fromEntries(hung.map((host) => [host, () => hanging])), a: ollama("m"), b: ollama("m") })
  it.effect("are left by those that hang, so that the start finds the others before it is over", () => {
    const here = backends()
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* pass(9)
      expect(["a", "b"].map((host) => endpointAt(fleet, host).models.length)).toEqual([1, 1])
      yield* pass(27)
      yield* fleet.ready
      expect(hung.map((host) => endpointAt(fleet, host).state.lastError)).toEqual(hung.map(() => "timeout after 28s"))
    }).pipe(Effect.provide(fleetLayer(here, entries("check_interval: 1m, check_timeout: 28s"))))
  })
  it.effect("bound how many are asked at once", () => {
    const here = backends()
    return Effect.gen(function* () {
      yield* settle
      // 42 endpoints: a quarter of them, rounded up.
      const count = () => here.asked.filter(({ host }) => host.startsWith("hung")).length
      expect(count()).toBe(11)
      yield* TestClock.adjust("1900 millis")
      yield* settle
      expect(count()).toBe(11)
      yield* TestClock.adjust("100 millis")
      yield* settle
      expect(count()).toBe(22)
    }).pipe(Effect.provide(fleetLayer(here, entries("check_interval: 5s, check_timeout: 2s"))))
  })
  it.effect("do not come to an end with a bug behind a probe: the actor starts anew and asks again", () => {
    const here = world({ a: ollama("m") })
    let broken = false
    const chance = {
      nextIntUnsafe: () => 0,
      nextDoubleUnsafe: () => {
        if (!broken) return 0.5
        broken = false
        throw new Error("bug")
      }
    }
    return Effect.gen(function* () {
      yield* started
      broken = true
      yield* TestClock.adjust("5 seconds")
      expect(messages(here).filter((text) => text === "endpoint actor crashed, restarting")).toHaveLength(1)
      yield* TestClock.adjust("10 seconds")
      expect(askedAt(here, "a", "/")).toEqual([0, 5, 5.1, 10.1, 15.1])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }], "", chance)))
  })
})

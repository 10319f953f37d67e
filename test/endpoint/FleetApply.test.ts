/** A fleet that becomes another configuration's while it runs, and what operators do with its endpoints. */
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { it as check, describe as plain } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { accepts } from "../../src/endpoint/Endpoint.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import type { EndpointSpec } from "../../src/endpoint/EndpointSpec.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { fleetChange, isNoChange } from "../../src/endpoint/FleetChange.ts"
import { runs } from "../propertyRuns.ts"
import {
  answer,
  askedAt,
  type Entry,
  endpointAt,
  failing,
  fleetLayer,
  hanging,
  ollama,
  pass,
  settle,
  shippedProfiles,
  started,
  world
} from "./fakeFleet.ts"

const specsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<EndpointSpec> => {
  const list = entries.map(({ host, keys }) => `{ url: "http://${host}", name: ${host}, ${keys ?? "type: ollama"} }`).join(", ")
  const { config } = decodeConfig(`discovery: { static: { endpoints: [${list}] } }`, "test.yaml", {})
  if (config === undefined) throw new Error(list)
  return loadEndpoints(config, shippedProfiles, { SECRET: "one" }, () => "").specs
}

const tagsOf = (fleet: Fleet["Service"]): Array<string> => {
  const told: Array<string> = []
  fleet.onEvent(({ _tag, endpoint }) => told.push(`${_tag} ${endpoint.name}`))
  return told
}

plain("a change of the fleet", () => {
  const some = (entry: string): ReadonlyArray<EndpointSpec> => specsOf([{ host: "a", keys: entry }])
  check.each([
    ["a name", "type: ollama, name: b", false],
    ["a priority", "type: ollama, priority: 3", false],
    ["an interval", "type: ollama, check_interval: 9s", false],
    ["a filter", "type: ollama, model_filter: { include: [x] }", false],
    ["what rules and limits look at", "type: ollama, labels: { a: b }, weight: 2, max_concurrent: 3, max_resident: 1", false],
    ["a type", "type: vllm", true],
    ["a header", "type: ollama, headers: { X-A: b }", true],
    ["a credential", "type: ollama, auth: { type: bearer, token: t }", true],
    ["a path", "type: ollama, health_check_url: /up", true],
    ["no probes", "type: ollama, health_check: none", true]
  ])("of %s keeps the endpoint, and asks it anew where that is in doubt", (_what, entry, anew) => {
    const keys = entry.replace("type: ollama, name: b", "type: ollama")
    const after = some(keys).map((spec) => (entry.includes("name: b") ? { ...spec, name: "b" } : spec))
    const change = fleetChange(some("type: ollama"), after)
    expect([change.added, change.removed, change.changed.map((one) => one.anew)]).toEqual([[], [], [anew]])
    // What connections hang on stays, since it says the same.
    expect(change.changed[0]?.after.origin).toBe(change.changed[0]?.before.origin)
  })

  const fleets = fc
    .uniqueArray(fc.constantFrom("a", "b", "c", "d"), { maxLength: 4 })
    .chain((hosts) =>
      fc.tuple(
        ...hosts.map((host) =>
          fc.constantFrom("type: ollama", "type: vllm", "type: auto", "type: ollama, priority: 1").map((keys) => ({ host, keys }))
        )
      )
    )
  check("is none between readings of the same, and what it says leads from one to the other", () => {
    fc.assert(
      fc.property(fleets, fleets, (a, b) => {
        expect(isNoChange(fleetChange(specsOf(a), specsOf(a)))).toBe(true)
        const change = fleetChange(specsOf(a), specsOf(b))
        const after = new Map(specsOf(a).map((spec) => [spec.url, spec]))
        for (const { url } of change.removed) after.delete(url)
        for (const spec of change.added) after.set(spec.url, spec)
        for (const { after: spec } of change.changed) after.set(spec.url, spec)
        const names = (specs: Iterable<EndpointSpec>) => [...specs].map(({ name, type, priority }) => `${name} ${type} ${priority}`).sort()
        expect(names(after.values())).toEqual(names(specsOf(b)))
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("a fleet that becomes another", () => {
  it.effect("watches who is new, leaves who is gone, and keeps who stays", () => {
    const here = world({ a: ollama("m"), b: ollama("n"), c: ollama("o") })
    return Effect.gen(function* () {
      const fleet = yield* started
      const [a, b] = [endpointAt(fleet, "a"), endpointAt(fleet, "b")]
      const told = tagsOf(fleet)
      yield* fleet.apply(specsOf([{ host: "c" }, { host: "a", keys: "type: ollama, priority: 7" }]))
      expect(fleet.endpoints.map(({ name, index }) => `${name} ${index}`)).toEqual(["c 0", "a 1"])
      expect([endpointAt(fleet, "a"), a.priority]).toEqual([a, 7])
      expect(told.slice(0, 4)).toEqual(["SpecChanged a", "EndpointRemoved b", "EndpointGone b", "EndpointAdded c"])
      assert.isFalse(accepts(b))
      yield* settle
      yield* pass(2)
      expect([accepts(endpointAt(fleet, "c")), endpointAt(fleet, "c").models.map(({ name }) => name)]).toEqual([true, ["o"]])
      const before = here.asked.filter(({ host }) => host === "b").length
      yield* pass(30)
      expect(here.asked.filter(({ host }) => host === "b").length).toBe(before)
      // What stays the same is not asked anew.
      expect(askedAt(here, "a", "/api/tags")).toEqual([0])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }])))
  })

  it.effect("forgets nobody whose attempts still run, and takes the same one back", () => {
    const here = world({ a: ollama("m"), b: ollama("n") })
    return Effect.gen(function* () {
      const fleet = yield* started
      const b = endpointAt(fleet, "b")
      b.enter()
      const told = tagsOf(fleet)
      yield* fleet.apply(specsOf([{ host: "a" }]))
      expect([fleet.leaving, told]).toEqual([[b], ["EndpointRemoved b"]])
      yield* fleet.apply(specsOf([{ host: "a" }, { host: "b" }]))
      expect([endpointAt(fleet, "b") === b, fleet.leaving.length, accepts(b)]).toEqual([true, 0, true])
      yield* pass(1)
      expect(askedAt(here, "b", "/api/tags")).toEqual([0, 1])
      yield* fleet.apply(specsOf([{ host: "a" }]))
      b.leave()
      expect([fleet.leaving, told.at(-1)]).toEqual([[], "EndpointGone b"])
      yield* fleet.apply(specsOf([{ host: "b" }]))
      expect(endpointAt(fleet, "b") === b).toBe(false)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }])))
  })

  it.effect("asks with new credentials at once, whatever hangs with the old ones, and filters what is listed already", () => {
    const here = world({
      a: (_path, { credentials }) => (credentials.headers.length === 0 ? hanging : ollama("m", "n")(_path, {} as never))
    })
    return Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* settle
      const a = endpointAt(fleet, "a")
      expect(a.state.status).toBe("unknown")
      yield* fleet.apply(specsOf([{ host: "a", keys: "type: ollama, headers: { X-A: b }" }]))
      yield* settle
      expect([a.state.status, a.models.map(({ name }) => name)]).toEqual(["healthy", ["m", "n"]])
      yield* fleet.apply(specsOf([{ host: "a", keys: "type: ollama, headers: { X-A: b }, model_filter: { exclude: [m] }" }]))
      expect(a.models.map(({ name }) => name)).toEqual(["n"])
      yield* settle
      expect(askedAt(here, "a", "/api/tags")).toHaveLength(1)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })

  it.effect("is what all its sources name, the configuration's word first", () => {
    const here = world({ a: ollama("m"), b: ollama("n") })
    return Effect.gen(function* () {
      const fleet = yield* started
      yield* fleet.apply(specsOf([{ host: "a", keys: "type: ollama, priority: 1" }, { host: "b" }]), "elsewhere")
      expect(fleet.endpoints.map(({ name, priority }) => `${name} ${priority}`)).toEqual(["a 100", "b 100"])
      yield* fleet.apply([])
      expect(fleet.endpoints.map(({ name, priority }) => `${name} ${priority}`)).toEqual(["a 1", "b 100"])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })
})

describe("an operator", () => {
  it.effect("takes an endpoint out of service for a time, and it is probed all the while", () => {
    const here = world({ a: ollama("m") })
    return Effect.gen(function* () {
      const fleet = yield* started
      const a = endpointAt(fleet, "a")
      a.enter()
      fleet.drain(a, 10_000)
      expect([accepts(a), a.admin, a.state.status]).toEqual([false, "draining", "healthy"])
      a.leave()
      expect(a.admin).toBe("drained")
      const probes = askedAt(here, "a", "/").length
      // A reload takes nothing back.
      yield* fleet.apply(specsOf([{ host: "a", keys: "type: ollama, priority: 3" }]))
      yield* pass(9)
      expect([accepts(a), askedAt(here, "a", "/").length > probes]).toEqual([false, true])
      yield* pass(2)
      expect([accepts(a), a.admin]).toEqual([true, "active"])
      fleet.drain(a)
      yield* pass(100)
      expect(a.admin).toBe("drained")
      fleet.resume(a)
      expect(accepts(a)).toBe(true)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })

  it.effect("looks at one that is away, and finds it with its models; whoever asks within the second shares that", () => {
    const here = world({})
    return Effect.gen(function* () {
      const fleet = yield* started
      const a = endpointAt(fleet, "a")
      yield* pass(200)
      expect(a.state.status).toBe("offline")
      here.backends["a"] = ollama("m")
      const before = askedAt(here, "a", "/").length
      yield* Effect.all([fleet.probe(a), fleet.probe(a)], { concurrency: "unbounded" })
      expect([a.state.status, a.models.length, askedAt(here, "a", "/").length - before]).toEqual(["healthy", 1, 1])
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }])))
  })

  it.effect("does not press a backend that wants to be left alone on behalf of a request", () => {
    const here = world({ a: () => answer(429, "", { retryAfter: "60" }), b: () => failing("refused") })
    return Effect.gen(function* () {
      const fleet = yield* started
      const count = () => here.asked.length
      const before = count()
      fleet.look(endpointAt(fleet, "a"))
      yield* settle
      expect(count()).toBe(before)
      fleet.look(endpointAt(fleet, "b"))
      fleet.look(endpointAt(fleet, "b"))
      yield* settle
      expect(count()).toBe(before + 1)
    }).pipe(Effect.provide(fleetLayer(here, [{ host: "a" }, { host: "b" }])))
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import { expect } from "vitest"
import { defaultRules } from "../../src/catalogue/AttributeRules.ts"
import { Catalogue } from "../../src/catalogue/Catalogue.ts"
import { layer } from "../../src/catalogue/CatalogueLive.ts"
import { ModelRulesInForce } from "../../src/catalogue/ModelsFile.ts"
import { NameMap } from "../../src/catalogue/NameMap.ts"
import { NameReading } from "../../src/catalogue/NameReading.ts"
import { buildSnapshot } from "../../src/catalogue/SnapshotBuilding.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Settings } from "../../src/config/Settings.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { inSlices } from "../../src/endpoint/TimeSlices.ts"
import { ListedFleet, LiveFleet, listed } from "./fakes.ts"

const world = (fleet: LiveFleet, registry = "", more = "") => {
  const { config, diagnostics } = decodeConfig(`model_registry: { ${registry} }\n${more}`, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  return layer.pipe(
    Layer.provide(ModelRulesInForce.layerFrom({ cwd: "/nonexistent", env: {} })),
    Layer.provide(Layer.merge(Settings.layerOf(config), Layer.succeed(Fleet, fleet.live))),
    Layer.provide(Logger.layer([]))
  )
}

const names = (catalogue: Catalogue["Service"]) => catalogue.snapshot().unified.map((model) => model.id)

/** Lets the rebuilding fiber start and end. */
const settled = Effect.flatMap(Catalogue, (catalogue) => catalogue.settled)

describe("the catalogue", () => {
  it.effect("has what was listed before it, and follows every list, dropping at once what a backend no longer has", () => {
    const fleet = new LiveFleet()
    const a = fleet.with("a", "ollama", ["m", "n"])
    const b = fleet.with("b", "vllm", [])
    return Effect.gen(function* () {
      const catalogue = yield* Catalogue
      assert.deepStrictEqual(names(catalogue), ["m", "n"])
      const first = catalogue.snapshot()
      fleet.lists(b, ["m", "o"], 1_000)
      fleet.lists(a, ["m"], 1_000)
      yield* settled
      assert.deepStrictEqual(names(catalogue), ["m", "o"])
      assert.isUndefined(catalogue.snapshot().offer("n"))
      fleet.lists(a, [], 2_000)
      yield* settled
      assert.deepStrictEqual(
        catalogue
          .snapshot()
          .offer("m")
          ?.holders.map(({ endpoint }) => endpoint),
        [b]
      )
      // An old snapshot is as it was: whoever still works with it sees one moment.
      assert.deepStrictEqual(
        first.offer("n")?.holders.map(({ endpoint }) => endpoint),
        [a]
      )
    }).pipe(Effect.provide(world(fleet)))
  })

  it.effect("builds once for many changes, and not at all for a list that says the same again", () => {
    const fleet = new LiveFleet()
    const endpoints = Array.from({ length: 40 }, (_, i) => fleet.with(`e${i}`, "vllm", []))
    return Effect.gen(function* () {
      const catalogue = yield* Catalogue
      const { version } = catalogue.snapshot()
      for (const endpoint of endpoints) fleet.lists(endpoint, ["m", endpoint.name], 1_000)
      yield* settled
      const built = catalogue.snapshot()
      assert.strictEqual(built.version, version + 1)
      assert.strictEqual(built.offer("m")?.holders.length, 40)
      for (const endpoint of endpoints) fleet.lists(endpoint, ["m", endpoint.name], 2_000)
      yield* settled
      assert.strictEqual(catalogue.snapshot(), built)
      assert.strictEqual(built.find("m")?.lastSeen, 2_000)
    }).pipe(Effect.provide(world(fleet)))
  })

  it.effect("keeps the models of an endpoint that is down until they are stale, and forgets them on the clock", () => {
    const fleet = new LiveFleet()
    const a = fleet.with("a", "ollama", ["m"])
    const b = fleet.with("b", "ollama", ["n"])
    return Effect.gen(function* () {
      const catalogue = yield* Catalogue
      const clock = yield* Clock.Clock
      fleet.clock = () => clock.currentTimeMillisUnsafe()
      a.become("offline")
      yield* TestClock.adjust("59 minutes")
      yield* settled
      assert.deepStrictEqual(names(catalogue), ["m", "n"])
      yield* TestClock.adjust("2 minutes")
      yield* settled
      // The healthy one's list is just as old and never ages.
      assert.deepStrictEqual(names(catalogue), ["n"])
      assert.isUndefined(catalogue.snapshot().offer("m"))
      assert.deepStrictEqual(
        catalogue.snapshot().inventory.map(({ endpoint }) => endpoint),
        [b]
      )
      // Back again: known at once, from the list that it had.
      a.become("healthy")
      yield* settled
      assert.deepStrictEqual(names(catalogue), ["m", "n"])
    }).pipe(Effect.provide(world(fleet, "unification: { stale_threshold: 1h, cleanup_interval: 1m }")))
  })

  it.effect("sweeps every five minutes when the interval is no interval, and after a day when the threshold is none", () => {
    const fleet = new LiveFleet()
    const a = fleet.with("a", "ollama", ["m"])
    return Effect.gen(function* () {
      const catalogue = yield* Catalogue
      const clock = yield* Clock.Clock
      fleet.clock = () => clock.currentTimeMillisUnsafe()
      a.become("offline")
      yield* TestClock.adjust("23 hours")
      yield* settled
      assert.deepStrictEqual(names(catalogue), ["m"])
      yield* TestClock.adjust("65 minutes")
      yield* settled
      assert.deepStrictEqual(names(catalogue), [])
    }).pipe(Effect.provide(world(fleet, "unification: { stale_threshold: 0s, cleanup_interval: -1s }")))
  })

  it.effect("merges nothing with the unifier off, and still finds names and aliases", () => {
    const fleet = new LiveFleet()
    const a = fleet.with("a", "ollama", ["m"])
    return Effect.gen(function* () {
      const catalogue = yield* Catalogue
      assert.deepStrictEqual(names(catalogue), [])
      assert.deepStrictEqual(
        catalogue
          .snapshot()
          .offer("M")
          ?.holders.map(({ endpoint }) => endpoint),
        [a]
      )
      assert.deepStrictEqual(
        catalogue
          .snapshot()
          .alias("big")
          ?.offer.holders.map(({ endpoint }) => endpoint),
        [a]
      )
    }).pipe(Effect.provide(world(fleet, "enable_unifier: false", "model_aliases: { big: [m] }")))
  })

  it.effect("stops listening when it ends", () => {
    const fleet = new LiveFleet()
    return Effect.gen(function* () {
      yield* Effect.scoped(Layer.build(world(fleet)))
      assert.strictEqual(fleet.watchers.size, 0)
      assert.strictEqual(fleet.listeners, 0)
    })
  })
})

describe("a rebuild", () => {
  it("of a large fleet lets the loop run in between, again and again", async () => {
    const fleet = new ListedFleet()
    for (let e = 0; e < 200; e++)
      fleet.with(
        `e${e}`,
        "ollama",
        Array.from({ length: 100 }, (_, m) => listed(`model-${(e + m) % 400}:7b`, {}, { digest: `sha256:${(e + m) % 300}` }))
      )
    let turns = 0
    let running = true
    const count = () => {
      turns++
      if (running) setImmediate(count)
    }
    setImmediate(count)
    const snapshot = await Effect.runPromise(
      inSlices(
        buildSnapshot({
          listings: fleet.listings,
          reading: new NameReading(defaultRules),
          firstSeen: new NameMap<number>(),
          freshFor: 60_000,
          aliases: {},
          unify: true,
          version: 1
        })
      )
    )
    running = false
    expect(snapshot.offer("model-7:7b")?.holders.length).toBeGreaterThan(0)
    expect(turns).toBeGreaterThan(5)
  })
})

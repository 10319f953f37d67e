/** The catalogue and the router together, while lists, states and time change in any order. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Catalogue } from "../../src/catalogue/Catalogue.ts"
import { layer } from "../../src/catalogue/CatalogueLive.ts"
import { ModelRulesInForce } from "../../src/catalogue/ModelsFile.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Settings } from "../../src/config/Settings.ts"
import { isRoutable, type Status } from "../../src/endpoint/EndpointState.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { Profiles } from "../../src/profile/Profiles.ts"
import { type Decision, Router } from "../../src/routing/Router.ts"
import * as RouterLive from "../../src/routing/RouterLive.ts"
import { type ListedEndpoint, LiveFleet, listed, profiles } from "../catalogue/fakes.ts"

const world = (fleet: LiveFleet) => {
  const { config } = decodeConfig("model_registry: { unification: { stale_threshold: 1h, cleanup_interval: 1m } }", "test.yaml", {})
  if (config === undefined) throw new Error("the test's configuration is wrong")
  const ground = Layer.mergeAll(Settings.layerOf(config), Layer.succeed(Fleet, fleet.live), Layer.succeed(Profiles, profiles))
  const catalogue = layer.pipe(Layer.provide(ModelRulesInForce.layerFrom({ cwd: "/nonexistent", env: {} })), Layer.provideMerge(ground))
  return RouterLive.layer.pipe(Layer.provideMerge(catalogue), Layer.provide(Logger.layer([])), Layer.provideMerge(TestClock.layer()))
}

const names = ["m", "M", "m:latest", "n", "org/x"]
const step = fc.oneof(
  fc.record({
    _tag: fc.constant("lists" as const),
    who: fc.nat(3),
    models: fc.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.constantFrom(undefined, "d1", "d2")), {
      maxLength: 4,
      selector: ([name]) => name
    })
  }),
  fc.record({
    _tag: fc.constant("becomes" as const),
    who: fc.nat(3),
    status: fc.constantFrom<Status>("healthy", "busy", "offline", "unhealthy")
  }),
  fc.record({ _tag: fc.constant("passes" as const), minutes: fc.constantFrom(1, 50, 70) })
)

describe("a daemon's catalogue and router", () => {
  it("never refuse a model that a healthy endpoint lists, nor route to one that none does, whatever happens in whatever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const fleet = new LiveFleet()
        const endpoints = ["ollama", "vllm", "ollama", "auto"].map((type, i): ListedEndpoint => fleet.with(`e${i}`, type, []))
        const program = Effect.gen(function* () {
          const catalogue = yield* Catalogue
          const router = yield* Router
          let now = 0
          for (const one of steps) {
            if (one._tag === "passes") {
              now += one.minutes * 60_000
              yield* TestClock.adjust(one.minutes * 60_000)
            } else if (one._tag === "becomes") endpoints[one.who]?.become(one.status)
            else
              fleet.lists(
                endpoints[one.who] as ListedEndpoint,
                one.models.map(([name, digest]) => listed(name, { lastSeen: now }, digest === undefined ? {} : { digest })),
                now
              )
            yield* catalogue.settled
            for (const name of names) {
              const decision = router.decide({
                scope: undefined,
                path: undefined,
                inspection: { model: name.toLowerCase(), spelling: name, field: "model", stream: undefined, capabilities: [] }
              }) as Decision
              const listing = endpoints.filter(
                (endpoint) => isRoutable(endpoint.state.status) && endpoint.models.some((model) => model.name === name)
              )
              for (const endpoint of listing)
                expect(decision.candidates).toContainEqual(expect.objectContaining({ endpoint, nativeName: name }))
              for (const { endpoint, nativeName } of decision.candidates) {
                expect(isRoutable(endpoint.state.status)).toBe(true)
                expect(endpoint.models.map((model) => model.name)).toContain(nativeName)
              }
            }
          }
        })
        await Effect.runPromise(Effect.scoped(Effect.provide(program, world(fleet))))
      }),
      { numRuns: 60 }
    )
  })
})

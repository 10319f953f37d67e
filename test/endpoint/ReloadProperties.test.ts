/** Wherever a fleet comes from, it ends where a start would have led: reloading is no other way to become something else. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Catalogue } from "../../src/catalogue/Catalogue.ts"
import * as CatalogueLive from "../../src/catalogue/CatalogueLive.ts"
import { ModelRulesInForce } from "../../src/catalogue/ModelsFile.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Settings, settingsCell } from "../../src/config/Settings.ts"
import { BackendClient } from "../../src/endpoint/BackendClient.ts"
import { accepts } from "../../src/endpoint/Endpoint.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { layerWith, StartupWait } from "../../src/endpoint/FleetLive.ts"
import { Profiles } from "../../src/profile/Profiles.ts"
import { runs } from "../propertyRuns.ts"
import { answer, type Backend, clientOf, ollama, refused, settle, shippedProfiles, world } from "./fakeFleet.ts"

const keyed: Backend = (path, request) =>
  request.credentials.headers.some(([, value]) => value === "k") ? ollama("locked", "m")(path, request) : answer(401)
const openAi: Backend = (path) =>
  path === "/v1/models"
    ? answer(200, { object: "list", data: [{ id: "v", object: "model" }] })
    : path === "/health"
      ? answer(200)
      : answer(404)
const hosts: Readonly<Record<string, Backend>> = { a: ollama("m", "n"), b: ollama("m"), c: openAi, d: () => refused, e: keyed }

const hostList = ["a", "b", "c", "d", "e"] as const
const entry = (host: string) =>
  fc
    .record({
      type: fc.constantFrom("ollama", "auto", "vllm", "openai-compatible"),
      priority: fc.integer({ min: 1, max: 3 }),
      name: fc.constantFrom("", "-x"),
      more: fc.constantFrom("", ", headers: {X-Key: k}", ", model_filter: {exclude: [m]}", ", check_interval: 9s", ", health_check: none")
    })
    .map(({ type, priority, name, more }) => `{url: "http://${host}", name: ${host}${name}, type: ${type}, priority: ${priority}${more}}`)
const file = fc
  .record({
    entries: fc.shuffledSubarray([...hostList], { minLength: 0 }).chain((chosen) => fc.tuple(...chosen.map(entry))),
    aliases: fc.constantFrom("{}", "{big: [m]}", "{big: [v, m], small: [n]}"),
    discovery: fc.constantFrom("{}", "{}", "{interval: 1m}", "{enabled: false}"),
    unifier: fc.boolean()
  })
  .map(
    ({ entries, aliases, discovery, unifier }) =>
      `discovery: {static: {endpoints: [${entries.join(", ")}]}, model_discovery: ${discovery}}\nmodel_aliases: ${aliases}\nmodel_registry: {enable_unifier: ${unifier}}\n`
  )

const read = (text: string) => {
  const { config } = decodeConfig(text, "test.yaml", {})
  if (config === undefined) throw new Error(text)
  return { config, specs: loadEndpoints(config, shippedProfiles, {}, () => "").specs }
}

/** Longer than any back-off of the backends that answer. */
const calm = Effect.gen(function* () {
  for (let n = 0; n < 14; n++) {
    yield* TestClock.adjust("10 seconds")
    yield* settle
  }
})

const stateOf = Effect.gen(function* () {
  const fleet = yield* Fleet
  const catalogue = yield* Catalogue
  yield* catalogue.settled
  const snapshot = catalogue.snapshot()
  const holdersOf = (
    offer: { readonly holders: ReadonlyArray<{ readonly endpoint: { readonly name: string }; readonly nativeName: string }> } | undefined
  ) => offer?.holders.map(({ endpoint, nativeName }) => `${endpoint.name}=${nativeName}`)
  return {
    endpoints: fleet.endpoints.map((endpoint) => ({
      spec: { ...endpoint.spec, origin: endpoint.origin.authority, profile: endpoint.profile?.name },
      status: endpoint.state.status,
      accepts: accepts(endpoint),
      models: endpoint.models.map(({ name }) => name)
    })),
    leaving: fleet.leaving.length,
    offers: ["m", "n", "v", "locked"].map((name) => holdersOf(snapshot.offer(name))),
    aliases: ["big", "small"].map((name) => holdersOf(snapshot.alias(name)?.offer)),
    unified: snapshot.unified.map(({ id }) => id)
  }
})

/** Starts with the first and goes over to each of the others; the state at the end. */
const through = (texts: ReadonlyArray<string>) => {
  const [first = "", ...others] = texts
  const { config, specs } = read(first)
  const cell = settingsCell({ config, folder: undefined, isWritten: () => true })
  const ground = Layer.mergeAll(
    Layer.succeed(Settings, cell.settings),
    Layer.succeed(Profiles, shippedProfiles),
    Layer.succeed(BackendClient, clientOf(world({ ...hosts }))),
    Layer.succeed(Random.Random, { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 }),
    Layer.succeed(StartupWait, () => 2000),
    Logger.layer([])
  )
  const fleet = Layer.provideMerge(layerWith(specs), ground)
  const rules = Layer.provide(ModelRulesInForce.layerFrom({ cwd: "/nonexistent", env: {} }), ground)
  return Effect.gen(function* () {
    yield* calm
    for (const text of others) {
      const next = read(text)
      cell.replace({ config: next.config, folder: undefined, isWritten: () => true })
      yield* (yield* Fleet).apply(next.specs)
      yield* calm
    }
    return yield* stateOf
  }).pipe(Effect.provide(Layer.provideMerge(Layer.provide(CatalogueLive.layer, rules), fleet)), Effect.provide(TestClock.layer()))
}

describe("a reload", () => {
  it("from one configuration to another ends as a start with the other, and there and back as a start with the one", async () => {
    await fc.assert(
      fc.asyncProperty(file, file, async (a, b) => {
        const run = (...texts: ReadonlyArray<string>) => Effect.runPromise(Effect.scoped(through(texts)))
        expect(await run(a, b)).toEqual(await run(b))
        expect(await run(a, b, a)).toEqual(await run(a))
      }),
      { numRuns: runs(40) }
    )
  })
})

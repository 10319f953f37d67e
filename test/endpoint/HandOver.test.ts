/** One fleet in place of another: at every moment somebody can be asked. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { accepts } from "../../src/endpoint/Endpoint.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import type { EndpointSpec } from "../../src/endpoint/EndpointSpec.ts"
import type { Fleet } from "../../src/endpoint/Fleet.ts"
import { handOver } from "../../src/endpoint/HandOver.ts"
import { fleetLayer, hanging, ollama, pass, settle, shippedProfiles, started, world } from "./fakeFleet.ts"

const specsOf = (...hosts: ReadonlyArray<string>): ReadonlyArray<EndpointSpec> => {
  const list = hosts
    .map((host) => `{ url: "http://${host}", name: ${host}, type: ollama, check_interval: 30s, check_timeout: 20s }`)
    .join(", ")
  const { config } = decodeConfig(`discovery: { static: { endpoints: [${list}] } }`, "test.yaml", {})
  if (config === undefined) throw new Error(list)
  return loadEndpoints(config, shippedProfiles, {}, () => "").specs
}

/** Who could be asked, after each event of the fleet. */
const servingOf = (fleet: Fleet["Service"]): Array<string> => {
  const seen: Array<string> = []
  fleet.onEvent(() => {
    const serving = fleet.endpoints.filter(accepts).map(({ name }) => name)
    if (seen.at(-1) !== serving.join()) seen.push(serving.join())
  })
  return seen
}

describe("a fleet that takes another's place", () => {
  it.effect("keeps who goes until the newcomers can be asked", () =>
    Effect.gen(function* () {
      const fleet = yield* started
      const seen = servingOf(fleet)
      yield* Effect.forkChild(handOver(fleet, () => specsOf("b"), Effect.void))
      yield* settle
      yield* pass(1)
      expect(seen).toEqual(["a", "b,a", "b"])
      expect(fleet.endpoints.map(({ name }) => name)).toEqual(["b"])
    }).pipe(Effect.provide(fleetLayer(world({ a: ollama("m"), b: ollama("m") }), [{ host: "a" }])))
  )

  it.effect("does not wait for a newcomer that hangs longer than three seconds", () =>
    Effect.gen(function* () {
      const fleet = yield* started
      const turn = yield* Effect.forkChild(handOver(fleet, () => specsOf("b"), Effect.void))
      yield* settle
      yield* pass(2)
      expect(fleet.endpoints.map(({ name }) => name)).toEqual(["b", "a"])
      yield* pass(1)
      yield* Fiber.join(turn)
      expect(fleet.endpoints.map(({ name }) => name)).toEqual(["b"])
    }).pipe(Effect.provide(fleetLayer(world({ a: ollama("m"), b: () => hanging }), [{ host: "a" }])))
  )

  it.effect("waits for nobody where nobody is new, and goes one after the other", () =>
    Effect.gen(function* () {
      const fleet = yield* started
      let wanted = specsOf("a", "c")
      const bring = handOver(fleet, () => wanted, Effect.void)
      const first = yield* Effect.forkChild(bring)
      yield* settle
      wanted = specsOf("a")
      const second = yield* Effect.forkChild(bring)
      yield* settle
      // The first still waits for the one that hangs.
      expect(fleet.endpoints.map(({ name }) => name)).toEqual(["a", "c", "b"])
      yield* pass(3)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      expect(fleet.endpoints.map(({ name }) => name)).toEqual(["a"])
    }).pipe(Effect.provide(fleetLayer(world({ a: ollama("m"), b: ollama("m"), c: () => hanging }), [{ host: "a" }, { host: "b" }])))
  )
})

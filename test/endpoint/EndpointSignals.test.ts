import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { Fleet } from "../../src/endpoint/Fleet.ts"
import {
  answer,
  askedAt,
  type Backend,
  endpointAt,
  failing,
  fleetLayer,
  hanging,
  pass,
  settle,
  started,
  type World,
  world
} from "./fakeFleet.ts"

const ollamaWith =
  (loaded: () => ReadonlyArray<string>): Backend =>
  (path) => {
    if (path === "/") return answer(200)
    if (path === "/api/tags")
      return answer(200, {
        models: [
          { name: "a", size: 2e9 },
          { name: "b", size: 4e9 }
        ]
      })
    return path === "/api/ps" ? answer(200, { models: loaded().map((name) => ({ name, model: name })) }) : answer(404)
  }

const vllmWith =
  (metrics: () => ReturnType<Backend>): Backend =>
  (path) => {
    if (path === "/health") return answer(200)
    if (path === "/v1/models")
      return answer(200, {
        data: [
          { id: "m", owned_by: "vllm" },
          { id: "adapter", owned_by: "vllm" }
        ]
      })
    return path === "/metrics" ? metrics() : answer(404)
  }

const load = (running: number, waiting = 0, kv = 0.1) =>
  answer(
    200,
    `vllm:num_requests_running{model_name="m"} ${running}\nvllm:num_requests_waiting{model_name="m"} ${waiting}\nvllm:kv_cache_usage_perc{model_name="m"} ${kv}\nvllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1\n`
  )

const run = (here: World, keys: string, body: Effect.Effect<void, never, Fleet>, traffic = "") =>
  body.pipe(Effect.provide(fleetLayer(here, [{ host: "a", keys }], "interval: 1h", undefined, traffic)))

/** An attempt that runs until it is told to end. */
const attempt = (endpoint: Endpoint, model: string): (() => void) => {
  const lane = endpoint.lanes.of(model)
  endpoint.enter()
  lane.enter()
  return () => {
    lane.leave()
    endpoint.leave()
  }
}

describe("what backends tell of their load", () => {
  it.effect("is read before the start is through, and then rarely while nobody uses them", () => {
    const here = world({ a: vllmWith(() => load(3, 1)) })
    return run(
      here,
      "type: vllm",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        expect(askedAt(here, "a", "/metrics")).toHaveLength(1)
        const lane = endpoint.lanes.of("m")
        expect(lane.work.reportAt(fleet.now())).toMatchObject({ running: 3, waiting: 1, kvUsed: 0.1, foreign: 4 })
        expect([lane.slots, lane.promptCache]).toEqual([3, 1600])
        // Another model of the server has no figures of its own.
        expect(endpoint.lanes.of("adapter").work.reportAt(fleet.now())).toBeUndefined()
        yield* pass(29)
        expect(askedAt(here, "a", "/metrics")).toHaveLength(2)
      })
    )
  })

  it.effect("is read every interval while they are used, from the first attempt on", () => {
    const here = world({ a: vllmWith(() => load(1)) })
    return run(
      here,
      "type: vllm",
      Effect.gen(function* () {
        const endpoint = endpointAt(yield* started, "a")
        yield* pass(4)
        here.asked.length = 0
        const end = attempt(endpoint, "m")
        yield* settle
        expect(askedAt(here, "a", "/metrics")).toHaveLength(1)
        yield* pass(6)
        expect(askedAt(here, "a", "/metrics")).toHaveLength(4)
        end()
        yield* pass(60)
        here.asked.length = 0
        yield* pass(30)
        expect(askedAt(here, "a", "/metrics")).toHaveLength(1)
      })
    )
  })

  it.effect("counts without what Olla itself had sent there when it was asked", () => {
    const here = world({ a: vllmWith(() => load(3, 1)) })
    return run(
      here,
      "type: vllm",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        const lane = endpoint.lanes.of("m")
        attempt(endpoint, "m")
        attempt(endpoint, "m")
        attempt(endpoint, "adapter")
        yield* pass(2)
        expect(lane.work.reportAt(fleet.now())?.foreign).toBe(2)
        for (let n = 0; n < 5; n++) attempt(endpoint, "m")
        yield* pass(2)
        expect(lane.work.reportAt(fleet.now())?.foreign).toBe(0)
      })
    )
  })

  it.effect.each([
    ["fail", () => failing("connection reset")],
    ["say nothing in time", () => hanging],
    ["answer with an error", () => answer(500)],
    ["answer with something else", () => answer(200, "<html>")]
  ] as const)("is not used for long when they %s, and changes nothing about their health", ([, broken]) => {
    const state = { metrics: () => load(3, 1) as ReturnType<Backend> }
    const here = world({ a: vllmWith(() => state.metrics()) })
    return run(
      here,
      "type: vllm, check_interval: 1h",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        const lane = endpoint.lanes.of("m")
        attempt(endpoint, "m")
        yield* pass(3)
        state.metrics = broken
        const before = endpoint.state
        here.asked.length = 0
        yield* pass(5)
        expect(lane.work.reportAt(fleet.now())).toBeDefined()
        yield* pass(60)
        expect(lane.work.reportAt(fleet.now())).toBeUndefined()
        expect(lane.slots).toBe(Number.POSITIVE_INFINITY)
        expect(endpoint.state).toBe(before)
        expect(here.log.filter(({ level }) => level !== "Debug" && level !== "Info")).toEqual([])
        expect(askedAt(here, "a", "/metrics").length).toBeLessThanOrEqual(6)
        state.metrics = () => load(1)
        yield* pass(31)
        expect(lane.work.reportAt(fleet.now())).toMatchObject({ running: 1 })
      })
    )
  })

  it.effect("is not used while it does not move although attempts end", () => {
    const state = { running: 4 }
    const here = world({ a: vllmWith(() => load(state.running, 2)) })
    return run(
      here,
      "type: vllm",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        const lane = endpoint.lanes.of("m")
        for (let n = 0; n < 20; n++) attempt(endpoint, "m")()
        yield* pass(14)
        expect(lane.work.reportAt(fleet.now())).toBeDefined()
        for (let n = 0; n < 20; n++) attempt(endpoint, "m")()
        yield* pass(8)
        expect(lane.work.reportAt(fleet.now())).toBeUndefined()
        state.running = 5
        yield* pass(2)
        expect(lane.work.reportAt(fleet.now())).toMatchObject({ running: 5 })
      })
    )
  })

  it.effect("is not asked for where that is switched off, or nobody answers", () => {
    const here = world({ a: vllmWith(() => load(1)) })
    return Effect.gen(function* () {
      yield* run(here, "type: vllm", Effect.andThen(started, pass(40)) as never, "signals: { interval: 0s }")
      yield* run(here, "type: vllm", Effect.andThen(started, pass(40)) as never, "enabled: false")
      here.backends["a"] = () => failing("connection refused")
      yield* run(here, "type: vllm", Effect.andThen(started, pass(40)) as never)
      expect(askedAt(here, "a", "/metrics")).toEqual([])
    })
  })

  it.effect("says which models are in memory, of all that are listed", () => {
    const state: { loaded: ReadonlyArray<string> } = { loaded: ["a"] }
    const here = world({ a: ollamaWith(() => state.loaded) })
    return run(
      here,
      "type: ollama",
      Effect.gen(function* () {
        const fleet = yield* started
        const { lanes } = endpointAt(fleet, "a")
        const words = () => ["a", "b"].map((name) => lanes.of(name).work.residency)
        expect(words()).toEqual(["resident", "cold"])
        expect(lanes.of("b").work.loadWait(fleet.now())).toBe(14_000)
        state.loaded = []
        yield* pass(30)
        expect(words()).toEqual(["cold", "cold"])
      })
    )
  })

  it.effect("is asked for at once after a load", () => {
    const state: { loaded: ReadonlyArray<string> } = { loaded: ["a"] }
    const here = world({ a: ollamaWith(() => state.loaded) })
    return run(
      here,
      "type: ollama",
      Effect.gen(function* () {
        const { lanes } = endpointAt(yield* started, "a")
        const stint = lanes.of("b").work.begin(100, 100, true)
        expect(lanes.of("b").work.residency).toBe("loading")
        yield* pass(7)
        state.loaded = ["b"]
        here.asked.length = 0
        stint.firstByte(true)
        yield* settle
        expect(askedAt(here, "a", "/api/ps")).toHaveLength(1)
        expect(["a", "b"].map((name) => lanes.of(name).work.residency)).toEqual(["cold", "resident"])
      })
    )
  })

  it.effect("is unknown of memory when nobody has told for long, and cold of a server that sleeps", () => {
    const state = { sleeps: answer(200, { is_sleeping: true }) as ReturnType<Backend> }
    const here = world({ a: (path, request) => (path === "/is_sleeping" ? state.sleeps : vllmWith(() => load(0))(path, request)) })
    return run(
      here,
      "type: vllm",
      Effect.gen(function* () {
        const endpoint = endpointAt(yield* started, "a")
        const lane = endpoint.lanes.of("m")
        expect(lane.work.residency).toBe("cold")
        attempt(endpoint, "m")
        state.sleeps = answer(404)
        yield* pass(100)
        expect(lane.work.residency).toBe("unknown")
      })
    )
  })

  it.effect("is forgotten when the server is gone, and read anew when it is back", () => {
    const here = world({ a: vllmWith(() => load(3, 1)) })
    return run(
      here,
      "type: vllm, check_interval: 2s",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        const lane = endpoint.lanes.of("m")
        const back = here.backends["a"] as Backend
        here.backends["a"] = () => failing("connection refused")
        yield* pass(6)
        expect(endpoint.state.status).toBe("offline")
        expect(lane.work.reportAt(fleet.now())).toBeUndefined()
        here.backends["a"] = back
        yield* pass(60)
        expect(lane.work.reportAt(fleet.now())).toMatchObject({ running: 3 })
      })
    )
  })

  it.effect("puts a server's slots and its load together, from two places", () => {
    const here = world({
      a: (path) => {
        if (path === "/health") return answer(200)
        if (path === "/v1/models") return answer(200, { data: [{ id: "m" }] })
        if (path === "/props") return answer(200, { total_slots: 4, default_generation_settings: { n_ctx: 512 } })
        return path === "/metrics" ? answer(200, "llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n") : answer(404)
      }
    })
    return run(
      here,
      "type: llamacpp",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        const lane = endpoint.lanes.of("m")
        expect(lane.work.reportAt(fleet.now())).toMatchObject({ running: 2, waiting: 1, slots: 4, foreign: 3 })
        expect([lane.slots, lane.promptCache]).toEqual([4, 2048])
      })
    )
  })
})

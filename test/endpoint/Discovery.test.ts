import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { maxModels } from "../../src/endpoint/Discovery.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import {
  answer,
  askedAt,
  type Backend,
  detailed,
  endpointAt,
  failing,
  hanging,
  messages,
  ollama,
  pass,
  refused,
  run,
  settle,
  started,
  world
} from "./fakeFleet.ts"

/** Healthy, with a listing that answers this. */
const listing =
  (given: () => ReturnType<Backend>): Backend =>
  (path) =>
    path === "/" ? answer(200) : given()

describe("a listing that fails", () => {
  it.effect.each([
    [
      () => answer(404),
      "endpoint configuration issue (HTTP 404)",
      "discovery http_status failed for http://a (profile: ollama, status: 404, latency: 0s): HTTP 404: 404 Not Found"
    ],
    [() => answer(201, {}), "HTTP error (201)", "status: 201"],
    [() => answer(502), "endpoint server error (HTTP 502)", "HTTP 502: 502 Bad Gateway"],
    [
      () => answer(200, "<html>"),
      "invalid response format",
      "discovery parse_response failed for http://a/api/tags (profile: ollama, status: 200, latency: 0s): failed to parse Ollama response: "
    ],
    [
      () => refused,
      "endpoint unreachable",
      "discovery http_request failed for http://a (profile: ollama, latency: 0s): network error for http://a: connection refused"
    ],
    [() => failing("network is unreachable"), "network unreachable", "network is unreachable"],
    [() => failing("timeout", "timeout"), "connection timeout", "timeout"],
    [() => failing("the answer is larger than 10 MiB", "tooLarge"), "invalid response format", "the answer is larger than 10 MiB"],
    [
      () => answer(200, { models: Array.from({ length: 100_000 }, (_, n) => ({ name: `m${n}` })) }),
      "invalid response format",
      `more than ${maxModels} models`
    ],
    [
      () => answer(200, { models: Array.from({ length: maxModels + 1 }, (_, n) => ({ name: `m${n}` })) }),
      "invalid response format",
      `more than ${maxModels} models`
    ]
  ] as const)("%#: %s", ([given, message, detail]) => {
    const here = world({ a: listing(given), b: ollama("fine") })
    return run(
      here,
      [{ host: "a" }, { host: "b" }],
      "retry_attempts: 0",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(detailed(here)).toEqual([expect.stringContaining(`Model discovery failed (${message}) a`)])
        expect(detailed(here)[0]).toContain(detail)
        expect(endpointAt(fleet, "a").models).toEqual([])
        expect(endpointAt(fleet, "a").state.status).toBe("healthy")
        expect(endpointAt(fleet, "a").listingIssue).toMatch(/^model listing: (?!.*http:)/)
        expect(endpointAt(fleet, "b").listingIssue).toBe("")
        expect(endpointAt(fleet, "b").models).toMatchObject([{ name: "fine" }])
      })
    )
  })
  it.effect("keeps the models of the last one", () => {
    let broken = false
    const here = world({ a: (path, request) => (broken && path !== "/" ? answer(500) : ollama("m")(path, request)) })
    return run(
      here,
      [{ host: "a" }],
      "interval: 10s, retry_attempts: 0",
      Effect.gen(function* () {
        const fleet = yield* started
        broken = true
        yield* pass(15)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 10])
        expect(endpointAt(fleet, "a").models).toMatchObject([{ name: "m" }])
      })
    )
  })
  it.effect("is retried with growing pauses, and only the last failure counts", () => {
    const here = world({ a: listing(() => answer(503)) })
    return run(
      here,
      [{ host: "a" }],
      "retry_attempts: 3, retry_backoff: 1s",
      Effect.gen(function* () {
        yield* settle
        yield* pass(20)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 1, 3, 7])
        expect(detailed(here)).toHaveLength(1)
      })
    )
  })
  it.effect("is not retried after a 4xx, nor beyond the time limit", () => {
    const here = world({ a: listing(() => answer(401)), b: listing(() => answer(500)) })
    return run(
      here,
      [{ host: "a" }, { host: "b" }],
      "retry_attempts: 9, retry_backoff: 1s, timeout: 5s",
      Effect.gen(function* () {
        yield* settle
        yield* pass(20)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0])
        expect(askedAt(here, "b", "/api/tags")).toEqual([0, 1, 3])
        expect(detailed(here).some((text) => text.includes("HTTP 500"))).toBe(true)
      })
    )
  })
})

describe("an answer without a list", () => {
  it.effect.each([
    [
      { error: "Unexpected endpoint or method. (GET /api/tags)" },
      "but an error: Unexpected endpoint or method. (GET /api/tags); is this server of the kind"
    ],
    [{ error: { message: "not here" } }, "but an error: not here;"],
    [{ object: "list", data: [{ id: "m" }] }, 'has no "models" list but object, data; is this server of the kind "ollama"?'],
    [{}, "but nothing;"]
  ] as const)("%#: warns, counts as no failure and keeps what was known", ([body, said]) => {
    let given = answer(200, { models: [{ name: "m" }] })
    const here = world({ a: listing(() => given) })
    return run(
      here,
      [{ host: "a" }],
      "interval: 10s",
      Effect.gen(function* () {
        const fleet = yield* started
        given = answer(200, body)
        yield* pass(75)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 10, 20, 30, 40, 50, 60, 70])
        expect(endpointAt(fleet, "a")).toMatchObject({ discoveryDisabled: false, modelsSyncedAt: 0, models: [{ name: "m" }] })
        expect(endpointAt(fleet, "a").listingIssue).toContain("model listing: the answer has no")
        expect(endpointAt(fleet, "a").listingIssue).toContain(said)
        expect(here.log.filter(({ level }) => level === "Warn")[0]?.message).toBe("Model listing without a list a")
        expect(detailed(here)).toEqual([])
        given = answer(200, { models: [] })
        yield* pass(10)
        expect(endpointAt(fleet, "a")).toMatchObject({ listingIssue: "", models: [] })
      })
    )
  })
  it.effect("holds the start up no longer than a good one", () => {
    const here = world({ a: listing(() => answer(200, { error: "x" })) })
    return run(
      here,
      [{ host: "a" }],
      "",
      Effect.gen(function* () {
        const fleet = yield* Fleet
        yield* settle
        yield* fleet.ready
        expect(askedAt(here, "a", "/api/tags")).toEqual([0])
        expect(messages(here)).not.toContain("Initial model discovery failed")
      })
    )
  })
})

describe("disabling", () => {
  it.effect("a 404 is asked again after two intervals, then four, until it answers", () => {
    let given = answer(404)
    const here = world({ a: listing(() => given) })
    return run(
      here,
      [{ host: "a" }],
      "interval: 1s",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(endpointAt(fleet, "a").discoveryDisabled).toBe(true)
        yield* pass(9)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 2, 6])
        given = answer(200, { models: [{ name: "m" }] })
        yield* pass(5)
        expect(endpointAt(fleet, "a").discoveryDisabled).toBe(false)
        expect(askedAt(here, "a", "/api/tags").slice(0, 4)).toEqual([0, 2, 6, 14])
        const disabling = messages(here).filter((text) => text.startsWith("Disabling discovery"))
        expect(disabling).toEqual(["Disabling discovery for endpoint due to non-recoverable error a"])
        expect(messages(here).filter((text) => text.startsWith("Discovery enabled again"))).toHaveLength(1)
      })
    )
  })
  it.effect("takes five failures that may pass", () => {
    const here = world({ a: listing(() => answer(500)) })
    return run(
      here,
      [{ host: "a" }],
      "interval: 10s, retry_attempts: 0",
      Effect.gen(function* () {
        const fleet = yield* started
        yield* pass(30)
        expect(endpointAt(fleet, "a").discoveryDisabled).toBe(false)
        yield* pass(28)
        expect(endpointAt(fleet, "a").discoveryDisabled).toBe(true)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 10, 20, 30, 40])
        expect(messages(here)).toContain("Disabling discovery for endpoint after consequent failures a")
      })
    )
  })
})

describe("rounds", () => {
  it.effect("let one hanging endpoint hold nobody else", () => {
    const here = world({ hang: listing(() => hanging), a: ollama("m") })
    return run(
      here,
      [{ host: "hang" }, { host: "a" }],
      "interval: 10s, timeout: 9s",
      Effect.gen(function* () {
        const fleet = yield* Fleet
        yield* settle
        yield* pass(35)
        expect(askedAt(here, "a", "/api/tags")).toEqual([0, 10, 20, 30])
        expect(endpointAt(fleet, "a").discoveryDisabled).toBe(false)
        expect(messages(here)).toContain("Regular discovery failed (connection timeout)")
      })
    )
  })
  it.effect("let many hanging endpoints hold nobody else: they leave the workers to the next ones", () => {
    const hung = Array.from({ length: 20 }, (_, n) => `hung${n}`)
    const here = world({ a: ollama("m"), ...Object.fromEntries(hung.map((host) => [host, listing(() => hanging)])) })
    return run(
      here,
      [...hung, "a"].map((host) => ({ host })),
      "concurrent_workers: 5",
      Effect.gen(function* () {
        const fleet = yield* Fleet
        yield* settle
        yield* pass(1)
        expect(here.asked.filter(({ path }) => path === "/api/tags")).toHaveLength(5)
        yield* pass(8)
        expect(endpointAt(fleet, "a").models).toHaveLength(1)
        yield* pass(30)
        expect(hung.map((host) => endpointAt(fleet, host).listingIssue)).toEqual(hung.map(() => "model listing: timeout"))
      })
    )
  })
  it.effect("ask only endpoints that take requests", () => {
    const here = world({ a: ollama("m") })
    return run(
      here,
      [{ host: "a" }, { host: "dead" }],
      "interval: 10s",
      Effect.gen(function* () {
        yield* started
        yield* pass(30)
        expect(askedAt(here, "dead", "/api/tags")).toEqual([])
      })
    )
  })
  it.effect("do not happen when discovery is off", () => {
    const here = world({ a: ollama("m") })
    return run(
      here,
      [{ host: "a" }],
      "enabled: false",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(yield* fleet.refreshModels(fleet.endpoints)).toBe(false)
        yield* TestClock.adjust("10 minutes")
        expect(askedAt(here, "a", "/api/tags")).toEqual([])
        expect(fleet.endpoints[0]?.modelsSyncedAt).toBe(0)
      })
    )
  })
})

describe("refreshing on request", () => {
  it.effect("shares one request among concurrent callers, and outlives the one who gives up", () => {
    let given: ReturnType<Backend> = answer(200, { models: [{ name: "old" }] })
    const here = world({ a: listing(() => given) })
    return run(
      here,
      [{ host: "a" }],
      "",
      Effect.gen(function* () {
        const fleet = yield* started
        given = Effect.delay(answer(200, { models: [{ name: "new" }] }), "3 seconds")
        const impatient = yield* Effect.forkChild(Effect.timeoutOption(fleet.refreshModels(fleet.endpoints), "1 second"))
        const patient = yield* Effect.forkChild(fleet.refreshModels(fleet.endpoints))
        yield* pass(2)
        expect((yield* Fiber.join(impatient))._tag).toBe("None")
        yield* pass(2)
        expect(yield* Fiber.join(patient)).toBe(true)
        expect(askedAt(here, "a", "/api/tags")).toHaveLength(2)
        expect(endpointAt(fleet, "a").models).toMatchObject([{ name: "new" }])
      })
    )
  })
})

it.effect("entries without a name are left out and told", () => {
  const here = world({ a: listing(() => answer(200, { models: [{ name: "m" }, { name: 7 }, null] })) })
  return run(
    here,
    [{ host: "a" }],
    "",
    Effect.gen(function* () {
      const fleet = yield* started
      expect(endpointAt(fleet, "a").models.map(({ name }) => name)).toEqual(["m"])
      expect(here.log).toContainEqual({
        level: "Warn",
        message: "Entries without a name in the model listing of a",
        fields: { skipped: 2 }
      })
    })
  )
})

describe("the model filter", () => {
  it.effect("drops what it does not admit, and says so", () => {
    const here = world({ a: ollama("llama3:8b", "llama3:70b", "phi4") })
    return run(
      here,
      [{ host: "a", keys: "type: ollama, model_filter: { include: ['LLAMA*'], exclude: ['*70b'] }" }],
      "",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(endpointAt(fleet, "a").models.map(({ name }) => name)).toEqual(["llama3:8b"])
        expect(here.log).toContainEqual({
          level: "Info",
          message: "Endpoint a is Healthy",
          fields: { models: 1, listed: 3 }
        })
      })
    )
  })
})

import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { answer, type Backend, detailed, endpointAt, pass, run, started, world } from "./fakeFleet.ts"

const openai =
  (...entries: ReadonlyArray<Record<string, unknown>>): Backend =>
  (path) =>
    path === "/v1/models" ? answer(200, { object: "list", data: entries }) : path === "/health" ? answer(200) : answer(404)

describe("type auto", () => {
  const at =
    (paths: Record<string, unknown>): Backend =>
    (path) =>
      path in paths ? answer(200, paths[path]) : answer(404)
  it.effect.each([
    ["ollama", at({ "/": "", "/api/tags": { models: [{ name: "m" }] } }), "http://a/"],
    ["lm-studio", at({ "/api/v0/models": { data: [{ id: "m" }] }, "/v1/models": { data: [{ id: "m" }] } }), "http://a/v1/models"],
    ["docker-model-runner", at({ "/engines/v1/models": { data: [{ id: "m" }] } }), "http://a/engines/v1/models"],
    [
      "docker-model-runner",
      at({ "/engines/v1/models": { data: [{ id: "m" }] }, "/api/tags": { models: [{ name: "m" }] } }),
      "http://a/engines/v1/models"
    ],
    [
      "litellm",
      at({ "/v1/models": { data: [{ id: "m", owned_by: "openai" }] }, "/health/liveliness": '"I\'m alive!"', "/health/liveness": "" }),
      "http://a/health/liveness"
    ],
    ["rapid-mlx", at({ "/v1/models": { data: [{ id: "m", owned_by: "rapid-mlx" }] }, "/health": "" }), "http://a/health"],
    ["lemonade", at({ "/api/v1/models": { data: [{ id: "m", recipe: "llamacpp" }] }, "/api/v1/health": {} }), "http://a/api/v1/health"],
    ["vllm", at({ "/v1/models": { data: [{ id: "m", owned_by: "vllm" }] }, "/health": "" }), "http://a/health"],
    ["sglang", at({ "/v1/models": { data: [{ id: "m", owned_by: "sglang" }] }, "/health": "" }), "http://a/health"],
    [
      "llamacpp",
      at({ "/v1/models": { models: [], data: [{ id: "m" }] }, "/api/tags": { models: [], data: [] }, "/health": "" }),
      "http://a/health"
    ],
    ["openai-compatible", at({ "/v1/models": { data: [{ id: "m", owned_by: "me" }] } }), "http://a/v1/models"]
  ] as const)("%s", ([name, backend, healthUrl]) => {
    const here = world({ a: backend })
    return run(
      here,
      [{ host: "a", keys: "type: auto" }],
      "",
      Effect.gen(function* () {
        const fleet = yield* started
        const endpoint = endpointAt(fleet, "a")
        expect([endpoint.type, endpoint.isAuto, endpoint.profile?.name, endpoint.detectedType]).toEqual(["auto", true, name, name])
        expect([endpoint.state.status, endpoint.healthUrl, endpoint.models.map((model) => model.name)]).toEqual([
          "healthy",
          healthUrl,
          ["m"]
        ])
        expect(here.log).toContainEqual({ level: "Info", message: "Endpoint a is Healthy", fields: { models: 1, detected: name } })
      })
    )
  })
  it.effect("is asked again with every health check until it is known, then remembered", () => {
    const here = world({ a: (path) => (path === "/" ? answer(200) : answer(404)) })
    return run(
      here,
      [{ host: "a", keys: 'type: ""' }],
      "",
      Effect.gen(function* () {
        const fleet = yield* started
        expect([endpointAt(fleet, "a").state.status, endpointAt(fleet, "a").detectedType]).toEqual(["healthy", undefined])
        here.backends["a"] = openai({ id: "m", owned_by: "vllm" })
        yield* pass(5)
        expect(endpointAt(fleet, "a").detectedType).toBe("vllm")
        here.asked.length = 0
        yield* pass(10)
        expect(here.asked.map(({ path }) => path)).toEqual(["/health", "/health"])
        yield* TestClock.adjust("5 minutes")
        expect(new Set(here.asked.map(({ path }) => path))).toEqual(new Set(["/health", "/v1/models"]))
      })
    )
  })
  it.effect.each([
    ["healthy all the while", { "/health": "" }],
    ["no longer found at the old kind's health path", {}]
  ] as const)("is what stands there now, when another server has taken its place: %s", ([, more]) => {
    const here = world({ a: openai({ id: "m", owned_by: "vllm" }) })
    return run(
      here,
      [{ host: "a", keys: "type: auto" }],
      "interval: 30s",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(endpointAt(fleet, "a").detectedType).toBe("vllm")
        // Ollama has an OpenAI list as well.
        here.backends["a"] = at({ ...more, "/": "", "/api/tags": { models: [{ name: "o" }] }, "/v1/models": { data: [{ id: "o" }] } })
        yield* pass(35)
        const { detectedType, models, state, healthUrl } = endpointAt(fleet, "a")
        expect([detectedType, models.map(({ name }) => name), state.status, healthUrl]).toEqual(["ollama", ["o"], "healthy", "http://a/"])
      })
    )
  })
  it.effect("asks an explicit model URL alone", () => {
    const here = world({ a: (path) => (path === "/list" ? answer(200, { data: [{ id: "m", owned_by: "sglang" }] }) : answer(200)) })
    return run(
      here,
      [{ host: "a", keys: "type: auto, model_url: /list, health_check_url: /up" }],
      "",
      Effect.gen(function* () {
        const fleet = yield* started
        expect(endpointAt(fleet, "a").detectedType).toBe("sglang")
        expect(new Set(here.asked.map(({ path }) => path))).toEqual(new Set(["/up", "/list"]))
      })
    )
  })
  it.effect("that proves nothing fails with the innermost cause, and only once in the log", () => {
    const here = world({ a: (path) => (path === "/" ? answer(200) : answer(404)) })
    return run(
      here,
      [{ host: "a", keys: "type: auto" }],
      "",
      Effect.gen(function* () {
        yield* started
        yield* pass(60)
        expect(detailed(here)).toEqual([
          "Model discovery failed (endpoint configuration issue (HTTP 404)) a | discovery auto_detect failed for http://a (profile: auto, status: 404, latency: 0s): HTTP 404: 404 Not Found"
        ])
      })
    )
  })
  it.effect("asks a dead host for its health only", () => {
    const here = world({})
    return run(
      here,
      [{ host: "a", keys: "type: auto" }],
      "",
      Effect.gen(function* () {
        yield* started
        expect(new Set(here.asked.map(({ path }) => path))).toEqual(new Set(["/"]))
      })
    )
  })
})

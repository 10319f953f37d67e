/** Tags and compression of documents, ids of requests, and what a refusal says in its body and headers. */
import { gunzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startBackend } from "../../src/simulator/Backend.ts"
import { ask, chat } from "./ask.ts"
import { build, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

import { daemon, expectError, fleet, get, of, startFleet, stopFleet } from "./surfaceFleet.ts"

beforeAll(() => startFleet(false))
afterAll(stopFleet)

describe("conditional requests and compression", () => {
  const conditional = ["/internal/status", "/internal/status/endpoints", "/internal/status/models"]
  const compressed = ["/olla/models", "/olla/openai/v1/models"]

  it.each(conditional)("%s has a tag that lasts, and 304 for those who have it", async (path) => {
    const first = await get(path)
    const tag = first.header("etag") ?? ""
    expect(tag).toMatch(/^W\/"[0-9a-z]+"$/)
    expect(first.header("cache-control")).toBe("private, no-cache")
    expect(first.header("vary")).toBe("Accept-Encoding")
    const matching = [tag, tag.slice(2), `"x", ${tag}`, `"x",${tag.slice(2)} , "y"`, "*"]
    for (const value of matching) {
      const again = await get(path, { headers: { "if-none-match": value, "accept-encoding": "gzip" } })
      expect([again.status, again.text, again.header("etag")], value).toEqual([304, "", tag])
      expect(again.header("cache-control")).toBe("private, no-cache")
      expect(again.header("vary")).toBe("Accept-Encoding")
      expect(again.header("content-encoding")).toBeUndefined()
    }
    const head = await get(path, { method: "HEAD", headers: { "if-none-match": tag } })
    expect(head.status).toBe(304)
    for (const value of ['"x"', "", `"${"a".repeat(1100)}", ${tag}`, `*, "x"`, tag.slice(0, -2)])
      expect((await get(path, { headers: { "if-none-match": value } })).status, value).toBe(200)
    const lines = await get(path, { headers: ["host", "x", "if-none-match", '"x"', "if-none-match", tag] })
    expect(lines.status).toBe(304)
  })

  it("keeps a tag while nothing but the clock moves, and changes it with what an operator sees", async () => {
    const probed = await startDaemon(endpointsYaml([{ name: "studio", backend: of("studio") }], "check_interval: 1s, check_timeout: 900ms"))
    const look = (path: string) => ask(probed.port, { path })
    try {
      for (const path of ["/internal/status", "/internal/status/endpoints"]) {
        const first = await look(path)
        const [before] = first.json().endpoints
        // Past the next good probe: its time and its latency have changed.
        await eventually(
          async () => (await look(path)).json().endpoints[0],
          (now) => now.status === "healthy" && now.health_check_at !== before.health_check_at
        )
        expect((await look(path)).header("etag")).toBe(first.header("etag"))
        await ask(probed.port, {
          method: "POST",
          path: "/olla/lmstudio/v1/chat/completions",
          headers: { "content-type": "application/json" },
          body: chat("gemma-3-12b")
        })
        await eventually(
          async () => (await look(path)).json().endpoints[0],
          (now) => now.requests_by_class["2xx"] > before.requests_by_class["2xx"]
        )
        expect((await look(path)).header("etag")).not.toBe(first.header("etag"))
      }
    } finally {
      await probed.stop()
    }
  })

  it.each([...conditional, ...compressed])("%s is compressed for those who take it", async (path) => {
    const plain = await get(path)
    expect(plain.header("content-encoding")).toBeUndefined()
    expect(plain.header("vary")).toBe("Accept-Encoding")
    for (const value of ["gzip", "br, gzip;q=0.5", "*", "GZIP", "identity;q=1, *;q=0.1"]) {
      const small = await get(path, { headers: { "accept-encoding": value } })
      expect(small.header("content-encoding"), value).toBe("gzip")
      expect(Number(small.header("content-length"))).toBe(small.bytes.length)
      expect(small.bytes.length).toBeLessThan(plain.bytes.length)
      expect(Object.keys(JSON.parse(gunzipSync(small.bytes).toString("utf8")))).toEqual(Object.keys(plain.json()))
    }
    for (const value of ["identity", "gzip;q=0", "gzip;q=0, *", "br", "", `gzip, ${"x".repeat(1024)}`])
      expect((await get(path, { headers: { "accept-encoding": value } })).header("content-encoding"), value).toBeUndefined()
  })

  it("leaves every other answer of Olla's own as it is", async () => {
    for (const path of ["/internal/process", "/internal/stats/models", "/internal/metrics", "/version", "/internal/openapi.json", "/nope"])
      expect((await get(path, { headers: { "accept-encoding": "gzip" } })).header("content-encoding"), path).toBeUndefined()
  })

  it("leaves a body below 256 bytes as it is", async () => {
    const answer = await get("/olla/lemonade/v1/models", { headers: { "accept-encoding": "gzip" } })
    expect(answer.header("content-encoding")).toBeUndefined()
    expect(answer.header("vary")).toBe("Accept-Encoding")
  })
})

describe("request ids", () => {
  it.each(["/internal/health", "/nope", "/olla/models/nope", "/olla/proxy/x", "/olla/omlx/x"])(
    "%s answers with the client's own where it is usable",
    async (path) => {
      for (const id of ["mine-1", "!~", "x".repeat(128)])
        expect((await get(path, { headers: { "x-request-id": id } })).header("x-olla-request-id")).toBe(id)
      for (const id of ["with space", "x".repeat(129), "é", "tab\there"])
        expect((await get(path, { headers: { "x-request-id": id } })).header("x-olla-request-id"), id).toMatch(
          /^[a-z]+-[a-z]+-[0-9a-f]{8}$/
        )
      expect((await get(path, { headers: { "x-olla-request-id": "theirs" } })).values("x-olla-request-id")).not.toContain("theirs")
    }
  )
})

describe("refusals", () => {
  const post = (path: string, model: string, accept = "*/*", port = daemon.port) =>
    ask(port, { path, method: "POST", headers: { accept, "content-type": "application/json" }, body: chat(model) })

  it("names the token, the sentence and the decision for a model that nobody has", async () => {
    for (const path of ["/olla/proxy/v1/chat/completions", "/olla/openai/v1/chat/completions", "/olla/vllm/v1/chat/completions"]) {
      const plain = await post(path, "No-Such")
      expect([plain.status, plain.text]).toEqual([404, "model_not_found\n"])
      const json = await post(path, "No-Such", "application/json")
      expect(json.status).toBe(404)
      expect(json.json().error).toMatchObject({ type: "not_found_error", code: "model_not_found" })
      expect(json.json().error.message).toMatch(/^model_not_found: model 'no-such' not found/)
      for (const answer of [plain, json]) {
        expect(answer.header("x-olla-model")).toBe("no-such")
        expect(["strategy", "decision", "reason"].map((part) => answer.header(`x-olla-routing-${part}`))).toEqual([
          "strict",
          "rejected",
          "model_not_found"
        ])
      }
      expectError(json, "application/json")
    }
  })

  it("is 502 with the endpoint's name when nobody answers, then 503 with a hint", async () => {
    const gone = await startBackend({ port: await freePort(), kind: "sglang", models: ["lost"] })
    const alone = await startDaemon(endpointsYaml([{ name: "gone", backend: gone }], rareChecks))
    await gone.kill()
    try {
      const first = await post("/olla/sglang/v1/chat/completions", "lost", "application/json", alone.port)
      expect(first.status).toBe(502)
      expectError(first, "application/json")
      expect(first.text).not.toContain(String(gone.port))
      expect(first.json().error).toMatchObject({ type: "api_error", code: null })
      expect(first.json().error.message).toMatch(
        /^Proxy error: the only reachable endpoint with this model failed with a connection error: connection refused .* endpoint gone /
      )
      expect(
        ["x-olla-endpoint", "x-olla-backend-type", "x-olla-model", "x-olla-routing-strategy", "x-olla-routing-decision"].map(first.header)
      ).toEqual(["gone", "sglang", "lost", "strict", "routed"])
      for (const path of ["/olla/proxy/v1/chat/completions", "/olla/openai/v1/chat/completions"])
        for (const accept of ["*/*", "application/json"]) {
          const second = await post(path, "lost", accept, alone.port)
          expect(second.status).toBe(503)
          expectError(second, accept)
          expect(Number(second.header("retry-after"))).toBeGreaterThanOrEqual(1)
          expect(Number(second.header("retry-after"))).toBeLessThanOrEqual(60)
          expect(second.header("x-olla-routing-reason")).toBe("model_unavailable")
          if (accept === "*/*") expect(second.text).toBe("model_unavailable\n")
        }
      const scoped = await post("/olla/sglang/v1/chat/completions", "lost", "*/*", alone.port)
      expect([scoped.status, scoped.text]).toEqual([404, "No sglang endpoints available\n"])
      const nameless = await ask(alone.port, { path: "/olla/proxy/v1/x" })
      expect([nameless.status, nameless.text]).toEqual([503, "no healthy endpoints available\n"])
      expect(nameless.header("retry-after")).toBeDefined()
      const anthropic = await post("/olla/anthropic/v1/messages", "lost", "*/*", alone.port)
      expectError(anthropic, "*/*", true)
      expect((await ask(alone.port, { path: "/internal/ready" })).json()).toEqual({ status: "not_ready", reason: "no_routable_endpoint" })
      expect((await ask(alone.port, { path: "/internal/ready" })).status).toBe(503)
    } finally {
      await alone.stop()
    }
  })

  it("names an endpoint beyond ASCII in its header, as UTF-8", async () => {
    const gone = await startBackend({ port: await freePort(), kind: "vllm", models: ["lost"] })
    const alone = await startDaemon(endpointsYaml([{ name: '"日本"', backend: gone }], rareChecks))
    try {
      const good = await post("/olla/proxy/v1/chat/completions", "lost", "*/*", alone.port)
      await gone.kill()
      const bad = await post("/olla/proxy/v1/chat/completions", "lost", "*/*", alone.port)
      for (const answer of [good, bad]) expect(Buffer.from(answer.header("x-olla-endpoint") ?? "", "latin1").toString()).toBe("日本")
      expect([good.status, bad.status]).toEqual([200, 502])
      expect(bad.text).toContain("endpoint 日本 is not running")
    } finally {
      await alone.stop()
      await gone.stop()
    }
  })
})

describe("what the reference's own scripts look for", () => {
  it("lets POST ask for health, with a body, and tells the limit", async () => {
    const answer = await get("/internal/health", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"check":true}'
    })
    expect([answer.status, answer.text, answer.header("x-ratelimit-limit")]).toEqual([200, '{"status":"healthy"}', "1000"])
  })

  it("is compact JSON that can be searched as text", async () => {
    for (const path of ["/olla/openai/v1/models", "/olla/models", "/olla/lmstudio/api/v0/models"])
      expect((await get(path)).text).toContain('"object":"list"')
    expect((await get("/olla/ollama/api/tags")).text).toContain('"name":"qwen3:8b"')
  })

  it("names endpoints in availability as everywhere else, and finds each listed id", async () => {
    const names = fleet.map(({ name }) => name)
    for (const { id, olla } of (await get("/olla/models")).json().data) {
      for (const { endpoint } of olla.availability) expect(names).toContain(endpoint)
      expect((await get(`/olla/models/${id}`)).status, id).toBe(200)
    }
  })

  it("gives each provider's answer that provider's type, with all four names", async () => {
    for (const { name, kind, models } of fleet) {
      const path = kind === "lemonade" ? "/api/v1" : kind === "docker-model-runner" ? "/engines/v1" : "/v1"
      const prefix = kind === "lm-studio" ? "lmstudio" : kind
      const answer = await ask(daemon.port, {
        method: "POST",
        path: `/olla/${prefix}${path}/chat/completions`,
        headers: { "content-type": "application/json" },
        body: chat(models[0] ?? "")
      })
      expect(
        [answer.status, answer.header("x-olla-endpoint"), answer.header("x-olla-backend-type"), answer.header("x-olla-model")],
        kind
      ).toEqual([200, name, kind, models[0]?.toLowerCase()])
      expect(answer.header("x-olla-response-time")).toMatch(/^\d+ms$/)
      expect(answer.header("via")).toBe(`1.1 olla/${build.version}`)
      expect(answer.header("x-served-by")).toBe(`Olla/${build.version}`)
    }
  })

  it("answers what is no JSON, or names no model, without a fault of its own", async () => {
    for (const body of ["not json", "{}", "[]", "null", '{"model":5}', '{"model":""}', '{"messages":[]}', "\u0000"]) {
      const answer = await get("/olla/proxy/v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body })
      expect(answer.status, body).not.toBe(500)
      expect(answer.header("x-olla-endpoint"), body).toBeDefined()
      expect(answer.header("x-olla-routing-decision"), body).toBeUndefined()
    }
  })
})

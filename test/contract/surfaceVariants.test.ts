/** The surface under other configurations: without the unifier, without translators, with profiles of one's own, at its limits. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { listingDocuments } from "../../src/http/documents/ListingDocuments.ts"
import { InventoryDocument } from "../../src/http/documents/ModelsDocument.ts"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask, chat } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

let vllm: SimulatedBackend
let ollama: SimulatedBackend
let endpoints = ""

beforeAll(async () => {
  vllm = await startBackend({ kind: "vllm", models: ["org/big-model", "shared"] })
  ollama = await startBackend({ kind: "ollama", models: ["qwen3:8b", "shared"] })
  endpoints = endpointsYaml(
    [
      { name: "v", backend: vllm },
      { name: "o", backend: ollama }
    ],
    rareChecks
  )
})

afterAll(async () => {
  await vllm?.stop()
  await ollama?.stop()
})

/** One daemon for a group of tests. */
const daemonFor = (start: () => Promise<Daemon>): (() => Daemon) => {
  let daemon: Daemon | undefined
  beforeAll(async () => {
    daemon = await start()
  })
  afterAll(async () => {
    await daemon?.stop()
  })
  return () => daemon as Daemon
}

describe("without the unifier", () => {
  const daemon = daemonFor(() => startDaemon(`model_registry: {enable_unifier: false}\nmodel_aliases: {fast: [shared]}\n${endpoints}`))
  const get = async (path: string) => (await ask(daemon().port, { path })).json()
  const names = (list: ReadonlyArray<{ id?: string; name?: string }>) => list.map((one) => one.id ?? one.name)

  it("makes every list from what the endpoints have listed", async () => {
    expect(names((await get("/olla/proxy/v1/models")).data)).toEqual(["org/big-model", "qwen3:8b", "shared"])
    expect(names((await get("/olla/openai/v1/models")).data)).toEqual(["org/big-model", "qwen3:8b", "shared"])
    expect(names((await get("/olla/vllm/v1/models")).data)).toEqual(["org/big-model", "shared"])
    expect(names((await get("/olla/anthropic/v1/models")).data)).toEqual(["fast", "org/big-model", "qwen3:8b", "shared"])
    const tags = await get("/olla/ollama/api/tags")
    Schema.decodeUnknownSync(listingDocuments.ollama)(tags)
    expect(names(tags.models)).toEqual(["qwen3:8b", "shared"])
    for (const model of tags.models) expect(model.size).toBeGreaterThan(1_000_000)
  })

  it("shows the inventory at /olla/models, and no single model", async () => {
    const inventory = Schema.decodeUnknownSync(InventoryDocument)(await get("/olla/models"))
    expect(inventory.total_models).toBe(3)
    expect(inventory.recent_models.some((model) => model.aliases !== undefined)).toBe(false)
    const one = await ask(daemon().port, { path: "/olla/models/shared", headers: { accept: "application/json" } })
    expect([one.status, one.json().error.type]).toEqual([501, "api_error"])
  })
})

describe("without translators", () => {
  const daemon = daemonFor(() => startDaemon(`translators: {anthropic: {enabled: false}}\n${endpoints}`))

  it("has none of Anthropic's routes, and does not claim them", async () => {
    for (const path of ["/olla/anthropic", "/olla/anthropic/v1/models", "/olla/anthropic/v1/messages"])
      expect((await ask(daemon().port, { method: "POST", path, body: "{}" })).text, path).toBe("404 page not found\n")
    expect((await ask(daemon().port, { path: "/version" })).json()).toMatchObject({
      capabilities: ["load_balancing", "health_checking", "rate_limiting", "model_unification", "endpoint_discovery"],
      capabilities_experimental: []
    })
  })
})

describe("with a profile of one's own", () => {
  const seen: Array<string> = []
  const cedar = createServer((req, res) => {
    seen.push(req.url ?? "")
    res.setHeader("content-type", "application/json")
    res.end(req.url === "/srv/models" ? '{"object":"list","data":[{"id":"tree-1","object":"model"}]}' : "{}")
  })
  const daemon = daemonFor(async () => {
    await new Promise<void>((resolve) => cedar.listen(0, "127.0.0.1", resolve))
    const folder = mkdtempSync(join(tmpdir(), "olla-profiles-"))
    mkdirSync(join(folder, "profiles"))
    writeFileSync(
      join(folder, "profiles", "cedar.yaml"),
      "name: cedarserve\nrouting: {prefixes: [Cedar_X, models, proxy, anthropic, cedar]}\napi:\n  openai_compatible: true\n  paths: [/health, /srv/models, /v1/chat/completions]\n  model_discovery_path: /srv/models\n  health_check_path: /health\n"
    )
    return startDaemon(
      `discovery: {static: {endpoints: [{url: "http://127.0.0.1:${(cedar.address() as AddressInfo).port}", name: c, type: cedarserve}]}}\n`,
      { env: { OLLA_CONFIG_DIR: folder } }
    )
  })
  afterAll(() => {
    cedar.closeAllConnections()
    cedar.close()
  })

  it.each(["Cedar_X", "cedar", "cedarserve"])("forwards under %s, and lists its models there", async (prefix) => {
    seen.length = 0
    expect((await ask(daemon().port, { method: "PUT", path: `/olla/${prefix}/any/path?x=1` })).status).toBe(200)
    expect(seen).toContain("/any/path?x=1")
    for (const path of ["/srv/models", "/v1/models"])
      expect((await ask(daemon().port, { path: `/olla/${prefix}${path}` })).json().data.map((one: { id: string }) => one.id)).toEqual([
        "tree-1"
      ])
  })

  it("knows a prefix only as it is written", async () => {
    for (const prefix of ["cedar_x", "cedar-x", "CEDAR", "CedarServe"])
      expect((await ask(daemon().port, { path: `/olla/${prefix}/x` })).status, prefix).toBe(404)
  })

  it("keeps its own routes, and says which prefixes it ignores", async () => {
    for (const prefix of ["models", "proxy", "anthropic"])
      expect(daemon().output()).toContain(`routing prefix \\"${prefix}\\" belongs to Olla and is ignored`)
    expect((await ask(daemon().port, { path: "/olla/models" })).json().data[0].id).toBe("tree-1")
    expect((await ask(daemon().port, { path: "/olla/proxy/v1/models" })).json().object).toBe("list")
    expect((await ask(daemon().port, { path: "/olla/anthropic" })).status).toBe(200)
  })
})

describe("at its limits", () => {
  const daemon = daemonFor(() =>
    startDaemon(`translators: {anthropic: {max_message_size: 1000}}\n${endpoints}`, {
      server: "  request_limits: {max_body_size: 2000, max_header_size: 4096}\n"
    })
  )
  const large = chat("x".repeat(3_000))
  const json = { "content-type": "application/json" }
  const plainRoutes = [
    "/olla/proxy/v1/chat/completions",
    "/olla/openai/v1/chat/completions",
    "/internal/status",
    "/internal/health",
    "/olla/models",
    "/olla/ollama/api/tags",
    "/olla/ollama/api/pull"
  ]
  const anthropicRoutes = ["/olla/anthropic/v1/messages", "/olla/anthropic/v1/messages/count_tokens", "/olla/anthropic/v1/models"]

  it.each([
    ["a body that is declared too large", 413, "request_too_large", json, large],
    ["a body in chunks that grows too large", 413, "request_too_large", { ...json, "transfer-encoding": "chunked" }, large],
    ["headers that are too large", 431, "invalid_request_error", { "x-long": "y".repeat(5_000) }, "{}"]
  ] as const)("refuses %s on every route, in its dialect, with an id", async (_name, status, type, headers, body) => {
    for (const path of plainRoutes)
      for (const accept of ["*/*", "application/json"]) {
        const answer = await ask(daemon().port, { method: "POST", path, headers: { ...headers, accept }, body })
        expect(answer.status, path).toBe(status)
        expect(answer.header("x-olla-request-id"), path).toBeDefined()
        expect(answer.header("content-type"), path).toBe(accept === "*/*" ? "text/plain; charset=utf-8" : "application/json")
        if (accept !== "*/*") expect(answer.json().error, path).toMatchObject({ type, code: null })
      }
    for (const path of anthropicRoutes) {
      const answer = await ask(daemon().port, { method: "POST", path, headers, body })
      expect([answer.status, answer.json().error.type], path).toEqual([status, type])
      expect(answer.json().request_id).toBe(answer.header("x-olla-request-id"))
    }
  })

  it("has a smaller limit for messages, and names it", async () => {
    for (const path of anthropicRoutes.slice(0, 2)) {
      const answer = await ask(daemon().port, { method: "POST", path, headers: json, body: chat("x".repeat(1_500)) })
      expect(answer.status).toBe(413)
      expect(answer.json().error).toEqual({
        type: "request_too_large",
        message: expect.stringMatching(/^request body exceeds maximum size \(1000 bytes\): the limit is \S+/)
      })
    }
  })
})

describe("with rate limits", () => {
  const daemon = daemonFor(() =>
    startDaemon(endpoints, {
      env: { OLLA_SERVER_PER_IP_RATE_LIMIT: "6", OLLA_SERVER_RATE_BURST_SIZE: "2", OLLA_SERVER_HEALTH_RATE_LIMIT: "6" }
    })
  )
  const limits = (answer: Awaited<ReturnType<typeof ask>>) => ["limit", "remaining"].map((part) => answer.header(`x-ratelimit-${part}`))

  it("counts down, then refuses in the dialect of the surface, with the time to wait", async () => {
    const post = (path: string, accept: string) =>
      ask(daemon().port, { method: "POST", path, headers: { accept, "content-type": "application/json" }, body: chat("shared") })
    expect(limits(await post("/olla/proxy/v1/chat/completions", "*/*"))).toEqual(["6", "1"])
    expect(limits(await post("/olla/anthropic/v1/messages", "*/*"))).toEqual(["6", "0"])
    for (const [path, accept] of [
      ["/olla/proxy/v1/chat/completions", "*/*"],
      ["/olla/openai/v1/chat/completions", "application/json"],
      ["/olla/anthropic/v1/messages", "*/*"],
      ["/olla/anthropic/v1/messages/count_tokens", "*/*"]
    ] as const) {
      const answer = await post(path, accept)
      expect([answer.status, ...limits(answer)], path).toEqual([429, "6", "0"])
      const wait = Number(answer.header("retry-after"))
      expect(wait).toBeGreaterThanOrEqual(1)
      expect(wait).toBeLessThanOrEqual(10)
      const reset = Number(answer.header("x-ratelimit-reset")) - Date.now() / 1000
      expect(reset).toBeGreaterThan(0)
      expect(reset).toBeLessThan(22)
      if (path.includes("anthropic")) expect(answer.json().error.type).toBe("rate_limit_error")
      else if (accept === "application/json")
        expect(answer.json().error).toMatchObject({ type: "rate_limit_error", code: "rate_limited_ip" })
      else expect(answer.text).toMatch(/^Too Many Requests: 6 requests a minute/)
    }
  })

  it("limits neither documents nor lists, and health by a bucket of its own", async () => {
    for (const path of [
      "/internal/status",
      "/version",
      "/olla/models",
      "/olla/proxy/v1/models",
      "/olla/ollama/api/tags",
      "/olla/anthropic"
    ])
      for (let i = 0; i < 4; i++) {
        const answer = await ask(daemon().port, { path })
        expect([answer.status, answer.header("x-ratelimit-limit")], path).toEqual([200, undefined])
      }
    for (let i = 0; i < 4; i++) expect((await ask(daemon().port, { path: "/internal/ready" })).status).toBe(200)
    const looks = []
    for (let i = 0; i < 3; i++) looks.push(await ask(daemon().port, { path: "/internal/health" }))
    expect(looks.map((answer) => [answer.status, ...limits(answer)])).toEqual([
      [200, "6", "1"],
      [200, "6", "0"],
      [429, "6", "0"]
    ])
  })
})

describe("with cross-site protection", () => {
  const daemon = daemonFor(() => startDaemon(endpoints, { server: "  cross_site_protection: true\n  allowed_hosts: [olla.lan]\n" }))

  it("refuses foreign hosts and pages, in the dialect of the surface", async () => {
    const own = `127.0.0.1:${daemon().port}`
    for (const foreign of [{ host: "evil.example" }, { host: own, origin: "https://evil.example" }, { host: own, origin: "null" }]) {
      for (const path of ["/internal/status", "/olla/models", "/olla/proxy/v1/x", "/nope"]) {
        expect((await ask(daemon().port, { path, headers: foreign })).status, path).toBe(403)
        const json = await ask(daemon().port, { path, headers: { ...foreign, accept: "application/json" } })
        expect([json.status, json.json().error.type, json.json().error.code]).toEqual([403, "api_error", null])
      }
      const anthropic = await ask(daemon().port, { method: "POST", path: "/olla/anthropic/v1/messages", headers: foreign, body: "{}" })
      expect([anthropic.status, anthropic.json().error.type]).toEqual([403, "permission_error"])
      expect(anthropic.header("request-id")).toBe(anthropic.header("x-olla-request-id"))
    }
    for (const good of [{ host: own }, { host: "olla.lan:1234" }, { host: own, origin: `http://${own}` }])
      expect((await ask(daemon().port, { path: "/olla/models", headers: good })).status).toBe(200)
  })
})

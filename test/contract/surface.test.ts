/** Every route with every method, as a stranger finds them: statuses, headers, dialects of errors, and nothing that betrays the inside. */
import { gunzipSync } from "node:zlib"
import { Ajv2020 } from "ajv/dist/2020.js"
import formats from "ajv-formats"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type DocumentSchema, encodeDocument } from "../../src/http/documents/Encoding.ts"
import { AnthropicErrorDocument, ErrorDocument } from "../../src/http/documents/ErrorDocuments.ts"
import { listingDocuments } from "../../src/http/documents/ListingDocuments.ts"
import { openApi } from "../../src/http/OpenApi.ts"
import { type LocalRoute, localRoutes } from "../../src/http/Surface.ts"
import type { WrittenFormat } from "../../src/profile/ListingFormats.ts"
import { type BackendKind, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Answer, type Asked, ask, chat } from "./ask.ts"
import { build, type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

const fleet: ReadonlyArray<{ readonly name: string; readonly kind: BackendKind; readonly models: ReadonlyArray<string> }> = [
  { name: "gpu", kind: "vllm", models: ["org/big-model", "shared"] },
  { name: "laptop", kind: "ollama", models: ["qwen3:8b", "shared"] },
  { name: "studio", kind: "lm-studio", models: ["gemma-3-12b"] },
  { name: "lemon", kind: "lemonade", models: ["Lemon-1B"] },
  { name: "docker", kind: "docker-model-runner", models: ["ai/smollm2"] }
]

let backends: ReadonlyArray<SimulatedBackend>
let daemon: Daemon
let sherpa: Daemon
const of = (name: string): SimulatedBackend => backends[fleet.findIndex((one) => one.name === name)] as SimulatedBackend
const get = (path: string, more: Omit<Asked, "path"> = {}): Promise<Answer> => ask(daemon.port, { path, ...more })

beforeAll(async () => {
  backends = await Promise.all(fleet.map(({ kind, models }) => startBackend({ kind, models, text: "Hello " })))
  const endpoints = endpointsYaml(
    fleet.map(({ name }) => ({ name, backend: of(name) })),
    rareChecks
  )
  ;[daemon, sherpa] = await Promise.all([startDaemon(endpoints), startDaemon(`proxy: {engine: sherpa}\n${endpoints}`)])
})

afterAll(async () => {
  await Promise.all([daemon?.stop(), sherpa?.stop()])
  await Promise.all((backends ?? []).map((backend) => backend.stop()))
})

/** References of the description, as the validator finds them. */
const inPlace = (schema: object): object => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"olla#/'))

const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"]
const writing = ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"]

/** No stack, no file, no address, no port of a backend, nothing of the language's own words. */
const betrays = (text: string): ReadonlyArray<string> =>
  [
    /\n\s+at /,
    /node:internal|node_modules|\/src\/|\/dist\/|file:\/\//,
    /ECONN|EPIPE|ENOTFOUND|EHOST|ETIMEDOUT|UND_ERR|HPE_/,
    /TypeError|ReferenceError|RangeError|SchemaError|undefined|\[object/,
    /127\.0\.0\.1|localhost|::1/,
    ...backends.map(({ port }) => new RegExp(`\\b${port}\\b`))
  ]
    .filter((pattern) => pattern.test(text))
    .map(String)

const headersOf = (answer: Answer): string =>
  ["x-olla-endpoint", "x-olla-backend-type", "retry-after", "via", "x-served-by"].map(answer.header).join(" ")

const expectError = (answer: Answer, accept: string, anthropic = false): void => {
  expect(betrays(answer.text + headersOf(answer))).toEqual([])
  if (anthropic) {
    expect(answer.header("content-type")).toBe("application/json")
    const body = Schema.decodeUnknownSync(AnthropicErrorDocument)(answer.json())
    expect(body.request_id).toBe(answer.header("x-olla-request-id"))
    expect(answer.header("request-id")).toBe(body.request_id)
  } else if (accept === "application/json") {
    expect(answer.header("content-type")).toBe("application/json")
    expect(Object.keys(Schema.decodeUnknownSync(ErrorDocument)(answer.json()).error)).toEqual(["message", "type", "code"])
  } else {
    expect(answer.header("content-type")).toBe("text/plain; charset=utf-8")
    expect(answer.text).toMatch(/^[^\n]+\n$/)
  }
  expect(answer.header("x-content-type-options")).toBe("nosniff")
}

describe("a crawl over the routes that Olla answers itself", () => {
  const paths = [
    ...Object.values(localRoutes).map((route) => route.path),
    "/olla/models",
    "/olla/models/shared",
    "/olla/models/org/big-model"
  ]

  it.each(paths)("%s knows GET, HEAD and OPTIONS, and says so to all others", async (path) => {
    for (const accept of ["*/*", "application/json"])
      for (const method of methods) {
        const answer = await get(path, { method, headers: { accept } })
        const where = `${method} ${path} ${accept}`
        expect(answer.header("x-olla-request-id"), where).toMatch(/^[a-z]+-[a-z]+-[0-9a-f]{8}$/)
        if (writing.includes(method) && path !== "/internal/health") {
          expect(answer.status, where).toBe(405)
          expect(answer.header("allow"), where).toBe("GET, HEAD")
          expectError(answer, accept)
        } else {
          expect(answer.status, where).toBe(200)
          expect(answer.text === "", where).toBe(method === "HEAD")
        }
      }
  })

  it.each(Object.values(localRoutes) as ReadonlyArray<LocalRoute>)("$path is what its Schema says, to the last key", async (route) => {
    const answer = await get(route.path)
    expect(answer.header("content-type")).toBe(route.contentType ?? "application/json")
    if (route.document === undefined) return
    const sent = answer.json()
    expect(encodeDocument(route.document, Schema.decodeUnknownSync(route.document)(sent))).toEqual(sent)
    expect(answer.text).toBe(JSON.stringify(sent))
  })

  it("serves the description that is in docs/openapi.yaml, with this build's version", async () => {
    const { version } = (await get("/version")).json()
    const written = JSON.parse(JSON.stringify(openApi()))
    expect((await get("/internal/openapi.json")).json()).toEqual({ ...written, info: { ...written.info, version } })
  })

  it("describes what is sent, to the eyes of a validator that knows no more than the description", async () => {
    const description = (await get("/internal/openapi.json")).json()
    const ajv = new Ajv2020({ strict: false })
    formats.default(ajv)
    ajv.addSchema(description, "olla")
    const described = async (path: string, asked: string, status = "200") => {
      const answer = await get(asked, { headers: { accept: "application/json" } })
      expect(answer.status, asked).toBe(Number(status))
      const operation = description.paths[path].get
      const response = operation.responses[status]
      const named = response.$ref === undefined ? response : description.components.responses[response.$ref.split("/").at(-1)]
      const valid = ajv.compile(inPlace(named.content["application/json"].schema))
      expect(valid(answer.json()) ? [] : valid.errors, asked).toEqual([])
      return valid
    }
    for (const route of Object.values(localRoutes) as ReadonlyArray<LocalRoute>)
      if (route.document !== undefined) await described(route.path, route.path)
    await described("/internal/status/models", "/internal/status/models?detailed=true&group=family")
    for (const format of Object.keys(listingDocuments)) {
      const valid = await described("/olla/models", `/olla/models?format=${format}`)
      expect(valid({ object: "list" })).toBe(false)
    }
    await described("/olla/models/{id}", "/olla/models/org/big-model")
    await described("/olla/models/{id}", "/olla/models/nope", "404")
    await described("/olla/models", "/olla/models?format=nope", "400")
    await described("/olla/proxy/v1/models", "/olla/proxy/v1/models")
    await described("/olla/{provider}/v1/models", "/olla/vllm/v1/models")
    await described("/olla/anthropic/v1/models", "/olla/anthropic/v1/models")
    await described("/olla/anthropic/v1/models/{id}", "/olla/anthropic/v1/models/shared")
    await described("/olla/anthropic/v1/models/{id}", "/olla/anthropic/v1/models/nope", "404")
  })

  it("describes every route that answers", async () => {
    const described = Object.keys((await get("/internal/openapi.json")).json().paths)
    for (const path of paths)
      expect(
        described.some((one) => new RegExp(`^${one.replaceAll(/\{\w+\}/g, ".+")}$`).test(path)),
        path
      ).toBe(true)
  })
})

describe("a crawl over the routes to backends", () => {
  const prefixes = [
    "ollama",
    "lmstudio",
    "lm-studio",
    "lm_studio",
    "openai",
    "openai-compatible",
    "vllm",
    "lemonade",
    "dmr",
    "docker-model-runner"
  ]
  const empty = ["sglang", "vllm-mlx", "lmdeploy", "llamacpp", "litellm", "omlx"]
  const known = new Set([200, 400, 404, 405, 501])

  it.each(["proxy", ...prefixes])("/olla/%s/ forwards every method, and says whose answer it is", async (prefix) => {
    for (const accept of ["*/*", "application/json"])
      for (const method of methods)
        for (const { port } of [daemon, sherpa])
          for (const path of ["", "/v1/chat/completions", "/no/such/path?x=1"]) {
            const answer = await ask(port, { path: `/olla/${prefix}${path}`, method, headers: { accept } })
            const where = `${method} /olla/${prefix}${path} by ${port === daemon.port ? "olla" : "sherpa"}`
            expect(known, `${where} ${answer.status}`).toContain(answer.status)
            expect(answer.header("x-olla-request-id"), where).toBeDefined()
            expect(answer.header("x-ratelimit-limit"), where).toBe("0")
            expect(answer.header("x-olla-endpoint"), where).toBeDefined()
            if (method === "HEAD") expect(answer.text).toBe("")
          }
  })

  it.each(empty)("/olla/%s/ is 404 while no endpoint of the kind can serve, with every method", async (prefix) => {
    for (const accept of ["*/*", "application/json"])
      for (const method of methods) {
        const answer = await get(`/olla/${prefix}/v1/chat/completions`, { method, headers: { accept } })
        expect(answer.status, `${method} ${prefix}`).toBe(404)
        if (method === "HEAD") continue
        expectError(answer, accept)
        expect(answer.text).toContain(`No ${prefix} endpoints available`)
      }
  })

  it("refuses Ollama's management calls with every method", async () => {
    for (const call of ["list", "show", "pull", "push", "create", "copy", "delete"])
      for (const accept of ["*/*", "application/json"])
        for (const method of methods) {
          const answer = await get(`/olla/ollama/api/${call}`, { method, headers: { accept } })
          expect(answer.status, `${method} ${call}`).toBe(501)
          if (method !== "HEAD") expectError(answer, accept)
        }
    expect(of("laptop").requests.filter(({ url }) => /api\/(list|show|pull|push|create|copy|delete)/.test(url))).toEqual([])
  })

  it("is 404 everywhere else, with every method", async () => {
    const nowhere = [
      "/olla",
      "/olla/",
      "/olla/unknown/x",
      "/internal",
      "/internal/",
      "/internal/health/",
      "/internal/status/",
      "/version/",
      "/Version",
      "/internal/Health",
      "/olla/OLLAMA/api/chat",
      "/olla/llama-cpp/v1/models",
      "/api/nothing",
      "/v1/nothing",
      "/favicon.ico",
      "/internal/%2e%2e/version",
      "*"
    ]
    for (const path of nowhere)
      for (const accept of ["*/*", "application/json"])
        for (const method of methods) {
          const answer = await get(path, { method, headers: { accept } })
          expect(answer.status, `${method} ${path}`).toBe(404)
          expect(answer.header("x-olla-request-id")).toBeDefined()
          if (method !== "HEAD") expectError(answer, accept)
          if (method !== "HEAD" && accept === "*/*") expect(answer.text).toBe("404 page not found\n")
        }
  })

  it("answers Anthropic's routes in Anthropic's form, whatever the client accepts", async () => {
    const routes: ReadonlyArray<readonly [path: string, allow: string]> = [
      ["/olla/anthropic/v1/messages", "POST"],
      ["/olla/anthropic/v1/messages/count_tokens", "POST"],
      ["/olla/anthropic/v1/models", "GET, HEAD"]
    ]
    for (const [path, allow] of routes)
      for (const accept of ["*/*", "application/json"])
        for (const method of methods) {
          const answer = await get(path, { method, headers: { accept } })
          const where = `${method} ${path}`
          if (!allow.split(", ").includes(method)) {
            expect(answer.status, where).toBe(405)
            expect(answer.header("allow"), where).toBe(allow)
          } else expect(answer.status, where).toBe(path.endsWith("models") ? 200 : 400)
          if (answer.status >= 400 && method !== "HEAD") expectError(answer, accept, true)
        }
  })
})

describe("paths", () => {
  const health = '{"status":"healthy"}'

  it.each([
    "/internal/health",
    "//internal//health",
    "/internal/./health",
    "/version/../internal/health",
    "/internal/%68ealth",
    "/internal%2Fhealth",
    "/olla/ollama/../../internal/health",
    "/internal/health?x=%zz#f"
  ])("%s is the health route", async (path) => {
    expect((await get(path)).text).toBe(health)
  })

  it.each([
    "/olla/ollama/api/tags",
    "/olla/ollama/api%2Ftags",
    "/olla%2follama/api/tags",
    "/olla/%6fllama/api/tags",
    "//olla/ollama//api/tags"
  ])("%s is Ollama's listing", async (path) => {
    const answer = await get(path)
    expect(answer.json().models.map((one: { name: string }) => one.name)).toEqual(["qwen3:8b", "shared"])
  })

  it.each([
    ["/olla/lm_studio/v1/x", "/v1/x"],
    ["/olla/lmstudio", "/"],
    ["/olla/lmstudio?a=b", "/?a=b"],
    ["/olla/lmstudio/a%2Fb%20c?q=%20d&e=f%2Fg", "/a%2Fb%20c?q=%20d&e=f%2Fg"],
    ["/olla%2Flmstudio%2Fa%2Fb", "/a%2Fb"],
    ["/olla/lmstudio/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd"],
    ["/olla/lmstudio/..%2f..%2fetc", "/etc"],
    ["/olla/lmstudio/%2E%2E%2F%2E%2E%2Fetc", "/etc"],
    ["/olla/lmstudio/.%2e/x", "/x"],
    ["/olla/lmstudio/a/./b//c", "/a/b/c"],
    ["/olla/lmstudio/%zz/..%2fx", "/x"],
    ["/olla/lmstudio/%c3%a9", "/%c3%a9"],
    ["/olla/lmstudio/%00x", "/%00x"]
  ])("%s reaches the backend as %s", async (path, seen) => {
    const { requests } = of("studio")
    requests.length = 0
    await get(path, { method: "PUT" })
    expect(requests.filter(({ method }) => method === "PUT").map(({ url }) => url)).toEqual([seen])
  })

  it("carries a URL of 12,000 bytes, and refuses one that is longer than headers may be", async () => {
    const { requests } = of("studio")
    requests.length = 0
    const long = "a".repeat(12_000)
    await get(`/olla/lmstudio/${long}`, { method: "PUT" })
    expect(requests.find(({ method }) => method === "PUT")?.url).toBe(`/${long}`)
    expect((await get(`/olla/lmstudio/${"a".repeat(1_100_000)}`)).status).toBe(431)
  })

  it("finds a model whose id has slashes, raw and encoded, in any letter case", async () => {
    for (const id of ["org/big-model", "org%2Fbig-model", "ORG/Big-Model", "org%2fBIG-model"])
      expect((await get(`/olla/models/${id}`)).json().id).toBe("org/big-model")
    for (const id of ["org", "org/", "nope", "%zz", "..%2fshared"]) expect((await get(`/olla/models/${id}`)).status, id).toBe(404)
    expect((await get("/olla/models/")).status).toBe(400)
  })

  it("takes a target in absolute form", async () => {
    expect((await get(`http://127.0.0.1:${daemon.port}/internal/health?x=1`)).text).toBe(health)
  })
})

describe("listings", () => {
  const listings: ReadonlyArray<readonly [path: string, format: WrittenFormat]> = [
    ["/olla/proxy/v1/models", "openai"],
    ["/olla/openai/v1/models", "openai"],
    ["/olla/openai-compatible/v1/models", "openai"],
    ["/olla/ollama/api/tags", "ollama"],
    ["/olla/ollama/v1/models", "openai"],
    ["/olla/lmstudio/v1/models", "openai"],
    ["/olla/lm-studio/api/v1/models", "openai"],
    ["/olla/lm_studio/api/v0/models", "lmstudio"],
    ["/olla/vllm/v1/models", "openai"],
    ["/olla/lemonade/v1/models", "openai"],
    ["/olla/lemonade/api/v1/models", "lemonade"],
    ["/olla/dmr/v1/models", "openai"],
    ["/olla/dmr/engines/v1/models", "docker-model-runner"],
    ["/olla/docker-model-runner/engines/v1/models", "docker-model-runner"],
    ...(Object.keys(listingDocuments) as ReadonlyArray<WrittenFormat>).map((format) => [`/olla/models?format=${format}`, format] as const)
  ]

  it.each(listings)("%s is %s, to the last key", async (path, format) => {
    const sent = (await get(path)).json()
    const schema: DocumentSchema = listingDocuments[format]
    expect(encodeDocument(schema, Schema.decodeUnknownSync(schema)(sent))).toEqual(sent)
    expect((sent.data ?? sent.models).length).toBeGreaterThan(0)
  })

  it("says the same, byte for byte, when asked again", async () => {
    for (const [path] of listings.filter(([, format]) => format !== "ollama"))
      expect((await get(path)).text, path).toBe((await get(path)).text)
  })

  it("names what a query may be", async () => {
    const format = await get("/olla/models?format=Nope", { headers: { accept: "application/json" } })
    expect(format.status).toBe(400)
    expect(format.json().error.message).toMatch(
      /^invalid query parameter format=Nope: unsupported format\. Supported formats: dmr, docker-model-runner, .*, vllm-mlx$/
    )
    const available = await get("/olla/models?available=1")
    expect([available.status, available.text]).toEqual([400, "invalid value for 'available' parameter. Use 'true' or 'false'\n"])
  })
})

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
      expect(json.json().error.message).toMatch(/^model_not_found: no endpoint has a model named "no-such"/)
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
        /^Proxy error: the only endpoint with this model failed with a connection error: connection refused .* endpoint gone /
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

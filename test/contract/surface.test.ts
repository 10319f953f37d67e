import { Ajv2020 } from "ajv/dist/2020.js"
import formats from "ajv-formats"
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type DocumentSchema, encodeDocument } from "../../src/http/documents/Encoding.ts"
import { listingDocuments } from "../../src/http/documents/ListingDocuments.ts"
import { openApi } from "../../src/http/OpenApi.ts"
import { type LocalRoute, localRoutes } from "../../src/http/Surface.ts"
import type { WrittenFormat } from "../../src/profile/ListingFormats.ts"
import { ask } from "./ask.ts"

import { daemon, expectError, get, inPlace, methods, of, sherpa, startFleet, stopFleet, writing } from "./surfaceFleet.ts"

/** Without those that are there only while keys are asked for. */
const standing = (Object.values(localRoutes) as ReadonlyArray<LocalRoute>).filter(({ whileKeys }) => whileKeys !== true)

beforeAll(() => startFleet(true))
afterAll(stopFleet)

describe("a crawl over the routes that Olla answers itself", () => {
  const paths = [...standing.map((route) => route.path), "/olla/models", "/olla/models/shared", "/olla/models/org/big-model"]

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

  it.each(standing)("$path is what its Schema says, to the last key", async (route) => {
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
    for (const route of standing) if (route.document !== undefined) await described(route.path, route.path)
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
    for (const call of ["list", "pull", "push", "create", "copy", "delete"])
      for (const accept of ["*/*", "application/json"])
        for (const method of methods) {
          const answer = await get(`/olla/ollama/api/${call}`, { method, headers: { accept } })
          expect(answer.status, `${method} ${call}`).toBe(501)
          if (method !== "HEAD") expectError(answer, accept)
        }
    expect(of("laptop").requests.filter(({ url }) => /api\/(list|pull|push|create|copy|delete)/.test(url))).toEqual([])
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
          if (!allow.split(", ").includes(method) && !(method === "OPTIONS" && allow.startsWith("GET"))) {
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

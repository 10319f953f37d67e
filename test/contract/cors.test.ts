/** CORS on the wire: outermost, on every route, and one set of headers only. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Answer, ask } from "./ask.ts"
import { type Daemon, startDaemon } from "./daemon.ts"

const allHeaders =
  "X-Olla-Request-ID X-Olla-Endpoint X-Olla-Backend-Type X-Olla-Model X-Olla-Response-Time X-Olla-Routing-Strategy X-Olla-Routing-Decision X-Olla-Routing-Reason X-Olla-Mode X-Olla-Sticky-Session X-Olla-Sticky-Key-Source X-Olla-Session-ID X-Olla-Trace-ID X-Olla-Attempts X-Olla-Dialect X-Olla-Dropped X-Olla-Limit"

/** Speaks CORS itself, as many backends do. */
const backend = createServer((req, res) => {
  res.writeHead(200, {
    "content-type": "application/json",
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    vary: "Accept-Encoding"
  })
  res.end(req.url === "/v1/models" ? '{"object":"list","data":[{"id":"m","object":"model"}]}' : "{}")
})
let url = ""
let open: Daemon
let listed: Daemon

beforeAll(async () => {
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve))
  url = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`
  const endpoints = `discovery: {static: {endpoints: [{url: "${url}", name: b, type: openai-compatible}]}}\n`
  ;[open, listed] = await Promise.all([
    startDaemon(endpoints, { server: "  cors: {enabled: true}\n" }),
    startDaemon(endpoints, {
      server:
        "  cors: {enabled: true, allowed_origins: [https://app.example, 'https://*.example.net'], allowed_methods: [GET, POST, DELETE], allowed_headers: [Authorization, X-Api-Key], exposed_headers: [X-Mine], allow_credentials: true, max_age: 0}\n"
    })
  ])
})

afterAll(async () => {
  await Promise.all([open?.stop(), listed?.stop()])
  backend.closeAllConnections()
  backend.close()
})

const cors = (answer: Answer): Record<string, ReadonlyArray<string>> =>
  Object.fromEntries(
    ["origin", "methods", "headers", "credentials"]
      .map((part) => [part, answer.values(`access-control-allow-${part}`)] as const)
      .concat([
        ["max-age", answer.values("access-control-max-age")],
        ["expose", answer.values("access-control-expose-headers")]
      ])
      .filter(([, values]) => values.length > 0)
  )

const vary = (answer: Answer): ReadonlyArray<string> =>
  answer
    .values("vary")
    .flatMap((line) => line.split(","))
    .map((name) => name.trim())

const everywhere = ["/olla/models", "/olla/proxy/v1/x", "/olla/openai/v1/models", "/olla/anthropic/v1/models", "/no/route", "/olla/omlx/x"]
const internal = [
  "/internal/status",
  "/internal/metrics",
  "/internal/none",
  "/version",
  "//internal//status",
  "/%69nternal/status",
  "/x/../version"
]

describe("open to every origin", () => {
  it.each(everywhere)("%s may be read by any page", async (path) => {
    const answer = await ask(open.port, { path, headers: { origin: "https://page.example" } })
    expect(cors(answer)).toEqual({ origin: ["*"], expose: [allHeaders.split(" ").join(", ")] })
    expect(vary(answer)).toContain("Origin")
    const without = await ask(open.port, { path })
    expect(cors(without)).toEqual({})
    expect(vary(without)).toContain("Origin")
  })

  it.each(internal)("%s may not", async (path) => {
    const answer = await ask(open.port, { path, headers: { origin: "https://page.example" } })
    expect(answer.status).toBe(path === "/internal/none" ? 404 : 200)
    expect(cors(answer)).toEqual({})
    const preflight = await ask(open.port, {
      method: "OPTIONS",
      path,
      headers: { origin: "https://page.example", "access-control-request-method": "GET" }
    })
    expect(preflight.status).toBe(204)
    expect(cors(preflight)).toEqual({})
  })

  it("answers a preflight before everything else", async () => {
    for (const path of everywhere) {
      const answer = await ask(open.port, {
        method: "OPTIONS",
        path,
        headers: {
          origin: "https://page.example",
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type, x-anything"
        }
      })
      expect([answer.status, answer.text]).toEqual([204, ""])
      expect(answer.values("vary")).toEqual(["Origin, Access-Control-Request-Method, Access-Control-Request-Headers"])
      expect(cors(answer)).toEqual({ origin: ["*"], methods: ["POST"], headers: ["content-type, x-anything"], "max-age": ["300"] })
      expect(answer.header("x-ratelimit-limit")).toBeUndefined()
    }
  })

  it("allows no method that is not listed, but serves it", async () => {
    const preflight = await ask(open.port, {
      method: "OPTIONS",
      path: "/olla/proxy/x",
      headers: { origin: "https://page.example", "access-control-request-method": "DELETE" }
    })
    expect([preflight.status, cors(preflight)]).toEqual([204, {}])
    const answer = await ask(open.port, { method: "DELETE", path: "/olla/proxy/x", headers: { origin: "https://page.example" } })
    expect([answer.status, cors(answer)]).toEqual([200, {}])
    // Without the method that it asks for it is no preflight.
    const options = await ask(open.port, { method: "OPTIONS", path: "/olla/proxy/x", headers: { origin: "https://page.example" } })
    expect([options.status, cors(options).origin]).toEqual([200, ["*"]])
  })

  it("drops what the backend says of CORS, and names everything that an answer varies by", async () => {
    const answer = await ask(open.port, { path: "/olla/proxy/v1/x", headers: { origin: "https://page.example" } })
    expect(answer.values("access-control-allow-origin")).toEqual(["*"])
    expect(answer.values("access-control-allow-credentials")).toEqual([])
    expect(answer.values("vary")).toHaveLength(1)
    expect(vary(answer).toSorted()).toEqual(["Accept-Encoding", "Origin"])
  })

  it("names everything that a document of Olla's own varies by, in one line", async () => {
    const answer = await ask(open.port, { path: "/olla/models", headers: { origin: "https://page.example" } })
    expect(answer.values("vary")).toEqual(["Origin, Accept-Encoding"])
  })
})

describe("open to listed origins", () => {
  it.each(["https://app.example", "HTTPS://APP.EXAMPLE", "https://a.example.net", "https://a.b.example.net"])(
    "%s may read, also what is internal",
    async (origin) => {
      for (const path of [...everywhere, ...internal])
        expect(cors(await ask(listed.port, { path, headers: { origin } })), path).toEqual({
          origin: [origin],
          credentials: ["true"],
          expose: ["X-Mine"]
        })
    }
  )

  it.each(["https://other.example", "https://example.net", "http://app.example", "https://app.example.evil", "null"])(
    "%s may not",
    async (origin) => {
      for (const path of [...everywhere, ...internal]) {
        const answer = await ask(listed.port, { path, headers: { origin } })
        expect(cors(answer), path).toEqual({})
        expect(vary(answer), path).toContain("Origin")
      }
    }
  )

  it("allows listed headers only, and says nothing of how long", async () => {
    const preflight = (headers: string) =>
      ask(listed.port, {
        method: "OPTIONS",
        path: "/olla/proxy/x",
        headers: { origin: "https://app.example", "access-control-request-method": "DELETE", "access-control-request-headers": headers }
      })
    expect(cors(await preflight("authorization,x-api-key"))).toEqual({
      origin: ["https://app.example"],
      methods: ["DELETE"],
      headers: ["authorization,x-api-key"],
      credentials: ["true"]
    })
    expect(cors(await preflight("x-other"))).toEqual({})
  })
})

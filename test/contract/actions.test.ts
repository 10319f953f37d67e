/** What operators do with a running daemon, over its routes: who may, what is answered, what is told. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Answer, ask, chat } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

const token = "t0p-secret"
let backends: ReadonlyArray<SimulatedBackend>
let daemon: Daemon

const meant = { "X-Olla-Action": "1" }
type Headers = Readonly<Record<string, string>>
const act = (path: string, body?: object | string, headers: Headers = meant, method = "POST"): Promise<Answer> =>
  ask(daemon.port, {
    method,
    path: `/internal/${path}`,
    headers: { Host: `127.0.0.1:${daemon.port}`, ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
  })
const onEndpoint = (name: string, action: string, body?: object | string, headers?: Headers) =>
  act(`endpoints/${encodeURIComponent(name)}/${action}`, body, headers)

interface Listed {
  readonly name: string
  readonly id: string
  readonly admin: string
  readonly health_check_at: string
}
const listed = async (): Promise<ReadonlyArray<Listed>> => (await ask(daemon.port, { path: "/internal/status/endpoints" })).json().endpoints
const adminOf = async (name: string) => (await listed()).find((endpoint) => endpoint.name === name)?.admin
const records = () =>
  daemon
    .output()
    .split("\n")
    .filter((line) => line.includes("Operator action"))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
/** Those of requests with this id, when there are so many. */
const recordsOf = async (id: string, count: number) => {
  for (;;) {
    const found = records().filter((record) => record["request_id"] === id)
    if (found.length >= count) return found
    await new Promise((resolve) => setImmediate(resolve))
  }
}

beforeAll(async () => {
  backends = await Promise.all([
    startBackend({ kind: "openai-compatible", models: ["shared", "only-a"] }),
    startBackend({ kind: "openai-compatible", models: ["shared"] }),
    startBackend({ kind: "openai-compatible", models: ["shared"] }),
    startBackend({ kind: "openai-compatible", models: ["shared"] })
  ])
  const [a, b, twin, other] = backends as [SimulatedBackend, SimulatedBackend, SimulatedBackend, SimulatedBackend]
  daemon = await startDaemon(
    `dashboard: {access_policy: {token: "\${DASHBOARD}"}}\n${endpointsYaml(
      [
        { name: "gpu-a", backend: a },
        { name: "rack 1/gpu-b", backend: b },
        { name: "twin", backend: twin },
        { name: "twin", backend: other }
      ],
      rareChecks
    )}`,
    {
      env: { DASHBOARD: token },
      server: '  cors: {enabled: true, allowed_origins: ["http://console.example"], allowed_methods: [GET, POST]}\n'
    }
  )
})
afterAll(async () => {
  await daemon.stop()
  await Promise.all(backends.map((backend) => backend.stop()))
})

describe("drain and resume", () => {
  it("take an endpoint out of service and back, as often as they are said", async () => {
    const name = "rack 1/gpu-b"
    for (const body of [undefined, { for: "10m", reason: "new driver" }]) {
      const answer = await onEndpoint(name, "drain", body)
      expect([answer.status, answer.text]).toEqual([204, ""])
      expect(await adminOf(name)).toBe("drained")
    }
    for (const _ of [1, 2]) expect((await onEndpoint(name, "resume")).status).toBe(204)
    expect(await adminOf(name)).toBe("active")
  })

  it("know an endpoint by its id too", async () => {
    const id = (await listed()).find(({ name }) => name === "rack 1/gpu-b")?.id ?? ""
    expect((await onEndpoint(id, "drain")).status).toBe(204)
    expect(await adminOf("rack 1/gpu-b")).toBe("drained")
    expect((await onEndpoint(id, "resume")).status).toBe(204)
  })

  it("refuse to take a model away, unless it is forced", async () => {
    const refused = await onEndpoint("gpu-a", "drain")
    expect(refused.status).toBe(409)
    expect(refused.json()).toEqual({ code: "models_lost", message: expect.stringContaining("only-a"), models: ["only-a"] })
    expect(await adminOf("gpu-a")).toBe("active")
    expect((await onEndpoint("gpu-a", "drain", { force: true })).status).toBe(204)
    const asked = await ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/chat/completions", body: chat("only-a") })
    expect([asked.status, asked.text.trim()]).toEqual([503, expect.stringMatching(/^model_unavailable/)])
    // Already so: nothing more is lost.
    expect((await onEndpoint("gpu-a", "drain", { for: "1h" })).status).toBe(204)
    expect((await onEndpoint("gpu-a", "resume")).status).toBe(204)
  })
})

describe("probe", () => {
  it("answers when the endpoint has been looked at and its models are read", async () => {
    const a = backends[0] as SimulatedBackend
    a.setModels(["shared", "only-a", "brand-new"])
    expect((await onEndpoint("gpu-a", "probe")).status).toBe(204)
    const asked = await ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/chat/completions", body: chat("brand-new") })
    expect(asked.status).toBe(200)
  })
})

describe("reload", () => {
  it("says what has changed, and what is wrong", async () => {
    const unchanged = await act("reload")
    expect([unchanged.status, unchanged.json()]).toEqual([200, { generation: 1, changed: [], restart_needed: [] }])
  })
})

describe("an action is refused", () => {
  const drain = "endpoints/twin/drain"
  it.each([
    ["that is not meant", 403, "forbidden", {}],
    ["of a page elsewhere, whatever CORS says", 403, "forbidden", { ...meant, Origin: "http://console.example" }],
    ["of another site", 403, "forbidden", { ...meant, "Sec-Fetch-Site": "cross-site" }],
    ["for a rebound name", 403, "forbidden", { ...meant, Host: "evil.example" }],
    ["through a proxy without the token", 401, "unauthorised", { ...meant, "X-Forwarded-For": "10.0.0.1" }],
    ["through a proxy with another token", 401, "unauthorised", { ...meant, Via: "1.1 x", Authorization: "Bearer nope" }]
  ] as ReadonlyArray<[string, number, string, Headers]>)("%s", async (_, status, code, headers) => {
    const id = `refused-${Math.random()}`
    // Neither whether there is such an endpoint nor what is wrong with the body is told to whoever may not act.
    for (const path of [drain, "endpoints/nobody/drain", "reload"]) {
      const answer = await act(path, "{", { ...headers, "X-Request-ID": id })
      expect([answer.status, answer.json()], path).toEqual([status, { code, message: expect.any(String) }])
      expect(answer.header("content-type")).toBe("application/json")
      expect(answer.header("www-authenticate")).toBe(status === 401 ? 'Bearer realm="olla"' : undefined)
      expect(answer.header("access-control-allow-origin")).toBeUndefined()
    }
    expect(await recordsOf(id, 3)).toMatchObject([
      { level: "WARN", action: "drain", endpoint: "twin", result: code, client_ip: "127.0.0.1" },
      { level: "WARN", action: "drain", endpoint: "nobody", result: code },
      { level: "WARN", action: "reload", result: code }
    ])
    expect(await adminOf("gpu-a")).toBe("active")
  })

  it("through a proxy, but not with the token", async () => {
    expect(
      (await onEndpoint("gpu-a", "resume", undefined, { ...meant, "X-Forwarded-For": "10.0.0.1", Authorization: `Bearer ${token}` })).status
    ).toBe(204)
    expect(daemon.output()).not.toContain(token)
  })

  it("by another method, before anything else, and no page gets leave", async () => {
    for (const method of ["GET", "PUT", "DELETE", "HEAD"])
      for (const path of [drain, "endpoints/nobody/probe", "reload"]) {
        const answer = await act(path, undefined, {}, method)
        expect([answer.status, answer.header("allow")], `${method} ${path}`).toEqual([405, "POST"])
      }
    const preflight = await act(drain, undefined, { Origin: "http://console.example", "Access-Control-Request-Method": "POST" }, "OPTIONS")
    expect(preflight.status).toBe(405)
    expect(preflight.header("access-control-allow-origin")).toBeUndefined()
    expect(preflight.header("access-control-allow-methods")).toBeUndefined()
  })

  it("for a name that nobody has, with the nearest, before the body is looked at", async () => {
    const answer = await onEndpoint("gpu-q", "drain", "{")
    expect([answer.status, answer.json()]).toEqual([
      404,
      { code: "not_found", message: expect.stringContaining('"gpu-a"'), nearest: "gpu-a" }
    ])
    const far = await onEndpoint("something else", "resume")
    expect(far.json()).toEqual({ code: "not_found", message: expect.stringContaining("/internal/status/endpoints") })
  })

  it("for a name that two have, with their ids; a wrong body first", async () => {
    const ids = (await listed()).filter(({ name }) => name === "twin").map(({ id }) => id)
    const answer = await onEndpoint("twin", "drain")
    expect([answer.status, answer.json()]).toEqual([409, { code: "ambiguous", message: expect.any(String), ids: [...ids].sort() }])
    expect((await onEndpoint("twin", "drain", { for: 1 })).status).toBe(400)
    expect((await onEndpoint(ids[0] ?? "", "drain")).status).toBe(204)
    expect((await onEndpoint(ids[0] ?? "", "resume")).status).toBe(204)
  })

  it.each([
    [{ for: "0s" }, '"for"'],
    [{ force: "yes" }, '"force"'],
    [{ why: "x" }, '"why"'],
    ["nonsense", "JSON"],
    [`{"reason":"${"x".repeat(20_000)}"}`, "16384"]
  ])("with a body that is wrong: %j", async (body, word) => {
    const answer = await onEndpoint("gpu-a", "drain", body)
    expect([answer.status, answer.json()]).toEqual([400, { code: "bad_request", message: expect.stringContaining(word) }])
  })
})

describe("each action", () => {
  it("is one record, with who asked, for what and why", async () => {
    const headers = { ...meant, "X-Request-ID": "told" }
    const why = { reason: "new driver" }
    await onEndpoint("gpu-a", "drain", why, headers)
    await onEndpoint("gpu-a", "drain", { ...why, force: true }, headers)
    await onEndpoint("gpu-a", "resume", undefined, headers)
    await onEndpoint("gpu-a", "probe", undefined, headers)
    await act("reload", undefined, headers)
    const told = await recordsOf("told", 5)
    const common = { endpoint: "gpu-a", client_ip: "127.0.0.1" }
    expect(told).toMatchObject([
      { ...common, level: "WARN", action: "drain", reason: "new driver", result: "models_lost" },
      { ...common, level: "INFO", action: "drain", reason: "new driver", result: "done" },
      { ...common, level: "INFO", action: "resume", reason: "", result: "done" },
      { ...common, level: "INFO", action: "probe", result: "done" },
      { level: "INFO", action: "reload", result: "done" }
    ])
    expect(told.at(-1)).not.toHaveProperty("endpoint")
  })
})

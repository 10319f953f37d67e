/** What the daemon shows of itself to backends: credentials, headers and certificates on probes, listings and requests; who never sees them. */
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http"
import { createServer as createSecure, type ServerOptions } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, startDaemon } from "./daemon.ts"

type Kind = "probe" | "listing" | "load" | "request"

interface Seen {
  readonly kind: Kind
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  /** The name in the client's certificate. */
  readonly certificate: string | undefined
}

const kindOf = (req: IncomingMessage): Kind => {
  const agent = req.headers["user-agent"] ?? ""
  return agent.startsWith("olla-HealthChecker/") || req.url?.startsWith("/health") === true
    ? "probe"
    : /\/(?:metrics|is_sleeping)$/.test(req.url ?? "")
      ? "load"
      : req.method === "GET"
        ? "listing"
        : "request"
}

/** A backend with one model, called as the backend is, that keeps what it is shown. `turn`: answers first, if it wants to. */
class Witness {
  readonly seen: Array<Seen> = []
  readonly name: string
  readonly #server: Server
  readonly #scheme: string
  turn: (req: IncomingMessage, res: ServerResponse) => boolean = () => false

  constructor(name: string, secure?: ServerOptions) {
    this.name = name
    this.#scheme = secure === undefined ? "http" : "https"
    const listener: RequestListener = (req, res) => {
      req.resume()
      const certificate = secure === undefined ? undefined : (req.socket as TLSSocket).getPeerCertificate().subject?.CN
      this.seen.push({
        kind: kindOf(req),
        path: req.url ?? "",
        headers: req.headers,
        certificate: typeof certificate === "string" ? certificate : undefined
      })
      if (this.turn(req, res)) return
      res.setHeader("content-type", "application/json")
      if (req.url?.startsWith("/health") === true) res.end("{}")
      else if (req.method === "GET") res.end(JSON.stringify({ object: "list", data: [{ id: `${name}-m`, object: "model" }] }))
      else res.end(JSON.stringify({ id: "x", object: "chat.completion", choices: [] }))
    }
    this.#server = secure === undefined ? createServer(listener) : createSecure(secure, listener)
  }
  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
  of(kind: Kind): ReadonlyArray<Seen> {
    return this.seen.filter((each) => each.kind === kind)
  }
  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
  }
  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const startAll = async <N extends string>(names: ReadonlyArray<N>, secure?: (name: N) => ServerOptions | undefined) => {
  const all = Object.fromEntries(names.map((name) => [name, new Witness(name, secure?.(name))])) as Record<N, Witness>
  await Promise.all(names.map((name) => all[name].start()))
  return all
}

const yamlOf = (entries: ReadonlyArray<readonly [Witness, string]>): string =>
  `discovery:\n  model_discovery: {retry_attempts: 0}\n  static:\n    endpoints:\n${entries
    .map(
      ([{ name, url }, keys]) =>
        `      - {name: ${name}, url: "${url}", type: vllm, check_interval: 1h, check_timeout: 10s${keys === "" ? "" : `, ${keys}`}}`
    )
    .join("\n")}\n`

const chat = (daemon: Daemon, model: string, headers: Record<string, string> = {}) =>
  fetch(`${daemon.url}/olla/vllm/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })

interface Status {
  readonly name: string
  readonly status: string
  readonly model_count: number
  readonly last_error?: string
}
const statuses = async (daemon: Daemon): Promise<Readonly<Record<string, Status>>> => {
  const document = (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { endpoints: ReadonlyArray<Status> }
  return Object.fromEntries(document.endpoints.map((each) => [each.name, each]))
}

const secrets = ["tok-SECRET-1", "tok-SECRET-2", "key-SECRET-3", "key-SECRET-4", "us3r-SECRET", "pa:ss-SECRET-5", "header-SECRET-6"]
const basic = `Basic ${Buffer.from("us3r-SECRET:pa:ss-SECRET-5").toString("base64")}`

describe("credentials", () => {
  let daemon: Daemon
  const names = ["bearer", "bearerfile", "apikey", "keyheader", "basic", "headers", "plain"] as const
  let backends: Record<(typeof names)[number], Witness>
  beforeAll(async () => {
    backends = await startAll(names)
    daemon = await startDaemon(
      `logging: {level: debug}\n${yamlOf([
        [backends.bearer, 'auth: {type: bearer, token: "${T_TOKEN}"}'],
        [backends.bearerfile, "auth: {type: bearer, token_file: secrets/token}"],
        [backends.apikey, 'auth: {type: api_key, key: "${T_UNSET:-key-SECRET-3}"}'],
        [backends.keyheader, "auth: {type: api_key, key_file: secrets/key, header: Api-Token}"],
        [backends.basic, "auth: {type: basic, username: us3r-SECRET, password_file: secrets/password}"],
        [
          backends.headers,
          'headers: {X-Team: "${T_TEAM}", User-Agent: mine/1, Authorization: loses, X-Literal: "$T_TEAM"}, auth: {type: bearer, token: tok-SECRET-1}'
        ],
        [backends.plain, ""]
      ])}`,
      {
        env: { T_TOKEN: "tok-SECRET-1", T_TEAM: "header-SECRET-6" },
        files: { "secrets/token": "\n tok-SECRET-2 \r\n", "secrets/key": "key-SECRET-4\n", "secrets/password": "pa:ss-SECRET-5\n" }
      }
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    for (const each of Object.values(backends)) each.stop()
  })

  const expected: Readonly<Record<(typeof names)[number], Readonly<Record<string, string | undefined>>>> = {
    bearer: { authorization: "Bearer tok-SECRET-1", "x-api-key": undefined },
    bearerfile: { authorization: "Bearer tok-SECRET-2" },
    apikey: { "x-api-key": "key-SECRET-3", authorization: undefined },
    keyheader: { "api-token": "key-SECRET-4", "x-api-key": undefined, authorization: undefined },
    basic: { authorization: basic },
    headers: { authorization: "Bearer tok-SECRET-1", "x-team": "header-SECRET-6", "x-literal": "$T_TEAM", "user-agent": "mine/1" },
    plain: { authorization: undefined, "x-api-key": undefined, "x-team": undefined }
  }
  it.each(names)("%s: the same on probe, listing, looks at the load and request", async (name) => {
    expect((await chat(daemon, `${name}-m`)).status).toBe(200)
    for (const kind of ["probe", "listing", "load", "request"] as const) {
      const seen = backends[name].of(kind)
      expect([kind, seen.length > 0]).toEqual([kind, true])
      for (const { headers } of seen)
        for (const [header, value] of Object.entries(expected[name])) expect([kind, header, headers[header]]).toEqual([kind, header, value])
    }
  })
  it("a client's own credentials do not pass where the endpoint has some", async () => {
    const mine = { authorization: "Bearer client", "x-team": "client", "x-api-key": "client", "api-token": "client" }
    for (const name of names.filter((each) => each !== "plain")) {
      expect((await chat(daemon, `${name}-m`, mine)).status).toBe(200)
      const { headers } = backends[name].of("request").at(-1) as Seen
      for (const [header, value] of Object.entries(expected[name])) if (value !== undefined) expect(headers[header]).toBe(value)
    }
  })
  it("probes and listings say who asks, and for what", () => {
    const [probe] = backends.plain.of("probe")
    expect(probe).toMatchObject({
      path: "/health",
      headers: {
        "user-agent": expect.stringMatching(/^olla-HealthChecker\/\S+$/),
        accept: "application/json, text/plain, */*",
        "cache-control": "no-cache",
        "accept-encoding": "gzip"
      }
    })
    const [listing] = backends.plain.of("listing")
    expect(listing).toMatchObject({
      path: "/v1/models",
      headers: { "user-agent": expect.stringMatching(/^olla-Discovery\/\S+$/), accept: "application/json", "accept-encoding": "gzip" }
    })
    expect(listing?.headers["cache-control"]).toBeUndefined()
  })
  it("are in no answer and no log", async () => {
    const paths = ["/internal/status", "/internal/status/endpoints", "/internal/process", "/internal/status/models", "/internal/metrics"]
    const told = [...(await Promise.all(paths.map(async (path) => (await fetch(`${daemon.url}${path}`)).text()))), daemon.output()]
    for (const text of told) for (const secret of [...secrets, basic]) expect(text).not.toContain(secret)
    expect(daemon.output()).toContain("DEBUG")
  })
})

describe("redirects of probes and listings", () => {
  let daemon: Daemon
  const names = ["inside", "leaving", "elsewhere", "circle", "relative"] as const
  let backends: Record<(typeof names)[number], Witness>
  const to = (location: (path: string) => string | undefined) => (req: IncomingMessage, res: ServerResponse) => {
    const target = req.method === "GET" ? location(req.url ?? "") : undefined
    if (target === undefined) return false
    res.writeHead(307, { location: target, "set-cookie": "a=b" }).end()
    return true
  }
  const keys = "headers: {X-Team: blue}, auth: {type: api_key, key: SECRET}"
  beforeAll(async () => {
    backends = await startAll(names)
    const { inside, leaving, elsewhere, circle, relative } = backends
    inside.turn = to((path) => (path.startsWith("/moved") ? undefined : `${inside.url}/moved${path}`))
    relative.turn = to((path) => (path === "/health" ? "health/live?deep=1" : path === "/v1/models" ? "../v2/models" : undefined))
    // Another port is another origin.
    leaving.turn = to((path) => `${elsewhere.url}${path}`)
    circle.turn = to((path) => path)
    daemon = await startDaemon(yamlOf([inside, leaving, circle, relative].map((each) => [each, keys])))
  })
  afterAll(async () => {
    await daemon?.stop()
    for (const each of Object.values(backends)) each.stop()
  })

  it("inside the origin are followed with everything", async () => {
    expect((await statuses(daemon))["inside"]).toMatchObject({ status: "healthy", model_count: 1 })
    expect(
      backends.inside.seen
        .filter(({ kind }) => kind !== "load")
        .map(({ path }) => path)
        .sort()
    ).toEqual(["/health", "/moved/health", "/moved/v1/models", "/v1/models"])
    for (const { headers } of backends.inside.seen) expect(headers).toMatchObject({ "x-api-key": "SECRET", "x-team": "blue" })
  })
  it("may be relative", async () => {
    expect((await statuses(daemon))["relative"]).toMatchObject({ status: "healthy", model_count: 1 })
    expect(backends.relative.seen.filter(({ kind }) => kind !== "load").map(({ path }) => path)).toEqual([
      "/health",
      "/health/live?deep=1",
      "/v1/models",
      "/v2/models"
    ])
  })
  it("to another origin are not followed, and are told", async () => {
    expect((await statuses(daemon))["leaving"]).toMatchObject({
      status: "unhealthy",
      last_error: expect.stringMatching(/^HTTP 30\d to another origin, which is not followed/)
    })
    expect(backends.elsewhere.seen).toEqual([])
  })
  it("in a circle end after three, and are told", async () => {
    expect((await statuses(daemon))["circle"]).toMatchObject({ status: "offline", last_error: "too many redirects" })
    // Three tries of four requests each, at every check.
    expect(backends.circle.of("probe").length % 12).toBe(0)
  })
})

const tlsFile = (name: string): string => join(import.meta.dirname, "..", "endpoint", "tls", name)
const pem = (name: string): string => readFileSync(tlsFile(name), "utf8")

describe("certificates", () => {
  let daemon: Daemon
  const names = ["trusted", "unknown", "misnamed", "insecure", "mutual", "stranger", "relay", "demanding"] as const
  let backends: Record<(typeof names)[number], Witness>
  beforeAll(async () => {
    const common = { cert: pem("server.pem"), key: pem("server.key"), ca: pem("ca.pem") }
    const asking = { ...common, requestCert: true }
    const strict = ["mutual", "stranger", "demanding"]
    backends = await startAll(names, (name) => ({ ...asking, rejectUnauthorized: strict.includes(name) }))
    const ca = `ca_file: "${tlsFile("ca.pem")}"`
    const client = `cert_file: "${tlsFile("client.pem")}", key_file: "${tlsFile("client.key")}"`
    backends.relay.turn = (req, res) => {
      if (req.url !== "/health") return false
      res.writeHead(302, { location: `${backends.demanding.url}/health` }).end()
      return true
    }
    daemon = await startDaemon(
      yamlOf([
        [backends.trusted, `tls: {${ca}, server_name: backend.test}`],
        [backends.unknown, ""],
        [backends.misnamed, `tls: {${ca}}`],
        [backends.insecure, "tls: {insecure_skip_verify: true}"],
        [backends.mutual, `tls: {${ca}, server_name: backend.test, ${client}}`],
        [backends.stranger, `tls: {${ca}, server_name: backend.test}`],
        [backends.relay, `tls: {${ca}, server_name: backend.test, ${client}}`]
      ])
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    for (const each of Object.values(backends)) each.stop()
  })

  it.each([
    ["trusted", undefined],
    ["insecure", undefined],
    ["mutual", "olla.test"]
  ] as const)("%s: probe, listing and request get through", async (name, certificate) => {
    expect((await statuses(daemon))[name]).toMatchObject({ status: "healthy", model_count: 1 })
    expect((await chat(daemon, `${name}-m`)).status).toBe(200)
    expect(new Set(backends[name].of("load").map((each) => each.certificate))).toEqual(new Set([certificate]))
    for (const kind of ["probe", "listing", "request"] as const)
      expect([kind, backends[name].of(kind).map((each) => each.certificate)]).toEqual([kind, [certificate]])
  })
  it.each([
    ["unknown", /certificate is not trusted/],
    ["misnamed", /certificate is not trusted/],
    ["stranger", /TLS|connection|certificate/]
  ] as const)("%s: is offline, says why, and was never asked anything", async (name, why) => {
    const seen = (await statuses(daemon))[name]
    expect(seen).toMatchObject({ status: "offline", model_count: 0 })
    expect(seen?.last_error).toMatch(why)
    expect(backends[name].seen).toEqual([])
  })
  it("the client's certificate is not shown to whom a probe would be sent on to", async () => {
    expect((await statuses(daemon))["relay"]).toMatchObject({ status: "unhealthy" })
    expect(backends.relay.of("probe").map((each) => each.certificate)).toContain("olla.test")
    expect(backends.demanding.seen).toEqual([])
  })
  it("verification that is off is warned of loudly", () => {
    expect(daemon.output()).toMatch(/WARN.*NOT verified/)
  })
})

/** Who may ask how often and how much, through started daemons. Clients are told apart by a trusted proxy's word. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"
import { converse, hangUp } from "./rawSocket.ts"

let backend: SimulatedBackend
/** Two requests a minute and client, three at once; behind a trusted proxy. */
let limited: Daemon
/** One bucket for all, no trust in anybody's headers. */
let shared: Daemon
/** Nobody gets in. */
let closed: Daemon

const sizes = "  request_limits: {max_body_size: 1000, max_header_size: 4096}\n"

beforeAll(async () => {
  backend = await startBackend({ kind: "vllm", models: ["m"] })
  const endpoints = endpointsYaml([{ name: "desk", backend }])
  ;[limited, shared, closed] = await Promise.all([
    startDaemon(endpoints, {
      server: sizes,
      rateLimits:
        "{global_requests_per_minute: 0, per_ip_requests_per_minute: 2, health_requests_per_minute: 4, burst_size: 3, trust_proxy_headers: true, trusted_proxy_cidrs: [127.0.0.1, 10.0.0.0/8]}"
    }),
    startDaemon(endpoints, {
      rateLimits: "{global_requests_per_minute: 2, per_ip_requests_per_minute: 0, health_requests_per_minute: 0, burst_size: 2}"
    }),
    startDaemon(endpoints, { rateLimits: "{burst_size: 0}" })
  ])
})

afterAll(async () => {
  await Promise.all([limited, shared, closed].map((daemon) => daemon?.stop()))
  await backend?.stop()
})

const body = '{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}'
const chatPath = "/olla/openai/v1/chat/completions"

const ask = (daemon: Daemon, client: string, path = chatPath, headers: Record<string, string> = {}, content = body) =>
  fetch(`${daemon.url}${path}`, {
    method: "POST",
    body: content,
    headers: { "content-type": "application/json", "x-forwarded-for": client, ...headers }
  })

const limitsOf = ({ status, headers }: Response) => ({
  status,
  limit: headers.get("x-ratelimit-limit"),
  remaining: headers.get("x-ratelimit-remaining"),
  retry: headers.has("retry-after")
})

const tooMany = "Too Many Requests: 2 requests a minute for each client address (server.rate_limits.per_ip_requests_per_minute)"

const drain = async (daemon: Daemon, client: string, times = 3, path = chatPath) => {
  const answers = []
  for (let n = 0; n < times; n++) answers.push(limitsOf(await ask(daemon, client, path)))
  return answers
}

const security = async (daemon: Daemon) => {
  const { system, security } = (await (await fetch(`${daemon.url}/internal/status`)).json()) as Record<string, Record<string, unknown>>
  return { ...security, rejections: system?.["rejections"] as Record<string, number>, requests: system?.["total_requests"] }
}

describe("a client's own limit", () => {
  it("lets a burst through, counting down, and then says when to come again", async () => {
    expect(await drain(limited, "203.0.113.1")).toEqual([
      { status: 200, limit: "2", remaining: "2", retry: false },
      { status: 200, limit: "2", remaining: "1", retry: false },
      { status: 200, limit: "2", remaining: "0", retry: false }
    ])
    const refused = await ask(limited, "203.0.113.1")
    expect(limitsOf(refused)).toEqual({ status: 429, limit: "2", remaining: "0", retry: true })
    const now = Date.now() / 1000
    const retry = Number(refused.headers.get("retry-after"))
    expect(retry).toBeGreaterThan(20)
    expect(retry).toBeLessThanOrEqual(30)
    // Full again: three tokens at one in thirty seconds.
    const reset = Number(refused.headers.get("x-ratelimit-reset"))
    expect(reset).toBeGreaterThan(now + 60)
    expect(reset).toBeLessThanOrEqual(Math.ceil(now) + 91)
    expect(refused.headers.get("content-type")).toBe("text/plain; charset=utf-8")
    expect(refused.headers.get("x-content-type-options")).toBe("nosniff")
    expect(refused.headers.get("x-olla-request-id")).toMatch(/^[!-~]{10,128}$/)
    expect(refused.headers.get("x-olla-limit")).toBe("server.rate_limits.per_ip_requests_per_minute")
    expect(await refused.text()).toBe(`${tooMany}\n`)
  })

  it("is nobody else's, and refuses in the form that is asked for", async () => {
    await drain(limited, "203.0.113.2")
    const json = await ask(limited, "203.0.113.2", chatPath, { accept: "application/json" })
    expect(json.status).toBe(429)
    expect(await json.json()).toEqual({ error: { message: tooMany, type: "rate_limit_error", code: "rate_limited_ip" } })
    expect((await ask(limited, "203.0.113.3")).status).toBe(200)
  })

  it("is one for proxied and translated requests and for counting tokens, each refused in its dialect", async () => {
    const client = "203.0.113.4"
    expect((await ask(limited, client)).status).toBe(200)
    for (const path of ["/olla/anthropic/v1/messages", "/olla/anthropic/v1/messages/count_tokens"]) {
      const answer = await ask(limited, client, path)
      expect([answer.status, answer.headers.get("x-ratelimit-limit")]).toEqual([200, "2"])
    }
    for (const path of ["/olla/anthropic/v1/models", "/olla/anthropic/v1/models/m"]) {
      const list = await fetch(`${limited.url}${path}`, { headers: { "x-forwarded-for": client } })
      expect(limitsOf(list)).toEqual({ status: 429, limit: "2", remaining: "0", retry: true })
    }
    for (const path of ["/olla/anthropic/v1/messages", "/olla/anthropic/v1/messages/count_tokens"]) {
      const refused = await ask(limited, client, path)
      expect(limitsOf(refused)).toEqual({ status: 429, limit: "2", remaining: "0", retry: true })
      expect(await refused.json()).toMatchObject({ type: "error", error: { type: "rate_limit_error", message: tooMany } })
    }
    expect((await ask(limited, client, "/olla/vllm/v1/chat/completions")).status).toBe(429)
  })

  it("is not on documents and listings, which say nothing of limits", async () => {
    for (const path of ["/version", "/internal/status", "/olla/models", "/olla/openai/v1/models", "/olla/anthropic"])
      for (let n = 0; n < 5; n++) {
        const answer = await fetch(`${limited.url}${path}`, { headers: { "x-forwarded-for": "203.0.113.5" } })
        expect(limitsOf(answer)).toEqual({ status: 200, limit: null, remaining: null, retry: false })
      }
  })

  it("has a bucket apart for health, which drains nobody's other one", async () => {
    const client = "203.0.113.6"
    expect((await drain(limited, client, 4, "/internal/health")).map(({ status, limit, remaining }) => [status, limit, remaining])).toEqual(
      [
        [200, "4", "2"],
        [200, "4", "1"],
        [200, "4", "0"],
        [429, "4", "0"]
      ]
    )
    expect(limitsOf(await ask(limited, client))).toMatchObject({ status: 200, remaining: "2" })
    // And the other way round.
    await drain(limited, "203.0.113.7", 4)
    expect((await ask(limited, "203.0.113.7", "/internal/health")).status).toBe(200)
  })

  it("is written once a minute and client, counted every time, and every refusal is in the access log", async () => {
    const client = "203.0.113.8"
    const before = await security(limited)
    await drain(limited, client, 6)
    const after = await security(limited)
    expect((after.rejections["429"] ?? 0) - (before.rejections["429"] ?? 0)).toBe(3)
    expect(after.requests).toBe(Number(before.requests) + 3)
    const output = await eventually(limited.output, (text) => text.split("\n").filter((line) => line.includes(client)).length > 3)
    const records = output.split("\n").filter((line) => line.includes(`"client_ip":"${client}"`) && line.includes("Rate limit exceeded"))
    expect(records).toHaveLength(1)
    expect(JSON.parse(records[0] ?? "")).toMatchObject({
      level: "WARN",
      method: "POST",
      path: chatPath,
      limit: 2,
      limit_key: "server.rate_limits.per_ip_requests_per_minute",
      scope: "ip",
      retry_after: expect.any(Number)
    })
    await eventually(limited.output, (text) => {
      const id = JSON.parse(records[0] ?? "").request_id as string
      return text.split("\n").some((line) => line.includes('"Access log"') && line.includes(id) && line.includes('"status":429'))
    })
  })
})

describe("a limit that nobody has set", () => {
  it("does not refuse the work of the machine itself: two hundred requests from one address", async () => {
    const daemon = await startDaemon(endpointsYaml([{ name: "desk", backend }]), { rateLimits: "{}" })
    try {
      const statuses = await Promise.all(Array.from({ length: 200 }, () => ask(daemon, "").then(({ status }) => status)))
      expect(statuses.filter((status) => status !== 200)).toEqual([])
    } finally {
      await daemon.stop()
    }
  })
})

describe("whose request it is", () => {
  it("is not what a client writes in front of its proxy's word", async () => {
    const spoofed = []
    for (let n = 0; n < 4; n++) spoofed.push((await ask(limited, `6.6.6.${n}, 203.0.113.20`)).status)
    expect(spoofed).toEqual([200, 200, 200, 429])
  })

  it("is told through several proxies of ours", async () => {
    await drain(limited, "203.0.113.21, 10.1.2.3, 10.4.5.6")
    expect((await ask(limited, "203.0.113.21")).status).toBe(429)
  })

  it("is told by Forwarded and X-Real-IP where there is no X-Forwarded-For", async () => {
    const by = (headers: Record<string, string>) =>
      fetch(`${limited.url}${chatPath}`, { method: "POST", body, headers: { "content-type": "application/json", ...headers } })
    for (let n = 0; n < 3; n++) await by({ forwarded: 'for="203.0.113.22:1234";proto=https' })
    expect((await by({ "x-real-ip": "203.0.113.22" })).status).toBe(429)
  })

  it("is the whole /64 of an IPv6 address", async () => {
    await drain(limited, "2001:db8:1:2::1")
    expect((await ask(limited, "2001:db8:1:2:ffff::9")).status).toBe(429)
    expect((await ask(limited, "2001:db8:1:3::1")).status).toBe(200)
  })

  it("is the peer when nobody is trusted, whatever the headers say", async () => {
    const { output } = shared
    await ask(shared, "203.0.113.23")
    await eventually(output, (text) => /"msg":"Request received".*"client_ip":"127\.0\.0\.1"/.test(text))
    expect(output()).not.toContain("203.0.113.23")
  })
})

describe("the limit for all", () => {
  it("is independent of the client's, truthful about when, and not asked for health", async () => {
    const answers = []
    for (let n = 0; n < 3; n++) answers.push(await ask(shared, "203.0.113.30"))
    const refused = answers.at(-1)!
    expect(limitsOf(refused)).toEqual({ status: 429, limit: "0", remaining: "0", retry: true })
    expect(refused.headers.get("x-olla-limit")).toBe("server.rate_limits.global_requests_per_minute")
    expect(await refused.text()).toContain("2 requests a minute for all clients together")
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(10)
    expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(30)
    const health = await fetch(`${shared.url}/internal/health`)
    expect(limitsOf(health)).toEqual({ status: 200, limit: "0", remaining: "0", retry: false })
  })

  it("of burst 0 lets nobody in, and says so at the start", async () => {
    const refused = await ask(closed, "203.0.113.31")
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1)
    expect(closed.output()).toContain("burst_size")
  })
})

describe("sizes", () => {
  it("are checked behind the rate limit, in the form of the surface, and counted", async () => {
    const before = await security(limited)
    const big = `{"model":"m","padding":"${"x".repeat(1000)}"}`
    const plain = await ask(limited, "203.0.113.40", chatPath, {}, big)
    expect(limitsOf(plain)).toEqual({ status: 413, limit: "2", remaining: "2", retry: false })
    expect([plain.headers.get("connection"), await plain.text()]).toEqual([
      "close",
      "Request body too large: the limit is 1000 bytes (server.request_limits.max_body_size, OLLA_SERVER_MAX_BODY_SIZE)\n"
    ])
    const anthropic = await ask(limited, "203.0.113.40", "/olla/anthropic/v1/messages", {}, big)
    expect(anthropic.status).toBe(413)
    expect(await anthropic.json()).toMatchObject({ type: "error", error: { type: "request_too_large" } })
    const headers = await ask(limited, "203.0.113.40", chatPath, { "x-long": "x".repeat(4096) })
    expect([headers.status, await headers.text()]).toEqual([
      431,
      "Request headers too large: the limit is 4096 bytes (server.request_limits.max_header_size, OLLA_SERVER_MAX_HEADER_SIZE)\n"
    ])
    expect((await fetch(`${limited.url}/internal/health`, { method: "POST", body: big })).status).toBe(413)
    const after = await security(limited)
    expect((after.rejections["413"] ?? 0) - (before.rejections["413"] ?? 0)).toBe(3)
    expect((after.rejections["431"] ?? 0) - (before.rejections["431"] ?? 0)).toBe(1)
    const violations = (document: Record<string, unknown>) => (document["violations"] as Record<string, number>)["size_limits"] ?? 0
    expect(violations(after) - violations(before)).toBe(4)
  })

  it("are exact: a body of the limit passes, and chunks are counted as they come", async () => {
    const exact = `{"model":"m","messages":[],"p":"${"x".repeat(1000 - 34)}"}`
    expect(Buffer.byteLength(exact)).toBe(1000)
    expect((await ask(limited, "203.0.113.41", chatPath, {}, exact)).status).toBe(200)
    const chunks = (text: string) => `${(text.length).toString(16)}\r\n${text}\r\n`
    const head = (path: string, client: string) =>
      `POST ${path} HTTP/1.1\r\nHost: olla\r\nX-Forwarded-For: ${client}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
    const before = await security(limited)
    for (const path of [chatPath, "/internal/health", "/olla/anthropic/v1/messages"]) {
      const { statuses, said } = await converse(limited.port, [
        head(path, "203.0.113.42"),
        chunks("x".repeat(600)),
        chunks("x".repeat(600)),
        (answered) => (answered.includes(" 413 ") ? "" : undefined),
        hangUp
      ])
      expect([path, statuses]).toEqual([path, [413]])
      expect(said).toMatch(/connection: close/i)
    }
    const after = await security(limited)
    expect((after.rejections["413"] ?? 0) - (before.rejections["413"] ?? 0)).toBe(3)
    const violations = (document: Record<string, unknown>) => (document["violations"] as Record<string, number>)["size_limits"] ?? 0
    expect(violations(after) - violations(before)).toBe(3)
  })

  it("reach clients that go on writing far beyond them, whether they declared how much or not", async () => {
    const part = new Uint8Array(64 * 1024).fill(120)
    const streamed = () => {
      let left = 256
      return new ReadableStream<Uint8Array>({ pull: (to) => (left-- > 0 ? to.enqueue(part.slice()) : to.close()) })
    }
    for (const body of [streamed, () => new Uint8Array(16 * 1024 * 1024)]) {
      const outcomes = new Set<unknown>()
      for (let n = 0; n < 12; n++) {
        const init = { method: "POST", body: body(), duplex: "half", headers: { "content-type": "application/json" } } as RequestInit
        const said = await fetch(`${limited.url}/internal/health`, init).then(
          async (answer) => [answer.status, await answer.text()].join(" "),
          (error: Error) => (error.cause as { code?: string } | undefined)?.code ?? error.message
        )
        outcomes.add(said)
      }
      expect([...outcomes]).toEqual([expect.stringMatching(/^413 Request body too large: /)])
    }
  })

  it("reach clients whose head the parser gives up on, although they go on writing their body", async () => {
    const outcomes = new Set<unknown>()
    for (let n = 0; n < 6; n++)
      outcomes.add(
        await fetch(`${limited.url}${chatPath}`, {
          method: "POST",
          body: new Uint8Array(8 * 1024 * 1024),
          headers: { "x-long": "x".repeat(20_000) }
        }).then(
          async (answer) => `${answer.status} ${await answer.text()}`,
          (error: Error) => (error.cause as { code?: string } | undefined)?.code ?? error.message
        )
      )
    expect([...outcomes]).toEqual([
      "431 Request Header Fields Too Large: the limit is 4096 bytes (server.request_limits.max_header_size, OLLA_SERVER_MAX_HEADER_SIZE), and 10000 header lines\n"
    ])
  })
})

/** `dashboard.gate_internal_api` on the wire: who may see Olla's own documents, and that clients may go on. */
import { type IncomingHttpHeaders, request } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"

let daemon: Daemon

beforeAll(async () => {
  daemon = await startDaemon(
    "discovery: {static: {endpoints: []}}\ndashboard: {enabled: false, gate_internal_api: true, access_policy: {allowed_cidrs: [127.0.0.1/32], allowed_hosts: [olla.lan]}}\n"
  )
})

afterAll(() => daemon?.stop())

interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

const get = (path: string, from: string, headers: Readonly<Record<string, string>> = {}): Promise<Got> =>
  new Promise((resolve, reject) => {
    const asking = request({ host: "127.0.0.1", port: daemon.port, path, localAddress: from, headers, agent: false }, (answer) => {
      let text = ""
      answer.setEncoding("utf8")
      answer.on("data", (chunk: string) => {
        text += chunk
      })
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }))
    })
    asking.on("error", reject)
    asking.end()
  })

const gated = ["/internal/health", "/internal/ready", "/internal/status", "/internal/metrics", "/internal/nothing", "/version"]

describe("a gated internal API", () => {
  it.each(gated)("refuses another machine %s, whatever a proxy says", async (path) => {
    const answer = await get(path, "127.0.0.2", { "X-Forwarded-For": "127.0.0.1", Host: "olla.lan" })
    expect(answer.status).toBe(403)
    expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8")
    expect(answer.text).toBe(
      "403 forbidden: ip not in allowed range (ip=127.0.0.2, host=olla.lan). Adjust dashboard.access_policy.allowed_hosts (or allowed_cidrs) in your config.\n"
    )
  })

  it.each(["/internal/%73tatus", "//internal//status", "/olla/../internal/status"])("is not got around by %s", async (path) =>
    expect((await get(path, "127.0.0.2")).status).toBe(403)
  )

  it("refuses names that are not listed, localhost among them, and takes addresses and listed ones in any case", async () => {
    for (const host of ["evil.example", "localhost:40114"]) {
      const answer = await get("/version", "127.0.0.1", { Host: host })
      expect([answer.status, answer.text]).toEqual([403, expect.stringContaining(`host not accepted (ip=127.0.0.1, host=${host})`)])
    }
    for (const host of ["127.0.0.1:1", "[::1]:80", "OLLA.lan:40114"])
      expect((await get("/internal/health", "127.0.0.1", { Host: host })).status).toBe(200)
  })

  it("leaves clients' routes and a dashboard that is off as they are", async () => {
    expect((await get("/olla/models", "127.0.0.2", { Host: "evil.example" })).status).toBe(200)
    expect((await get("/internal/ui/", "127.0.0.2")).status).toBe(404)
  })

  it("tells the start and each refusal in the log, with the key to change", async () => {
    await get("/version", "127.0.0.1", { Host: "evil.example" })
    await eventually(daemon.output, (text) => text.includes('"host":"evil.example"'))
    const records = daemon
      .output()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(records).toContainEqual(expect.objectContaining({ level: "INFO", msg: expect.stringContaining("/internal/health included") }))
    expect(records.filter(({ level }) => level === "WARN")).toContainEqual(
      expect.objectContaining({
        msg: "dashboard access denied",
        reason: "host not accepted",
        config_key: "dashboard.access_policy.allowed_hosts",
        client_ip: "127.0.0.1",
        host: "evil.example"
      })
    )
  })
})

describe("a gated internal API with a token", () => {
  let closed: Daemon
  beforeAll(async () => {
    closed = await startDaemon(
      "discovery: {static: {endpoints: []}}\ndashboard: {gate_internal_api: true, access_policy: {token_file: token}}\n",
      { files: { token: " s3cret\n" } }
    )
  })
  afterAll(() => closed?.stop())

  const status = async (path: string, headers: Readonly<Record<string, string>>, method = "GET") => {
    const answer = await fetch(closed.url + path, { headers, method })
    return [answer.status, answer.headers.get("www-authenticate")]
  }
  const realm = 'Bearer realm="olla"'

  it.each(["/internal/status", "/internal/metrics", "/version"])("asks for it at %s", async (path) => {
    expect(await status(path, {})).toEqual([401, realm])
    expect(await status(path, { Authorization: "Bearer other" })).toEqual([401, realm])
    expect(await status(`${path}?token=s3cret`, {})).toEqual([401, realm])
    expect(await status(path, { Authorization: "Bearer s3cret" })).toEqual([200, null])
  })

  it("asks nobody for it who only watches", async () => {
    expect(await status("/internal/health", {})).toEqual([200, null])
    expect(await status("/internal/ready", {})).toEqual([503, null])
  })

  it("asks for it before an action too, also on this machine", async () => {
    const meant = { "X-Olla-Action": "1" }
    expect(await status("/internal/reload", meant, "POST")).toEqual([401, realm])
    expect(await status("/internal/reload", { ...meant, Authorization: "Bearer s3cret" }, "POST")).toEqual([200, null])
    expect(await status("/internal/reload", { Authorization: "Bearer s3cret" }, "POST")).toEqual([403, null])
    expect(closed.output()).not.toContain("s3cret")
  })
})

/** A name that stands for endpoints, from the daemon's start to its end: a real resolver, a real name server, real backends. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type NameServer, startNameServer } from "../endpoint/nameServer.ts"
import { ask, chat } from "./ask.ts"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { openEnded, streaming } from "./lifecycle.ts"
import { ModelServer } from "./modelServer.ts"

let names: NameServer
let servers: ReadonlyArray<ModelServer>
let daemon: Daemon
const service = "_llm._tcp.gpu.test"

const portOf = (url: string) => Number(new URL(url).port)
const leadTo = (...urls: ReadonlyArray<string>) =>
  names.set(
    service,
    urls.map((url) => ({ type: "SRV", target: "host.gpu.test", port: portOf(url) }))
  )
const endpoints = async (): Promise<ReadonlyArray<string>> =>
  (await ask(daemon.port, { path: "/internal/status/endpoints" }))
    .json()
    .endpoints.map(({ name }: { name: string }) => name)
    .sort()
const discovery = async () => (await ask(daemon.port, { path: "/internal/status" })).json().discovery
const nameOf = (url: string) => `127.0.0.1:${portOf(url)}`

beforeAll(async () => {
  names = await startNameServer()
  servers = await Promise.all(["one", "two"].map((model) => new ModelServer([model]).start()))
  const [one] = servers as [ModelServer, ModelServer]
  names.set("host.gpu.test", [{ type: "A", address: "127.0.0.1", ttl: 1 }])
  leadTo(one.url)
  daemon = await startDaemon(
    `discovery: {dns: [{name: ${service}, srv: true, interval: 1s, type: openai-compatible, resolver: "${names.address}", ${rareChecks}}, {name: nobody.gpu.test, port: 1, resolver: "${names.address}"}]}\n`
  )
})
afterAll(async () => {
  await daemon?.stop()
  for (const server of servers ?? []) await server.stop()
  names?.close()
})

describe("a name that stands for endpoints", () => {
  it("is served from the start on, without a built-in endpoint, and the start goes on without a name that nobody knows", async () => {
    const [one] = servers as [ModelServer, ModelServer]
    expect(await endpoints()).toEqual([nameOf(one.url)])
    expect((await ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/chat/completions", body: chat("one") })).status).toBe(200)
    expect(await discovery()).toEqual([
      { name: service, endpoints: 1, resolved_at: expect.stringMatching(/^\d{4}-/), last_error: null },
      { name: "nobody.gpu.test", endpoints: 0, resolved_at: null, last_error: expect.stringContaining("NXDOMAIN") }
    ])
    expect(daemon.output()).toMatch(/"WARN".*A DNS name cannot be looked up.*nobody\.gpu\.test/)
  })

  it("leads elsewhere: who is new is asked, who is gone ends what runs there, and no generation passes", async () => {
    const [one, two] = servers as [ModelServer, ModelServer]
    const leaving = await openEnded()
    leadTo(one.url, leaving.url)
    await eventually(endpoints, (list) => list.length === 2)
    await eventually(
      async () => (await ask(daemon.port, { path: "/olla/models" })).text,
      (text) => text.includes('"m"')
    )
    const stream = await streaming(daemon.port)
    leadTo(one.url, two.url)
    // Who is gone stays for one more look: who takes the place is not probed yet.
    await eventually(endpoints, (list) => list.length === 3)
    expect(await eventually(endpoints, (list) => list.length === 2)).toEqual([nameOf(one.url), nameOf(two.url)].sort())
    const answer = await eventually(
      () => ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/chat/completions", body: chat("two") }),
      ({ status }) => status === 200
    )
    expect(answer.status).toBe(200)
    leaving.finish()
    expect(await stream.whole).toContain("[DONE]")
    expect((await ask(daemon.port, { path: "/internal/status" })).json().config.generation).toBe(1)
  })

  it("keeps its last endpoints while it cannot be looked up", async () => {
    const before = await endpoints()
    names.set(service, "servfail")
    await eventually(discovery, ([first]) => first.last_error !== null)
    expect(await endpoints()).toEqual(before)
    expect((await discovery())[0]).toMatchObject({ endpoints: 2, last_error: expect.stringContaining("SERVFAIL") })
    const [one, two] = servers as [ModelServer, ModelServer]
    leadTo(one.url, two.url)
    await eventually(discovery, ([first]) => first.last_error === null)
  })
})

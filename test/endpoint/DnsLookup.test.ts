/** The real resolver against a real name server. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { DnsEntry, DnsTarget } from "../../src/endpoint/DnsEntry.ts"
import { dnsLookup } from "../../src/endpoint/DnsLookup.ts"
import type { EndpointSpec } from "../../src/endpoint/EndpointSpec.ts"
import { type NameServer, startNameServer } from "./nameServer.ts"

let server: NameServer
beforeAll(async () => {
  server = await startNameServer()
})
afterAll(() => server.close())

const entry = (name: string, port: number | undefined = 8000): DnsEntry => ({
  name,
  port,
  scheme: "http",
  resolver: server.address,
  interval: 30_000,
  pattern: {} as EndpointSpec
})
const srv = (name: string): DnsEntry => ({ ...entry(name), port: undefined })
const at = (address: string, port = 8000, host = "a.lan"): DnsTarget => ({ address, port, host })

describe("a look-up", () => {
  it("finds addresses of both families, each once and in an order of their own, for the shortest of their times", async () => {
    server.set("a.lan", [
      { type: "A", address: "10.0.0.9", ttl: 40 },
      { type: "A", address: "10.0.0.10", ttl: 7 },
      { type: "A", address: "10.0.0.9", ttl: 40 },
      { type: "AAAA", address: "fd00::1", ttl: 50 }
    ])
    expect(await dnsLookup(entry("a.lan"), [])).toEqual({
      targets: [at("10.0.0.10"), at("10.0.0.9"), at("fd00::1")],
      ttl: 7000,
      problem: undefined
    })
  })

  it("finds hosts and ports by SRV records", async () => {
    server.set("_llm._tcp.lan", [
      { type: "SRV", target: "g1.lan", port: 8001 },
      { type: "SRV", target: "g2.lan", port: 8002 }
    ])
    server.set("g1.lan", [{ type: "A", address: "10.0.1.1", ttl: 9 }])
    server.set("g2.lan", [{ type: "AAAA", address: "fd00::2", ttl: 5 }])
    expect(await dnsLookup(srv("_llm._tcp.lan"), [])).toEqual({
      targets: [at("10.0.1.1", 8001, "g1.lan"), at("fd00::2", 8002, "g2.lan")],
      ttl: 5000,
      problem: undefined
    })
  })

  it.each([
    ["nxdomain", "NXDOMAIN"],
    ["servfail", "SERVFAIL"],
    [[], "no such records"]
  ] as const)("that comes to nothing says why: %j", async (zone, text) => {
    server.set("gone.lan", zone)
    for (const one of [entry("gone.lan"), srv("gone.lan")])
      expect(await dnsLookup(one, [])).toEqual({ targets: [], ttl: undefined, problem: expect.stringContaining(text) })
  })

  it("takes two seconds at most", async () => {
    server.set("quiet.lan", "silent")
    const began = performance.now()
    expect((await dnsLookup(entry("quiet.lan"), [])).problem).toContain("no name server answered within 2s")
    expect(performance.now() - began).toBeLessThan(4_000)
  })

  it("keeps what it knew of the part that could not be asked for", async () => {
    server.set("_two._tcp.lan", [
      { type: "SRV", target: "up.lan", port: 1 },
      { type: "SRV", target: "down.lan", port: 2 }
    ])
    server.set("up.lan", [{ type: "A", address: "10.0.2.1" }])
    server.set("down.lan", "servfail")
    const before = [at("10.0.2.2", 2, "down.lan"), at("10.0.2.3", 1, "up.lan"), at("10.0.2.4", 3, "left.lan")]
    expect((await dnsLookup(srv("_two._tcp.lan"), before)).targets).toEqual([at("10.0.2.1", 1, "up.lan"), at("10.0.2.2", 2, "down.lan")])
  })
})

import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { loadDns, resolverAddress, specsOf } from "../../src/endpoint/DnsEntry.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

const load = (entries: string) => {
  const { config, adopt } = decodeConfig(`discovery:\n  dns: [${entries}]\n`, "c.yaml", {})
  if (config === undefined) throw new Error("no configuration")
  const { entries: loaded, diagnostics } = loadDns(config, profiles, { env: { KEY: "k" }, readFile: () => "" })
  return { config, entries: loaded, diagnostics: adopt(diagnostics) }
}

describe("an entry of discovery.dns", () => {
  it("is the pattern of the endpoints that its name leads to", () => {
    const { entries, diagnostics } = load(
      '{name: vllm.internal., port: 8000, type: vllm, priority: 7, labels: {rack: b2}, weight: 2, max_concurrent: 4, check_interval: 9s, auth: {type: bearer, token: "${KEY}"}, resolver: "127.0.0.1:5353"}'
    )
    expect(diagnostics).toEqual([])
    const [entry] = entries
    if (entry === undefined) throw new Error("no entry")
    expect(entry).toMatchObject({ name: "vllm.internal", port: 8000, resolver: "127.0.0.1:5353", interval: 30_000 })
    const host = "vllm.internal"
    const specs = specsOf(entry, [
      { address: "10.0.0.7", port: 8000, host },
      { address: "fd00::1", port: 8000, host }
    ])
    expect(specs).toMatchObject([
      {
        url: "http://10.0.0.7:8000",
        name: "10.0.0.7:8000",
        type: "vllm",
        priority: 7,
        labels: { rack: "b2" },
        weight: 2,
        maxConcurrent: 4,
        checkInterval: 9000,
        origin: { hostname: "10.0.0.7", port: 8000, authority: "10.0.0.7:8000", secure: false },
        credentials: { headers: [["Authorization", "Bearer k"]] }
      },
      { url: "http://[fd00::1]:8000", name: "[fd00::1]:8000", origin: { hostname: "fd00::1", authority: "[fd00::1]:8000" } }
    ])
  })

  it("expects the name's certificate, that of an SRV record's host, or the one that is said", () => {
    const nameOf = (entry: string) => {
      const [loaded] = load(entry).entries
      return loaded === undefined
        ? undefined
        : specsOf(loaded, [{ address: "10.0.0.7", port: 443, host: "a.gpu.lan" }])[0]?.origin.tls?.serverName
    }
    expect(nameOf("{name: gpu.lan, port: 443, scheme: https}")).toBe("gpu.lan")
    expect(nameOf("{name: _llm._tcp.gpu.lan, srv: true, scheme: https}")).toBe("a.gpu.lan")
    expect(nameOf("{name: _llm._tcp.gpu.lan, srv: true, scheme: https, tls: {server_name: x.lan}}")).toBe("x.lan")
    expect(nameOf("{name: gpu.lan, port: 443, scheme: https, tls: {server_name: x.lan}}")).toBe("x.lan")
  })

  it("takes the built-in endpoint's place, and stands beside those that are written", () => {
    expect(load("{name: a.lan, port: 1}").config.discovery.static.endpoints).toEqual([])
    expect(load("").config.discovery.static.endpoints).toHaveLength(1)
  })

  it.each([
    ["{port: 1}", "name", "needs the name"],
    ["{name: 'http://a.lan', port: 1}", "name", "scheme and port have keys"],
    ["{name: 'a.lan:8000', port: 1}", "name", "scheme and port have keys"],
    ["{name: 10.0.0.1, port: 1}", "name", "belongs to discovery.static.endpoints"],
    ["{name: '-a.lan', port: 1}", "name", "no DNS name"],
    ["{name: a.lan}", "port", "needs a port, or srv: true"],
    ["{name: a.lan, port: 1, srv: true}", "port", "take one of the two out"],
    ["{name: a.lan, port: 1, interval: 500ms}", "interval", "minimum 1s"],
    ["{name: a.lan, port: 1, resolver: ns.lan}", "resolver", "no IP address"],
    ["{name: a.lan, port: 1, resolver: '127.0.0.1:99999'}", "resolver", "no IP address"],
    ["{name: a.lan, port: 1, type: vlm}", "type", 'did you mean "vllm"'],
    ["{name: a.lan, port: 1, check_interval: 10ms}", "check_interval", "minimum 1s"],
    ["{name: a.lan, port: 1, auth: {type: bearer}}", "auth", "requires token"]
  ])("%s is told with its place", (entry, key, text) => {
    const { entries, diagnostics } = load(entry)
    expect(entries).toEqual([])
    expect(diagnostics).toContainEqual(
      expect.objectContaining({ severity: "error", path: `discovery.dns[0].${key}`, line: 2, message: expect.stringContaining(text) })
    )
  })

  it.each([["{name: a.lan, port: 1}, {name: a.lan, port: 1, priority: 3}", "stands there twice"]])("%s warns", (entry, text) =>
    expect(load(entry)).toMatchObject({
      entries: [{ name: "a.lan" }],
      diagnostics: [{ severity: "warning", message: expect.stringContaining(text) }]
    })
  )

  it.each([
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1:53", "127.0.0.1:53"],
    ["::1", "::1"],
    ["[::1]:5353", "[::1]:5353"],
    ["ns.lan", undefined],
    ["127.0.0.1:0", undefined]
  ])("of the resolver %s asks %s", (text, address) => expect(resolverAddress(text)).toBe(address))
})

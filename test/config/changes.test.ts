/** What a reload would say has changed. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { changesBetween, restartNeeded } from "../../src/config/ConfigChange.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { allKeys } from "../../src/config/SchemaTree.ts"
import { redactText } from "../../src/guard/Redaction.ts"
import { runs } from "../propertyRuns.ts"

const decode = (text: string) => {
  const { config } = decodeConfig(text, "c.yaml", {})
  if (config === undefined) throw new Error(`no configuration: ${text}`)
  return config
}
const told = (before: string, after: string) =>
  changesBetween(decode(before), decode(after), redactText).map(({ key, before: was, after: is }) => [key, was, is])

const fleet = (...entries: ReadonlyArray<string>) => `discovery:\n  static:\n    endpoints: [${entries.join(", ")}]\n`

describe("changes of a configuration", () => {
  it("are told by key with both values as a file has them, in the Schema's order", () => {
    expect(told("proxy: {read_timeout: 90s, engine: olla}\nserver: {port: 80}\n", "proxy: {read_timeout: 2m, engine: sherpa}\n")).toEqual([
      ["server.port", 80, 40114],
      ["proxy.engine", "olla", "sherpa"],
      ["proxy.read_timeout", "1m30s", "2m0s"]
    ])
  })

  it("are none between files that mean the same", () => {
    expect(told("proxy: {read_timeout: 90s}\n", "# the same\nproxy:\n  read_timeout: 1m30s\n")).toEqual([])
    expect(told("", "{}")).toEqual([])
  })

  it("of aliases and headers are told for each name, of a key that was not set from null", () => {
    expect(told("model_aliases: {a: [x], b: [y]}\n", "model_aliases: {a: [x, z], c: [y]}\nproxy: {response_header_timeout: 5s}\n")).toEqual(
      [
        ["proxy.response_header_timeout", null, "5s"],
        ["model_aliases.a", ["x"], ["x", "z"]],
        ["model_aliases.b", ["y"], null],
        ["model_aliases.c", null, ["y"]]
      ]
    )
  })

  it("of endpoints follow the URL: changed, renamed, added, removed, moved", () => {
    const before = fleet("{url: http://a:1, name: one, priority: 1}", "{url: http://b:1}", "{url: http://c:1, name: three}")
    const after = fleet("{url: http://d:1, name: four}", "{url: http://b:1, priority: 7}", "{url: http://a:1/, name: uno, priority: 1}")
    expect(told(before, after)).toEqual([
      ["discovery.static.endpoints.four", null, "http://d:1"],
      ["discovery.static.endpoints.http://b:1.priority", 100, 7],
      ["discovery.static.endpoints.uno.url", "http://a:1", "http://a:1/"],
      ["discovery.static.endpoints.uno.name", "one", "uno"],
      ["discovery.static.endpoints.three", "http://c:1", null],
      ["discovery.static.endpoints", "order", "order"]
    ])
  })

  it("never hold a secret", () => {
    const before = fleet("{url: 'http://a:1/?api_key=hush1', name: a, headers: {X-A: hush2}, auth: {type: bearer, token: hush3}}")
    const after = fleet("{url: 'http://a:1/?api_key=hush1', name: a, headers: {X-A: hush4, X-B: hush5}, auth: {type: api_key, key: hush6}}")
    const changes = told(before, after)
    expect(JSON.stringify([changes, told(before, fleet())])).not.toContain("hush")
    expect(changes.map(([key]) => key)).toEqual([
      "discovery.static.endpoints.a.auth.type",
      "discovery.static.endpoints.a.auth.token",
      "discovery.static.endpoints.a.auth.key",
      "discovery.static.endpoints.a.headers.X-A",
      "discovery.static.endpoints.a.headers.X-B"
    ])
  })

  const values: Readonly<Record<string, ReadonlyArray<string>>> = {
    int: ["7", "8"],
    bool: ["true", "false"],
    duration: ["7s", "8s"],
    size: ["7", "8"],
    string: ["x", "y"],
    strings: ["[x]", "[y]"],
    map: ["{X-A: b}", "{X-A: c}"],
    ints: ["[503]", "[502]"],
    aliases: ["{a: [b]}", "{a: [c]}"]
  }
  const nested = (path: string, value: string) => {
    const inner = (steps: ReadonlyArray<string>) => steps.reduceRight((text, step) => `{${step}: ${text}}`, value)
    const [, own] = path.split("[].")
    if (own === undefined) return inner(path.split("."))
    const rest = inner(own.split(".")).slice(1)
    if (path.startsWith("traffic.rules[]")) return `traffic: {rules: [{${rest}]}`
    if (path.startsWith("discovery.dns[]")) return `discovery: {dns: [{name: a, ${rest}]}`
    return fleet(`{url: http://a:1, ${own === "name" ? "" : "name: a, "}${rest}`)
  }
  /** What makes an entry the one it is: another value is another entry. */
  const identities = ["discovery.static.endpoints[].url", ...["name", "port", "scheme"].map((name) => `discovery.dns[].${name}`)]

  it.each(allKeys().map(({ path, info }) => [path, info] as const))("see a change of %s, and only that", (path, info) => {
    const [one = "", other = ""] =
      info.words?.filter((word) => word !== "").map((word) => (info.kind === "words" ? `[${word}]` : word)) ?? values[info.kind] ?? []
    if (other === "" || identities.includes(path)) return
    const [before, after] = [decode(nested(path, one)), decode(nested(path, other))]
    const keys = changesBetween(before, after, redactText).map(({ key }) => key)
    const expected = path
      .replace("dns[].", "dns.a.")
      .replace("rules[].", "rules[0].")
      .replace("endpoints[].", path.endsWith("[].name") ? `endpoints.${other}.` : "endpoints.a.")
    // The time limit of a probe follows from its interval where it is not set.
    const following = path.endsWith("check_interval") ? ["discovery.static.endpoints.a.check_timeout", "discovery.dns.a.check_timeout"] : []
    for (const key of keys)
      expect(
        [...following.map((each) => each), expected].some((each) => key === each || key.startsWith(`${each}.`)),
        key
      ).toBe(true)
    expect(keys.length).toBeGreaterThan(0)
    expect(changesBetween(before, before, redactText)).toEqual([])
  })

  it("of names that stand for endpoints follow what is asked for", () => {
    const named = (...entries: ReadonlyArray<string>) => `discovery:\n  dns: [${entries.join(", ")}]\n`
    expect(
      told(named("{name: a, port: 1, priority: 1}", "{name: b, srv: true}"), named("{name: a, port: 1, priority: 2}", "{name: b, port: 7}"))
    ).toEqual([
      ["discovery.dns.a.priority", 1, 2],
      ["discovery.dns.b", null, "b"],
      ["discovery.dns.b", "b", null]
    ])
  })

  it("are the same keys both ways, for any two fleets, and none for a fleet and itself", () => {
    const entry = fc.record({
      url: fc.constantFrom("http://a:1", "http://b:1", "http://c:1/", "http://c:1"),
      name: fc.constantFrom("", "n", "m"),
      priority: fc.nat(2)
    })
    const yaml = (entries: ReadonlyArray<{ url: string; name: string; priority: number }>) =>
      fleet(...entries.map(({ url, name, priority }) => `{url: "${url}", name: "${name}", priority: ${priority}}`))
    const urls = (text: string) => decode(text).discovery.static.endpoints.map(({ url }) => url.replace(/\/$/, ""))
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), fc.array(entry, { maxLength: 4 }), (one, other) => {
        const [a, b] = [yaml(one), yaml(other)]
        expect(told(a, a)).toEqual([])
        const forth = told(a, b)
        expect(forth.length).toBe(told(b, a).length)
        for (const url of new Set(urls(b)))
          if (!urls(a).includes(url)) expect(forth.some(([, was, is]) => was === null && String(is).replace(/\/$/, "") === url)).toBe(true)
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("what needs a restart", () => {
  const needed = (before: string, after: string) => restartNeeded(decode(before), decode(after))

  it("is where the daemon listens, a larger header limit, and where traces go", () => {
    expect(
      needed("", "server: {host: 0.0.0.0, port: 80, request_limits: {max_header_size: 2MB}}\ntelemetry: {otlp: {interval: 1s}}\n")
    ).toEqual(["server.host", "server.port", "server.request_limits.max_header_size", "telemetry.otlp.interval"])
  })

  it("is nothing else, and nothing when the values are as at the start", () => {
    expect(needed("", "server: {request_limits: {max_header_size: 8KB}, read_timeout: 1s}\nproxy: {engine: sherpa}\n")).toEqual([])
    expect(needed("server: {port: 80}\n", "server: {port: 80, read_timeout: 1s}\n")).toEqual([])
  })
})

/** Networks, folders of the inspector, keys that were meant, and findings that do not follow from one another. */
import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { checkCidr } from "../../src/config/Cidr.ts"
import type { KeyInfo } from "../../src/config/ConfigKey.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { render, sentenceOf } from "../../src/config/Diagnostic.ts"
import { checkInspectorFolder, isDangerousFolder } from "../../src/config/InspectorFolder.ts"
import { suggestKey } from "../../src/config/KeySuggestion.ts"
import { editDistance, nearest } from "../../src/config/NearestWord.ts"
import { type KeyTree, keyTree } from "../../src/config/SchemaTree.ts"
import { readConfiguration } from "../../src/configuration.ts"

function* keysOf(tree: KeyTree, path: string): Generator<readonly [string, KeyInfo]> {
  if (tree.kind === "key") yield [path, tree.info]
  else if (tree.kind === "section") for (const [name, child] of tree.keys) yield* keysOf(child, path === "" ? name : `${path}.${name}`)
}

describe("a size or a time that is none", () => {
  const said = (yaml: string, env: Record<string, string> = {}) =>
    decodeConfig(yaml, "c.yaml", env)
      .diagnostics.filter(({ severity }) => severity !== "info")
      .map(({ severity, message }) => `${severity} ${message}`)

  /** Every key of these kinds, by its path. */
  const amounts: ReadonlyArray<readonly [path: string, info: KeyInfo]> = [...keysOf(keyTree, "")].filter(
    ([, { kind }]) => kind === "size" || kind === "duration"
  )
  it.each(amounts)("%s: less than nothing is an error, or a warning, unless it means something", (path, info) => {
    const sections = path.split(".")
    const value = info.kind === "size" ? "-1" : "-1s"
    const yaml = sections.reduceRight((inner, name) => (inner === "" ? `{${name}: ${value}}` : `{${name}: ${inner}}`), "")
    const about = decodeConfig(yaml.slice(1, -1), "c.yaml", {}).diagnostics.filter((each) => each.path === path && each.severity !== "info")
    expect(about.length > 0).toBe(!/negative:/i.test(info.doc))
  })
  it("is told with what it counts as, from a file and from the environment", () => {
    expect(said("server: {request_limits: {max_body_size: -1, max_header_size: 0}}")).toEqual([
      expect.stringMatching(/^warning server\.request_limits\.max_body_size is -1, which is no size: .*0 or less: unlimited/)
    ])
    expect(said("", { OLLA_MODEL_REGISTRY_TYPE: "memory", OLLA_SERVER_READ_TIMEOUT: "0s" })).toEqual([])
  })
})

describe("a network", () => {
  it.each(["10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "::1/128", "fd00::/8", " 10.0.0.0/8 "])("%j is one", (text) => {
    expect(checkCidr(text)).toBeUndefined()
  })

  it.each(["10.0.0.1", "10.0.0.0/33", "::/129", "10.0.0/8", "host/8", "10.0.0.0/8/8", "10.0.0.0/", "10.0.0.0/-1", "", "fe80::1%eth0/64"])(
    "%j is none",
    (text) => {
      expect(checkCidr(text)).toBeDefined()
    }
  )

  it("is spelt out for a bare address", () => {
    expect(checkCidr("10.0.0.1")).toContain("10.0.0.1/32")
    expect(checkCidr("::1")).toContain("::1/128")
  })
})

describe("the inspector's folder", () => {
  it.each([
    "/",
    "\\",
    "c:\\",
    "/etc",
    "/etc/x",
    "/var/log/olla",
    "/root/x",
    "/proc",
    "C:\\Windows\\x",
    "c:/program files (x86)/y",
    "/usr/"
  ])("is not %j", (path) => {
    expect(isDangerousFolder(path)).toBe(true)
  })

  it.each(["/tmp/x", "/srv/olla", "/etcetera", "/home/me/x", "logs/inspector", "/var/folders/ab/T/x", "/private/var/tmp/x", "d:\\x"])(
    "may be %j",
    (path) => {
      expect(isDangerousFolder(path)).toBe(false)
    }
  )

  it("is judged where it really is", () => {
    const cwd = realpathSync(mkdtempSync(join(tmpdir(), "olla-inspect-")))
    symlinkSync("/etc", join(cwd, "link"))
    mkdirSync(join(cwd, "own"))
    expect(checkInspectorFolder("own/deeper", cwd)).toBeUndefined()
    expect(checkInspectorFolder("./inspector-logs", cwd)).toBeUndefined()
    expect(checkInspectorFolder("link/x", cwd)).toBe("output_dir resolves to dangerous system path: link/x")
    expect(checkInspectorFolder(`${"../".repeat(20)}etc/x`, cwd)).toMatch(/^output_dir resolves to dangerous system path: /)
    expect(checkInspectorFolder("/etc/x", cwd)).toBe("output_dir cannot be set to dangerous system path: /etc/x")
  })

  it("may be below a working directory that a service was given, wherever that is", () => {
    expect(checkInspectorFolder("logs/inspector/anthropic", "/var/lib/olla")).toBeUndefined()
  })

  it("is only judged when the inspector is on, and an empty one has a default", () => {
    const inspector = (text: string) => decodeConfig(`translators: {anthropic: {inspector: {${text}}}}`, "c.yaml", {})
    expect(inspector("output_dir: /etc/x").diagnostics).toEqual([])
    const empty = inspector('enabled: true, output_dir: "", session_header: " X-Mine "')
    expect(empty.diagnostics).toEqual([])
    expect(empty.config?.translators.anthropic.inspector).toMatchObject({ output_dir: "./inspector-logs", session_header: "X-Mine" })
  })
})

describe("a key that was meant", () => {
  it.each([
    ["dashboard.allowed_cidrs", "dashboard.access_policy.allowed_cidrs"],
    ["server.prot", "server.port"],
    ["sever", "server"],
    ["Server", "server"],
    ["port", "server.port"],
    ["proxy.loadBalancer", "proxy.load_balancer"],
    ["server.request-limits", "server.request_limits"],
    ["server.rate_limits.globalRequestsPerMinute", "server.rate_limits.global_requests_per_minute"],
    ["discovery.endpoints", "discovery.static.endpoints"],
    ["endpoints", "discovery.static.endpoints"],
    ["discovery.static.endpoints[3].modell_url", "discovery.static.endpoints[3].model_url"],
    ["discovery.static.endpoints[12].token", "discovery.static.endpoints[12].auth.token"],
    ["model_discovery", "discovery.model_discovery"]
  ])("%s is %s", (written, meant) => {
    expect(suggestKey(written)).toBe(meant)
  })

  it.each(["something_else_entirely", "proxy.zzz", "a"])("is not guessed for %s", (written) => {
    expect(suggestKey(written)).toBeUndefined()
  })

  it("is nearer by fewer edits, a swap of two letters being one", () => {
    expect(editDistance("prot", "port", 3)).toBe(1)
    expect(editDistance("kitten", "sitting", 5)).toBe(3)
    expect(editDistance("abc", "abcdefgh", 2)).toBe(3)
    expect(nearest("roundrobin", ["priority", "round-robin"])).toBe("round-robin")
    expect(nearest("xyz", ["priority", "round-robin"])).toBeUndefined()
  })
})

describe("findings", () => {
  const told = (text: string, env = {}) =>
    decodeConfig(text, "c.yaml", env)
      .diagnostics.filter((one) => one.severity === "error")
      .map(render)

  it("of rules and of reading come together", () => {
    expect(told("server:\n  port: x\n  port: 1\n  cors: {enabled: true, max_age: -1}\n")).toEqual([
      expect.stringContaining('c.yaml:3:3: failed to parse c.yaml: yaml: line 3: mapping key "port" already defined at line 2'),
      expect.stringContaining("c.yaml:2:9: failed to parse"),
      expect.stringContaining("c.yaml:4:25: server.cors config invalid: cors.max_age must be non-negative, got -1")
    ])
  })

  it("do not follow from a filter of profiles that is wrong", () => {
    const folder = mkdtempSync(join(tmpdir(), "olla-filter-"))
    writeFileSync(join(folder, "c.yaml"), "proxy: {profile_filter: {include: ['a**']}}\n")
    const { errors } = readConfiguration({ cwd: folder, env: {}, configFile: "c.yaml" })
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining("invalid include pattern 'a**'")])
  })

  it("tell an origin that no browser says", () => {
    const origins = ["*", "null", "http://*", "*.a.example", "https://*.a.example", "https://a.example:8443", "vscode-webview://x"]
    const asked = (...list: ReadonlyArray<string>) =>
      decodeConfig(`server: {cors: {enabled: true, allowed_origins: ${JSON.stringify(list)}}}`, "c.yaml", {}).diagnostics.map(sentenceOf)
    expect(asked(...origins)).toEqual([])
    for (const origin of ["a.example", "https://a.example/", "https://a.example/chat", "https://*/x", "localhost:3000"])
      expect(asked(origin)).toEqual([expect.stringContaining(`"${origin}" matches no browser's Origin`)])
  })

  it("do not follow from a value that could not be read", () => {
    expect(told("server: {cors: {enabled: true, allow_credentials: true, allowed_origins: here}}")).toHaveLength(1)
  })

  it("of a variable name the variable, not a line", () => {
    expect(told("server:\n  port: 80\n", { OLLA_SERVER_PORT: "70000" })).toEqual([
      "OLLA_SERVER_PORT: server.port must be between 1 and 65535, got 70000 (for example `OLLA_SERVER_PORT=40114`)"
    ])
    expect(told("", { OLLA_SERVER_WRITE_TIMEOUT: "-1s" })).toEqual([
      expect.stringMatching(/^OLLA_SERVER_WRITE_TIMEOUT: .* must not be negative, got -1s/)
    ])
  })

  it("of the file name its line, also where a variable overrides the value", () => {
    expect(told("server:\n  port: x\n", { OLLA_SERVER_PORT: "7000" })).toEqual([
      expect.stringMatching(/^c\.yaml:2:9: .*line 2: server\.port needs a whole number, got `x` .*`port: /)
    ])
  })

  it("never hold what may be a secret", () => {
    const secrets =
      "discovery: {static: {endpoints: [{url: http://a:1, auth: hush}, {url: http://a:2, headers: hush}, {url: http://a:3, auth: {type: bearer, token: {hush: hush}}}]}}"
    expect(told(secrets).length).toBeGreaterThanOrEqual(3)
    expect(told(secrets).join("\n")).not.toContain("hush")
  })

  it("hold no character that a terminal would act on", () => {
    expect(told('server: {port: "\\e[31mred\\a"}').join("\n")).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })

  it("of trusted networks in a variable end the start, and name the variable: the default would trust more", () => {
    const loaded = decodeConfig("server:\n  rate_limits:\n    trusted_proxy_cidrs: [10.0.0.0/8]\n", "c.yaml", {
      OLLA_SERVER_TRUSTED_PROXY_CIDRS: "10.0.0.0/8, nonsense"
    })
    expect(loaded.diagnostics).toMatchObject([
      { severity: "error", message: expect.stringMatching(/^OLLA_SERVER_TRUSTED_PROXY_CIDRS: .*"nonsense"/) }
    ])
    // Not a mistake of the file's.
    expect(loaded.diagnostics[0]).not.toHaveProperty("line")
    expect(loaded.diagnostics[0]?.example).toBe("OLLA_SERVER_TRUSTED_PROXY_CIDRS=10.0.0.0/8")
  })

  it("mention keys that do nothing only when they were changed", () => {
    const inert = (text: string) => decodeConfig(text, "c.yaml", {}).diagnostics.map((one) => [one.severity, sentenceOf(one)])
    expect(inert("proxy: {max_retries: 3, retry_backoff: 500ms}\ndiscovery: {refresh_interval: 30s}\n")).toEqual([])
    expect(inert("proxy: {max_retries: 5, retry_backoff: 1s}\ndiscovery: {refresh_interval: 1m}\n")).toEqual([
      ["info", "proxy.max_retries has no effect"],
      ["info", "proxy.retry_backoff has no effect"],
      ["info", "discovery.refresh_interval has no effect"]
    ])
  })
})

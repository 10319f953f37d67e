/** Broken files and what each must say: message, line, and the way out. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { printConfig } from "../../src/config/ConfigPrinting.ts"
import { placeOf, render, textOf } from "../../src/config/Diagnostic.ts"
import { overrides } from "../../src/config/Environment.ts"
import { allKeys } from "../../src/config/SchemaTree.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { runs } from "../propertyRuns.ts"

const errors = (text: string) => decodeConfig(text, "c.yaml", {}).diagnostics.filter((diagnostic) => diagnostic.severity === "error")
const warnings = (text: string) => decodeConfig(text, "c.yaml", {}).diagnostics.filter((diagnostic) => diagnostic.severity === "warning")

const endpoint = (fields: string) => `discovery:\n  static:\n    endpoints:\n      - url: http://a:1\n        ${fields}\n`

const fatal: ReadonlyArray<readonly [text: string, line: number | undefined, message: RegExp]> = [
  ["server: [", 1, /failed to parse c\.yaml: yaml: line 1/],
  ["server: {cors: {allowed_origins: [a, b}}\nproxy: [\n}", 1, /not closed/],
  ["a: b: c", 1, /failed to parse c\.yaml: yaml: line 1/],
  ["server:\n\tport: 1", 2, /failed to parse c\.yaml: yaml: line 2/],
  ['server:\n  host: "x', 2, /failed to parse/],
  ["- a\n- b", 1, /must be a mapping of sections/],
  ["just text", 1, /must be a mapping of sections/],
  ["server:\n  port: 1\n  port: 2", 3, /mapping key "port" already defined at line 2/],
  ["server: {}\nserver: {}", 2, /mapping key "server" already defined at line 1/],
  ["x: *nobody", 1, /failed to parse/],
  ["server: 5", 1, /server needs a section/],
  ["server: [a]", 1, /server needs a section/],
  ["server:\n  port: 0", 2, /server\.port must be between 1 and 65535, got 0/],
  ["server:\n  port: 65536", 2, /server\.port must be between 1 and 65535, got 65536/],
  ['server:\n  port: "80"', 2, /server\.port needs a whole number/],
  ["server:\n  port: 80.5", 2, /server\.port needs a whole number/],
  ["server:\n  port: 50MB", 2, /server\.port needs a whole number/],
  ["server:\n  read_timeout: 30", 2, /server\.read_timeout needs a unit, got `30` \(for example `read_timeout: 30s`\)/],
  ["server:\n  read_timeout: 1d", 2, /server\.read_timeout needs a duration/],
  ["server:\n  read_timeout: -1s", 2, /server\.read_timeout must not be negative, got -1s/],
  ["server:\n  read_timeout: soon", 2, /for example/],
  ["server:\n  request_logging: 1", 2, /server\.request_logging needs true or false/],
  ["server:\n  request_logging: maybe", 2, /server\.request_logging needs true or false/],
  ["server:\n  request_limits:\n    max_body_size: big", 3, /needs a size/],
  ["server:\n  rate_limits:\n    burst_size: -1", 3, /burst_size must not be negative/],
  ["server:\n  rate_limits:\n    trusted_proxy_cidrs: 10.0.0.0/8", 3, /needs a list/],
  ["server:\n  rate_limits:\n    trusted_proxy_cidrs: [10.0.0.0/8, 10.0.0.300/8]", 3, /invalid entry "10\.0\.0\.300\/8"/],
  ["server:\n  rate_limits:\n    trusted_proxy_cidrs: [10.0.0.0/33]", 3, /prefix out of range/],
  ["server:\n  cors: {enabled: true, allowed_origins: []}", 2, /allowed_origins must not be empty when cors is enabled/],
  ['server:\n  cors: {enabled: true, exposed_headers: ["X-A\\r\\nX-Evil: 1"]}', 2, /exposed_headers holds .* which no header can carry/],
  ["server:\n  cors: {enabled: true, allowed_origins: ['https://*.*.example']}", 2, /"https:\/\/\*\.\*\.example" has more than one \*/],
  ["server:\n  cors: {enabled: true, max_age: -1}", 2, /cors\.max_age must be non-negative, got -1/],
  ["server:\n  cors: {enabled: true, allow_credentials: true}", 2, /allow_credentials=true is incompatible/],
  ["proxy:\n  engine: nginx", 2, /unknown proxy implementation: nginx/],
  ["proxy:\n  engine: Olla", 2, /unknown proxy implementation: Olla/],
  ['proxy:\n  engine: ""', 2, /proxy\.engine must not be empty/],
  ["proxy:\n  load_balancer: random", 2, /unknown load balancer strategy: random/],
  ['proxy:\n  load_balancer: ""', 2, /proxy\.load_balancer must not be empty/],
  ["proxy:\n  profile: fast", 2, /proxy\.profile: unknown word "fast" \(one of: auto, streaming, standard\)/],
  ["proxy:\n  stream_buffer_size: -1", 2, /stream_buffer_size must not be negative/],
  ["proxy:\n  response_timeout: 15", 2, /needs a unit/],
  ["proxy:\n  sticky_sessions:\n    key_sources: [cookie]", 3, /unknown word "cookie"/],
  ["proxy:\n  sticky_sessions:\n    key_sources: ip", 3, /needs a list/],
  ["proxy:\n  sticky_sessions:\n    prefix_hash_bytes: -1", 3, /prefix_hash_bytes must not be negative/],
  ["proxy:\n  sticky_sessions:\n    max_sessions: -1", 3, /max_sessions must not be negative/],
  ["proxy:\n  profile_filter:\n    include: ['a**']", 3, /invalid include pattern 'a\*\*': double asterisk not supported/],
  ["proxy:\n  profile_filter:\n    exclude: [' ']", 3, /invalid exclude pattern ' ': empty or whitespace-only pattern/],
  ["discovery:\n  type: consul", 2, /unsupported discovery type: consul/],
  ['discovery:\n  type: ""', 2, /discovery\.type must not be empty/],
  ["discovery:\n  model_discovery:\n    interval: 0s", 3, /model_discovery\.interval must be > 0/],
  ["discovery:\n  model_discovery:\n    timeout: 0s", 3, /model_discovery\.timeout must be > 0/],
  ["discovery:\n  model_discovery:\n    concurrent_workers: 0", 3, /concurrent_workers must be > 0/],
  ["discovery:\n  model_discovery:\n    retry_attempts: -1", 3, /retry_attempts must not be negative/],
  ["discovery:\n  static:\n    endpoints: http://a:1", 3, /needs a list of endpoints/],
  ["discovery:\n  static:\n    endpoints:\n      - http://a:1", 4, /needs a section/],
  [endpoint("priority: high"), 5, /endpoints\[0\]\.priority needs a whole number/],
  [endpoint("check_interval: 5"), 5, /check_interval needs a unit/],
  [endpoint("preserve_path: often"), 5, /preserve_path needs true or false/],
  [endpoint("model_filter: {include: x}"), 5, /needs a list/],
  [endpoint("headers: [a]"), 5, /needs a mapping/],
  [endpoint("auth: bearer"), 5, /needs a section/],
  ["model_registry:\n  type: redis", 2, /unsupported registry type: redis/],
  ["model_registry:\n  routing_strategy:\n    options: {fallback_behavior: compatible-only}", 3, /unknown word "compatible-only"/],
  ["model_aliases:\n  a: []", 2, /model alias "a" has no actual models configured/],
  ["model_aliases:\n  a:", 2, /model alias "a" has no actual models configured/],
  ['model_aliases:\n  a: ["x", ""]', 2, /model alias "a" has empty model name at position 1/],
  ["model_aliases:\n  ' a': [x]", 2, /leading\/trailing whitespace/],
  ['model_aliases:\n  "": [x]', undefined, /model alias name cannot be empty/],
  ["model_aliases:\n  Fast: [x]\n  fast: [y]", 3, /"Fast" and "fast" differ only in case/],
  ["model_aliases:\n  a: x", 2, /needs a list/],
  ["translators:\n  anthropic:\n    max_message_size: -1", 3, /max_message_size must be non-negative, got -1/],
  ["translators:\n  anthropic:\n    max_message_size: 104857601", 3, /exceeds 100 MiB safety limit/],
  ["translators:\n  anthropic:\n    inspector: {enabled: true, output_dir: /etc/x}", 3, /dangerous system path: \/etc\/x/],
  ["translators:\n  anthropic:\n    inspector: {enabled: true, session_header: 'X Y'}", 3, /session_header contains invalid characters/],
  ["dashboard:\n  access_policy: {allowed_cidrs: []}", 2, /allowed_cidrs must not be empty/],
  ["dashboard:\n  access_policy: {allowed_cidrs: [localhost]}", 2, /invalid access_policy\.allowed_cidrs entry "localhost"/]
]

describe("broken files", () => {
  it("are at least sixty", () => {
    expect(fatal.length).toBeGreaterThanOrEqual(60)
  })

  it.each(fatal)("%j", (text, line, message) => {
    const found = errors(text)
    const match = found.find((diagnostic) => message.test(render(diagnostic)))
    expect(match, JSON.stringify(found)).toBeDefined()
    if (line !== undefined) expect(match?.line).toBe(line)
  })

  it("have all their mistakes told at once", () => {
    const found = errors("server:\n  port: x\n  read_timeout: 30\nproxy:\n  engine: a\n  load_balancer: b\ndiscovery:\n  type: c\n")
    expect(found.map((diagnostic) => diagnostic.line)).toEqual([2, 3, 5, 6, 8])
  })
})

/** What a reader in a hurry needs: the place of the slip itself, once, and what to write instead. */
const helpful: ReadonlyArray<readonly [text: string, ...lines: ReadonlyArray<string>]> = [
  ['server:\n  cors:\n    allowed_origins: ["https://a\nproxy:\n  engine: olla\n', "c.yaml:3:23: the quote that begins here is not closed"],
  ["a: 1\nserver:\n  host: 'x\\'y\n", "c.yaml:3:13: something follows the closing quote"],
  ['server:\n  host: "x\\"\n', "c.yaml:2:9: the quote that begins here is not closed"],
  ["server:\n  host: @a\nlogging:\n  level: %b\n", "c.yaml:2:9: a text cannot begin", "c.yaml:4:10: a text cannot begin"],
  ["server: {port: 1\nproxy: {engine: x\n", "c.yaml:1:9: the { that begins here", "c.yaml:2:8: the { that begins here"],
  [
    "discovery: {static: {endpoints: [\n  {url: a}\n]}}\n",
    "c.yaml:1:33: the [ that begins here is not closed, or its contents are not indented"
  ],
  ["server:\n<<<<<<< ours\n  port: 1\n=======\n  port: 2\n>>>>>>> theirs\n", "c.yaml:2:1: a merge conflict is not resolved"],
  ["a: [1]]\n", "c.yaml:1:7: this ] closes nothing"],
  ['a: "\\d"\n', "c.yaml:1:5: in double quotes a backslash"],
  ["server:\n  port:8080\n", "c.yaml:2:3: server needs a section, got `port:8080`: a space belongs behind the colon"],
  ["server: {write_timeout: 1d}", "`write_timeout: 24h`"],
  ["server: {write_timeout: 2 Minutes}", "`write_timeout: 2m`"],
  ["server: {write_timeout: 999999999h}", "write_timeout is too long"],
  ["server: {port: 99999999999999999999}", "server.port is too large"],
  ["proxy: {sticky_sessions: {idle_ttl_seconds: 20m}}", "is a whole number of seconds, got `20m` (for example `idle_ttl_seconds: 1200`)"],
  ["server: {cors: {enabled: 1}}", "`enabled: true`"],
  ['dashboard: {enabled: "off"}', "`enabled: false`"],
  [
    "proxy: {load_balancer: round_robin}",
    'proxy.load_balancer: failed to create load balancer: unknown load balancer strategy: round_robin (one of: priority, round-robin, least-connections, adaptive); did you mean "round-robin"? (for example `load_balancer: round-robin`)'
  ],
  ["proxy: {profile: stream}", 'did you mean "streaming"?'],
  ["discovery:\n  static:\n    - {url: http://a:1}\n", "`static: {endpoints: [{url: "]
]

describe("broken files that are told helpfully", () => {
  it.each(helpful)("%j", (text, ...lines) => {
    const found = errors(text).map((one) => `${placeOf(one)}${textOf(one)}`)
    expect(found).toHaveLength(lines.length)
    for (const [index, line] of lines.entries()) expect(found[index]).toContain(line)
  })

  it("are no longer than anybody reads", () => {
    const found = errors(Array.from({ length: 20_000 }, (_, n) => `k${n}: [1\n`).join(""))
    expect(found).toHaveLength(51)
    expect(found.at(-1)).toMatchObject({ line: 51, message: "and 19950 more from here on" })
  })

  it("name the keys that there are where no near one is known", () => {
    expect(warnings("proxies: {}\n").map(textOf)).toEqual([expect.stringContaining("keys here: server, proxy, discovery")])
    expect(warnings(endpoint("auth: {type: bearer, token: x, secret: y}")).map(textOf)).toEqual([
      expect.stringContaining("keys here: type, token")
    ])
  })
})

describe("files that only deserve a word", () => {
  it.each([
    ["model_registry: {routing_strategy: {type: Strict}}", /Unknown routing strategy type/],
    ["logging: {level: loud}", /Invalid logging\.level/],
    ["logging: {format: xml}", /Invalid logging\.format/],
    ["logging: {output: ./x.log}", /Invalid logging\.output/],
    ["server: {rate_limits: {burst_size: 0}}", /burst_size is 0/],
    ["server: {port: 443}", /plain HTTP/],
    ["proxy: {sticky_sessions: {enabled: true, idle_ttl_seconds: 0}}", /never expire/],
    ["translators: {anthropic: {max_message_size: 0}}", /using default/],
    ["model_aliases: {a: [x, x]}", /lists "x" twice/],
    ["dashboard: {allowed_cidrs: [a]}", /did you mean dashboard\.access_policy\.allowed_cidrs/]
  ])("%s", (text, message) => {
    expect(errors(text)).toEqual([])
    expect(warnings(text).map(render)).toEqual([expect.stringMatching(message)])
  })

  it.each([
    "proxy: {retry: {enabled: false, max_attempts: 3}, max_retries: 9}",
    "discovery: {health_check: {initial_delay: 1s}}",
    "server: {rate_limits: {per_endpoint: {default_requests_per_minute: 2}}}",
    "model_registry: {unification: {enabled: true, cache_ttl: 1m}}",
    "x-anything: {a: 1}",
    "",
    "# nothing\n",
    "server:\nproxy:\n",
    "server: {port: 1}\n---\nserver: {port: x}\n",
    "\uFEFFserver: {port: 1}",
    '{"server": {"port": 1}}',
    "base: &b {port: 7}\nx-y: 1\n"
  ])("%j is fine", (text) => {
    expect(errors(text)).toEqual([])
    expect(warnings(text).filter((diagnostic) => diagnostic.path !== "base")).toEqual([])
  })
})

describe("merging onto defaults", () => {
  const config = (text: string) => decodeConfig(text, "c.yaml", {}).config
  it("keeps the built-in endpoint where none is named, and takes an empty list at its word", () => {
    expect(config("server: {port: 1}")?.discovery.static.endpoints).toMatchObject([
      { url: "http://localhost:11434", health_check_url: "/" }
    ])
    expect(config("discovery: {static: {endpoints: []}}")?.discovery.static.endpoints).toEqual([])
    expect(config("discovery: {static: {endpoints: }}")?.discovery.static.endpoints).toEqual([])
  })

  it("resolves anchors and merges", () => {
    const text =
      "x-base: &base {type: vllm, priority: 5}\ndiscovery:\n  static:\n    endpoints:\n      - {<<: *base, url: http://a:1}\n      - {<<: [*base], url: http://b:1, priority: 6}\n"
    expect(config(text)?.discovery.static.endpoints.map(({ type, priority }) => [type, priority])).toEqual([
      ["vllm", 5],
      ["vllm", 6]
    ])
  })

  it("gives a short interval a timeout that fits", () => {
    expect(config(endpoint("check_interval: 2s"))?.discovery.static.endpoints[0]).toMatchObject({
      check_interval: 2000,
      check_timeout: 1000
    })
  })

  it("takes texts, words and numbers as they are meant", () => {
    const loaded = config(
      "server: {request_logging: off, port: 0x1F90, request_limits: {max_body_size: '1.5KB'}, read_timeout: 0}\ndiscovery: {static: {endpoints: [{url: http://a:1, name: 12, auth: {type: bearer, token: 12345}}]}}\n"
    )
    expect(loaded?.server).toMatchObject({ request_logging: false, port: 8080, read_timeout: 0 })
    expect(loaded?.server.request_limits.max_body_size).toBe(1536)
    expect(loaded?.discovery.static.endpoints[0]).toMatchObject({ name: "12", auth: { token: "12345" } })
  })
})

describe("the validator", () => {
  const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
  const noFile = (): string => {
    throw Object.assign(new Error("gone"), { code: "ENOENT" })
  }

  it("neither crashes nor hangs on thousands of random documents", () => {
    const key = fc.constantFrom(
      "server",
      "port",
      "proxy",
      "engine",
      "discovery",
      "static",
      "endpoints",
      "url",
      "auth",
      "model_aliases",
      "x",
      "<<",
      "read_timeout",
      "headers",
      "include"
    )
    const scalar = fc.oneof(
      fc.constantFrom("1", "0x", "yes", "~", "30s", "''", '"a', "*a", "&a b", "!!int x", "- y", "[", "}", "|", "1e999", "\u0000"),
      fc.string({ maxLength: 12 })
    )
    const line = fc
      .tuple(fc.nat(4), fc.boolean(), key, scalar)
      .map(([depth, item, name, value]) => `${"  ".repeat(depth)}${item ? "- " : ""}${name}: ${value}`)
    fc.assert(
      fc.property(
        fc.oneof(
          { weight: 9, arbitrary: fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n")) },
          { weight: 1, arbitrary: fc.string({ maxLength: 80 }) }
        ),
        (text) => {
          const loaded = decodeConfig(text, "c.yaml", {})
          const endpoints = loaded.config === undefined ? [] : loaded.adopt(loadEndpoints(loaded.config, profiles, {}, noFile).diagnostics)
          for (const finding of [...loaded.diagnostics, ...endpoints]) expect(render(finding)).toContain(finding.message)
          if (loaded.config !== undefined) expect(printConfig(loaded, (shown) => shown)).toContain("server:")
        }
      ),
      { numRuns: runs(10_000) }
    )
  })

  it("neither crashes nor hangs on any value of any key, nor on any variable", () => {
    const value = fc.oneof(
      fc.constantFrom(
        "",
        "~",
        "-1",
        "0",
        "1e400",
        "9".repeat(400),
        "0x",
        "1h",
        "-1h",
        `${"9".repeat(30)}h`,
        "9999999P",
        "[]",
        "{}",
        "{a: {b: []}}",
        "yes",
        "*",
        "[[[",
        "'",
        '"',
        "!!str 5",
        "${X",
        "${X:-}",
        "__proto__",
        "{__proto__: 1}"
      ),
      fc.string({ maxLength: 20 })
    )
    const keys = allKeys().map(({ path }) => path)
    const variables = Object.keys(overrides)
    fc.assert(
      fc.property(fc.constantFrom(...keys), value, fc.constantFrom(...variables), value, (path, text, variable, set) => {
        const steps = path.replace("[]", "").split(".")
        const nested = path.includes("[]")
          ? `discovery: {static: {endpoints: [${steps.slice(3).reduceRight((inner, step) => `{${step}: ${inner}}`, text)}]}}`
          : steps.reduceRight((inner, step) => `{${step}: ${inner}}`, text)
        const loaded = decodeConfig(nested, "c.yaml", { [variable]: set })
        expect(loaded.diagnostics.every((finding) => !finding.message.startsWith("the configuration cannot be used"))).toBe(true)
        if (loaded.config !== undefined) loaded.adopt(loadEndpoints(loaded.config, profiles, {}, noFile).diagnostics)
      }),
      { numRuns: runs(5_000) }
    )
  })

  it.each([
    ["[".repeat(20_000), /nested too deeply/],
    ["{a: ".repeat(20_000), /nested too deeply/],
    ["a: &a [*a]", /nested too deeply/],
    [`a: &a {x: 1}\nb: [${"*a, ".repeat(60_000)}]`, undefined],
    [`x-a: &a {port: 1}\nserver: {${"<<: *a, ".repeat(10_000)}}`, undefined],
    [`server: {read_timeout: ${"1".repeat(200_000)}}`, /needs a unit/],
    [`server:\n${Array.from({ length: 2_000 }, (_, i) => `  kee${i}: 1`).join("\n")}`, undefined]
  ])("answers a document that was made to be slow (%#)", (text, message) => {
    const found = errors(text)
    if (message !== undefined) expect(found.some((one) => message.test(one.message))).toBe(true)
  })

  it("stops at an alias bomb", () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${"bcdefghi"
      .split("")
      .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(", ")}]`)
      .join("\n")}\n`
    expect(errors(bomb).some((diagnostic) => diagnostic.message.includes("too many values"))).toBe(true)
  })
})

import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { healthUrlOf, modelUrlOf } from "../../src/endpoint/EndpointSpec.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
const files: Readonly<Record<string, string>> = { "/run/token": "  file-token\n", "/run/empty": " \n", "/run/bad": "a\nb" }
const readFile = (path: string): string => {
  const text = files[path]
  if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" })
  return text
}
const env = { TOKEN: "env-token", EMPTY: "", HOST: "gpu.lan" }

/** One endpoint from the YAML of its keys, in a list after a harmless one. */
const configOf = (...entries: ReadonlyArray<string>) => {
  const list = entries.map((entry) => `      - ${entry.split("\n").join("\n        ")}`).join("\n")
  const { config } = decodeConfig(`discovery:\n  static:\n    endpoints:\n${list}\n`, "test.yaml", {})
  if (config === undefined) throw new Error("the test's YAML is wrong")
  return config
}
const load = (...entries: ReadonlyArray<string>) => loadEndpoints(configOf(...entries), profiles, env, readFile)
const errors = (...entries: ReadonlyArray<string>) => load(...entries).diagnostics.filter(({ severity }) => severity === "error")
const warnings = (...entries: ReadonlyArray<string>) => load(...entries).diagnostics.filter(({ severity }) => severity === "warning")

const base = "url: http://127.0.0.1:9000\nname: gpu\ntype: ollama"

describe("structural rules", () => {
  it.each([
    ["name: gpu", "url", "endpoint URL cannot be empty"],
    [`${base}\ncheck_interval: 500ms\ncheck_timeout: 100ms`, "check_interval", "check_interval too short: minimum 1s, got 500ms"],
    [`${base}\ncheck_interval: 2s\ncheck_timeout: 2s`, "check_timeout", "check_timeout (2s) must be less than check_interval (2s)"],
    [`${base}\ncheck_interval: 1m\ncheck_timeout: 31s`, "check_timeout", "check_timeout too long: maximum 30s, got 31s"],
    [`${base}\ncheck_timeout: -1s`, "check_timeout", "check_timeout must be positive, got -1s"],
    [`${base}\npriority: -1`, "priority", "priority must be non-negative, got -1"],
    [
      "url: http://h\nname: gpu\ntype: llama_cpp",
      "type",
      "unsupported endpoint type: llama_cpp, supported types: [dmr docker-model-runner lemonade litellm llamacpp lm-studio lm_studio lmdeploy lmstudio ollama omlx openai openai-compatible rapid-mlx sglang vllm vllm-mlx auto]"
    ],
    ["url: localhost:8080\nname: gpu", "url", 'endpoint URL must be http or https with a host, got "localhost:8080"'],
    [
      `${base}\nmodel_filter: { include: ["a*b"] }`,
      "model_filter.include[0]",
      "invalid include pattern 'a*b': wildcards only supported at start and/or end"
    ]
  ])("%j is refused at %s", (entry, at, text) => {
    const [first, ...rest] = errors(entry)
    expect(rest).toEqual([])
    expect(first?.path).toBe(`discovery.static.endpoints[0].${at}`)
    expect(first?.message).toContain('invalid endpoint config for "gpu": ')
    expect(first?.message).toContain(text)
  })

  it.each([
    ["url: http://h/%zz?k=1", "url", 'invalid endpoint URL "http://h/%zz": invalid percent escape'],
    ["url: http://h\nhealth_check_url: monitor:9090/health", "health_check_url", 'invalid health check URL "monitor:9090/health": '],
    ["url: http://h\nmodel_url: /%zz", "model_url", 'invalid model URL "/%zz": ']
  ])("%j is no URL", (entry, at, text) => {
    expect(errors(entry)).toMatchObject([{ path: `discovery.static.endpoints[0].${at}`, message: expect.stringContaining(text) }])
  })

  it("reports every problem of every endpoint, each with its place", () => {
    const found = errors("name: a\npriority: -1", base, "url: http://x\ntype: nope\nauth: { type: magic }")
    expect(found.map(({ path }) => path)).toEqual([
      "discovery.static.endpoints[0].url",
      "discovery.static.endpoints[0].priority",
      "discovery.static.endpoints[2].type",
      "discovery.static.endpoints[2].auth"
    ])
  })
})

describe("defaults", () => {
  it.each([
    ["ollama", "http://h:1/", "http://h:1/api/tags"],
    ["llamacpp", "http://h:1/health", "http://h:1/v1/models"],
    ["lmstudio", "http://h:1/v1/models", "http://h:1/api/v0/models"],
    ["lm_studio", "http://h:1/v1/models", "http://h:1/api/v0/models"],
    ["vllm", "http://h:1/health", "http://h:1/v1/models"],
    ["lemonade", "http://h:1/api/v1/health", "http://h:1/api/v1/models"],
    ["dmr", "http://h:1/engines/v1/models", "http://h:1/engines/v1/models"],
    ["openai", "http://h:1/v1/models", "http://h:1/v1/models"],
    ["auto", "http://h:1/", "http://h:1/v1/models"],
    ['""', "http://h:1/", "http://h:1/v1/models"]
  ])("of type %s", (type, health, models) => {
    const [spec] = load(`url: http://h:1\ntype: ${type}`).specs
    expect(spec?.type).toBe(type === '""' ? "" : type)
    expect([healthUrlOf(spec!, spec!.profile), modelUrlOf(spec!, spec!.profile)]).toEqual([health, models])
  })
  it("name an endpoint by its host and port", () => {
    expect(load("url: http://127.0.0.1:8080/v1").specs[0]?.name).toBe("127.0.0.1:8080")
  })
  it("halve a short interval for the time limit", () => {
    expect(load("url: http://h\ncheck_interval: 1s").specs[0]).toMatchObject({ checkInterval: 1000, checkTimeout: 500 })
  })
  it("keep an explicit priority of 0", () => {
    expect(load("url: http://h\npriority: 0").specs[0]?.priority).toBe(0)
  })
  it("allow no endpoint at all", () => {
    const { config } = decodeConfig("discovery: { static: { endpoints: [] } }", "test.yaml", {})
    expect(loadEndpoints(config!, profiles, env, readFile)).toEqual({ specs: [], diagnostics: [] })
  })
})

describe("duplicates", () => {
  it("of a URL warn, and the later entry stays", () => {
    const { specs, diagnostics } = load("url: http://h:1\nname: a", "url: http://h:1/\nname: b")
    expect(specs.map(({ name, index }) => [name, index])).toEqual([["b", 0]])
    expect(diagnostics).toMatchObject([
      { severity: "warning", message: expect.stringContaining("duplicate endpoint URL, later entry wins") }
    ])
  })
  it("of a name warn, and both work", () => {
    const { specs, diagnostics } = load("url: http://h:1\nname: a", "url: http://h:2\nname: a")
    expect(specs).toHaveLength(2)
    expect(diagnostics).toMatchObject([{ severity: "warning", path: "discovery.static.endpoints[1].name" }])
  })
})

describe("credentials", () => {
  const headersOf = (auth: string) => load(`${base}\n${auth}`).specs[0]?.credentials.headers
  it.each([
    ["auth: { type: bearer, token: abc }", "Authorization", "Bearer abc"],
    ["auth: { type: bearer, token: '${TOKEN}' }", "Authorization", "Bearer env-token"],
    ["auth: { type: bearer, token: '${NOPE:-fall}' }", "Authorization", "Bearer fall"],
    ["auth: { type: bearer, token: '$TOKEN' }", "Authorization", "Bearer $TOKEN"],
    ["auth: { type: bearer, token_file: /run/token }", "Authorization", "Bearer file-token"],
    ["auth: { type: api_key, key: k }", "X-Api-Key", "k"],
    ["auth: { type: api_key, key: k, header: X-Mine }", "X-Mine", "k"],
    ["auth: { type: basic, username: Aladdin, password: open sesame }", "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    ["auth: { type: basic, username: u, password_file: /run/token }", "Authorization", "Basic dTpmaWxlLXRva2Vu"]
  ])("%s sends one header", (auth, name, value) => {
    expect(headersOf(auth)).toEqual([[name, value]])
  })
  it("come after the custom headers and win over them", () => {
    const [spec] = load(`${base}\nheaders: { X-Team: '\${EMPTY}', authorization: mine }\nauth: { type: bearer, token: abc }`).specs
    expect(spec?.credentials.headers).toEqual([
      ["X-Team", ""],
      ["Authorization", "Bearer abc"]
    ])
    expect([...(spec?.credentials.names ?? [])]).toEqual(["x-team", "authorization"])
  })

  const shape = 'endpoint "gpu": '
  it.each([
    ["{}", `${shape}auth.type "" is not valid (must be bearer, api_key, or basic)`],
    ["{ type: Bearer, token: x }", `${shape}auth.type "Bearer" is not valid (must be bearer, api_key, or basic); did you mean "bearer"?`],
    ["{ type: bearer, token: x, token_file: y }", `${shape}bearer auth has both token and token_file set; use exactly one`],
    ["{ type: bearer }", `${shape}bearer auth requires token or token_file`],
    ["{ type: api_key }", `${shape}api_key auth requires key or key_file`],
    ["{ type: basic, username: u }", `${shape}basic auth requires password or password_file`],
    [
      "{ type: basic, username: u, username_file: f, password: p }",
      `${shape}basic auth has both username and username_file set; use exactly one`
    ],
    ["{ type: bearer, token: x, key: y }", `${shape}bearer auth does not accept key/key_file fields`],
    ["{ type: bearer, token: x, password: y }", `${shape}bearer auth does not accept username/password fields`],
    ["{ type: basic, username: u, password: p, token: t }", `${shape}basic auth does not accept token/token_file fields`],
    [
      "{ type: bearer, token: 'pre-${NOPE}-${NADA}' }",
      `${shape}bearer token: required environment variable "NOPE" is not set\nrequired environment variable "NADA" is not set`
    ],
    ["{ type: bearer, token: '${EMPTY}' }", `${shape}bearer token resolved to empty string`],
    ["{ type: api_key, key_file: /run/empty }", `${shape}api_key resolved to empty string`],
    ["{ type: basic, username: '${EMPTY}', password: p }", `${shape}basic username resolved to empty string`],
    ["{ type: bearer, token_file: /run/none }", `${shape}bearer token: reading secret file "/run/none": no such file or directory`],
    ["{ type: bearer, token_file: /run/bad }", `${shape}bearer token: has characters that HTTP does not allow in a header`],
    ["{ type: api_key, key: k, header: 'a b' }", `${shape}auth.header is not a valid HTTP header name`]
  ])("auth: %s is refused", (auth, message) => {
    expect(errors(`${base}\nauth: ${auth}`).map((each) => each.message)).toEqual([message])
  })

  it.each([
    ["{ X-Team: '${NOPE}' }", `${shape}header "X-Team": required environment variable "NOPE" is not set`],
    ['{ X-Team: "a\\nb" }', `${shape}header "X-Team": its value has characters that HTTP does not allow`],
    ["{ 'X Team': a }", `${shape}header "X Team": is not a valid HTTP header name`]
  ])("headers: %s are refused", (headers, message) => {
    expect(errors(`${base}\nheaders: ${headers}`).map((each) => each.message)).toEqual([message])
  })

  it("never appear in a complaint", () => {
    const told = load(
      "url: http://bob:s3cret@h:1/v1?key=s3cret\nname: gpu",
      `${base}\nauth: { type: bearer, token: 's3cret\${NOPE}' }\nheaders: { X-A: "s3cret\\u0001" }`
    )
      .diagnostics.map(({ message }) => message)
      .join("\n")
    expect(told).toContain('invalid endpoint config for "gpu": endpoint URL for "gpu" must not embed credentials')
    expect(told).not.toMatch(/s3cret|bob|\$\{/)
  })
})

describe("warnings", () => {
  it.each([
    [`${base}\nheaders: { Content-Length: '5' }`, 'header "Content-Length"'],
    [`${base}\nauth: { type: bearer, token: x, header: X-Foo }`, "auth.header"],
    ["url: http://api.example.com\nauth: { type: bearer, token: x }", "unencrypted"],
    [`${base}\nauth: { type: bearer, token: x }\nhealth_check_url: http://mon.example/h`, "http://mon.example"],
    [`${base}\ntls: { server_name: x }`, "no effect"],
    ["url: https://h\ntls: { insecure_skip_verify: true }", "NOT verified"]
  ])("%j", (entry, text) => {
    expect(errors(entry)).toEqual([])
    expect(warnings(entry).map(({ message }) => message)).toEqual([expect.stringContaining(text)])
  })
  it("leave the transport's headers out of requests", () => {
    expect(load(`${base}\nheaders: { Connection: close, X-A: b }`).specs[0]?.credentials.headers).toEqual([["X-A", "b"]])
  })
  it("do not come for plain http inside a private network, or for https", () => {
    expect(warnings(`${base}\nauth: { type: bearer, token: x }`, "url: https://api.example.com\nauth: { type: bearer, token: x }")).toEqual(
      []
    )
  })
})

describe("a query or a fragment in a URL", () => {
  it.each([
    ["url: http://h:1/?a=secret#c", ["its query goes along"]],
    ["url: http://h:1\nhealth_check_url: '/h?x=1#f'\nmodel_url: 'http://h:1/m#f'", ["what stands behind #", "what stands behind #"]],
    ["url: http://h:1\nhealth_check_url: '/h?x=1'", []]
  ])("%j is told", (entry, texts) => {
    const told = warnings(entry).map(({ message }) => message)
    expect(told).toEqual(texts.map((text) => expect.stringContaining(text)))
    expect(told.join()).not.toContain("secret")
  })
})

describe("variables in URLs", () => {
  it("are expanded before the URL is judged", () => {
    const [spec] = load("url: http://${HOST}:8000/v1\nmodel_url: http://${HOST}/m").specs
    expect(spec).toMatchObject({ url: "http://gpu.lan:8000/v1", name: "gpu.lan:8000", modelReference: "http://gpu.lan/m" })
  })
  it("name variable and endpoint when they are not set", () => {
    expect(errors("url: http://${NOPE}\nname: gpu").map(({ message }) => message)).toEqual([
      'endpoint "gpu": url: required environment variable "NOPE" is not set'
    ])
  })
  it("do not smuggle credentials in", () => {
    const config = configOf("url: http://${UP}@h\nname: gpu")
    const [first] = loadEndpoints(config, profiles, { UP: "bob:s3cret" }, readFile).diagnostics
    expect(first?.message).toContain("must not embed credentials")
    expect(first?.message).not.toContain("s3cret")
  })
})

describe("a URL with a path", () => {
  const told = (entry: string) =>
    load(`name: gpu\n${entry}`)
      .diagnostics.filter(({ severity }) => severity === "info")
      .map(({ message }) => message)
  it("says what will be asked for, with a version that is there once", () => {
    expect(told("url: http://h:8000/v1\ntype: vllm")).toEqual([
      'endpoint "gpu": checks http://h:8000/health, lists http://h:8000/v1/models, chats at http://h:8000/v1/chat/completions'
    ])
    expect(told("url: http://h/qwen\ntype: vllm")).toEqual([
      'endpoint "gpu": checks http://h/qwen/health, lists http://h/qwen/v1/models, chats at http://h/qwen/v1/chat/completions'
    ])
    expect(told("url: https://api.test/openai/v1?key=s3cret\ntype: openai-compatible\nhealth_check_url: /v1/models")).toEqual([
      'endpoint "gpu": checks https://api.test/openai/v1/models, lists https://api.test/openai/v1/models, chats at https://api.test/openai/v1/chat/completions'
    ])
    expect(told("url: http://h:8000/\ntype: vllm")).toEqual([])
  })
  it("is kept for requests unless checks and lists are both elsewhere", () => {
    const kept = (more: string) => load(`url: http://h/base\ntype: vllm\n${more}`).specs[0]?.preservePath
    expect(kept("priority: 1")).toBe(true)
    expect(kept("health_check_url: http://h/health")).toBe(true)
    expect(kept("health_check_url: http://h/health\nmodel_url: http://h/models")).toBe(false)
    expect(kept("health_check_url: http://h/health\nmodel_url: http://h/models\npreserve_path: true")).toBe(true)
  })
  it.each(["http://user%40h:1", "http://user%3apw%40h/v1"])("%s hides no credentials in its authority", (url) => {
    expect(errors(`url: ${url}\nname: gpu`).map(({ message }) => message)).toEqual([expect.stringContaining("must not embed credentials")])
  })
})

describe("tls", () => {
  it.each([
    ["{ ca_file: /run/none }", 'endpoint "gpu": tls.ca_file: reading "/run/none": no such file or directory'],
    ["{ ca_file: /run/token }", 'endpoint "gpu": tls files cannot be used: '],
    ["{ cert_file: /run/token }", 'endpoint "gpu": tls.cert_file and tls.key_file are only valid together']
  ])("%s is refused", (tls, text) => {
    expect(errors(`url: https://h\nname: gpu\ntls: ${tls}`).map(({ message }) => message)).toEqual([expect.stringContaining(text)])
  })
  it("reaches the origin", () => {
    const [spec] = load("url: https://h\ntls: { server_name: inner, insecure_skip_verify: true }").specs
    expect(spec?.origin.tls).toMatchObject({ serverName: "inner", rejectUnauthorized: false, ca: undefined })
  })
})

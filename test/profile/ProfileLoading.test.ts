import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { render } from "../../src/config/Diagnostic.ts"
import { loadProfiles, shippedFiles } from "../../src/profile/ProfileLoading.ts"

const none = { include: [], exclude: [] }

/** A working directory with these profile files. */
const load = (
  files: Readonly<Record<string, string>>,
  filter: { include: ReadonlyArray<string>; exclude: ReadonlyArray<string> } = none
) => {
  const cwd = mkdtempSync(join(tmpdir(), "profiles-"))
  for (const [name, text] of Object.entries(files)) {
    const path = join(cwd, "config", "profiles", name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  return loadProfiles({ cwd, env: {}, configFolder: undefined, filter })
}
const names = (set: Iterable<{ readonly name: string }>) => [...set].map((profile) => profile.name).sort()
const said = (set: ReturnType<typeof load>) => set.diagnostics.map(render).join("\n")

describe("the shipped profiles", () => {
  const set = load({})
  it("are twelve, whole and without findings", () => {
    expect(set.all).toHaveLength(13)
    expect(set.diagnostics).toEqual([])
    for (const profile of set.all) {
      expect(profile.openaiCompatible).toBe(true)
      expect(profile.paths.length).toBeGreaterThan(3)
      expect(profile.metrics.enabled).toBe(true)
      expect(profile.prefixes.length).toBeGreaterThan(0)
    }
    expect(set.all.at(-1)?.name).toBe("openai-compatible")
  })

  it.each([
    ["ollama", "/", "/api/tags", "ollama"],
    ["lm-studio", "/v1/models", "/api/v0/models", "lmstudio"],
    ["llamacpp", "/health", "/v1/models", "llamacpp"],
    ["lemonade", "/api/v1/health", "/api/v1/models", "lemonade"],
    ["litellm", "/health/liveness", "/v1/models", "openai"],
    ["docker-model-runner", "/engines/v1/models", "/engines/v1/models", "docker-model-runner"],
    ["omlx", "/health", "/v1/models", "openai"],
    ["openai-compatible", "/v1/models", "/v1/models", "openai"]
  ])("%s asks %s and lists at %s", (name, health, listing, format) => {
    expect(set.byName(name)).toMatchObject({ healthCheckPath: health, modelDiscoveryPath: listing, listingFormat: format })
  })

  it("know who speaks Anthropic's API, and where", () => {
    const native = set.all.filter((profile) => profile.anthropic?.enabled === true)
    expect(names(native)).toEqual(["docker-model-runner", "llamacpp", "lm-studio", "ollama", "omlx", "rapid-mlx", "vllm", "vllm-mlx"])
    expect(set.byName("docker-model-runner")?.anthropic?.messagesPath).toBe("/anthropic/v1/messages")
  })

  it.each([
    ["lmstudio", "lm-studio"],
    ["lm_studio", "lm-studio"],
    ["dmr", "docker-model-runner"],
    ["openai", "openai-compatible"],
    ["vllm", "vllm"],
    ["auto", undefined],
    ["", undefined],
    ["OLLAMA", undefined]
  ])("the type %j is %s", (type, name) => {
    expect(set.resolveType(type)?.name).toBe(name)
  })

  it("prefer a path by whole segments, the longest first, and never by a bare slash", () => {
    expect(set.forPath("/v1/chat/completions").size).toBe(11)
    expect(names(set.forPath("/engines/v1/embeddings"))).toEqual(["docker-model-runner"])
    expect(names(set.forPath("/x/y/infill"))).toEqual(["llamacpp"])
    expect(set.forPath("/xinfill").size).toBe(0)
    expect(set.forPath("/foo/").size).toBe(0)
    expect(names(set.forPath("/"))).toEqual(["litellm", "ollama"])
  })
})

describe("profiles of the user's own", () => {
  it("add a kind with one file", () => {
    const set = load({
      "tgi.yaml":
        "name: tgi\nrouting: {prefixes: [tgi, text-gen]}\napi:\n  openai_compatible: yes\n  paths: [/v1/chat/completions, /generate]\n  model_discovery_path: /info\n  health_check_path: /health\nrequest: {response_format: openai}\n"
    })
    expect(set.resolveType("text-gen")).toMatchObject({ name: "tgi", healthCheckPath: "/health", openaiCompatible: true })
    expect(set.all).toHaveLength(14)
  })

  it("start from another with extends, but keep their own prefixes", () => {
    const set = load({ "mine.yaml": "name: mine\nextends: vllm\nrouting: {prefixes: [mine]}\napi: {health_check_path: /ping}\n" })
    expect(set.byName("mine")).toMatchObject({
      healthCheckPath: "/ping",
      modelDiscoveryPath: "/v1/models",
      listingFormat: "vllm",
      prefixes: ["mine"]
    })
    const own = load({ "x.yaml": "name: vllm\nextends: vllm\napi: {health_check_path: /ping}\n" })
    expect(own.byName("vllm")).toMatchObject({ healthCheckPath: "/ping", prefixes: ["vllm"] })
  })

  it("replace a shipped one whole, by a file of any name, and are told what is lost", () => {
    const set = load({ "vllm.yaml": "name: vllm\n", "a-vllm-custom.yaml": "name: vllm\nversion: 1.0\nrouting: {prefixes: [vllm]}\n" })
    expect(set.byName("vllm")).toMatchObject({ version: "1.0", modelDiscoveryPath: "" })
    expect(said(set)).toContain("without an api block")
    expect(said(set)).toContain('profile "vllm" is defined here and in')
  })

  it.each([
    ["name: [", "failed to parse profile YAML"],
    ["version: 1", "profile name is required"],
    ["", "profile name is required"],
    ["name: x\nname: y", "already defined at line 1"],
    ["name: x\napi: {paths: /v1}", "api.paths must be a list"],
    ["name: x\napi: {openai_compatible: maybe}", 'line 2: api.openai_compatible must be true or false, got "maybe"'],
    ["name: x\n\ncharacteristics: {timeout: 5}", 'line 3: characteristics.timeout must be a duration such as 90s or 2m, got "5"'],
    ["name: x\ncharacteristics: {max_concurrent_requests: many}", "characteristics.max_concurrent_requests must be a whole number"],
    ["name: x\ndetection: {default_ports: [80, http]}", 'detection.default_ports[1] must be a whole number, got "http"'],
    ["name: x\nmodels: {capability_patterns: {vision: '*vl*'}}", "models.capability_patterns.vision must be a list"],
    ["name: x\nmodels: {context_patterns: [{pattern: a, context: big}]}", "models.context_patterns[0].context must be a whole number"],
    [
      "name: x\nresources: {model_sizes: [{patterns: [7b], min_memory_gb: lots}]}",
      "resources.model_sizes[0].min_memory_gb must be a number"
    ],
    ["name: x\nmetrics: {extraction: {paths: [a]}}", "metrics.extraction.paths must be a mapping"],
    ["name: {a: b}", "line 1: name must be a text"],
    ["- name: x", "a profile must be a mapping"],
    ["just words", "a profile must be a mapping"],
    ["name: x\nbase: *nowhere", "nowhere"],
    ["name: x\nextends: nobody", 'no profile named "nobody"']
  ])("are skipped with a reason: %j", (text, reason) => {
    const set = load({ "bad.yaml": text })
    expect(set.all).toHaveLength(13)
    expect(said(set)).toContain(reason)
    expect(said(set)).toMatch(/bad\.yaml: profile failed to load, skipping: /)
  })

  it("are read with YAML's own freedoms: 1.1 booleans, fractions, anchors, merges, and only the first document", () => {
    const set = load({
      "x.yaml": `defaults: &d {openai_compatible: on, enforce_paths: No}
name: x
version: 1.0
api: {<<: *d, paths: [/v1/x]}
characteristics: {timeout: 1h30m, max_concurrent_requests: 12.7}
path_indices: {health: null}
request:
---
name: other
`
    })
    expect(set.byName("x")).toMatchObject({ version: "1.0", openaiCompatible: true, enforcePaths: false })
    expect(set.byName("other")).toBeUndefined()
    expect(set.diagnostics).toEqual([])
  })

  it.each([
    ["routing: {prefixes: [models, ok]}", 'routing prefix "models" belongs to Olla'],
    ["routing: {prefixes: [a/b]}", 'routing prefix "a/b" is malformed'],
    ["request: {response_format: xml}", 'unknown request.response_format "xml"'],
    ["metrics: {extraction: {calculations: {x: '1 +'}}}", "invalid calculation x"],
    ["routing: {prefixes: [x, y, x]}", 'routing prefix "x" stands twice'],
    ["path_indices: {embeddings: 1}", "path_indices.embeddings is 1, but api.paths has 1 entries"],
    ["path_indices: {models: -2}", "path_indices.models is -2"],
    ["resources: {model_sizes: [{patterns: ['*7b*']}]}", '"*7b*" is no glob'],
    ["characterstics: {}", "line 3: unknown key characterstics, did you mean characteristics?"]
  ])("keep working with a finding: %s", (text, finding) => {
    const set = load({ "x.yaml": `name: x\napi: {paths: [/v1/x]}\n${text}\n` })
    expect(set.byName("x")).toBeDefined()
    expect(said(set)).toContain(finding)
  })

  it.each([
    ["name: Shouting\napi: {paths: [/a]}", 'name "Shouting" is not as routes write it: "shouting"'],
    ["name: lmstudio\napi: {paths: [/a]}", "lmstudio stays with lmstudio, not with lm-studio"],
    ["name: x", "api.paths is empty"],
    ["name: x\napi: {paths: [v1/x]}", '"v1/x" does not start with /'],
    ["name: x\napi: {paths: [/a], anthropic_support: {enabled: true}}", "without messages_path, /v1/messages is used"],
    ["name: x\napi: {paths: [/a], openai_compatable: true}", "unknown key api.openai_compatable, did you mean openai_compatible?"]
  ])("keep working with a finding of the whole file: %j", (text, finding) => {
    const set = load({ "x.yaml": text })
    expect(set.all).toHaveLength(14)
    expect(said(set)).toContain(finding)
  })

  /** Keys that profile files in the wild carry and nobody reads. */
  it("may carry keys that are not known", () => {
    const set = load({
      "x.yaml": `name: x
home: https://example.org
api: {paths: [/a], metrics_path: /metrics, props_path: /props, slots_path: /slots, stats_path: /stats}
characteristics: {single_model_server: true}
detection: {response_headers: ["Server: x"], server_signatures: [x]}
request: {parsing_rules: {native_completion_path: /c, native_embedding_path: /e, embeddings_path: /v1/embeddings}}
models: {provider_prefixes: [openai/]}
path_indices: {props: -1, tokenize: 6}
resources: {model_sizes: [{patterns: [7b], notes: small}], slot_configuration: {default_slots: 4}, timeout_scaling: {per_token_timeout_ms: 100}}
features: {}
performance: {}
security: {}
deployment: {}
olla_integration: {}
`
    })
    expect(set.byName("x")).toBeDefined()
    expect(set.diagnostics).toEqual([])
  })

  it("win over a file that is named like a shipped one, whatever their order, and both are named", () => {
    const custom = "name: docker-model-runner\nextends: docker-model-runner\napi: {health_check_path: /mine}\n"
    const shipped = "name: docker-model-runner\nextends: docker-model-runner\napi: {health_check_path: /copy}\n"
    for (const name of ["dmr-custom.yaml", "zz.yaml"]) {
      const set = load({ [name]: custom, "dmr.yaml": shipped })
      expect(set.byName("docker-model-runner")?.healthCheckPath).toBe("/mine")
      expect(said(set)).toMatch(new RegExp(`profile "docker-model-runner" is defined here and in .*(?:${name}|dmr\\.yaml)`))
    }
    const later = load({ "a.yaml": custom, "b.yaml": custom.replace("/mine", "/later") })
    expect(later.byName("docker-model-runner")?.healthCheckPath).toBe("/later")
  })

  it("say by data what Olla refuses, lists and calls otherwise, and which kind is the generic one", () => {
    const set = load({
      "x.yaml": `name: x
version_listing: {name: X, place: 2}
routing:
  prefixes: [x]
  generic_paths: true
  refused_paths: {/admin/*: "not through here"}
  refused_everywhere: {/root: "nowhere"}
api:
  paths: [/a]
  openai_compatible: true
  model_discovery_path: list
  listing_paths: {/other: openai, /odd: xml}
request: {response_format: ollama}
models: {implied_tag: newest}
`
    })
    expect(set.byName("x")).toMatchObject({
      generic: false,
      genericPaths: true,
      refusedPaths: [["/admin/*", "not through here"]],
      refusedEverywhere: [["/root", "nowhere"]],
      impliedTag: "newest",
      listedAs: { name: "X", place: 2 }
    })
    expect([...(set.byName("x")?.listings ?? [])]).toEqual([
      ["/list", "ollama"],
      ["/v1/models", "openai"],
      ["/other", "openai"]
    ])
    expect(said(set)).toContain('unknown form "xml" in api.listing_paths, /odd is forwarded')
    expect(set.generic?.name).toBe("openai-compatible")
  })

  it("that replace a shipped one whole keep what older files could not say", () => {
    const set = load({
      "a.yaml": "name: ollama\nrouting: {prefixes: [ollama], refused_paths: {/api/show: '', /api/copy: ''}}\napi: {paths: [/a]}\n",
      "b.yaml": "name: openai-compatible\nrouting: {prefixes: [openai]}\napi: {paths: [/a]}\n",
      "c.yaml": "name: mine\nextends: openai-compatible\n"
    })
    expect(set.byName("ollama")).toMatchObject({ impliedTag: "latest", paths: ["/a"] })
    expect(set.byName("ollama")?.refusedEverywhere.map(([path]) => path)).toContain("/api/pull")
    expect(set.byName("ollama")?.refusedEverywhere.map(([path]) => path)).not.toContain("/api/copy")
    expect(set.byName("ollama")?.refusedPaths.map(([path]) => path)).not.toContain("/api/show")
    expect(set.generic?.paths).toEqual(["/a"])
    expect(set.byName("mine")).toMatchObject({ generic: false, listedAs: { name: "mine" } })
  })

  it("are extended in turn, and a cycle is skipped", () => {
    const set = load({
      "a.yaml": "name: a\nextends: vllm\napi: {health_check_path: /a}\n",
      "b.yaml": "name: b\nextends: a\napi: {model_discovery_path: /b}\nmetrics: {extraction: {paths: {extra: $.x}}}\n",
      "c.yaml": "name: c\nextends: d\n",
      "d.yaml": "name: d\nextends: c\n"
    })
    expect(set.byName("b")).toMatchObject({ healthCheckPath: "/a", modelDiscoveryPath: "/b", listingFormat: "vllm", prefixes: [] })
    expect(set.byName("b")?.metrics.paths).toMatchObject({ extra: "$.x", input_tokens: "$.usage.prompt_tokens" })
    expect([set.byName("c"), set.byName("d")]).toEqual([undefined, undefined])
    expect(said(set)).toContain('no profile named "d" has been read before this file')
  })

  it("of a folder that cannot be read leave the shipped ones, with a warning", () => {
    const cwd = mkdtempSync(join(tmpdir(), "profiles-"))
    mkdirSync(join(cwd, "config"))
    writeFileSync(join(cwd, "config", "profiles"), "not a folder")
    const set = loadProfiles({ cwd, env: {}, configFolder: undefined, filter: none })
    expect(set.all).toHaveLength(13)
    expect(said(set)).toContain("profiles folder cannot be read")
  })

  it("of a broken link, and one that loops, are skipped", () => {
    const cwd = mkdtempSync(join(tmpdir(), "profiles-"))
    const folder = join(cwd, "config", "profiles")
    mkdirSync(folder, { recursive: true })
    symlinkSync(join(cwd, "gone"), join(folder, "gone.yaml"))
    symlinkSync(folder, join(folder, "loop.yaml"))
    writeFileSync(join(cwd, "linked"), "name: linked\napi: {paths: [/a]}\n")
    symlinkSync(join(cwd, "linked"), join(folder, "linked.yaml"))
    const set = loadProfiles({ cwd, env: {}, configFolder: undefined, filter: none })
    expect(set.all).toHaveLength(14)
    expect(said(set)).toMatch(/gone\.yaml: profile failed to load, skipping: failed to read profile file/)
  })

  it("come from the folder of the configuration, of the working directory and of OLLA_CONFIG_DIR, the later the stronger", () => {
    const folders = ["one", "two", "three"].map(() => mkdtempSync(join(tmpdir(), "profiles-")))
    const [configFolder = "", cwd = "", env = ""] = folders
    const put = (folder: string, text: string) => {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, "x.yaml"), text)
    }
    put(join(configFolder, "profiles"), "name: x\napi: {paths: [/one], health_check_path: /one}\n")
    const set = () => loadProfiles({ cwd, env: { OLLA_CONFIG_DIR: env }, configFolder, filter: none }).byName("x")?.healthCheckPath
    expect(set()).toBe("/one")
    put(join(cwd, "config", "profiles"), "name: x\nextends: x\napi: {health_check_path: /two}\n")
    expect(set()).toBe("/two")
    put(join(env, "profiles"), "name: x\nextends: x\napi: {health_check_path: /three}\n")
    expect(set()).toBe("/three")
  })

  it("leave a claimed prefix with the first by name", () => {
    const set = load({
      "z.yaml": "name: aaa\nrouting: {prefixes: [shared]}\napi: {paths: [/a]}\n",
      "y.yaml": "name: bbb\nrouting: {prefixes: [shared, b]}\napi: {paths: [/b]}\n"
    })
    expect(set.resolveType("shared")?.name).toBe("aaa")
    expect(set.byName("bbb")?.prefixes).toEqual(["b"])
    expect(said(set)).toContain("two profiles claim the same routing prefix")
  })

  it("are found in folders below, but only as .yaml", () => {
    expect(load({ "sub/dir/deep.yaml": "name: deep\napi: {paths: [/d]}\n", "no.yml": "name: no\n" }).all).toHaveLength(14)
  })
})

it("the example of the documentation is a profile without findings", () => {
  const page = readFileSync(new URL("../../docs/backends.md", import.meta.url), "utf8")
  const example = /```yaml\n(# config\/profiles\/cedarserve.yaml\n[\s\S]*?)```/.exec(page)?.[1] ?? ""
  const set = load({ "cedarserve.yaml": example })
  expect(set.diagnostics).toEqual([])
  expect(set.byName("cedarserve")).toMatchObject({
    prefixes: ["cedarserve", "cedar"],
    healthCheckPath: "/healthz",
    anthropic: { enabled: true, messagesPath: "/claude/v1/messages", limitations: ["no_vision"] },
    metrics: { enabled: true, paths: { gen_ms: "$.cedar.decode_ms" } }
  })
})

describe("proxy.profile_filter", () => {
  it("takes profiles out of everything", () => {
    const set = load({}, { include: ["*"], exclude: ["ollama", "*-mlx"] })
    expect(set.resolveType("ollama")).toBeUndefined()
    expect(set.typeNames).not.toContain("ollama")
    expect(set.all).toHaveLength(10)
    expect(names(load({}, { include: ["vllm*"], exclude: [] }).all)).toEqual(["vllm", "vllm-mlx"])
  })
})

it("every shipped file is one that users may replace by name", () => {
  expect(
    readdirSync(new URL("../../config/profiles", import.meta.url))
      .filter((name) => name.endsWith(".yaml"))
      .sort()
  ).toEqual([...shippedFiles].sort())
})

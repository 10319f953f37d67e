import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

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
const said = (set: ReturnType<typeof load>) => set.diagnostics.map((diagnostic) => diagnostic.message).join("\n")

describe("the shipped profiles", () => {
  const set = load({})
  it("are twelve, whole and without findings", () => {
    expect(set.all).toHaveLength(12)
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
    expect(names(native)).toEqual(["docker-model-runner", "llamacpp", "lm-studio", "ollama", "omlx", "vllm", "vllm-mlx"])
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
    expect(set.forPath("/v1/chat/completions").size).toBe(10)
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
    expect(set.all).toHaveLength(13)
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
    ["name: x\napi: {openai_compatible: maybe}", "api.openai_compatible must be true or false"],
    ["name: x\nextends: nobody", 'no profile named "nobody"']
  ])("are skipped with a reason: %j", (text, reason) => {
    const set = load({ "bad.yaml": text })
    expect(set.all).toHaveLength(12)
    expect(said(set)).toContain(reason)
  })

  it.each([
    ["routing: {prefixes: [models, ok]}", 'routing prefix "models" belongs to Olla'],
    ["routing: {prefixes: [a/b]}", 'routing prefix "a/b" is malformed'],
    ["request: {response_format: xml}", 'unknown request.response_format "xml"'],
    ["metrics: {extraction: {calculations: {x: '1 +'}}}", "invalid calculation x"]
  ])("keep working with a finding: %s", (text, finding) => {
    const set = load({ "x.yaml": `name: x\napi: {paths: [/v1/x]}\n${text}\n` })
    expect(set.byName("x")).toBeDefined()
    expect(said(set)).toContain(finding)
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
    expect(load({ "sub/dir/deep.yaml": "name: deep\napi: {paths: [/d]}\n", "no.yml": "name: no\n" }).all).toHaveLength(13)
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
  expect(readdirSync(new URL("../../config/profiles", import.meta.url)).sort()).toEqual([
    "dmr.yaml",
    "lemonade.yaml",
    "litellm.yaml",
    "llamacpp.yaml",
    "lmdeploy.yaml",
    "lmstudio.yaml",
    "ollama.yaml",
    "omlx.yaml",
    "openai-compatible.yaml",
    "sglang.yaml",
    "vllm-mlx.yaml",
    "vllm.yaml"
  ])
})

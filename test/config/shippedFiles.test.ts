/** The shipped configuration, the image's and every example: all of them load without a word. */
import { globSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { containerConfig } from "../../scripts/containerConfig.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { type Diagnostic, render } from "../../src/config/Diagnostic.ts"
import { allKeys } from "../../src/config/SchemaTree.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

const root = join(import.meta.dirname, "..", "..")
const text = (path: string): string => readFileSync(join(root, path), "utf8")

/** Secrets of a machine that has them all. */
const secret = (path: string): string =>
  path.endsWith(".pem") || path.endsWith(".key")
    ? readFileSync(join(import.meta.dirname, "..", "endpoint", "tls", path.slice(path.lastIndexOf("/") + 1)), "utf8")
    : "secret"

/** Every finding but remarks about keys that do nothing. */
const findings = (content: string): ReadonlyArray<string> => {
  const env = Object.fromEntries([...content.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => [name ?? "", "value"]))
  const loaded = decodeConfig(content, "file.yaml", env)
  if (loaded.config === undefined) return loaded.diagnostics.map(render)
  const filter = loaded.config.proxy.profile_filter
  const profiles = loadProfiles({ cwd: "/nonexistent", env, configFolder: undefined, filter })
  const all: ReadonlyArray<Diagnostic> = [
    ...loaded.diagnostics,
    ...loaded.adopt(loadEndpoints(loaded.config, profiles, env, secret).diagnostics)
  ]
  return all.filter((finding) => finding.severity !== "info").map(render)
}

const shipped = text("config/config.yaml")

describe("the shipped configuration", () => {
  it("is the same in both places", () => {
    expect(text("config.yaml")).toBe(shipped)
  })

  it("has no findings", () => {
    expect(findings(shipped)).toEqual([])
  })

  it("says what is built in, but for its endpoints and what only spells out a default", () => {
    const own = decodeConfig(shipped, "c.yaml", {}).config
    const builtIn = decodeConfig("", "", {}).config
    // An endpoint says where and what it is; its kind knows the rest.
    expect(parse(shipped).discovery.static.endpoints).toEqual([
      { url: "http://localhost:11434", name: "local-ollama", type: "ollama", priority: 100 },
      { url: "http://localhost:1234", name: "local-lm-studio", type: "lm-studio", priority: 100 },
      { url: "http://localhost:8000", name: "local-vllm", type: "vllm", priority: 100 }
    ])
    expect(own).toEqual({
      ...builtIn,
      server: { ...builtIn?.server, read_header_timeout: 10_000 },
      proxy: { ...builtIn?.proxy, load_balancer: "adaptive", connection_keep_alive: 30_000, tls_handshake_timeout: 10_000 },
      discovery: { ...builtIn?.discovery, static: own?.discovery.static }
    })
  })

  it("becomes the image's by other hosts alone", () => {
    const changed = containerConfig(shipped)
    expect(findings(changed)).toEqual([])
    const config = decodeConfig(changed, "c.yaml", {}).config
    expect(config?.server.host).toBe("0.0.0.0")
    expect(config?.dashboard.access_policy.allowed_hosts).toEqual(["localhost"])
    expect(config?.discovery.static.endpoints.map((endpoint) => endpoint.url)).toEqual([
      "http://host.docker.internal:11434",
      "http://host.docker.internal:1234",
      "http://host.docker.internal:8000"
    ])
  })
})

const examples = globSync(["examples/config/*.yaml", "examples/compose/*/olla.yaml", "examples/monitoring/olla.yaml"], { cwd: root }).sort()

describe("every example configuration", () => {
  it("is there", () => {
    expect(examples.length).toBeGreaterThanOrEqual(30)
    const listed = text("examples/README.md")
    for (const path of examples) if (path.startsWith("examples/config/")) expect(listed).toContain(path.split("/")[2])
  })

  it.each(examples)("%s has no findings", (path) => {
    expect(findings(text(path))).toEqual([])
  })

  it("and the complete one names every key of the schema", () => {
    const complete = text("examples/config/complete.yaml")
    const missing = allKeys().filter(({ path }) => !new RegExp(`[\\s{#-]${path.slice(path.lastIndexOf(".") + 1)}:`).test(complete))
    expect(missing.map(({ path }) => path)).toEqual([])
  })
})

describe("every compose file", () => {
  it.each(globSync(["examples/compose/*/compose.yaml", "examples/monitoring/compose.yaml"], { cwd: root }))(
    "%s runs Olla from the image's file, read-only, with the configuration beside it",
    (path) => {
      const { services } = parse(text(path)) as { services: Record<string, Record<string, unknown>> }
      expect(services["olla"]).toMatchObject({
        build: { context: relative(join(root, dirname(path)), root), dockerfile: "examples/container/Containerfile" },
        volumes: ["./olla.yaml:/app/config.yaml:ro"],
        read_only: true,
        cap_drop: ["ALL"]
      })
    }
  )
})

describe("the image", () => {
  const lines = text("examples/container/Containerfile").split("\n")
  it("is not root's, asks its own daemon, and starts it", () => {
    const last = lines.slice(lines.lastIndexOf("FROM node:26-slim"))
    expect(last).toContain("USER 10001:10001")
    expect(last).toContain("WORKDIR /app")
    expect(last).toContain("EXPOSE 40114")
    expect(last).toContain('ENTRYPOINT ["olla"]')
    expect(last.find((line) => line.startsWith("HEALTHCHECK"))).toMatch(
      /--interval=30s --timeout=10s .*--retries=3 CMD \["olla", "healthcheck"\]/
    )
    // It would win over the file that people mount.
    expect(last.join("\n")).not.toContain("/app/config/config.yaml")
  })
})

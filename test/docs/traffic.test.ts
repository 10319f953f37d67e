/** The configurations of docs/traffic.md are right as they stand there, and the keys that it names exist. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { allKeys } from "../../src/config/SchemaTree.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "traffic.md"), "utf8")
const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = ""]) => yaml)
const set = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

describe("docs/traffic.md", () => {
  it("has its worked cases", () => expect(examples.length).toBeGreaterThanOrEqual(6))

  it.each(examples.map((yaml) => [Object.keys(parse(yaml) as object).join(), yaml] as const))("has nothing wrong in %s", (_, yaml) => {
    const { config, diagnostics } = decodeConfig(yaml, "traffic.yaml", {})
    expect(diagnostics.filter(({ severity }) => severity !== "info")).toEqual([])
    if (config === undefined) throw new Error("no configuration")
    expect(loadEndpoints(config, set, {}, () => "").diagnostics.filter(({ severity }) => severity !== "info")).toEqual([])
  })

  it("names only keys that there are", () => {
    const known = new Set(allKeys().map(({ path }) => path))
    const named = [...page.matchAll(/`((?:traffic|proxy)\.[a-z_.]+)/g)].map(([, key = ""]) => key)
    expect(named.length).toBeGreaterThan(10)
    expect(
      named.filter((key) => !known.has(key) && ![...known].some((path) => path.startsWith(`${key}.`) || path.startsWith(`${key}[]`)))
    ).toEqual([])
  })
})

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { modelsFile } from "../../scripts/modelsFile.ts"
import { defaultRules } from "../../src/catalogue/AttributeRules.ts"
import { defaultModelRules } from "../../src/catalogue/ModelRules.ts"
import { loadModelRules, logModelRules, readModelRules, reportOf } from "../../src/catalogue/ModelsFile.ts"
import { listed } from "./fakes.ts"

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "olla-models-"))
  mkdirSync(join(root, "a", "b"), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const put = (path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
const mapped = (to: string) => `quantization: { mappings: { Q9: ${to} } }`
const load = (more: { env?: Record<string, string>; configFolder?: string } = {}) =>
  loadModelRules({ cwd: join(root, "a", "b"), env: more.env ?? {}, configFolder: more.configFolder })

describe("models.yaml", () => {
  it("is looked for in these places, in this order", () => {
    const places = [
      ["../../conf/models.yaml", "$OLLA_CONFIG_DIR"],
      ["models.yaml", "models.yaml"],
      ["config/models.yaml", "config/models.yaml"],
      ["config-base/models.yaml", "config-base/models.yaml"],
      ["../config/models.yaml", "../config/models.yaml"],
      ["../../config/models.yaml", "../../config/models.yaml"],
      ["../../beside/models.yaml", "beside the configuration"]
    ] as const
    const sources = { env: { OLLA_CONFIG_DIR: join(root, "conf") }, configFolder: join(root, "beside") }
    for (const [place, name] of places) put(join("a", "b", place), mapped(JSON.stringify(name)))
    for (const [place, name] of places) {
      expect(load(sources).rules.quantization("Q9")).toBe(name)
      rmSync(join(root, "a", "b", place))
    }
    expect(load(sources)).toMatchObject({ path: undefined, warnings: [] })
  })

  it("passes over what it cannot use, and says why", () => {
    put("a/b/models.yaml", "quantization: { mappings: [1, 2] }")
    put("a/b/config/models.yaml", "a: [unclosed")
    mkdirSync(join(root, "a/b/config-base/models.yaml"), { recursive: true })
    put("a/config/models.yaml", "version: '1.0'\nmodel_extraction:\n")
    put("config/models.yaml", mapped("nine"))
    const { path, warnings, rules } = load()
    expect(path).toBe("../../config/models.yaml")
    expect(rules.quantization("Q9")).toBe("nine")
    expect(warnings).toEqual([
      "models.yaml: yaml: line 1: quantization.mappings must be a mapping",
      expect.stringMatching(/^config\/models\.yaml: yaml: line \d+: /),
      "config-base/models.yaml: is a directory",
      "../config/models.yaml: parsed but contains no configuration"
    ])
  })

  it.skipIf(process.getuid?.() === 0)("names a file that may not be read", () => {
    put("a/b/models.yaml", mapped("nine"))
    chmodSync(join(root, "a/b/models.yaml"), 0)
    expect(load().warnings).toEqual(["models.yaml: permission denied"])
  })

  it("falls back to the built-in rules when a pattern is wrong, without looking further", () => {
    put(
      "a/b/models.yaml",
      "capabilities: { name_patterns: [{ pattern: '(?=x)', capabilities: [a] }] }\nquantization: { mappings: { Q9: nine } }"
    )
    put("a/b/config/models.yaml", mapped("other"))
    const { path, rules, warnings } = load()
    expect(path).toBeUndefined()
    expect(rules).toBe(defaultRules)
    expect(warnings).toEqual(["models.yaml: error parsing regexp: invalid or unsupported Perl syntax: `(?=` in `(?=x)`"])
  })

  it("refuses a group that the pattern does not have", () => {
    put("a/b/models.yaml", "model_extraction: { family_patterns: [{ pattern: '^(x)', family_group: 1, variant_group: 2 }] }")
    expect(load().warnings).toEqual(["models.yaml: pattern `^(x)` has no group 2"])
  })

  it("replaces what it has and keeps what it leaves out", () => {
    put(
      "a/b/models.yaml",
      [
        "model_extraction:",
        "  family_patterns: [{ pattern: '^(acme)-(\\d+)', family_group: 1, variant_group: 2 }]",
        "  publisher_mappings: { acme: Acme Corp }",
        "special_rules: { preserve_family: [whole] }"
      ].join("\n")
    )
    const { rules } = load()
    expect(rules.familyOf("acme-7x")).toEqual({ family: "acme", variant: "7" })
    // The shipped patterns are gone, the delimiter rule and its aliases are not.
    expect(rules.familyOf("llama3.2:1b")).toEqual({ family: "llama", variant: "" })
    expect(rules.familyOf("whole-9")).toEqual({ family: "whole", variant: "" })
    expect(rules.publisher(listed("qwen3"))).toBeUndefined()
    expect(rules.quantization("Q4_K_M")).toBe("q4km")
  })

  it("tells sections that nobody reads", () => {
    put("a/b/models.yaml", `${mapped("nine")}\nversion: "1.0"\nquantisation: {}\ncapabilities:\n  name_pattern: []\n`)
    expect(load().remarks).toEqual([
      'models.yaml: line 3: "quantisation" is not a section',
      'models.yaml: line 5: "capabilities.name_pattern" is not a section'
    ])
    expect(reportOf(loadModelRules({ cwd: join(root, "a", "b"), env: {}, configFolder: undefined }))).toEqual({
      source: "loaded from models.yaml",
      issues: []
    })
  })

  it("as shipped says what is built in, word for word", () => {
    expect(readModelRules(modelsFile())).toEqual({ _tag: "ok", rules: defaultModelRules, unread: [] })
  })
})

describe("what the start says of it", () => {
  const said = async () => {
    const lines: Array<readonly [string, string, unknown]> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      const [text, fields] = Array.isArray(message) ? message : [message]
      lines.push([logLevel, String(text), fields])
    })
    await Effect.runPromise(logModelRules(load()).pipe(Effect.provide(Logger.layer([logger]))))
    return lines
  }

  it("is the source, when a file is used", async () => {
    put("a/b/models.yaml", mapped("nine"))
    expect(await said()).toEqual([["Info", "model unification config loaded", { source: "models.yaml" }]])
  })

  it("is what was passed over, and what is used instead", async () => {
    put("a/b/models.yaml", "[]")
    expect(await said()).toEqual([
      [
        "Warn",
        "model unification config: found unusable models.yaml candidate(s), falling back to embedded defaults",
        { details: "models.yaml: yaml: line 1: not a mapping" }
      ]
    ])
    put("a/b/config/models.yaml", mapped("nine"))
    expect((await said()).map(([level, text]) => [level, text])).toEqual([
      ["Warn", "model unification config: found unusable models.yaml candidate(s), using config/models.yaml instead"],
      ["Info", "model unification config loaded"]
    ])
  })
})

/** Every key of the Schema: a right value, a wrong type, a value out of range, an unknown neighbour. */
import { describe, expect, it } from "vitest"
import type { KeyInfo } from "../../src/config/ConfigKey.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { overrides } from "../../src/config/Environment.ts"
import { allKeys } from "../../src/config/SchemaTree.ts"

/** Nothing that is wrong with telemetry ends a start. */
const severityOf = (path: string): "error" | "warning" => (path.startsWith("telemetry.otlp.") ? "warning" : "error")

/** A document that sets one key. */
const setting = (path: string, value: string): string => {
  const lines: Array<string> = []
  let indent = 0
  let dash = ""
  const steps = path.split(".")
  for (const [index, step] of steps.entries()) {
    const name = step.replace("[]", "")
    lines.push(`${" ".repeat(indent)}${dash}${name}:${index === steps.length - 1 ? ` ${value}` : ""}`)
    indent += dash.length + 2
    dash = step.endsWith("[]") ? "- " : ""
  }
  return `${lines.join("\n")}\n`
}

const accepted = (info: KeyInfo): string => {
  switch (info.kind) {
    case "int":
      return String(Math.max(info.min ?? 7, 7))
    case "bool":
      return "yes"
    case "duration":
      return "1m30s"
    case "size":
      return "64KB"
    case "strings":
    case "entries":
      return "[]"
    case "words":
    case "policy":
    case "word":
      return info.kind === "words" ? `[${info.words?.[0]}]` : (info.words?.[0] ?? "")
    case "map":
      return "{X-A: b}"
    case "ints":
      return "[503]"
    case "aliases":
      return "{a: [b]}"
    default:
      return "text"
  }
}

const wrong = (info: KeyInfo): string =>
  ["map", "aliases", "strings", "words", "ints", "entries"].includes(info.kind) ? "scalar" : "[1, 2]"

const keys = allKeys()
const concrete = (path: string) => path.replace("[]", "[0]")

describe("each key", () => {
  it.each(keys.map(({ path, info }) => [path, info] as const))("%s takes its own kind of value", (path, info) => {
    const { diagnostics } = decodeConfig(setting(path, accepted(info)), "c.yaml", {})
    expect(
      diagnostics.filter(
        (diagnostic) =>
          diagnostic.severity === severityOf(path) && diagnostic.path === concrete(path) && /needs|unknown word/.test(diagnostic.message)
      )
    ).toEqual([])
    expect(diagnostics.filter((diagnostic) => diagnostic.message.startsWith("Unknown key"))).toEqual([])
  })

  it.each(keys.map(({ path, info }) => [path, info] as const))("%s refuses a value of another kind, with line and column", (path, info) => {
    const text = setting(path, wrong(info))
    const found = decodeConfig(text, "c.yaml", {}).diagnostics.filter(
      (diagnostic) => diagnostic.severity === severityOf(path) && diagnostic.path === concrete(path)
    )
    expect(found).toHaveLength(1)
    expect(found[0]?.line).toBe(text.trimEnd().split("\n").length)
    expect(found[0]?.column).toBeGreaterThan(1)
    expect(`${found[0]?.message} ${found[0]?.detail}`).toContain(path.split(".").at(-1))
  })

  it.each(keys.filter(({ info }) => info.min === 0).map(({ path, info }) => [path, info] as const))(
    "%s refuses what is negative",
    (path, info) => {
      const { diagnostics } = decodeConfig(setting(path, info.kind === "duration" ? "-5s" : "-5"), "c.yaml", {})
      expect(
        diagnostics.some(
          (diagnostic) =>
            diagnostic.severity === severityOf(path) &&
            diagnostic.path === concrete(path) &&
            JSON.stringify(diagnostic).includes(info.mustBe ?? "negative")
        )
      ).toBe(true)
    }
  )

  it.each(keys.filter(({ path }) => path.length > 8).map(({ path }) => [path] as const))(
    "%s with a letter too much is an unknown key that points back",
    (path) => {
      const last = path.split(".").at(-1) ?? ""
      if (last.length < 5) return
      const typo = `${path.slice(0, path.length - last.length)}${last.slice(0, 2)}z${last.slice(2)}`
      const { diagnostics, config } = decodeConfig(setting(typo, "1"), "c.yaml", {})
      // Where a restriction could be misspelt it is no mere warning.
      const isStrict = /^(?:access|server\.tls|server\.unix_socket)\./.test(path)
      const warning = diagnostics.find(({ message }) => /^Unknown key|is no key of the configuration/.test(message))
      expect(warning).toMatchObject(
        isStrict
          ? { severity: "error", path: concrete(typo), message: expect.stringContaining(`did you mean ${concrete(path)}?`) }
          : { severity: "warning", path: concrete(typo), suggestion: concrete(path) }
      )
      expect(warning?.line).toBeGreaterThan(0)
      expect(config).toBeDefined()
    }
  )
})

describe("each variable", () => {
  it.each(Object.entries(overrides))("%s overrides %s", (variable, path) => {
    const info = keys.find((key) => key.path === path)?.info
    if (info === undefined) throw new Error(`no key ${path}`)
    const value =
      info.kind === "bool" ? "true" : info.kind === "strings" ? "10.0.0.0/8, 11.0.0.0/8" : info.kind === "size" ? "65536" : accepted(info)
    const loaded = decodeConfig("", "c.yaml", { [variable]: value })
    expect(loaded.originOf(path)).toBe(variable)
    expect(
      loaded.diagnostics.filter((diagnostic) => diagnostic.severity === "error" && !/cors|dashboard|discovery/.test(diagnostic.message))
    ).toEqual([])
  })

  it.each(
    Object.entries(overrides).filter(([, path]) =>
      ["int", "bool", "duration", "size"].includes(keys.find((key) => key.path === path)?.info.kind ?? "")
    )
  )("%s is ignored with a warning when it does not parse", (variable, path) => {
    const loaded = decodeConfig("server: {}", "c.yaml", { [variable]: "80a" })
    expect(loaded.diagnostics).toMatchObject([{ severity: "warning", fields: { variable, value: "80a" } }])
    expect(loaded.originOf(path)).toBe("default")
  })

  it("that Olla does not know is named, sorted, once", () => {
    expect(decodeConfig("", "", { OLLA_SERVER_PROT: "1", OLLA_PROXY_X: "2", OLLA_SERVER_EMPTY: "", OTHER: "3" }).diagnostics).toMatchObject(
      [{ severity: "warning", fields: { variables: ["OLLA_PROXY_X", "OLLA_SERVER_PROT"] } }]
    )
  })

  it("with a wrong word ends the start like the file's", () => {
    expect(decodeConfig("", "", { OLLA_PROXY_ENGINE: "envoy" }).diagnostics).toMatchObject([
      { severity: "error", message: expect.stringContaining("unknown proxy implementation: envoy") }
    ])
  })
})

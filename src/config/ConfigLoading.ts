/**
 * Finds the file, reads it, lays the environment over it, decodes and judges the whole (configuration.md 2). Every
 * mistake is in the result; whoever starts the daemon decides that errors end the start.
 */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as Schema from "effect/Schema"
import { Coercion } from "./Coercion.ts"
import { configSchema, finish } from "./ConfigSchema.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { type Environment, readEnvironment } from "./Environment.ts"
import type { OllaConfig } from "./OllaConfig.ts"
import { allKeys, type KeyTree, keyTree } from "./SchemaTree.ts"
import { validate } from "./Validation.ts"
import { nodeAt, readYaml, type YamlNode } from "./YamlTree.ts"

export interface LoadOptions {
  /** `-c`/`--config`. */
  readonly configFile?: string | undefined
  readonly env: Environment
  readonly cwd: string
}

export interface LoadedConfig {
  /** `undefined` when there are errors that leave nothing to run with. */
  readonly config: OllaConfig | undefined
  /** As named on the command line or found; empty: built-in defaults. */
  readonly path: string
  readonly folder: string | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** `default`, `<file>:<line>` or the variable that set a key, by full path. */
  readonly originOf: (path: string) => string
  /** Adds file, line and column to diagnostics that name a path. */
  readonly locate: (diagnostic: Diagnostic) => Diagnostic
}

const searchPath = ["config/config.local.yaml", "config/config.yaml", "config.yaml", "default.yaml"]

type Found = { readonly path: string; readonly text: string } | { readonly problem: string } | undefined

const find = (options: LoadOptions): Found => {
  const read = (path: string) => readFileSync(resolve(options.cwd, path), "utf8")
  const named = options.configFile ?? (options.env["OLLA_CONFIG_FILE"] || undefined)
  if (named !== undefined) {
    try {
      return { path: named, text: read(named) }
    } catch (cause) {
      return { problem: `specified config file not found: ${named} (${codeOf(cause)})` }
    }
  }
  for (const path of searchPath) {
    try {
      return { path, text: read(path) }
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT" && codeOf(cause) !== "ENOTDIR") return { problem: `cannot read ${path}: ${codeOf(cause)}` }
    }
  }
  return undefined
}

const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause))

export const loadConfig = (options: LoadOptions): LoadedConfig => {
  const found = find(options)
  const none = { config: undefined, path: "", folder: undefined, originOf: () => "default", locate: (d: Diagnostic) => d }
  if (found !== undefined && "problem" in found) return { ...none, diagnostics: [{ severity: "error", message: found.problem }] }
  return decodeConfig(
    found?.text ?? "",
    found?.path ?? "",
    options.env,
    found === undefined ? undefined : dirname(resolve(options.cwd, found.path))
  )
}

/** The same from text that is already there: what `validate` and tests use. */
export const decodeConfig = (text: string, path: string, env: Environment, folder?: string): LoadedConfig => {
  const reading = readYaml(text)
  const diagnostics: Array<Diagnostic> = reading.problems.map((problem) => ({
    severity: "error" as const,
    message: `failed to parse ${path}: yaml: line ${problem.line}: ${problem.message}`,
    file: path,
    line: problem.line,
    column: problem.column
  }))
  const locate = (diagnostic: Diagnostic): Diagnostic => {
    if (diagnostic.path === undefined || diagnostic.line !== undefined || path === "") return diagnostic
    const at = nodeAt(reading.root, diagnostic.path)
    return at === undefined ? diagnostic : { ...diagnostic, file: path, line: at.at.line, column: at.at.column }
  }
  const coercion = new Coercion(path)
  const raw = coercion.root(reading.root)
  diagnostics.push(
    ...coercion.diagnostics.map((diagnostic) =>
      diagnostic.severity === "error" && diagnostic.message.startsWith("line ")
        ? { ...diagnostic, message: `failed to parse ${path}: yaml: unmarshal errors: ${diagnostic.message}` }
        : diagnostic
    )
  )
  const overlay = readEnvironment(env)
  diagnostics.push(...overlay.diagnostics, ...pendingKeys(reading.root))
  for (const [key, value] of overlay.values) set(raw, key, value)
  diagnostics.push(...wordsFromEnvironment(overlay.values, overlay.origins))
  const originOf = (key: string): string => {
    const variable = overlay.origins.get(key)
    if (variable !== undefined) return variable
    const at = nodeAt(reading.root, key)
    return at?.whole === true ? `${path}:${at.at.line}` : "default"
  }
  const loaded = { path, folder, originOf, locate }
  if (diagnostics.some((diagnostic) => diagnostic.severity === "error"))
    return { ...loaded, config: rescue(raw), diagnostics: diagnostics.map(locate) }
  const config = finish(Schema.decodeUnknownSync(configSchema)(raw))
  diagnostics.push(...validate(config))
  return { ...loaded, config, diagnostics: diagnostics.map(locate) }
}

/** With errors present: what can still be judged, so that further rules report in the same run. */
const rescue = (raw: Record<string, unknown>): OllaConfig | undefined => {
  try {
    return finish(Schema.decodeUnknownSync(configSchema)(raw))
  } catch {
    return undefined
  }
}

const set = (target: Record<string, unknown>, path: string, value: unknown): void => {
  const steps = path.split(".")
  let at = target
  for (const step of steps.slice(0, -1)) {
    const next = at[step]
    const section = typeof next === "object" && next !== null ? (next as Record<string, unknown>) : {}
    at[step] = section
    at = section
  }
  at[steps.at(-1) ?? ""] = value
}

/** A variable with a wrong word counts like the same word in the file. */
const wordsFromEnvironment = (values: ReadonlyMap<string, unknown>, origins: ReadonlyMap<string, string>): ReadonlyArray<Diagnostic> =>
  [...values].flatMap(([path, value]) => {
    const info = allKeys(keyTree).find((key) => key.path === path)?.info
    if (info?.words === undefined || info.words.includes(String(value))) return []
    const coercion = new Coercion("")
    const steps = path.split(".")
    const leaf: YamlNode = { kind: "scalar", text: String(value), value: String(value), quoted: true, at: { line: 1, column: 1 } }
    const tree = steps.reduceRight<YamlNode>(
      (node, step) => ({ kind: "map", entries: new Map([[step, { at: node.at, node }]]), at: node.at }),
      leaf
    )
    coercion.root(tree)
    return coercion.diagnostics.map(({ severity, message }) => ({
      severity,
      path,
      message: `${origins.get(path)}: ${message.replace(/^line 1: cannot use \S+ `[^`]*`: /, "")}`
    }))
  })

const pendingKeys = (root: YamlNode | undefined): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = []
  const walk = (tree: KeyTree, node: YamlNode, path: string): void => {
    if (tree.kind === "key") {
      if (tree.info.pending === true) out.push({ severity: "info", path, message: `${path} has no effect yet` })
    } else if (tree.kind === "section" && node.kind === "map") {
      for (const [name, entry] of node.entries) {
        const child = tree.keys.get(name)
        if (child !== undefined) walk(child, entry.node, path === "" ? name : `${path}.${name}`)
      }
    }
  }
  if (root !== undefined) walk(keyTree, root, "")
  return out
}

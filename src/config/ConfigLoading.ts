/**
 * Finds the file, reads it, lays the environment over it, decodes and judges the whole. Every
 * mistake is in the result; whoever starts the daemon decides that errors end the start.
 */
import { isUtf8 } from "node:buffer"
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type NamedBackend, notIn, parseBackends } from "./Backends.ts"
import { Coercion } from "./Coercion.ts"
import { exampleAt, infos, variableExample } from "./ConfigExamples.ts"
import { configSchema } from "./ConfigSchema.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { type Environment, readEnvironment } from "./Environment.ts"
import { isMissing, reasonOf } from "./FileReason.ts"
import { finish, type OllaConfig } from "./OllaConfig.ts"
import { type KeyTree, keyTree } from "./SchemaTree.ts"
import { idleTrafficKeys } from "./TrafficRules.ts"
import { validate } from "./Validation.ts"
import { nodeAt, readYaml, type YamlNode } from "./YamlTree.ts"

export interface LoadOptions {
  /** `-c`/`--config`; empty counts as not given. */
  readonly configFile?: string | undefined
  readonly env: Environment
  readonly cwd: string
  /** The file that was loaded before, for a reload: it is read again, whatever else a start would find. */
  readonly loaded?: string
  /** Backends besides the file's and those of `OLLA_BACKENDS`. */
  readonly backends?: ReadonlyArray<NamedBackend>
}

export interface LoadedConfig {
  /** What could be read, wrong values replaced by their defaults; `undefined`: the file could not be read at all. */
  readonly config: OllaConfig | undefined
  /** As named on the command line or found; empty: built-in defaults. */
  readonly path: string
  readonly folder: string | undefined
  /** There is a file, and it says nothing: it is right, and most likely not what was meant. */
  readonly isEmpty: boolean
  /** The section or list that the file's last line begins and says nothing of, by full path: as of a file that is half written. */
  readonly hollowEnd: string | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** `default`, `<file>:<line>` or the variable that set a key, by full path. */
  readonly originOf: (path: string) => string
  /**
   * For findings of other rooms: adds file, line, column and example, and leaves out what only follows from a value that
   * could not be read.
   */
  readonly adopt: (findings: ReadonlyArray<Diagnostic>) => ReadonlyArray<Diagnostic>
}

const searchPath = ["config/config.local.yaml", "config/config.yaml", "config.yaml", "default.yaml"]

type Found = { readonly path: string; readonly bytes: Buffer } | { readonly problem: string; readonly path: string } | undefined

const find = (options: LoadOptions): Found => {
  const read = (path: string) => readFileSync(resolve(options.cwd, path))
  const { loaded = "" } = options
  if (loaded !== "") {
    try {
      return { path: loaded, bytes: read(loaded) }
    } catch (cause) {
      return {
        path: loaded,
        problem: `the loaded config file ${isMissing(cause) ? "is gone" : "cannot be read"}: ${loaded} (${reasonOf(cause)})`
      }
    }
  }
  const named = options.configFile || options.env["OLLA_CONFIG_FILE"] || undefined
  if (named !== undefined) {
    try {
      return { path: named, bytes: read(named) }
    } catch (cause) {
      const by = options.configFile ? "--config" : "OLLA_CONFIG_FILE"
      const what = isMissing(cause) ? "not found" : "cannot be read"
      return { path: named, problem: `specified config file ${what}: ${named} (${by}: ${reasonOf(cause)})` }
    }
  }
  for (const path of searchPath) {
    try {
      return { path, bytes: read(path) }
    } catch (cause) {
      if (!isMissing(cause))
        return { path, problem: `cannot read ${path}: ${reasonOf(cause)}; make it readable, or remove it to use the next one` }
    }
  }
  return undefined
}

export const loadConfig = (options: LoadOptions): LoadedConfig => {
  const found = find(options)
  if (found !== undefined && "problem" in found) return unusable(found.path, { severity: "error", message: found.problem })
  if (found !== undefined && !isUtf8(found.bytes)) {
    const line = lineOfBadByte(found.bytes)
    const message = "the text is not UTF-8: save the file in that encoding"
    return unusable(found.path, { severity: "error", message, file: found.path, line, column: 1, parsing: true })
  }
  const folder = found === undefined ? undefined : dirname(resolve(options.cwd, found.path))
  return decodeConfig(found?.bytes.toString("utf8") ?? "", found?.path ?? "", options.env, folder, options.cwd, options.backends)
}

const unusable = (path: string, diagnostic: Diagnostic): LoadedConfig => ({
  config: undefined,
  path,
  folder: undefined,
  isEmpty: false,
  hollowEnd: undefined,
  originOf: () => "default",
  adopt: (findings) => findings,
  diagnostics: [diagnostic]
})

/** 1-based. Splitting at newline bytes is safe: no multi-byte character of UTF-8 contains one. */
const lineOfBadByte = (bytes: Buffer): number => {
  let line = 1
  for (let from = 0; ; line++) {
    const end = bytes.indexOf(0x0a, from)
    if (end === -1 || !isUtf8(bytes.subarray(from, end))) return line
    from = end + 1
  }
}

/** A list's last item is no section of the Schema. */
const hollowEndOf = (root: YamlNode | undefined): string | undefined => {
  let tree: KeyTree | undefined = keyTree
  let node = root
  const path: Array<string> = []
  while (node?.kind === "map" && tree?.kind === "section") {
    const [name, entry] = [...node.entries].at(-1) ?? []
    if (name === undefined) return undefined
    path.push(name)
    tree = tree.keys.get(name)
    node = entry?.node
  }
  const isHollow = node?.kind === "scalar" && node.value === null && !node.quoted
  return isHollow && path.length > 0 && tree !== undefined && tree.kind !== "key" ? path.join(".") : undefined
}

const endpointsKey = "discovery.static.endpoints"

/** Keys that are judged together: no finding about one when the other could not be read. */
const partners: Readonly<Record<string, string>> = { allow_credentials: "allowed_origins", check_timeout: "check_interval" }

const followsFrom = (path: string, unread: string): boolean =>
  unread === path ||
  path.startsWith(`${unread}.`) ||
  unread.startsWith(`${path}.`) ||
  unread.startsWith(`${path}[`) ||
  unread === path.replace(/[^.]+$/, (last) => partners[last] ?? last)

/** The same from text that is already there: what `validate` and tests use. */
export const decodeConfig = (
  text: string,
  path: string,
  env: Environment,
  folder?: string,
  cwd: string = process.cwd(),
  backends: ReadonlyArray<NamedBackend> = []
): LoadedConfig => {
  const reading = readYaml(text)
  const coercion = new Coercion(path)
  const raw = coercion.root(reading.root)
  const overlay = readEnvironment(env)
  for (const [key, value] of overlay.values) set(raw, key, value)
  const written = valueAt(raw, endpointsKey) as ReadonlyArray<{ readonly url?: unknown }> | undefined
  const added = notIn(written ?? [], [...backends, ...parseBackends(env["OLLA_BACKENDS"] ?? "", "OLLA_BACKENDS")])
  if (added.length > 0) set(raw, endpointsKey, [...(written ?? []), ...added.map(({ url, type }) => ({ url, type }))])
  // Whoever names backends otherwise means no built-in one.
  else if (written === undefined && (valueAt(raw, "discovery.dns") as ReadonlyArray<unknown> | undefined)?.length)
    set(raw, endpointsKey, [])
  /** Who named the endpoint that a key is of, where no file did. */
  const namerOf = (key: string): string | undefined => {
    const [, index] = /^discovery\.static\.endpoints\[(\d+)\]/.exec(key) ?? []
    if (index !== undefined) return added[Number(index) - (written ?? []).length]?.origin
    return key === endpointsKey && written === undefined ? added[0]?.origin : undefined
  }

  const locate = (diagnostic: Diagnostic): Diagnostic => {
    const { path: key, severity, line, example, message } = diagnostic
    if (key === undefined) return diagnostic
    const variable = overlay.origins.get(key.replace(/\[\d+\]$/, ""))
    // A value from a variable has no line in the file; one that the file has wrong is the file's, overridden or not.
    if (variable !== undefined && !coercion.diagnostics.includes(diagnostic)) {
      const said = overlay.diagnostics.includes(diagnostic) ? message : `${variable}: ${message}`
      const right = severity === "error" ? variableExample(variable, key) : undefined
      return { ...diagnostic, message: said, ...(right === undefined ? {} : { example: right }) }
    }
    const namer = namerOf(key)
    if (namer !== undefined) {
      const right = { example: `${namer}${namer.startsWith("-") ? " " : "="}http://localhost:11434,ollama` }
      return { ...diagnostic, message: `${namer}: ${message}`, ...(severity === "error" ? right : {}) }
    }
    // A message of several lines already contains an example.
    const fitting = severity === "error" && example === undefined && !message.includes("\n") ? exampleAt(key) : undefined
    const own = fitting === undefined ? {} : { example: fitting }
    const place = line !== undefined || path === "" || overlay.diagnostics.includes(diagnostic) ? undefined : nodeAt(reading.root, key)
    return { ...diagnostic, ...own, ...(place === undefined ? {} : { file: path, line: place.at.line, column: place.at.column }) }
  }
  const read: ReadonlyArray<Diagnostic> = [
    ...reading.problems.map(
      ({ line, column, message }) => ({ severity: "error", message, file: path, line, column, parsing: true }) as const
    ),
    ...coercion.diagnostics,
    ...overlay.diagnostics
  ]
  const unread = read.flatMap((diagnostic) => (diagnostic.severity === "error" && diagnostic.path !== undefined ? [diagnostic.path] : []))
  const adopt = (findings: ReadonlyArray<Diagnostic>): ReadonlyArray<Diagnostic> =>
    findings.filter(({ path: key }) => key === undefined || !unread.some((other) => followsFrom(key, other))).map(locate)

  const originOf = (key: string): string => {
    const variable = overlay.origins.get(key)
    if (variable !== undefined) return variable
    const namer = namerOf(key)
    if (namer !== undefined) return namer
    const place = nodeAt(reading.root, key)
    const isWritten = place?.whole === true && !(place.node.kind === "scalar" && place.node.value === null && !place.node.quoted)
    return isWritten ? `${path}:${place.at.line}` : "default"
  }
  const { root } = reading
  const isEmpty = path !== "" && reading.problems.length === 0 && (root === undefined || (root.kind === "scalar" && root.value === null))
  const remarks: ReadonlyArray<Diagnostic> = isEmpty
    ? [{ severity: "info", message: `${path} says nothing: the built-in defaults are in force`, file: path }]
    : []
  const loaded = { path, folder, isEmpty, hollowEnd: hollowEndOf(root), originOf, adopt }
  // Without a parsed tree there are no values to judge; after a duplicate key there is a tree.
  if (reading.problems.length > 0 && reading.root === undefined) return { ...loaded, config: undefined, diagnostics: read.map(locate) }
  const decoded = Schema.decodeUnknownResult(configSchema)(raw)
  if (Result.isFailure(decoded)) {
    const message = `the configuration cannot be used: ${String(decoded.failure)}`
    return { ...loaded, config: undefined, diagnostics: [...read.map(locate), { severity: "error", message, file: path }] }
  }
  const config = finish(decoded.success)
  const isSet = (key: string) => originOf(key) !== "default" && !isUsual(config, key)
  return {
    ...loaded,
    config,
    diagnostics: [
      ...remarks,
      ...read.map(locate),
      ...adopt([...validate(config, cwd), ...idleTrafficKeys(config, isSet), ...pending(config)])
    ]
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

const valueAt = (config: unknown, path: string): unknown =>
  path
    .replace(/\[(\d+)\]/g, ".$1")
    .split(".")
    .reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], config)

/** What holds where nothing is said; of each list one item. */
const usual = Schema.decodeUnknownSync(configSchema)({ discovery: { static: { endpoints: [{ url: "" }] }, dns: [{ name: "" }] } })

/** The default is what is said, as in a configuration that was shown and is loaded again. */
const isUsual = (config: OllaConfig, path: string): boolean => {
  const value = valueAt(usual, path.replace(/\[\d+\]/g, "[0]"))
  return value !== undefined && JSON.stringify(valueAt(config, path)) === JSON.stringify(value)
}

/**
 * Keys whose feature is still to come say so when they are set to something. One that would protect something ends the start:
 * whoever wrote it would rely on it.
 */
const pending = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  return [...infos].flatMap(([path, { pending: state }]): ReadonlyArray<Diagnostic> => {
    if (state === undefined || isUsual(config, path)) return []
    return state === "warns"
      ? [{ severity: "warning", path, message: `${path} has no effect yet` }]
      : [
          {
            severity: "error",
            path,
            message: `${path} protects nothing yet: nothing asks for it in this version. Take it out and restrict by address`,
            example: exampleAt("dashboard.access_policy.allowed_cidrs") ?? ""
          }
        ]
  })
}

/**
 * From a YAML tree to the values the Schema wants, by each key's kind (configuration.md 3). All mistakes are told at
 * once, each with its place and a way out; unknown keys are warnings and are left out.
 */
import { parseByteSize } from "./ByteSize.ts"
import type { KeyInfo } from "./ConfigSchema.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { formatDuration, parseDuration } from "./Duration.ts"
import { suggestKey } from "./KeySuggestion.ts"
import { type KeyTree, keyTree } from "./SchemaTree.ts"
import type { Position, YamlNode } from "./YamlTree.ts"

type Scalar = Extract<YamlNode, { readonly kind: "scalar" }>

/** Sections and keys that real files contain and nothing reads (configuration.md 7.11). */
const silent: ReadonlyArray<RegExp> = [
  /^proxy\.retry(?:\.|$)/,
  /^discovery\.health_check(?:\.|$)/,
  /^server\.rate_limits\.per_endpoint(?:\.|$)/,
  /^model_registry\.unification\.(?:enabled|cache_ttl|custom_rules|family_overrides)$/,
  /^x-/
]

const tagOf = (node: YamlNode): string => {
  if (node.kind === "list") return "!!seq"
  if (node.kind === "map") return "!!map"
  if (node.quoted || typeof node.value === "string") return "!!str"
  return typeof node.value === "boolean"
    ? "!!bool"
    : typeof node.value === "number"
      ? Number.isInteger(node.value)
        ? "!!int"
        : "!!float"
      : "!!null"
}

const shown = (node: YamlNode): string => (node.kind === "scalar" ? node.text : node.kind === "list" ? "a list" : "a mapping")

export class Coercion {
  readonly diagnostics: Array<Diagnostic> = []
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  root(node: YamlNode | undefined): Record<string, unknown> {
    if (node === undefined) return {}
    if (node.kind !== "map") {
      this.#error("", node.at, `line ${node.at.line}: the configuration must be a mapping of sections, got ${shown(node)}`)
      return {}
    }
    return this.#section(keyTree, node, "") ?? {}
  }

  #section(tree: KeyTree & { readonly kind: "section" }, node: YamlNode, path: string): Record<string, unknown> | undefined {
    if (isNull(node)) return undefined
    if (node.kind !== "map") {
      this.#wrong(path, node, "a section", `${path}:\n  ${[...tree.keys.keys()][0] ?? "key"}: ...`)
      return undefined
    }
    const out: Record<string, unknown> = {}
    for (const [name, entry] of node.entries) {
      const childPath = path === "" ? name : `${path}.${name}`
      const child = tree.keys.get(name)
      if (child === undefined) {
        this.#unknown(childPath, entry.at)
        continue
      }
      const value = this.#child(child, entry.node, childPath)
      if (value !== undefined) out[name] = value
    }
    return out
  }

  #child(tree: KeyTree, node: YamlNode, path: string): unknown {
    if (tree.kind === "section") return this.#section(tree, node, path)
    if (tree.kind === "key") return this.#key(tree.info, node, path)
    if (isNull(node)) return []
    if (node.kind !== "list") {
      this.#wrong(path, node, "a list of endpoints", `${path}:\n  - url: http://localhost:11434\n    type: ollama`)
      return undefined
    }
    return node.items.map((item, index) => this.#section(tree.item, item, `${path}[${index}]`) ?? {})
  }

  #key(info: KeyInfo, node: YamlNode, path: string): unknown {
    if (isNull(node))
      return info.kind === "strings" || info.kind === "words"
        ? []
        : info.kind === "map" || info.kind === "strings-map" || info.kind === "any"
          ? {}
          : undefined
    switch (info.kind) {
      case "any":
        return node.kind === "map" ? {} : this.#wrong(path, node, "a mapping")
      case "strings":
      case "words":
        return this.#strings(info, node, path)
      case "map":
      case "strings-map": {
        if (node.kind !== "map") return this.#wrong(path, node, "a mapping")
        const out: Record<string, unknown> = {}
        for (const [name, entry] of node.entries) {
          const at = `${path}.${name}`
          const value = isNull(entry.node)
            ? info.kind === "map"
              ? ""
              : []
            : info.kind === "map"
              ? this.#scalar({ ...info, kind: "string" }, entry.node, at)
              : this.#strings(info, entry.node, at)
          if (value !== undefined) out[name] = value
        }
        return out
      }
      default:
        return this.#scalar(info, node, path)
    }
  }

  #strings(info: KeyInfo, node: YamlNode, path: string): ReadonlyArray<string> | undefined {
    if (node.kind !== "list") return this.#wrong(path, node, "a list", `${lastOf(path)}: [${node.kind === "scalar" ? node.text : "..."}]`)
    return node.items.flatMap((item, index) => {
      if (item.kind !== "scalar") return this.#wrong(`${path}[${index}]`, item, "a word") ?? []
      if (info.words !== undefined && !info.words.includes(item.text)) {
        this.#error(`${path}[${index}]`, item.at, `${path}: unknown word "${item.text}" (one of: ${info.words.join(", ")})`)
        return []
      }
      return [item.text]
    })
  }

  #scalar(info: KeyInfo, node: YamlNode, path: string): unknown {
    if (node.kind !== "scalar") return this.#wrong(path, node, nouns[info.kind])
    const read = readScalar(info, node)
    if (read._tag === "ok") return this.#range(info, read.value, node.at, path)
    if (read._tag === "warn") {
      this.#push({ severity: "warning", message: read.message(path), path, line: node.at.line, column: node.at.column })
      return read.value
    }
    return this.#wrong(
      path,
      node,
      nouns[info.kind],
      read.hint === undefined ? undefined : `${lastOf(path)}: ${read.hint}`,
      read.message?.(path)
    )
  }

  #range(info: KeyInfo, value: unknown, at: Position, path: string): unknown {
    const problem = rangeProblem(info, value, path)
    if (problem === undefined) return value
    this.#error(path, at, problem)
    return undefined
  }

  #unknown(path: string, at: Position): void {
    if (silent.some((pattern) => pattern.test(path))) return
    const suggestion = suggestKey(path)
    this.#push({
      severity: "warning",
      message: `unknown key ${path}${suggestion === undefined ? "" : `; did you mean ${suggestion}?`}`,
      path,
      line: at.line,
      column: at.column,
      ...(suggestion === undefined ? {} : { suggestion })
    })
  }

  #wrong(path: string, node: YamlNode, want: string, example?: string, own?: string): undefined {
    const said = own ?? `${path} needs ${want}`
    const value = shown(node)
    this.#error(
      path,
      node.at,
      `line ${node.at.line}: cannot use ${tagOf(node)} \`${value.slice(0, 80)}\`: ${said}${example === undefined ? "" : `, for example \`${example}\``}`
    )
    return undefined
  }

  #error(path: string, at: Position, message: string): void {
    this.#push({ severity: "error", message, ...(path === "" ? {} : { path }), line: at.line, column: at.column })
  }

  #push(diagnostic: Diagnostic): void {
    this.diagnostics.push({ ...diagnostic, file: this.#file })
  }
}

const isNull = (node: YamlNode): boolean => node.kind === "scalar" && node.value === null && !node.quoted

const lastOf = (path: string): string => path.split(".").at(-1) ?? path

const nouns: Readonly<Record<KeyInfo["kind"], string>> = {
  string: "a text",
  int: "a whole number",
  bool: "true or false",
  duration: "a duration with a unit",
  size: "a size in bytes or with a unit",
  strings: "a list",
  words: "a list",
  word: "a word",
  map: "a mapping",
  "strings-map": "a mapping",
  any: "a mapping"
}

type Read =
  | { readonly _tag: "ok"; readonly value: unknown }
  | { readonly _tag: "warn"; readonly value: unknown; readonly message: (path: string) => string }
  | { readonly _tag: "wrong"; readonly hint?: string; readonly message?: (path: string) => string }

const ok = (value: unknown): Read => ({ _tag: "ok", value })
const yes = /^(?:true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/
const no = /^(?:false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/

/** One scalar by its key's kind. */
const readScalar = (info: KeyInfo, node: Scalar): Read => {
  const text = node.text
  switch (info.kind) {
    case "bool":
      if (node.quoted) return text === "true" ? ok(true) : text === "false" ? ok(false) : { _tag: "wrong", hint: "true" }
      return yes.test(text) ? ok(true) : no.test(text) ? ok(false) : { _tag: "wrong", hint: "true" }
    case "int": {
      const value = node.quoted ? undefined : parseInteger(text)
      return value === undefined ? { _tag: "wrong", hint: info.example ?? "10" } : ok(value)
    }
    case "size": {
      const value = (node.quoted ? undefined : parseInteger(text)) ?? parseByteSize(text)
      return value === undefined ? { _tag: "wrong", hint: "50MB" } : ok(value)
    }
    case "duration": {
      const value = parseDuration(text)
      if (value !== undefined) return ok(value)
      const bare = typeof node.value === "number" && !node.quoted
      return {
        _tag: "wrong",
        hint: bare ? `${text}s` : (info.example ?? "30s"),
        ...(bare ? { message: (path: string) => `${path} needs a unit` } : {})
      }
    }
    case "word": {
      const words = info.words ?? []
      const low = info.fallback !== undefined && words.includes("debug") ? text.toLowerCase().replace(/^warning$/, "warn") : text
      if (words.includes(low)) return ok(low)
      if (info.fallback !== undefined) {
        const fallback = info.fallback
        if (text === "" && !words.includes("strict")) return ok(fallback)
        return { _tag: "warn", value: fallback, message: (path) => wordWarning(path, text, fallback) }
      }
      if (text === "" && words.includes("compatible_only")) return ok("compatible_only")
      return { _tag: "wrong", message: (path) => wordProblem(path, text, words) }
    }
    default:
      return ok(text)
  }
}

/** Decimal, 0x, 0o or leading zero, 0b, `_` between digits, and floats without a fraction. */
export const parseInteger = (text: string): number | undefined => {
  const bare = text.replace(/_/g, "")
  const match = /^([+-]?)(0x[0-9a-f]+|0o?[0-7]+|0b[01]+|\d+(?:\.0*)?|\d+(?:\.\d+)?e\+?\d+)$/i.exec(bare)
  if (match === null) return undefined
  const digits = /^0[0-7]+$/.test(match[2] ?? "") ? `0o${(match[2] ?? "").slice(1)}` : (match[2] ?? "")
  const value = Number(digits) * (match[1] === "-" ? -1 : 1)
  return Number.isSafeInteger(value) ? value : undefined
}

const wordWarning = (path: string, text: string, fallback: string): string =>
  path.startsWith("logging.")
    ? `Invalid ${path} in config, falling back to default (configured ${text}, default ${fallback})`
    : `Unknown routing strategy type, defaulting to strict (${path}: ${text})`

/** The bound texts of configuration.md 6.1 and 6.6 for words that name a part of Olla. */
const wordProblem = (path: string, text: string, words: ReadonlyArray<string>): string => {
  const allowed = `(one of: ${words.filter((word) => word !== "").join(", ")})`
  const empty: Readonly<Record<string, string>> = {
    "discovery.type": "static",
    "proxy.engine": 'sherpa" or "olla',
    "proxy.load_balancer": "priority"
  }
  if (text === "" && empty[path] !== undefined) return `${path} must not be empty (e.g. "${empty[path]}")`
  switch (path) {
    case "discovery.type":
      return `unsupported discovery type: ${text} ${allowed}`
    case "model_registry.type":
      return `failed to create model registry: unsupported registry type: ${text} ${allowed}`
    case "proxy.load_balancer":
      return `failed to create load balancer: unknown load balancer strategy: ${text} ${allowed}`
    case "proxy.engine":
      return `failed to create proxy service: unknown proxy implementation: ${text} ${allowed}`
    default:
      return `${path}: unknown word "${text}" ${allowed}`
  }
}

/** Bounds that a single key has by itself; texts of configuration.md 6.1. */
export const rangeProblem = (info: KeyInfo, value: unknown, path: string): string | undefined => {
  if (typeof value !== "number") return undefined
  if (path === "server.port" && (value < 1 || value > 65535)) return `server.port must be between 1 and 65535, got ${value}`
  const say = info.kind === "duration" ? formatDuration : String
  if (info.min !== undefined && value < info.min)
    return `${path} must not be ${info.min === 0 ? "negative" : `below ${say(info.min)}`}, got ${say(value)}`
  if (info.max !== undefined && value > info.max) return `${path} must not be above ${say(info.max)}, got ${say(value)}`
  return undefined
}

/**
 * From a YAML tree to the values the Schema wants, by each key's kind. All mistakes are told at
 * once, each with its place and a way out; unknown keys are warnings and are left out.
 */
import type { KeyInfo } from "./ConfigKey.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { suggestKey } from "./KeySuggestion.ts"
import { exampleFor, lastOf, oddAmount, oneOf, parseInteger, rangeProblem, readScalar, shown, wish, wordDemand } from "./ScalarReading.ts"
import { aliasTree, type KeyTree, keyTree } from "./SchemaTree.ts"
import { textTreeOf } from "./TextTree.ts"
import type { Position, YamlNode } from "./YamlTree.ts"

/** Sections and keys that real files contain and nothing reads: they are accepted without a word. */
const silent: ReadonlyArray<RegExp> = [
  /^proxy\.retry(?:\.|$)/,
  /^discovery\.health_check(?:\.|$)/,
  /^server\.rate_limits\.per_endpoint(?:\.|$)/,
  /^model_registry\.unification\.(?:enabled|cache_ttl|custom_rules|family_overrides)$/,
  /^x-/
]

/** Whatever is wrong here warns, and the default counts: nobody's requests end because traces cannot be sent. */
const lenient = /^telemetry\.otlp(?:\.|\[|$)/

/** A restriction that is misspelt there would open a door: unknown keys end the start. */
const strict = /^(?:access|server\.tls|server\.unix_socket)\./

/** Sections with at most this many keys list them all where no similar key is known. */
const mostKeysListed = 16

const isNull = (node: YamlNode): boolean => node.kind === "scalar" && node.value === null && !node.quoted

/** Lists of sections by the last word of their path. */
const listExamples: Readonly<Record<string, string>> = {
  endpoints: 'endpoints: [{url: "http://localhost:11434", type: ollama}]',
  dns: "dns: [{name: vllm.internal, port: 8000, type: vllm}]",
  rules: 'rules: [{match: {model: ["*70b*"]}, require: {gpu: h100}}]'
}

const listExample = (path: string): string => listExamples[lastOf(path)] ?? `${lastOf(path)}: []`

/** The first key of a section with a right value. */
const exampleOf = (keys: ReadonlyArray<readonly [string, KeyTree]>): string => {
  const [name, child] = keys.find(([, each]) => each.kind === "key") ?? keys[0] ?? []
  if (child?.kind === "list") return listExample(name ?? "")
  return child?.kind === "key" && child.info.example !== undefined ? `${name}: ${child.info.example}` : `${name}: ...`
}

export class Coercion {
  readonly diagnostics: Array<Diagnostic> = []
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  root(node: YamlNode | undefined): Record<string, unknown> {
    if (node === undefined) return {}
    if (node.kind !== "map") {
      this.#error("", node.at, `the configuration must be a mapping of sections, got ${shown(node, false)}`, "server: {port: 40114}")
      return {}
    }
    return this.#section(keyTree, node, "") ?? {}
  }

  #section(tree: KeyTree & { readonly kind: "section" }, node: YamlNode, path: string): Record<string, unknown> | undefined {
    if (isNull(node)) return undefined
    if (node.kind !== "map") {
      const keys = [...tree.keys]
      const example = exampleOf(keys)
      // Whole sections are never echoed: one that should hold a secret may hold it directly.
      const hides = keys.some(([, child]) => child.kind === "key" && child.info.secret === true)
      const isGlued = node.kind === "scalar" && !node.quoted && keys.some(([name]) => node.text.startsWith(`${name}:`))
      this.#error(
        path,
        node.at,
        `${path} needs a section, got ${shown(node, hides)}${isGlued ? ": a space belongs behind the colon" : ""}`,
        path.endsWith("]") ? `- ${example}` : path.endsWith(".auth") ? undefined : `${lastOf(path)}: {${example}}`
      )
      return undefined
    }
    const out: Record<string, unknown> = {}
    for (const [name, entry] of node.entries) {
      const childPath = path === "" ? name : `${path}.${name}`
      const child = tree.keys.get(name)
      if (child === undefined) {
        this.#unknown(childPath, entry.at, tree)
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
      this.#error(
        path,
        node.at,
        `${path} needs a list of ${lastOf(path) === "rules" ? "rules" : "endpoints"}, got ${shown(node, false)}`,
        listExample(path)
      )
      return undefined
    }
    return node.items.map((item, index) => this.#section(tree.item, item, `${path}[${index}]`) ?? {})
  }

  #key(info: KeyInfo, node: YamlNode, path: string): unknown {
    switch (info.kind) {
      case "strings":
      case "words":
        return isNull(node) ? [] : this.#strings(info, node, path)
      case "ints":
        return isNull(node) ? [] : this.#ints(info, node, path)
      case "map":
        return isNull(node)
          ? {}
          : this.#map(info, node, path, (each, at) => this.#scalar({ ...info, kind: "string", example: "text" }, each, at))
      case "aliases":
        return isNull(node) ? {} : this.#map(info, node, path, (each, at) => this.#alias(info, each, at))
      case "entries":
        if (isNull(node)) return []
        return node.kind === "list" ? textTreeOf(node) : this.#wrong(info, node, path)
      case "policy":
        return node.kind === "map" ? textTreeOf(node) : isNull(node) ? undefined : this.#scalar(info, node, path)
      default:
        return isNull(node) ? undefined : this.#scalar(info, node, path)
    }
  }

  #map(
    info: KeyInfo,
    node: YamlNode,
    path: string,
    read: (node: YamlNode, at: string) => unknown
  ): Readonly<Record<string, unknown>> | undefined {
    if (node.kind !== "map") return this.#wrong(info, node, path)
    const entries = [...node.entries].flatMap(([name, entry]): ReadonlyArray<readonly [string, unknown]> => {
      const at = `${path}.${name}`
      const value = isNull(entry.node) ? (info.kind === "map" ? "" : []) : read(entry.node, at)
      return value === undefined ? [] : [[name, value]]
    })
    return Object.fromEntries(entries)
  }

  /** A list of targets, or a policy that has one. */
  #alias(info: KeyInfo, node: YamlNode, path: string): unknown {
    if (node.kind === "map") return this.#section(aliasTree, node, path)
    return this.#strings({ ...info, kind: "strings", example: "[one, another]" }, node, path)
  }

  #ints(info: KeyInfo, node: YamlNode, path: string): ReadonlyArray<number> | undefined {
    if (node.kind !== "list") return this.#wrong(info, node, path)
    return node.items.flatMap((item, index) => {
      const value = item.kind === "scalar" && !item.quoted ? parseInteger(item.text) : undefined
      if (value !== undefined) return [value]
      const at = `${path}[${index}]`
      this.#error(at, item.at, `${at} needs a whole number, got ${shown(item, false)}`, exampleFor(info, path))
      return []
    })
  }

  #strings(info: KeyInfo, node: YamlNode, path: string): ReadonlyArray<string> | undefined {
    if (node.kind !== "list") {
      const own =
        node.kind === "scalar" && info.secret !== true
          ? `${lastOf(path)}: [${node.quoted ? JSON.stringify(node.text) : node.text}]`
          : undefined
      return this.#wrong(info, node, path, own)
    }
    return node.items.flatMap((item, index) => {
      const at = `${path}[${index}]`
      if (item.kind !== "scalar") {
        this.#error(at, item.at, `${at} needs a text, got ${shown(item, false)}`, exampleFor(info, path))
        return []
      }
      if (info.words === undefined || info.words.includes(item.text)) return [item.text]
      const problem =
        info.mustBe === undefined
          ? `${path}: unknown word "${item.text}"${oneOf(info.words, item.text)}`
          : wordDemand(info, path, item.text)
      this.#error(at, item.at, problem, exampleFor(info, path), false)
      return []
    })
  }

  #scalar(info: KeyInfo, node: YamlNode, path: string): unknown {
    if (node.kind !== "scalar") return this.#wrong(info, node, path)
    const read = readScalar(info, node, path)
    if (read._tag === "wrong") {
      this.#error(path, node.at, read.message, read.example, info.kind !== "word")
      return undefined
    }
    if (read._tag === "warn") {
      const { message, detail, fields } = read
      this.diagnostics.push({
        severity: "warning",
        message,
        detail,
        path,
        file: this.#file,
        line: node.at.line,
        column: node.at.column,
        fields
      })
      return read.value
    }
    const problem = rangeProblem(info, read.value, path)
    if (problem === undefined) {
      const odd = oddAmount(info, read.value, path)
      if (odd !== undefined) this.#warning(path, node.at, odd)
      return read.value
    }
    this.#error(path, node.at, problem, exampleFor(info, path), false)
    return undefined
  }

  #warning(path: string, at: Position, message: string): void {
    this.diagnostics.push({ severity: "warning", message, path, file: this.#file, line: at.line, column: at.column })
  }

  #unknown(path: string, at: Position, around: KeyTree & { readonly kind: "section" }): void {
    if (silent.some((pattern) => pattern.test(path))) return
    const suggestion = suggestKey(path)
    if (strict.test(path)) {
      const meant = suggestion === undefined ? `keys here: ${[...around.keys.keys()].join(", ")}` : `did you mean ${suggestion}?`
      this.#error(path, at, `${path} is no key of the configuration; ${meant}`, undefined, false)
      return
    }
    const hint = around.keys.size > mostKeysListed ? "" : `; keys here: ${[...around.keys.keys()].join(", ")}`
    this.diagnostics.push({
      severity: "warning",
      message: "Unknown key in the configuration, it has no effect",
      detail: suggestion === undefined ? `${path}${hint}` : `${path}; did you mean ${suggestion}?`,
      path,
      file: this.#file,
      line: at.line,
      column: at.column,
      ...(suggestion === undefined ? {} : { suggestion })
    })
  }

  #wrong(info: KeyInfo, node: YamlNode, path: string, example = exampleFor(info, path)): undefined {
    this.#error(path, node.at, `${path} ${wish(info)}, got ${shown(node, info.secret === true)}`, example)
    return undefined
  }

  #error(path: string, at: Position, message: string, example?: string, parsing = true): void {
    if (lenient.test(path)) {
      const detail = example === undefined ? message : `${message}; right would be ${example}`
      const place = { path, file: this.#file, line: at.line, column: at.column }
      this.diagnostics.push({
        severity: "warning",
        message: "A key of telemetry cannot be used, its default counts",
        detail,
        ...place,
        fields: { problem: detail }
      })
      return
    }
    this.diagnostics.push({
      severity: "error",
      message,
      file: this.#file,
      line: at.line,
      column: at.column,
      ...(path === "" ? {} : { path }),
      ...(example === undefined ? {} : { example }),
      ...(parsing ? { parsing } : {})
    })
  }
}

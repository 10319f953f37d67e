/**
 * Finds and reads `models.yaml`: the first usable candidate wins, each of its
 * sections replaces the built-in one, and whatever is wrong with a candidate is told and never ends the start.
 */
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Diagnostic } from "../config/Diagnostic.ts"
import { Settings } from "../config/Settings.ts"
import { nodeAt, readYaml, type YamlNode } from "../config/YamlTree.ts"
import { type AttributeRules, buildAttributeRules, defaultRules } from "./AttributeRules.ts"
import { type ContextThresholds, defaultModelRules, type FamilyPattern, type ModelRules, type NamePattern } from "./ModelRules.ts"

export interface ModelsFileSources {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Folder of the configuration file; `undefined`: there is none. */
  readonly configFolder: string | undefined
}

export interface LoadedModelRules {
  readonly rules: AttributeRules
  /** Of the file in use; empty: the built-in rules. */
  readonly text: string
  /** The file in use; `undefined`: the built-in rules. */
  readonly path: string | undefined
  /** Why candidates were passed over, `<path>: <cause>`. */
  readonly warnings: ReadonlyArray<string>
  /** What is odd in the file in use: keys that nobody reads. */
  readonly remarks: ReadonlyArray<string>
}

const nearby = ["models.yaml", "config/models.yaml", "config-base/models.yaml", "../config/models.yaml", "../../config/models.yaml"]

/** Where it is looked for, as shown; relative paths are relative to the working directory. */
export const modelsFileCandidates = (sources: ModelsFileSources): ReadonlyArray<string> => {
  const folder = sources.env["OLLA_CONFIG_DIR"]
  const all = [
    ...(folder ? [join(folder, "models.yaml")] : []),
    ...nearby,
    ...(sources.configFolder === undefined ? [] : [join(sources.configFolder, "models.yaml")])
  ]
  const seen = new Set<string>()
  return all.filter((path) => {
    const absolute = resolve(sources.cwd, path)
    return !seen.has(absolute) && seen.add(absolute)
  })
}

/** What is in force; a reload replaces it. */
export class ModelRulesInForce extends Context.Service<ModelRulesInForce, { readonly current: () => LoadedModelRules }>()(
  "olla/catalogue/ModelRulesInForce"
) {
  /** Read once, and never replaced. */
  static readonly layerFrom = (sources: Omit<ModelsFileSources, "configFolder">): Layer.Layer<ModelRulesInForce, never, Settings> =>
    Layer.effect(
      ModelRulesInForce,
      Effect.map(Settings, ({ folder }) => {
        const loaded = loadModelRules({ ...sources, configFolder: folder })
        return { current: () => loaded }
      })
    )
}

class BadSection extends Error {}

export type RulesReading =
  | { readonly _tag: "ok"; readonly rules: ModelRules; readonly unread: ReadonlyArray<string> }
  | { readonly _tag: "error"; readonly why: string }

const sections: Readonly<Record<string, ReadonlyArray<string>>> = {
  model_extraction: ["family_patterns", "architecture_mappings", "family_aliases", "publisher_mappings"],
  quantization: ["mappings"],
  capabilities: ["type_capabilities", "name_patterns", "context_thresholds"],
  special_rules: ["preserve_family", "generic_names"]
}

const isNothing = (node: YamlNode): boolean => node.kind === "scalar" && node.value === null

const textOf = (node: YamlNode, at: string): string => {
  if (node.kind !== "scalar") throw new BadSection(`line ${node.at.line}: ${at} must be a text`)
  return node.value === null ? "" : node.text
}

const listOf = <A>(node: YamlNode, at: string, read: (item: YamlNode, at: string) => A): ReadonlyArray<A> => {
  if (node.kind !== "list") throw new BadSection(`line ${node.at.line}: ${at} must be a list`)
  return node.items.map((item, index) => read(item, `${at}[${index}]`))
}

const mapOf = <A>(node: YamlNode, at: string, read: (item: YamlNode, at: string) => A): Readonly<Record<string, A>> => {
  if (node.kind !== "map") throw new BadSection(`line ${node.at.line}: ${at} must be a mapping`)
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, read(entry.node, `${at}.${key}`)]))
}

const numberOf = (node: YamlNode, at: string): number => {
  const value = node.kind === "scalar" ? Number(node.text) : Number.NaN
  if (!Number.isInteger(value) || value < 0) throw new BadSection(`line ${node.at.line}: ${at} must be a whole number`)
  return value
}

const field = (node: YamlNode, at: string, name: string): YamlNode | undefined => {
  if (node.kind !== "map") throw new BadSection(`line ${node.at.line}: ${at} must be a mapping`)
  return node.entries.get(name)?.node
}

const texts = (node: YamlNode, at: string) => listOf(node, at, textOf)

const patternOf = (node: YamlNode, at: string): string => {
  const pattern = field(node, at, "pattern")
  if (pattern === undefined || isNothing(pattern)) throw new BadSection(`line ${node.at.line}: ${at} has no pattern`)
  return textOf(pattern, `${at}.pattern`)
}

const familyPatternOf = (node: YamlNode, at: string): FamilyPattern => {
  const group = (name: string): number => {
    const value = field(node, at, name)
    return value === undefined || isNothing(value) ? 0 : numberOf(value, `${at}.${name}`)
  }
  const description = field(node, at, "description")
  return {
    pattern: patternOf(node, at),
    familyGroup: group("family_group"),
    variantGroup: group("variant_group"),
    description: description === undefined ? "" : textOf(description, `${at}.description`)
  }
}

const namePatternOf = (node: YamlNode, at: string): NamePattern => {
  const capabilities = field(node, at, "capabilities")
  return {
    pattern: patternOf(node, at),
    capabilities: capabilities === undefined || isNothing(capabilities) ? [] : texts(capabilities, `${at}.capabilities`)
  }
}

const thresholdsOf = (node: YamlNode, at: string): ContextThresholds => mapOf(node, at, numberOf)

/** The text of a `models.yaml`. */
export const readModelRules = (text: string): RulesReading => {
  const { root, problems } = readYaml(text)
  if (problems[0] !== undefined) return { _tag: "error", why: `yaml: line ${problems[0].line}: ${problems[0].message}` }
  if (root !== undefined && root.kind !== "map") return { _tag: "error", why: `yaml: line ${root.at.line}: not a mapping` }
  let filled = false
  const section = <A>(path: string, read: (node: YamlNode, at: string) => A, otherwise: A): A => {
    const [group = "", name = ""] = path.split(".")
    const outer = root?.kind === "map" ? root.entries.get(group)?.node : undefined
    if (outer === undefined || isNothing(outer)) return otherwise
    const node = field(outer, group, name)
    if (node === undefined || isNothing(node)) return otherwise
    const value = read(node, path)
    filled ||= Object.keys(value as object).length > 0
    return value
  }
  try {
    const rules: ModelRules = {
      familyPatterns: section(
        "model_extraction.family_patterns",
        (node, at) => listOf(node, at, familyPatternOf),
        defaultModelRules.familyPatterns
      ),
      architectureMappings: section(
        "model_extraction.architecture_mappings",
        (node, at) => mapOf(node, at, textOf),
        defaultModelRules.architectureMappings
      ),
      familyAliases: section("model_extraction.family_aliases", (node, at) => mapOf(node, at, textOf), defaultModelRules.familyAliases),
      publisherMappings: section(
        "model_extraction.publisher_mappings",
        (node, at) => mapOf(node, at, textOf),
        defaultModelRules.publisherMappings
      ),
      quantizationMappings: section("quantization.mappings", (node, at) => mapOf(node, at, textOf), defaultModelRules.quantizationMappings),
      typeCapabilities: section("capabilities.type_capabilities", (node, at) => mapOf(node, at, texts), defaultModelRules.typeCapabilities),
      namePatterns: section("capabilities.name_patterns", (node, at) => listOf(node, at, namePatternOf), defaultModelRules.namePatterns),
      contextThresholds: section("capabilities.context_thresholds", thresholdsOf, defaultModelRules.contextThresholds),
      preserveFamily: section("special_rules.preserve_family", texts, defaultModelRules.preserveFamily),
      genericNames: section("special_rules.generic_names", texts, defaultModelRules.genericNames)
    }
    if (!filled) return { _tag: "error", why: "parsed but contains no configuration" }
    return { _tag: "ok", rules, unread: unreadKeys(root) }
  } catch (cause) {
    if (cause instanceof BadSection) return { _tag: "error", why: `yaml: ${cause.message}` }
    throw cause
  }
}

/** A misspelt section would otherwise be silently the built-in one. */
const unreadKeys = (root: YamlNode | undefined): ReadonlyArray<string> => {
  if (root?.kind !== "map") return []
  return [...root.entries].flatMap(([group, entry]) => {
    const known = sections[group]
    const line = (path: string) => nodeAt(root, path)?.at.line ?? entry.at.line
    if (known === undefined) return group === "version" ? [] : [`line ${entry.at.line}: "${group}" is not a section`]
    if (entry.node.kind !== "map") return []
    return [...entry.node.entries.keys()]
      .filter((name) => !known.includes(name))
      .map((name) => `line ${line(`${group}.${name}`)}: "${group}.${name}" is not a section`)
  })
}

const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause))

const absent = new Set(["ENOENT", "ENOTDIR"])

const meaning: Readonly<Record<string, string>> = { EACCES: "permission denied", EISDIR: "is a directory", EPERM: "permission denied" }

/** `before`: the last reading, which stands for a file that still says the same. */
export const loadModelRules = (sources: ModelsFileSources, before?: LoadedModelRules): LoadedModelRules => {
  const warnings: Array<string> = []
  const builtIn = (): LoadedModelRules => ({ rules: defaultRules, text: "", path: undefined, warnings, remarks: [] })
  for (const path of modelsFileCandidates(sources)) {
    let text: string
    try {
      text = readFileSync(resolve(sources.cwd, path), "utf8")
    } catch (cause) {
      const code = codeOf(cause)
      if (!absent.has(code)) warnings.push(`${path}: ${meaning[code] ?? code}`)
      continue
    }
    if (before !== undefined && path === before.path && text === before.text) return { ...before, warnings }
    const reading = readModelRules(text)
    if (reading._tag === "error") {
      warnings.push(`${path}: ${reading.why}`)
      continue
    }
    const built = buildAttributeRules(reading.rules)
    if (built._tag === "error") {
      warnings.push(...built.problems.map((problem) => `${path}: ${problem}`))
      return builtIn()
    }
    return { rules: built.rules, text, path, warnings, remarks: reading.unread.map((remark) => `${path}: ${remark}`) }
  }
  return builtIn()
}

/** A warning or remark with file and line as all other findings have them. */
export const placed = (issue: string, severity: Diagnostic["severity"]): Diagnostic => {
  const [, file = "", line, message = issue] = /^(.*?\.yaml): (?:yaml: )?(?:line (\d+): )?(.*)$/s.exec(issue) ?? []
  return { severity, message, file, ...(line === undefined ? {} : { line: Number(line) }) }
}

/** What start-up has to say about it. */
export const logModelRules = (loaded: LoadedModelRules): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (loaded.warnings.length > 0) {
      const instead = loaded.path === undefined ? "falling back to embedded defaults" : `using ${loaded.path} instead`
      yield* Effect.logWarning(`model unification config: found unusable models.yaml candidate(s), ${instead}`, {
        details: loaded.warnings.join("; ")
      })
    } else if (loaded.path === undefined) yield* Effect.logDebug("model unification config: no models.yaml found, using embedded defaults")
    if (loaded.path !== undefined) yield* Effect.logInfo("model unification config loaded", { source: loaded.path })
    if (loaded.remarks.length > 0)
      yield* Effect.logWarning("model unification config: keys that have no effect", { details: loaded.remarks.join("; ") })
  })

export interface ModelsFileReport {
  /** As `--validate-config` shows it. */
  readonly source: string
  /** One line each; any makes the report a warning. */
  readonly issues: ReadonlyArray<string>
}

/** For `--validate-config`. */
export const reportOf = ({ path, warnings }: LoadedModelRules): ModelsFileReport => {
  return { source: path === undefined ? "using embedded defaults" : `loaded from ${path}`, issues: warnings }
}

/** How families, quantisation, capabilities and publishers are read off names and fields, by the rules of `models.yaml`. */
import type { ListedModel } from "../profile/ListedModel.ts"
import { type CompiledPattern, compilePattern, type ModelPattern, maxPatternSubject, shippedPattern } from "./ModelPattern.ts"
import { defaultModelRules, type ModelRules } from "./ModelRules.ts"

export interface FamilyName {
  readonly family: string
  /** May be empty. */
  readonly variant: string
}

export interface AttributeRules {
  readonly family: (model: ListedModel) => FamilyName
  /** From a name and, where one is known, an architecture alone. */
  readonly familyOf: (name: string, architecture?: string) => FamilyName
  readonly quantization: (text: string) => string
  /** No duplicates, in no particular order. */
  readonly capabilities: (model: ListedModel) => ReadonlyArray<string>
  readonly publisher: (model: ListedModel) => string | undefined
}

export type AttributeRulesBuild =
  | { readonly _tag: "ok"; readonly rules: AttributeRules }
  | { readonly _tag: "error"; readonly problems: ReadonlyArray<string> }

/** Unmapped spellings, as whole tokens: `IQ4_XS` and `TQ1_0` keep their meaning. */
const quantizationShapes: ReadonlyArray<readonly [shape: RegExp, form: string]> = [
  [/(?<![a-z0-9_])q(\d+)_k_([msl])(?![a-z0-9_])/, "q$1k$2"],
  [/(?<![a-z0-9_])q(\d+)_(\d+)(?![a-z0-9_])/, "q$1_$2"],
  [/(?<![a-z0-9_])q(\d+)(?![a-z0-9_])/, "q$1"],
  [/(?<![a-z0-9_])fp?(\d+)(?![a-z0-9_])/, "f$1"],
  [/(?<![a-z0-9_])int(\d+)(?![a-z0-9_])/, "int$1"]
]

/** What the first word of a name says when nothing else does. */
const lastResort =
  "llama gemma phi qwen mistral mixtral yi deepseek codellama starcoder vicuna falcon gpt2 gptj gptneox bloom opt mpt".split(" ")

const longestPrefix = (table: Readonly<Record<string, string>>): ((text: string) => string | undefined) => {
  const entries = Object.entries(table)
    .map(([key, value]) => [key.toLowerCase(), value] as const)
    .sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1))
  return (text) => entries.find(([key]) => key !== "" && text.startsWith(key))?.[1]
}

/** Known to be quick on any name. */
const shippedPatterns: ReadonlySet<string> = new Set(
  [...defaultModelRules.familyPatterns, ...defaultModelRules.namePatterns].map((entry) => entry.pattern)
)

const nonEmpty = (text: string | undefined): string | undefined => (text === undefined || text === "" ? undefined : text)

export const buildAttributeRules = (source: ModelRules): AttributeRulesBuild => {
  const problems: Array<string> = []
  const compile = (pattern: string, ignoreCase: boolean, groups: ReadonlyArray<number>): ModelPattern | undefined => {
    const compiled: CompiledPattern = shippedPatterns.has(pattern)
      ? { _tag: "ok", pattern: shippedPattern(pattern, ignoreCase) }
      : compilePattern(pattern, ignoreCase)
    if (compiled._tag === "error") {
      problems.push(compiled.why)
      return undefined
    }
    const missing = groups.find((group) => !Number.isInteger(group) || group < 0 || group > compiled.pattern.groups)
    if (missing !== undefined) problems.push(`pattern \`${pattern}\` has no group ${missing}`)
    return compiled.pattern
  }
  const familyPatterns = source.familyPatterns.map((entry) => ({
    pattern: compile(entry.pattern, false, [entry.familyGroup, entry.variantGroup]),
    familyGroup: entry.familyGroup,
    variantGroup: entry.variantGroup
  }))
  const namePatterns = source.namePatterns.map((entry) => ({
    pattern: compile(entry.pattern, true, []),
    capabilities: entry.capabilities
  }))
  if (problems.length > 0) return { _tag: "error", problems }

  const lowered = (table: Readonly<Record<string, string>>) =>
    new Map(Object.entries(table).map(([key, value]) => [key.toLowerCase(), value]))
  const architectures = lowered(source.architectureMappings)
  const familyAliases = lowered(source.familyAliases)
  const aliasPrefix = longestPrefix(source.familyAliases)
  const publisherPrefix = longestPrefix(source.publisherMappings)
  const quantizations = new Map(Object.entries(source.quantizationMappings).map(([key, value]) => [key.toUpperCase(), value]))
  const types = new Map(Object.entries(source.typeCapabilities).map(([key, value]) => [key.toLowerCase(), value]))
  const generic = new Set(source.genericNames.map((name) => name.toLowerCase()))

  const preserved = (name: string, architecture: string): string | undefined => {
    const bare = name.slice(name.lastIndexOf("/") + 1)
    return source.preserveFamily.find((entry) => {
      const low = entry.toLowerCase()
      return architecture === low || bare === low || (bare.startsWith(low) && "-_:/.".includes(bare.charAt(low.length)))
    })
  }

  const familyOf = (stated: string, statedArchitecture = ""): FamilyName => {
    const name = stated.trim().toLowerCase().slice(0, maxPatternSubject)
    const architecture = statedArchitecture.trim().toLowerCase()
    const kept = preserved(name, architecture)
    if (kept !== undefined) return { family: kept, variant: "" }
    const mapped = architecture === "" ? undefined : (architectures.get(architecture) ?? familyAliases.get(architecture))
    if (mapped !== undefined) {
      const rest = architecture.startsWith(mapped) ? architecture.slice(mapped.length) : ""
      return { family: mapped, variant: /^\d/.test(rest) && (generic.has(name) || name.includes(mapped)) ? rest : "" }
    }
    for (const { pattern, familyGroup, variantGroup } of familyPatterns) {
      const match = pattern?.groupsOf(name)
      const found = nonEmpty(familyGroup === 0 ? undefined : match?.[familyGroup])
      if (found !== undefined) return { family: found, variant: (variantGroup === 0 ? undefined : match?.[variantGroup]) ?? "" }
    }
    const token = name.split(/[-_:/]/)[0] ?? ""
    return { family: aliasPrefix(token) ?? lastResort.find((word) => token.startsWith(word)) ?? "", variant: "" }
  }

  const family = (model: ListedModel): FamilyName => {
    const stated = nonEmpty(model.details?.family) ?? nonEmpty(model.details?.families?.[0])
    return stated === undefined ? familyOf(model.name) : { family: stated, variant: "" }
  }

  const quantization = (text: string): string => {
    const mapped = quantizations.get(text.trim().toUpperCase())
    if (mapped !== undefined) return mapped
    const low = text.trim().toLowerCase()
    for (const [shape, form] of quantizationShapes) {
      const match = shape.exec(low)
      if (match !== null) return match[0].replace(shape, form)
    }
    return low
  }

  const { extended_context: extended, long_context: long, ultra_long_context: ultraLong } = source.contextThresholds
  const reaches = (context: number, threshold: number | undefined): boolean =>
    threshold !== undefined && context > 0 && context >= threshold

  const capabilities = (model: ListedModel): ReadonlyArray<string> => {
    const out = new Set(["text-generation"])
    const type = [model.type, model.details?.type].map((text) => text?.toLowerCase() ?? "").find((text) => types.has(text))
    if (type !== undefined) {
      if (type === "embeddings" || type === "embedding") out.delete("text-generation")
      for (const capability of types.get(type) ?? []) out.add(capability)
    }
    const name = model.name.slice(0, maxPatternSubject)
    for (const { pattern, capabilities: added } of namePatterns)
      if (pattern?.matches(name) === true) for (const capability of added) out.add(capability)
    if (model.details?.supports_vision === true) out.add("vision")
    const context = model.details?.max_context_length ?? 0
    if (reaches(context, ultraLong)) out.add("ultra-long-context").add("long-context")
    else if (reaches(context, long)) out.add("long-context")
    else if (reaches(context, extended)) out.add("extended-context")
    return [...out]
  }

  const publisher = (model: ListedModel): string | undefined => {
    const stated = nonEmpty(model.details?.publisher)
    if (stated !== undefined) return stated
    const slash = model.name.indexOf("/")
    return slash > 0 ? model.name.slice(0, slash) : publisherPrefix(model.name.trim().toLowerCase())
  }

  return { _tag: "ok", rules: { family, familyOf, quantization, capabilities, publisher } }
}

const builtIn = buildAttributeRules(defaultModelRules)
if (builtIn._tag === "error") throw new Error(`built-in model rules: ${builtIn.problems.join("; ")}`)

export const defaultRules: AttributeRules = builtIn.rules

/** One profile file: YAML to `Profile`, with the findings that warn and never reject (backend-profiles.md 2, 13.7). */
import { readYaml, type YamlNode } from "../config/YamlTree.ts"
import type { ListingFormat, Profile } from "./Profile.ts"

export type RawProfile = { readonly [key: string]: unknown }

export const listingFormats: ReadonlyArray<ListingFormat> = [
  "ollama",
  "lmstudio",
  "openai",
  "vllm",
  "vllm-mlx",
  "sglang",
  "lmdeploy",
  "llamacpp",
  "lemonade",
  "docker-model-runner"
]

const yes = /^(?:true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/
const no = /^(?:false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/

/** Values by their written text where it matters: `1.0` stays `1.0`, `yes` is a boolean only where one is read. */
const raw = (node: YamlNode): unknown => {
  if (node.kind === "list") return node.items.map(raw)
  if (node.kind === "map") return Object.fromEntries([...node.entries].map(([key, entry]) => [key, raw(entry.node)]))
  return node.value === null ? null : node.text
}

export type ProfileReading = { readonly _tag: "ok"; readonly raw: RawProfile } | { readonly _tag: "error"; readonly why: string }

export const readProfileFile = (text: string): ProfileReading => {
  const { root, problems } = readYaml(text)
  if (problems[0] !== undefined)
    return { _tag: "error", why: `failed to parse profile YAML: line ${problems[0].line}: ${problems[0].message}` }
  const value = root === undefined ? {} : raw(root)
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { _tag: "error", why: "failed to parse profile YAML: not a mapping" }
  return { _tag: "ok", raw: value as RawProfile }
}

/** `over` laid over `base`: mappings merge, lists and scalars replace (backend-profiles.md 2.5). */
export const layOver = (base: RawProfile, over: RawProfile): RawProfile => {
  const out: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = out[key]
    out[key] = isMap(below) && isMap(value) ? layOver(below, value) : value
  }
  return out
}

const isMap = (value: unknown): value is RawProfile => typeof value === "object" && value !== null && !Array.isArray(value)

class BadValue extends Error {}

const at = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((node, step) => (isMap(node) ? node[step] : undefined), value)

export type ProfileBuild =
  | { readonly _tag: "ok"; readonly profile: Profile; readonly findings: ReadonlyArray<string> }
  | { readonly _tag: "error"; readonly why: string }

/** `reserved` prefixes and malformed ones are left out with a finding. */
export const buildProfile = (source: RawProfile): ProfileBuild => {
  const findings: Array<string> = []
  const text = (path: string): string => {
    const value = at(source, path)
    if (value === undefined || value === null) return ""
    if (typeof value !== "string") throw new BadValue(`${path} must be a text`)
    return value
  }
  const bool = (path: string): boolean => {
    const value = text(path)
    if (value === "" || no.test(value)) return false
    if (!yes.test(value)) throw new BadValue(`${path} must be true or false`)
    return true
  }
  const list = (path: string): ReadonlyArray<string> => {
    const value = at(source, path)
    if (value === undefined || value === null) return []
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw new BadValue(`${path} must be a list of texts`)
    return value
  }
  const map = (path: string): Readonly<Record<string, string>> => {
    const value = at(source, path)
    if (value === undefined || value === null) return {}
    if (!isMap(value)) throw new BadValue(`${path} must be a mapping`)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item ?? "")]))
  }
  try {
    const name = text("name")
    if (name === "") return { _tag: "error", why: "profile name is required" }
    const format = text("request.response_format")
    if (format !== "" && !listingFormats.includes(format as ListingFormat))
      findings.push(`unknown request.response_format "${format}", the openai parser is used`)
    const paths = list("api.paths")
    if (paths.length === 0) findings.push("api.paths is empty: no path prefers this kind")
    for (const path of paths) if (!path.startsWith("/")) findings.push(`api.paths: "${path}" does not start with /`)
    if (name !== name.toLowerCase() || name.includes("_")) findings.push(`name "${name}" should be lower case with hyphens`)
    const prefixes = list("routing.prefixes").filter((prefix) => {
      const problem = prefixProblem(prefix)
      if (problem !== undefined) findings.push(problem)
      return problem === undefined
    })
    const anthropic = at(source, "api.anthropic_support")
    const messagesPath = text("api.anthropic_support.messages_path")
    if (bool("api.anthropic_support.enabled") && messagesPath === "")
      findings.push("api.anthropic_support is enabled without messages_path, /v1/messages is used")
    const profile: Profile = {
      name,
      version: text("version") || "1.0",
      displayName: text("display_name") || name,
      description: text("description"),
      prefixes: [...new Set(prefixes)],
      openaiCompatible: bool("api.openai_compatible"),
      paths,
      enforcePaths: bool("api.enforce_paths"),
      healthCheckPath: text("api.health_check_path"),
      modelDiscoveryPath: text("api.model_discovery_path"),
      listingFormat: listingFormats.includes(format as ListingFormat) ? (format as ListingFormat) : "openai",
      anthropic: isMap(anthropic)
        ? {
            enabled: bool("api.anthropic_support.enabled"),
            messagesPath: messagesPath || "/v1/messages",
            limitations: list("api.anthropic_support.limitations"),
            tokenCount: bool("api.anthropic_support.token_count")
          }
        : undefined,
      metrics: {
        enabled: bool("metrics.extraction.enabled"),
        source: text("metrics.extraction.source"),
        paths: map("metrics.extraction.paths"),
        calculations: map("metrics.extraction.calculations")
      },
      chatPath: paths.find((path) => path.endsWith("/v1/chat/completions")) ?? "/v1/chat/completions"
    }
    return { _tag: "ok", profile, findings }
  } catch (cause) {
    if (cause instanceof BadValue) return { _tag: "error", why: `failed to parse profile YAML: ${cause.message}` }
    throw cause
  }
}

const reservedPrefixes = new Set(["models", "proxy", "anthropic"])

const prefixProblem = (prefix: string): string | undefined => {
  if (reservedPrefixes.has(prefix.toLowerCase())) return `routing prefix "${prefix}" belongs to Olla and is ignored`
  return /^[a-z0-9][a-z0-9_-]*$/i.test(prefix) ? undefined : `routing prefix "${prefix}" is malformed and is ignored`
}

/** One profile file: YAML to `Profile`, with the findings that warn and never reject. */
import { readYaml, type YamlNode } from "../config/YamlTree.ts"
import { type ListingFormat, listingFormats } from "./ListingFormats.ts"
import type { EmbeddingsForm, Profile, ThinkingSwitch } from "./Profile.ts"
import { checkShape, readBool } from "./ProfileSchema.ts"
import { signalSourcesOf } from "./SignalSource.ts"

export type RawProfile = { readonly [key: string]: unknown }

/** Values by their written text: `1.0` stays `1.0`, and `yes` is a boolean only where one is read. */
const raw = (node: YamlNode): unknown => {
  if (node.kind === "list") return node.items.map(raw)
  if (node.kind === "map") return Object.fromEntries([...node.entries].map(([key, entry]) => [key, raw(entry.node)]))
  return node.value === null && !node.quoted ? null : node.text
}

export type ProfileReading =
  | { readonly _tag: "ok"; readonly raw: RawProfile; readonly findings: ReadonlyArray<string> }
  | { readonly _tag: "error"; readonly why: string }

export const readProfileFile = (text: string): ProfileReading => {
  const { root, problems } = readYaml(text)
  const unreadable = (line: number, message: string): ProfileReading => ({
    _tag: "error",
    why: `failed to parse profile YAML: line ${line}: ${message}`
  })
  if (problems[0] !== undefined) return unreadable(problems[0].line, problems[0].message)
  if (root === undefined) return { _tag: "ok", raw: {}, findings: [] }
  const { wrong, slips } = checkShape(root)
  if (wrong !== undefined) return unreadable(wrong.line, wrong.message)
  return {
    _tag: "ok",
    raw: raw(root) as RawProfile,
    findings: slips.map(({ line, message }) => `line ${line}: ${message}`)
  }
}

/** `over` laid over `base`: mappings merge, lists and scalars replace. */
export const layOver = (base: RawProfile, over: RawProfile): RawProfile => {
  const out: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = out[key]
    out[key] = isMap(below) && isMap(value) ? layOver(below, value) : value
  }
  return out
}

const isMap = (value: unknown): value is RawProfile => typeof value === "object" && value !== null && !Array.isArray(value)

const at = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((node, step) => (isMap(node) && Object.hasOwn(node, step) ? node[step] : undefined), value)

export type ProfileBuild =
  | { readonly _tag: "ok"; readonly profile: Profile; readonly findings: ReadonlyArray<string> }
  | { readonly _tag: "error"; readonly why: string }

/** `source`: of values that have their kind already (`readProfileFile`). Reserved and malformed prefixes are left out with a finding. */
export const buildProfile = (source: RawProfile): ProfileBuild => {
  const text = (path: string): string => {
    const value = at(source, path)
    return typeof value === "string" ? value : ""
  }
  const bool = (path: string): boolean => readBool(text(path)) === true
  const list = (path: string): ReadonlyArray<string> => {
    const value = at(source, path)
    return Array.isArray(value) ? value.filter((item) => typeof item === "string") : []
  }
  const map = (path: string): Readonly<Record<string, string>> => {
    const value = at(source, path)
    return isMap(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item ?? "")])) : {}
  }
  const int = (path: string): number => Math.trunc(Number(text(path)))
  const name = text("name")
  if (name === "") return { _tag: "error", why: "profile name is required" }
  const format = text("request.response_format")
  const paths = list("api.paths")
  const prefixes = list("routing.prefixes")
  const messagesPath = text("api.anthropic_support.messages_path")
  const thinking = text("api.thinking_switch")
  const chatPath = text("request.parsing_rules.chat_completions_path")
  const embeddings = list("api.embeddings")
  const listingFormat = formatCalled(format) ?? "openai"
  const discoveryPath = text("api.model_discovery_path")
  const signals = signalSourcesOf(at(source, "signals.sources"))
  const listingPaths = Object.entries(map("api.listing_paths"))
  const profile: Profile = {
    name,
    version: text("version") || "1.0",
    displayName: text("display_name") || name,
    description: text("description"),
    notes: list("notes"),
    defaultPorts: list("detection.default_ports"),
    proofs: proofsOf(at(source, "detection.proofs")),
    prefixes: [...new Set(prefixes.filter((prefix) => prefixProblem(prefix) === undefined))],
    openaiCompatible: bool("api.openai_compatible"),
    generic: bool("routing.generic"),
    genericPaths: bool("routing.generic_paths"),
    refusedPaths: Object.entries(map("routing.refused_paths")).filter(([, why]) => why !== ""),
    refusedEverywhere: Object.entries(map("routing.refused_everywhere")).filter(
      ([path, why]) => why !== "" && map("routing.refused_paths")[path] !== ""
    ),
    paths,
    enforcePaths: bool("api.enforce_paths"),
    healthCheckPath: text("api.health_check_path"),
    modelDiscoveryPath: discoveryPath,
    listingFormat,
    listings: new Map([
      ...(discoveryPath === "" ? [] : [[`/${discoveryPath.replace(/^\/+/, "")}`, listingFormat] as const]),
      ...(bool("api.openai_compatible") ? [["/v1/models", "openai"] as const] : []),
      ...listingPaths.flatMap(([path, called]) => {
        const known = formatCalled(called)
        return known === undefined ? [] : [[path, known] as const]
      })
    ]),
    impliedTag: text("models.implied_tag"),
    listedAs: { name: text("version_listing.name") || name, place: int("version_listing.place") || Number.POSITIVE_INFINITY },
    responses: isMap(at(source, "api.responses_support"))
      ? {
          enabled: bool("api.responses_support.enabled"),
          responsesPath: text("api.responses_support.responses_path") || "/v1/responses",
          limitations: list("api.responses_support.limitations"),
          stateful: bool("api.responses_support.stateful")
        }
      : undefined,
    anthropic: isMap(at(source, "api.anthropic_support"))
      ? {
          enabled: bool("api.anthropic_support.enabled"),
          messagesPath: messagesPath || "/v1/messages",
          limitations: list("api.anthropic_support.limitations"),
          tokenCount: bool("api.anthropic_support.token_count"),
          threads: bool("api.anthropic_support.threads"),
          minVersion: text("api.anthropic_support.min_version")
        }
      : undefined,
    reasoningFields: list("api.reasoning_fields"),
    thinkingSwitch: thinkingSwitches.find((known) => known === thinking) ?? "none",
    extraSampling: list("api.extra_sampling"),
    promptCacheKey: bool("api.prompt_cache_key"),
    chat:
      text("api.chat_support.enabled") === ""
        ? bool("api.openai_compatible") || paths.some((path) => path.endsWith("/chat/completions"))
        : bool("api.chat_support.enabled"),
    ollama: bool("api.ollama_support.enabled"),
    embeddings: embeddingsForms.filter((form) =>
      embeddings.length > 0
        ? embeddings.includes(form)
        : paths.some((path) => path.endsWith(form === "openai" ? "/v1/embeddings" : "/api/embed"))
    ),
    metrics: {
      enabled: bool("metrics.extraction.enabled"),
      source: text("metrics.extraction.source"),
      paths: map("metrics.extraction.paths"),
      calculations: map("metrics.extraction.calculations"),
      headers: map("metrics.extraction.headers")
    },
    signals: signals.sources,
    fixedModel: bool("characteristics.fixed_model"),
    promptCacheTokens: int("characteristics.prompt_cache_tokens") || undefined,
    chatPath:
      paths.find((path) => path.endsWith("/v1/chat/completions")) ??
      (chatPath.startsWith("/") && chatPath.endsWith("/chat/completions") ? chatPath : "/v1/chat/completions")
  }
  const findings = [
    ...(format === "" || format === profile.listingFormat
      ? []
      : [`unknown request.response_format "${format}", the openai parser is used`]),
    ...listingPaths.flatMap(([path, called]) =>
      formatCalled(called) === undefined ? [`unknown form "${called}" in api.listing_paths, ${path} is forwarded`] : []
    ),
    ...(thinking === "" || thinking === profile.thinkingSwitch
      ? []
      : [`unknown api.thinking_switch "${thinking}", none is used (known: ${thinkingSwitches.join(", ")})`]),
    ...embeddings
      .filter((form) => !embeddingsForms.some((known) => known === form))
      .map((form) => `unknown form "${form}" in api.embeddings (known: ${embeddingsForms.join(", ")})`),
    ...(paths.length === 0 ? ["api.paths is empty: no path prefers this kind"] : []),
    ...paths.filter((path) => !path.startsWith("/")).map((path) => `api.paths: "${path}" does not start with /`),
    ...(normaliseName(name) === name
      ? []
      : [`name "${name}" is not as routes write it: "${normaliseName(name)}" (lower case, hyphens) is found everywhere`]),
    ...prefixes.flatMap(
      (prefix, n) => prefixProblem(prefix) ?? (prefixes.indexOf(prefix) < n ? `routing prefix "${prefix}" stands twice` : [])
    ),
    ...(profile.anthropic?.enabled === true && messagesPath === ""
      ? ["api.anthropic_support is enabled without messages_path, /v1/messages is used"]
      : []),
    ...signals.findings,
    ...indexFindings(at(source, "path_indices"), paths.length),
    ...sizeFindings(at(source, "resources.model_sizes"))
  ]
  return { _tag: "ok", profile, findings }
}

const formatCalled = (name: string): ListingFormat | undefined => listingFormats.find((known) => known === name)

/** A name as it stands in a URL. */
export const normaliseName = (text: string): string => text.toLowerCase().replace(/_/g, "-")

const reservedPrefixes = new Set(["models", "proxy", "anthropic"])

const prefixProblem = (prefix: string): string | undefined => {
  if (reservedPrefixes.has(prefix.toLowerCase())) return `routing prefix "${prefix}" belongs to Olla and is ignored`
  return /^[a-z0-9][a-z0-9_-]*$/i.test(prefix) ? undefined : `routing prefix "${prefix}" is malformed and is ignored`
}

const embeddingsForms: ReadonlyArray<EmbeddingsForm> = ["openai", "ollama"]

const thinkingSwitches: ReadonlyArray<ThinkingSwitch> = ["none", "chat_template", "effort"]

const indexNames = new Set(["health", "models", "completions", "chat_completions", "embeddings"])

const indexFindings = (indices: unknown, count: number): ReadonlyArray<string> =>
  Object.entries(isMap(indices) ? indices : {}).flatMap(([name, value]) => {
    const index = Math.trunc(Number(value))
    return !indexNames.has(name) || value === null || (index >= -1 && index < count)
      ? []
      : [`path_indices.${name} is ${index}, but api.paths has ${count} entries (first is 0; -1: none)`]
  })

const sizeFindings = (sizes: unknown): ReadonlyArray<string> =>
  (Array.isArray(sizes) ? sizes : []).flatMap((bucket) => {
    const patterns: unknown = isMap(bucket) ? bucket["patterns"] : undefined
    return (Array.isArray(patterns) ? patterns : [])
      .filter((pattern) => typeof pattern === "string" && pattern.includes("*"))
      .map((pattern) => `resources.model_sizes: "${String(pattern)}" is no glob: sizes are written bare, such as 7b`)
  })

/** Where a proof stands that does not say: behind the shipped kinds with paths of their own, before those that only a list tells apart. */
const usualPlace = 50

const proofsOf = (value: unknown): Profile["proofs"] =>
  (Array.isArray(value) ? value : []).filter(isMap).map((proof) => {
    const text = (key: string): string => {
      const found = proof[key]
      return typeof found === "string" ? found : ""
    }
    const texts = (key: string): ReadonlyArray<string> => {
      const found = proof[key]
      return Array.isArray(found) ? found.filter((item) => typeof item === "string") : []
    }
    return {
      path: text("path"),
      place: Math.trunc(Number(text("place"))) || usualPlace,
      lists: texts("lists"),
      lacks: text("lacks"),
      entryFields: texts("entry_fields"),
      owners: texts("owned_by"),
      text: text("text"),
      header: text("header"),
      anywhere: readBool(text("anywhere")) === true,
      isListing: readBool(text("listing")) !== false
    }
  })

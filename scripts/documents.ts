/**
 * Documents that are derived from the code: docs/configuration.md, docs/errors.md, docs/http-api.md, docs/backends.md,
 * config/olla.schema.json and config/models.yaml. `npm run docs` writes them; a test fails when one is stale.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import type { KeyInfo } from "../src/config/ConfigSchema.ts"
import { formatDuration } from "../src/config/Duration.ts"
import { overrides } from "../src/config/Environment.ts"
import { allKeys, type KeyTree, keyTree } from "../src/config/SchemaTree.ts"
import { listingFormats } from "../src/profile/ProfileFile.ts"
import { loadProfiles } from "../src/profile/ProfileLoading.ts"
import { backendsPage } from "./backendDocuments.ts"
import { errors, httpApi, openApiYaml } from "./httpDocuments.ts"
import { modelsFile } from "./modelsFile.ts"

const shippedProfiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } }).all

const root = join(import.meta.dirname, "..")

const defaults = decodeConfig("", "", {}).config as unknown as Record<string, unknown>

const at = (path: string): unknown =>
  path.split(".").reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], defaults)

const endpointDefaults = decodeConfig("discovery: {static: {endpoints: [{url: http://h:1}]}}", "", {}).config?.discovery.static
  .endpoints[0] as unknown as Record<string, unknown>

const shownDefault = (path: string, info: KeyInfo): string => {
  const inEndpoint = path.startsWith("discovery.static.endpoints[].")
  const value = inEndpoint
    ? path
        .slice("discovery.static.endpoints[].".length)
        .split(".")
        .reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], endpointDefaults)
    : at(path)
  if (value === undefined || value === "") return ""
  if (info.kind === "duration") return `\`${formatDuration(Number(value))}\``
  return `\`${JSON.stringify(value)}\``
}

const kindText = (info: KeyInfo): string => {
  if (info.words !== undefined)
    return info.words
      .filter((word) => word !== "")
      .map((word) => `\`${word}\``)
      .join(", ")
  const names: Readonly<Record<KeyInfo["kind"], string>> = {
    string: "text",
    int: "whole number",
    bool: "true or false",
    duration: "duration",
    size: "size",
    strings: "list",
    words: "list",
    word: "word",
    map: "mapping",
    "strings-map": "mapping of lists"
  }
  return names[info.kind]
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

const configuration = (): string => {
  const variables = new Map(Object.entries(overrides).map(([variable, path]) => [path, variable]))
  const groups = new Map<string, Array<string>>()
  for (const { path, info } of allKeys()) {
    const group = path.startsWith("discovery.static.endpoints[]") ? "discovery.static.endpoints[]" : (path.split(".")[0] ?? "")
    const variable = variables.get(path)
    const row = `| \`${path}\` | ${cell(kindText(info))} | ${cell(shownDefault(path, info))} | ${cell(info.doc)}${info.pending === true ? " *No effect yet.*" : ""}${variable === undefined ? "" : ` Variable \`${variable}\`.`} |`
    groups.set(group, [...(groups.get(group) ?? []), row])
  }
  const tables = [...groups].map(
    ([group, rows]) => `## \`${group}\`\n\n| key | value | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`
  )
  return `# Configuration

<!-- Written by \`npm run docs\` from src/config/ConfigSchema.ts: change the text there. -->

One YAML file. Olla takes the first of: \`--config FILE\`, \`OLLA_CONFIG_FILE\`, \`config/config.local.yaml\`, \`config/config.yaml\`,
\`config.yaml\`, \`default.yaml\`; without any, the defaults below. A file replaces the defaults key by key; a list replaces a list.
Variables named in the tables override the file. Bad values end the start with file, line, column and the way out; unknown keys
and bad variables are warnings. \`olla validate FILE\` tells the same without starting, \`olla config show\` prints what is in force and
where each value comes from.

Durations are written \`500ms\`, \`30s\`, \`1m30s\`, \`2h\`. Sizes are bytes, or \`50MB\` (binary: 1 KB is 1024). In an endpoint's URLs, headers
and credentials \`\${NAME}\` and \`\${NAME:-fallback}\` take environment variables; an unset one without fallback ends the start.
\`config/olla.schema.json\` gives editors completion: put \`# yaml-language-server: $schema=olla.schema.json\` on the first line.

${tables.join("\n")}`
}

const jsonOf = (info: KeyInfo): Record<string, unknown> => {
  const base = { description: info.doc }
  switch (info.kind) {
    case "int":
      return { ...base, type: "integer" }
    case "bool":
      return { ...base, type: "boolean" }
    case "duration":
      return { ...base, type: ["string", "integer"], pattern: "^[-+]?(?:0|(?:[0-9.]+(?:ns|us|µs|ms|s|m|h))+)$", examples: ["30s", "1m30s"] }
    case "size":
      return { ...base, type: ["integer", "string"], examples: ["50MB"] }
    case "strings":
      return { ...base, type: "array", items: { type: "string" } }
    case "words":
      return { ...base, type: "array", items: { enum: info.words } }
    case "word":
      return { ...base, enum: info.words }
    case "map":
      return { ...base, type: "object", additionalProperties: { type: ["string", "number", "boolean", "null"] } }
    case "strings-map":
      return { ...base, type: "object", additionalProperties: { type: "array", items: { type: "string" } } }
    default:
      return { ...base, type: ["string", "number", "boolean"] }
  }
}

const jsonTree = (tree: KeyTree): Record<string, unknown> => {
  if (tree.kind === "key") return jsonOf(tree.info)
  if (tree.kind === "endpoints") return { type: "array", items: jsonTree(tree.item) }
  return {
    type: "object",
    additionalProperties: true,
    properties: Object.fromEntries([...tree.keys].map(([name, child]) => [name, jsonTree(child)]))
  }
}

const schema = (): string =>
  `${JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", title: "Olla configuration", ...jsonTree(keyTree) }, null, 2)}\n`

/** Path from the repository's root to content. */
export const documents = (): ReadonlyMap<string, string> =>
  new Map([
    ["docs/configuration.md", configuration()],
    ["docs/errors.md", errors()],
    ["docs/http-api.md", httpApi()],
    ["docs/backends.md", backendsPage(shippedProfiles, listingFormats)],
    ["docs/openapi.yaml", openApiYaml()],
    ["config/olla.schema.json", schema()],
    ["config/models.yaml", modelsFile()]
  ])

if (import.meta.main) for (const [path, content] of documents()) writeFileSync(join(root, path), content)

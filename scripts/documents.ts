/**
 * Documents that are derived from the code: docs/configuration.md, docs/errors.md, docs/http-api.md, docs/backends.md,
 * config/olla.schema.json and config/models.yaml. `npm run docs` writes them; a test fails when one is stale.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import type { KeyInfo } from "../src/config/ConfigKey.ts"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import { formatDuration } from "../src/config/Duration.ts"
import { overrides } from "../src/config/Environment.ts"
import { aliasTree, allKeys, type KeyTree, keyTree } from "../src/config/SchemaTree.ts"
import { listingFormats } from "../src/profile/ListingFormats.ts"
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

const dnsDefaults = decodeConfig("discovery: {dns: [{name: h}]}", "", {}).config?.discovery.dns[0] as unknown as Record<string, unknown>

const itemDefault = (path: string, defaults: Record<string, unknown>): unknown =>
  path
    .slice(path.indexOf("[].") + 3)
    .split(".")
    .reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], defaults)

const shownDefault = (path: string, info: KeyInfo): string => {
  const value = path.startsWith("discovery.static.endpoints[].")
    ? itemDefault(path, endpointDefaults)
    : path.startsWith("discovery.dns[].")
      ? itemDefault(path, dnsDefaults)
      : at(path)
  if (value === undefined || value === "" || path.endsWith("[].url") || path.endsWith("[].name")) return ""
  if (info.kind === "duration") return `\`${formatDuration(Number(value))}\``
  return `\`${JSON.stringify(value)}\``
}

const notYet = ({ pending }: KeyInfo, mark: string): string =>
  pending === undefined ? "" : ` ${mark}${pending === "warns" ? "No effect yet." : "Refused: nothing asks for it yet."}${mark}`

const kindText = (info: KeyInfo): string => {
  if (info.kind === "policy") return `${(info.words ?? []).map((word) => `\`${word}\``).join(", ")}, mapping`
  if (info.words !== undefined)
    return info.words
      .filter((word) => word !== "")
      .map((word) => `\`${word}\``)
      .join(", ")
  const names: Readonly<Record<KeyInfo["kind"], string>> = {
    string: "text",
    int: "whole number",
    number: "number",
    bool: "true or false",
    duration: "duration",
    size: "size",
    strings: "list",
    words: "list",
    word: "word",
    map: "mapping",
    ints: "list of numbers",
    aliases: "mapping of lists",
    entries: "list of mappings",
    policy: "word or mapping"
  }
  return names[info.kind]
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

const dnsList = "discovery.dns[]"
const lists = ["discovery.static.endpoints[]", dnsList]

const introductions: Readonly<Record<string, string>> = {
  traffic: `Which endpoint a request goes to, what happens when one fails, and who waits. [traffic.md](traffic.md) goes from the problem to the key. A key
that does nothing because another one is off is told with a warning.

`,
  model_aliases: `A list is a pool: whoever has one of the targets may be asked. An alias may be a mapping too: \`policy\` (\`pool\`, or \`chain\`: the next target
only when the one before cannot), \`targets\`, and for a chain \`on\`, the reasons to go on (\`unavailable\`, \`saturated\`, \`rate_limited\`, \`failed\`,
\`context\`; all of them where it is absent). More in [traffic.md](traffic.md#another-model).

`,
  [dnsList]: `Names that are looked up again and again, each for the endpoints at its addresses: a headless service, a group of machines behind one
name. Every other key of an endpoint but \`url\` stands here too and holds for all of them. They are called \`address:port\`, and come and go like
endpoints that a reload adds and removes. While a name cannot be looked up, its last endpoints stay; \`/internal/status\` says so under
\`discovery\`. Beside it \`discovery.static.endpoints\` has what is written there and no built-in endpoint; of one URL its word counts.

\`\`\`yaml
discovery:
  dns:
    - {name: vllm-headless.ml.svc.cluster.local, port: 8000, type: vllm}
    - {name: _llm._tcp.gpu.example.com, srv: true, type: ollama, resolver: "10.0.0.2"}
\`\`\`

`
}

/** Of a name what is said of an endpoint is described there. */
const isOfEndpoints = (path: string): boolean =>
  path.startsWith(`${dnsList}.`) &&
  path !== `${dnsList}.name` &&
  allKeys().some((other) => other.path === path.replace(dnsList, "discovery.static.endpoints[]"))

const configuration = (): string => {
  const variables = new Map(Object.entries(overrides).map(([variable, path]) => [path, variable]))
  const groups = new Map<string, Array<string>>()
  for (const { path, info } of allKeys()) {
    if (isOfEndpoints(path)) continue
    const group = lists.find((list) => path.startsWith(list)) ?? path.split(".")[0] ?? ""
    const variable = variables.get(path)
    const row = `| \`${path}\` | ${cell(kindText(info))} | ${cell(shownDefault(path, info))} | ${cell(info.doc)}${notYet(info, "*")}${variable === undefined ? "" : ` Variable \`${variable}\`.`} |`
    groups.set(group, [...(groups.get(group) ?? []), row])
  }
  const tables = [...groups].map(
    ([group, rows]) =>
      `## \`${group}\`\n\n${introductions[group] ?? ""}| key | value | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`
  )
  return `# Configuration

<!-- Written by \`npm run docs\` from src/config/ConfigSchema.ts: change the text there. -->

One YAML file. Olla takes the first of: \`--config FILE\`, \`OLLA_CONFIG_FILE\`, \`config/config.local.yaml\`, \`config/config.yaml\`,
\`config.yaml\`, \`default.yaml\`; without any, the defaults below. Relative paths are relative to the working directory. A file
replaces the defaults key by key; a list replaces a list (\`endpoints: []\` is no endpoint), an empty value keeps the default.
Variables named in the tables override the file. Anchors, merges (\`<<\`) and JSON work; keys that begin with \`x-\` are yours.

Without a file no endpoint has to be written down: \`olla serve --backend URL[,TYPE]\` (repeatable) and
\`OLLA_BACKENDS=URL[,TYPE],URL...\` name them, and beside a file they add to its list. Where nobody says anything, the start looks once
at this machine: \`OLLAMA_HOST\` and the ports of the [known kinds](backends.md). What answers as one of them is served and told in one
line of the log; where nothing does, the built-in endpoint stays. \`olla config init\` writes any of that into a file.

| command | tells |
|---|---|
| \`olla validate [FILE]\` | every mistake with file, line, column, key, the nearest right name and an example; exit 0: none, 1: some, 2: wrong usage |
| \`olla validate --json\` | the same as one document: \`file\`, \`ok\`, \`errors\`, \`warnings\`, \`findings[]\` of \`severity\`, \`message\`, \`file\`, \`line\`, \`column\`, \`key\`, \`suggestion\`, \`example\` |
| \`olla --validate-config\` | a report of configuration, \`models.yaml\` and profiles; exit 0 only when all are clean |
| \`olla config show [--json]\` | what is in force and where each value comes from (\`default\`, \`file:line\`, a variable); secrets are masked |
| \`olla config init [--backend URL[,TYPE]]\` | writes the first file, \`config/config.local.yaml\` or \`config.yaml\`, with the backends that are named or found; never over one that is there |
| \`olla --print-default-config\` | the shipped file, to start from |
| \`olla status\`, \`drain\`, \`resume\`, \`probe\`, \`reload\` | of and to the running daemon: see [operations.md](operations.md) |

A start refuses what \`validate\` calls an error, all of it in one record, with exit code 1. It warns about the rest: unknown keys,
variables that do not parse (a wrong network in \`OLLA_SERVER_TRUSTED_PROXY_CIDRS\` is refused), and \`OLLA_SERVER_\`, \`OLLA_PROXY_\`, \`OLLA_LOGGING_\`, \`OLLA_MODEL_\`, \`OLLA_TRAFFIC_\` and \`OLLA_TRANSLATORS_\` names that do not exist.

Durations are written \`500ms\`, \`30s\`, \`1m30s\`, \`2h\`. Sizes are bytes, or \`50MB\` (binary: 1 KB is 1024). In an endpoint's URLs, headers
and credentials \`\${NAME}\` and \`\${NAME:-fallback}\` take environment variables; an unset one without fallback ends the start. Secrets can
stand in files: \`token_file\`, \`key_file\`, \`username_file\`, \`password_file\`, read once at the start, white space around them taken off.
\`config/olla.schema.json\` gives editors completion: put \`# yaml-language-server: $schema=olla.schema.json\` on the first line.

## Signals and exit codes

| | |
|---|---|
| SIGINT, SIGTERM | \`/internal/ready\` is 503 at once; new requests are served for \`server.drain_delay\`; then stop accepting, let open requests go on for \`server.shutdown_timeout\`, exit 0; during the start exit 0 at once |
| a second one | exit at once, also during the delay: 130 for SIGINT, 143 for SIGTERM |
| SIGHUP | the configuration is read again, as [reload.md](reload.md) has it |
| exit 1 | the start was refused, a check found something, or the listening socket broke down |
| exit 2 | wrong command line |

## Variables of the process

| variable | default | meaning |
|---|---|---|
| \`OLLA_CONFIG_FILE\` | | configuration file when there is no \`--config\` |
| \`OLLA_BACKENDS\` | | backends besides the file's: addresses separated by commas, each with its type behind it if it should not be looked at |
| \`OLLA_CONFIG_DIR\` | | folder that is searched first for \`models.yaml\` and \`profiles/\` |
| \`OLLA_SHOW_VERSION\`, \`OLLA_ENABLE_PROFILER\` | | \`true\`: as \`--version\`, \`--profile\` |
| \`OLLA_LOG_LEVEL\`, \`OLLA_PRETTY_LOGS\`, \`OLLA_FILE_OUTPUT\` | \`info\`, \`true\`, \`false\` | the log before the configuration is known, and after it where neither file nor \`OLLA_LOGGING_*\` say otherwise |
| \`OLLA_LOG_DIR\` | \`./logs\` | folder of \`olla.log\` (\`logging.output: file\`) |
| \`OLLA_LOG_SIZE_MB\`, \`OLLA_LOG_MAX_BACKUPS\`, \`OLLA_LOG_MAX_AGE_DAYS\` | \`10\`, \`7\`, \`14\` | rotation; 0: 100 MB, all, for ever |
| \`OLLA_THEME\` | \`default\` | colours of a terminal: \`default\`, \`dark\`, \`light\` |
| \`NO_COLOR\`, \`FORCE_COLOR\`, \`OLLA_FORCE_COLORS\` | | colour off, on or off, on or off; the first one that is set counts, else a terminal has colour |
| \`OLLA_BUILD_VERSION\`, \`_COMMIT\`, \`_DATE\`, \`_USER\`, \`_TOOL\` | | for \`npm run build\`: what \`--version\` tells |

${tables.join("\n")}`
}

const durationPattern = "^[-+]?(?:0|(?:(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$"
const sizePattern = "^ *[0-9]+(?:\\.[0-9]+)? ?(?:[bB]|[kmgtpKMGTP](?:[iI]?[bB])?)? *$"

const finite = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value)

/** Values as YAML has them; `null` keeps the default everywhere. */
const jsonOf = (info: KeyInfo): Record<string, unknown> => {
  const base = {
    description: `${info.doc}${notYet(info, "")}`,
    ...(info.example === undefined ? {} : { examples: [parse(info.example) as unknown] })
  }
  const list = (items: Record<string, unknown>) => ({ ...base, type: ["array", "null"], items })
  switch (info.kind) {
    case "int":
      return {
        ...base,
        type: ["integer", "null"],
        ...(finite(info.min) ? { minimum: info.min } : {}),
        ...(finite(info.max) ? { maximum: info.max } : {})
      }
    case "number":
      return {
        ...base,
        type: ["number", "null"],
        ...(finite(info.min) ? { minimum: info.min } : {}),
        ...(finite(info.max) ? { maximum: info.max } : {})
      }
    case "bool":
      return { ...base, type: ["boolean", "null"] }
    case "duration":
      return { ...base, anyOf: [{ type: "string", pattern: durationPattern }, { const: 0 }, { type: "null" }] }
    case "size":
      return {
        ...base,
        anyOf: [
          { type: "integer", ...(finite(info.min) ? { minimum: info.min } : {}) },
          { type: "string", pattern: sizePattern },
          { type: "null" }
        ]
      }
    case "strings":
      return list({ type: ["string", "number", "boolean", "null"] })
    case "entries":
      return list({ ...info.json })
    case "policy":
      return { ...base, anyOf: [{ enum: [...(info.words ?? []), null] }, info.json] }
    case "words":
      return list({ enum: info.words })
    case "word":
      return info.fallback === undefined
        ? { ...base, enum: [...(info.words ?? []), null] }
        : { ...base, type: ["string", "null"], examples: info.words }
    case "map":
      return { ...base, type: ["object", "null"], additionalProperties: { type: ["string", "number", "boolean", "null"] } }
    case "ints":
      return list({ type: "integer" })
    case "aliases":
      return {
        ...base,
        type: ["object", "null"],
        additionalProperties: {
          anyOf: [
            { type: "array", items: { type: ["string", "number", "boolean"] } },
            { ...jsonTree(aliasTree), type: "object", required: ["targets"] }
          ]
        }
      }
    default:
      return { ...base, type: ["string", "number", "boolean", "null"] }
  }
}

const jsonTree = (tree: KeyTree): Record<string, unknown> => {
  if (tree.kind === "key") return jsonOf(tree.info)
  if (tree.kind === "list") return { type: ["array", "null"], items: jsonTree(tree.item) }
  return {
    type: ["object", "null"],
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

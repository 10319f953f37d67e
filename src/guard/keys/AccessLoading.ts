/**
 * What `access` says, and the files that it names: which entries there are, and what is wrong with them. A start, `validate`, a reload
 * and the look at a keys file that has changed all read by this.
 */
import { hash } from "node:crypto"
import { type Diagnostic, render } from "../../config/Diagnostic.ts"
import { reasonOf } from "../../config/FileReason.ts"
import type { AccessConfig, OllaConfig } from "../../config/OllaConfig.ts"
import { type TextTree, textTreeOf } from "../../config/TextTree.ts"
import { expandVariables, missingVariables, withFallback } from "../../config/VariableExpansion.ts"
import { nodeAt, readYaml, type YamlReading } from "../../config/YamlTree.ts"
import { EntryReading, type SecretSources } from "./EntryReading.ts"
import { type KeyEntry, type KeyRules, largestFile, mostEntries, mostNodes } from "./KeyEntry.ts"
import { type KeyTable, tableOf } from "./KeyTable.ts"

export type Anonymous = "deny" | "allow" | KeyRules

export interface LoadedAccess {
  readonly table: KeyTable
  readonly anonymous: Anonymous
  /** Lower-cased; empty: none. */
  readonly identityHeader: string
  /** The keys file as written; empty: none. */
  readonly source: string
  /** Of everything that was read: another one where anything is otherwise. */
  readonly fingerprint: string
}

export interface AccessReading {
  /** `undefined`: nobody is asked for a key, or something is wrong. */
  readonly access: LoadedAccess | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** Files beside the keys file that entries name. */
  readonly files: ReadonlyArray<string>
}

const isSet = (text: string | undefined): text is string => text !== undefined && text !== ""

/** Is anybody asked for a key? */
export const asksForKeys = ({ keys_file, keys, api_key, api_key_file }: AccessConfig): boolean =>
  keys_file !== "" || keys.length > 0 || isSet(api_key) || isSet(api_key_file)

const error = (path: string, message: string): Diagnostic => ({ severity: "error", path, message })

interface Sink {
  readonly diagnostics: Array<Diagnostic>
  readonly reading: EntryReading
}

const pairsAt = (entries: ReadonlyArray<KeyEntry>, at: string): ReadonlyArray<readonly [KeyEntry, string]> =>
  entries.map((entry, index) => [entry, `${at}[${index}]`])

/** Reads everything that `access` names anew. `live`: by a daemon that runs, for which an empty file is one that is being written. */
export const readAccess = (config: OllaConfig, sources: SecretSources, live = false): AccessReading => {
  const { access } = config
  const on = asksForKeys(access)
  const files: Array<string> = []
  const seen: Array<string> = []
  const readFile = (path: string): string => {
    files.push(path)
    const text = sources.readFile(path)
    seen.push(text)
    return text
  }
  const reading = new EntryReading({ env: sources.env, readFile })
  const sink: Sink = { diagnostics: [], reading }
  const anonymous = anonymousOf(access.anonymous, reading)
  if (!on) {
    flush(sink, reading.problems.length)
    if (access.anonymous !== "deny" || access.identity_header !== "")
      sink.diagnostics.push({
        severity: "warning",
        path: access.identity_header === "" ? "access.anonymous" : "access.identity_header",
        message: "access has no keys: nobody is asked for one, and anonymous and identity_header have no effect"
      })
    return { access: undefined, diagnostics: sink.diagnostics, files }
  }
  const inline = reading.entries(access.keys, "access.keys")
  const sole = soleEntry(access, sources, sink, readFile)
  flush(sink, reading.problems.length)
  const file = access.keys_file === "" ? undefined : readKeysFile(access.keys_file, reading, sources, live)
  if (file !== undefined) sink.diagnostics.push(...file.diagnostics)
  const told = reading.problems.length
  const groups = file?.table.groups ?? new Map()
  reading.checkGroups(pairsAt(inline, "access.keys"), groups)
  flush(sink, reading.problems.length - told)
  const entries = [...(sole === undefined ? [] : [sole]), ...inline, ...(file?.table.entries ?? [])]
  if (entries.length > mostEntries)
    sink.diagnostics.push(error("access.keys", `access has ${entries.length} keys, and ${mostEntries} is the most`))
  if (access.identity_header !== "" && !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(access.identity_header))
    sink.diagnostics.push(error("access.identity_header", "access.identity_header is no name of a header"))
  if (sink.diagnostics.some(({ severity }) => severity === "error")) return { access: undefined, diagnostics: sink.diagnostics, files }
  if (entries.length === 0)
    sink.diagnostics.push({
      severity: "warning",
      path: "access.keys_file",
      message: `${access.keys_file} has no keys: ${anonymous === "deny" ? "nobody gets in" : "only anonymous clients get in"}. Add one: olla keys add NAME --file ${access.keys_file}`
    })
  for (const key of remarksOn(config, entries)) sink.diagnostics.push(key)
  return {
    access: {
      table: tableOf(entries, groups),
      anonymous,
      identityHeader: access.identity_header.toLowerCase(),
      source: access.keys_file,
      fingerprint: hash("sha256", JSON.stringify([file?.text ?? "", access, seen]))
    },
    diagnostics: sink.diagnostics,
    files
  }
}

/** Their problems as findings, the last so many. */
const flush = ({ diagnostics, reading }: Sink, count: number): void => {
  for (const { path, message } of reading.problems.slice(reading.problems.length - count)) diagnostics.push(error(path, message))
}

const anonymousOf = (tree: TextTree, reading: EntryReading): Anonymous =>
  tree === "allow" || tree === "deny" ? tree : tree === null ? "deny" : reading.rules(tree, "access.anonymous")

const soleEntry = (access: AccessConfig, sources: SecretSources, { diagnostics, reading }: Sink, readFile: (path: string) => string) => {
  const { api_key, api_key_file } = access
  if (isSet(api_key) && isSet(api_key_file)) {
    diagnostics.push(error("access.api_key_file", "access.api_key and api_key_file are both set; use exactly one"))
    return undefined
  }
  if (isSet(api_key_file)) {
    try {
      return reading.sole(readFile(api_key_file).trim(), "access.api_key_file")
    } catch (cause) {
      diagnostics.push(error("access.api_key_file", `access.api_key_file: reading "${api_key_file}": ${reasonOf(cause)}`))
      return undefined
    }
  }
  if (api_key === undefined) return undefined
  const expanded = expandVariables(api_key, sources.env)
  if (expanded._tag === "Expanded") return reading.sole(expanded.value, "access.api_key")
  diagnostics.push({
    ...error("access.api_key", `access.api_key: ${missingVariables(expanded.names)}`),
    example: withFallback("api_key", expanded.names)
  })
  return undefined
}

const isLoopback = (host: string): boolean => /^(?:localhost|127\.[\d.]+|::1|\[::1\])$/.test(host)

const remarksOn = ({ server, access }: OllaConfig, entries: ReadonlyArray<KeyEntry>): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = []
  if (server.tls.cert_file === "" && !isLoopback(server.host) && !server.unix_socket.only)
    out.push({
      severity: "warning",
      path: "server.host",
      message: "Keys of clients cross the network in clear: set server.tls.cert_file, or put TLS in front and listen on loopback only"
    })
  if (entries.some(({ users }) => users.length > 0) && (access.identity_header === "" || !server.rate_limits.trust_proxy_headers))
    out.push({
      severity: "warning",
      path: "access.identity_header",
      message: "Entries have users, and nobody is believed: that takes access.identity_header and server.rate_limits.trust_proxy_headers"
    })
  return out
}

const nothingRead: YamlReading = { root: undefined, problems: [] }

export interface KeysFile {
  readonly table: KeyTable
  readonly text: string
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

/** Findings name the file itself, with line and column. */
export const readKeysFile = (
  path: string,
  reading: EntryReading,
  { readFile, parsed }: Omit<SecretSources, "env">,
  live = false
): KeysFile => {
  const none = (message: string): KeysFile => ({ table: tableOf([]), text: "", diagnostics: [{ severity: "error", message, file: path }] })
  let text: string
  try {
    text = readFile(path)
  } catch (cause) {
    return none(`the keys file ${path} cannot be read (${reasonOf(cause)}): make it with olla keys add NAME --file ${path}`)
  }
  if (Buffer.byteLength(text) > largestFile) return none(`the keys file ${path} is larger than 4 MiB`)
  const early = parsed?.(text)
  let { root, problems } = early === undefined ? readYaml(text, mostNodes) : nothingRead
  const place = (at: string) => {
    // Only what is wrong needs its place.
    if (early !== undefined && root === undefined) ({ root, problems } = readYaml(text, mostNodes))
    const found = nodeAt(root, at)?.at ?? root?.at ?? { line: 1, column: 1 }
    return { file: path, line: found.line, column: found.column }
  }
  const diagnostics: Array<Diagnostic> = problems.map(({ line, column, message }) => ({
    severity: "error",
    message,
    file: path,
    line,
    column,
    parsing: true
  }))
  if (diagnostics.length > 0) return { table: tableOf([]), text, diagnostics }
  if (live && early === undefined && root === undefined)
    return none(`the keys file ${path} says nothing: it may be half written. Without keys it says keys: []`)
  const tree = early ?? (root === undefined ? {} : textTreeOf(root))
  if (typeof tree !== "object" || tree === null || Array.isArray(tree))
    return none(`the keys file ${path} needs a mapping with keys: a list of entries`)
  const mapping = tree as { readonly [name: string]: TextTree }
  for (const name of Object.keys(mapping))
    if (name !== "keys" && name !== "groups")
      diagnostics.push({ ...error(name, `${name} is no key of a keys file; there are keys, groups`), ...place(name) })
  const from = reading.problems.length
  const groups = reading.groups(mapping["groups"], "groups")
  const entries = reading.entries(mapping["keys"], "keys")
  reading.checkGroups(pairsAt(entries, "keys"), groups)
  if (entries.length > mostEntries)
    diagnostics.push({ ...error("keys", `${entries.length} keys, and ${mostEntries} is the most`), ...place("keys") })
  for (const problem of reading.problems.slice(from))
    diagnostics.push({ severity: "error", message: problem.message, ...place(problem.path) })
  return { table: tableOf(entries, groups), text, diagnostics }
}

/** All findings in one text, as a log has them. */
export const renderAll = (diagnostics: ReadonlyArray<Diagnostic>): string =>
  diagnostics
    .filter(({ severity }) => severity === "error")
    .map(render)
    .join("\n")

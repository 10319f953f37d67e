/** `olla keys`: makes, lists, revokes and rotates keys in the keys file. A key is shown once, on standard output, when it is made. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { type Document, isMap, isSeq, type YAMLMap, type YAMLSeq } from "yaml"
import { type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import { render } from "./config/Diagnostic.ts"
import { codeOf, isMissing, reasonOf } from "./config/FileReason.ts"
import { nearest } from "./config/NearestWord.ts"
import { type KeysFile, readKeysFile } from "./guard/keys/AccessLoading.ts"
import { EntryReading } from "./guard/keys/EntryReading.ts"
import { type KeyEntry, stateOf } from "./guard/keys/KeyEntry.ts"
import { digestOf, foreignKeyProblem, hashOf, isOfOurs, isWholeKey, makeKey } from "./guard/keys/KeyForm.ts"
import { changeFile, LockedError } from "./guard/keys/KeysFileWriting.ts"
import { expiryOf, instantText, type KeysLine, spanOf } from "./keysLine.ts"
import type { FlagName } from "./usage.ts"

export interface KeysStreams {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** All of standard input. */
  readonly input: () => Promise<string>
}

const list = (text: string | undefined): ReadonlyArray<string> =>
  (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")

// Not in quotes: whoever looks for what is imported here would take it for such a line.
const imports: FlagName = `import`

/** Ends the command with a sentence and 1. */
class Failed extends Error {}

const fileOf = ({ values }: KeysLine, options: LoadOptions): string => {
  const named = values.get("file")
  if (named !== undefined) return resolve(options.cwd, named)
  const { config, path, diagnostics } = loadConfig(options)
  if (config === undefined) throw new Failed(diagnostics.map(render).join("\n"))
  if (config.access.keys_file === "")
    throw new Failed(
      `${path === "" ? "there is no configuration that" : path} names ${path === "" ? "a keys file" : "no keys file"}: add\n\naccess:\n  keys_file: keys.yaml\n\nto it, or name the file with --file`
    )
  return resolve(options.cwd, config.access.keys_file)
}

const reading = (options: LoadOptions): EntryReading =>
  new EntryReading({ env: options.env, readFile: (path) => readFileSync(resolve(options.cwd, path), "utf8") })

/** Only a file that a daemon would take is changed. `text`: absent: it is read. */
const readSound = (file: string, options: LoadOptions, text?: string): KeysFile => {
  const read = readKeysFile(file, reading(options), { readFile: (path) => text ?? readFileSync(path, "utf8") })
  if (read.diagnostics.length > 0) throw new Failed(read.diagnostics.map(render).join("\n"))
  return read
}

const entriesOf = (document: Document): YAMLSeq => {
  const found = document.get("keys")
  if (isSeq(found)) return found
  if (document.contents === null) document.contents = document.createNode({}) as unknown as typeof document.contents
  const made = document.createNode([])
  document.set("keys", made)
  return made as YAMLSeq
}

const entryNamed = (document: Document, name: string): YAMLMap => {
  const entries = entriesOf(document)
  const found = entries.items.find((item) => isMap(item) && String(item.get("name")) === name)
  if (isMap(found)) return found
  const names = entries.items.flatMap((item) => (isMap(item) ? [String(item.get("name"))] : []))
  const near = nearest(name, names)
  throw new Failed(`there is no key "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`)
}

const stateText = (entry: KeyEntry): string => stateOf(entry, Date.now())

const add = async (line: KeysLine, file: string, options: LoadOptions, { out, err, input }: KeysStreams): Promise<number> => {
  const { values, on } = line
  const name = line.words[1] as string
  const isImported = on.has(imports)
  const key = isImported ? (await input()).trim() : makeKey()
  const problem = isImported ? (key === "" ? "is empty: give it on standard input" : foreignKeyProblem(key)) : undefined
  if (problem !== undefined) throw new Failed(`the key ${problem}`)
  const now = Date.now()
  const expires = values.get("expires")
  const rule = (include: ReadonlyArray<string>, exclude: ReadonlyArray<string>) =>
    exclude.length === 0 ? include : { ...(include.length === 0 ? {} : { include }), exclude }
  const [models, without, endpoints] = [list(values.get("models")), list(values.get("exclude-models")), list(values.get("endpoints"))]
  const number = (flag: "rpm" | "tpm" | "concurrent") => (values.has(flag) ? Number(values.get(flag)) : undefined)
  const entry = Object.fromEntries(
    Object.entries({
      name,
      hash: hashOf(key),
      group: values.get("group"),
      models: models.length + without.length === 0 ? undefined : rule(models, without),
      endpoints: endpoints.length === 0 ? undefined : endpoints,
      requests_per_minute: number("rpm"),
      tokens_per_minute: number("tpm"),
      max_concurrent: number("concurrent"),
      class: values.get("class"),
      created: instantText(now),
      expires: expires === undefined ? undefined : expiryOf(expires, now),
      note: values.get("note")
    }).filter(([, value]) => value !== undefined)
  )
  const { written } = await changeFile(file, (document) => {
    const before = document.contents === null ? undefined : readSound(file, options)
    const taken = before?.table.entries.find((each) => each.name.toLowerCase() === name.toLowerCase())
    if (taken !== undefined) throw new Failed(`the name "${name}" is taken: rotate it, revoke it with --purge, or take another name`)
    const other = before?.table.byDigest.get(digestOf(key))
    if (other !== undefined) throw new Failed(`this key is that of "${other.entry.name}" already`)
    entriesOf(document).add(document.createNode(entry))
    entriesOf(document).flow = false
    readSound(file, options, document.toString({ lineWidth: 0 }))
    return { write: true, result: undefined }
  })
  if (on.has("json")) out(`${JSON.stringify({ name, key, file, expires: entry["expires"] ?? null })}\n`)
  else {
    out(`${key}\n`)
    err(`key "${name}" is in ${file}; it is shown this once\n`)
  }
  warnInPlace(written?.inPlace, file, err)
  return 0
}

const warnInPlace = (inPlace: boolean | undefined, file: string, err: (text: string) => void): void => {
  if (inPlace === true) err(`warning: ${file} could not be replaced and was written in place; mount its folder instead of the file alone\n`)
}

const rotate = async (line: KeysLine, file: string, options: LoadOptions, { out, err }: KeysStreams): Promise<number> => {
  const name = line.words[1] as string
  const key = makeKey()
  const now = Date.now()
  const grace = line.values.get("grace")
  const { result, written } = await changeFile(file, (document) => {
    const before = readSound(file, options)
    const entry = entryNamed(document, name)
    const old = entry.get("hash")
    if (typeof old !== "string") throw new Failed(`the key "${name}" is written as key or key_file: change it there`)
    entry.set("hash", hashOf(key))
    entry.delete("previous")
    if (grace !== undefined) entry.set("previous", document.createNode({ hash: old, until: instantText(now + (spanOf(grace) ?? 0)) }))
    readSound(file, options, document.toString({ lineWidth: 0 }))
    return { write: true, result: before.table.byName.get(name)?.expires }
  })
  if (line.on.has("json")) out(`${JSON.stringify({ name, key, file, expires: result === undefined ? null : instantText(result) })}\n`)
  else {
    out(`${key}\n`)
    err(`key "${name}" is another one now; the old one ${grace === undefined ? "has ended" : `ends in ${grace}`}\n`)
  }
  warnInPlace(written?.inPlace, file, err)
  return 0
}

const revoke = async (line: KeysLine, file: string, options: LoadOptions, { err }: KeysStreams): Promise<number> => {
  const name = line.words[1] as string
  const purge = line.on.has("purge")
  const { result, written } = await changeFile(file, (document) => {
    const before = readSound(file, options).table.byName.get(name)
    const entry = entryNamed(document, name)
    if (purge) {
      const entries = entriesOf(document)
      entries.items.splice(entries.items.indexOf(entry), 1)
      return { write: true, result: `key "${name}" is taken out of ${file}` }
    }
    const cuts = line.on.has("now")
    if (before?.disabled === true && before.revoked !== "" && (!cuts || before.cut))
      return { write: false, result: `key "${name}" was revoked before` }
    entry.set("disabled", true)
    if (entry.get("revoked") === undefined) entry.set("revoked", instantText(Date.now()))
    if (cuts) entry.set("cut", true)
    return { write: true, result: `key "${name}" is revoked${cuts ? ", what runs ends" : ""}` }
  })
  err(`${result}\n`)
  warnInPlace(written?.inPlace, file, err)
  return 0
}

const shown = (entry: KeyEntry) => ({
  name: entry.name,
  state: stateText(entry),
  group: entry.group ?? null,
  models: entry.models,
  endpoints: entry.endpoints,
  requests_per_minute: entry.requestsPerMinute || null,
  burst: entry.burst || null,
  tokens_per_minute: entry.tokensPerMinute || null,
  max_concurrent: entry.maxConcurrent || null,
  class: entry.class ?? null,
  created: entry.created || null,
  expires: entry.expires === undefined ? null : instantText(entry.expires),
  revoked: entry.revoked || null,
  previous_until: previousOf(entry),
  disabled: entry.disabled,
  note: entry.note,
  users: entry.users,
  certificates: entry.certificates
})

const previousOf = ({ digests }: KeyEntry): string | null => {
  const until = digests.find((each) => each.until !== undefined)?.until
  return until === undefined ? null : instantText(until)
}

const words = ({ include, exclude }: KeyEntry["models"]): string =>
  [include.length === 0 ? "all" : include.join(","), ...exclude.map((pattern) => `-${pattern}`)].join(" ")

const listKeys = (line: KeysLine, file: string, options: LoadOptions, { out }: KeysStreams): number => {
  const { entries } = readSound(file, options).table
  if (line.on.has("json")) {
    out(`${JSON.stringify({ file, keys: entries.map(shown) })}\n`)
    return 0
  }
  const rows = [
    ["NAME", "STATE", "GROUP", "MODELS", "RPM", "TPM", "AT A TIME", "EXPIRES", "NOTE"],
    ...entries.map((entry) => [
      entry.name,
      stateText(entry),
      entry.group ?? "",
      words(entry.models),
      entry.requestsPerMinute > 0 ? String(entry.requestsPerMinute) : "",
      entry.tokensPerMinute > 0 ? String(entry.tokensPerMinute) : "",
      entry.maxConcurrent > 0 ? String(entry.maxConcurrent) : "",
      entry.expires === undefined ? "" : instantText(entry.expires),
      // A note is a person's: no terminal acts on what is in it.
      entry.note.replace(/[\p{Cc}\p{Cf}]/gu, " ")
    ])
  ]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows)
    out(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()}\n`
    )
  return 0
}

const check = async (file: string, options: LoadOptions, { out, err, input }: KeysStreams): Promise<number> => {
  const key = (await input()).trim()
  if (key === "") throw new Failed("no key came on standard input: echo KEY | olla keys check")
  if (isOfOurs(key) && !isWholeKey(key)) throw new Failed("this key is cut off or mistyped: its checksum is wrong")
  const found = readSound(file, options).table.byDigest.get(digestOf(key))
  if (found === undefined) {
    const problem = foreignKeyProblem(key)
    throw new Failed(`this key is not known in ${file}${problem === undefined ? "" : `; it ${problem}`}`)
  }
  const { entry, until } = found
  const ended = until !== undefined && Date.now() >= until
  out(`${entry.name} ${ended ? "rotated" : stateText(entry)}\n`)
  if (until !== undefined) err(`it is the key before a rotation; it ${ended ? "ended" : "ends"} at ${instantText(until)}\n`)
  return 0
}

/** Resolves with the exit code. */
export const keysCommand = async (line: KeysLine, options: LoadOptions, streams: KeysStreams): Promise<number> => {
  try {
    const file = fileOf(line, options)
    switch (line.words[0]) {
      case "add":
        return await add(line, file, options, streams)
      case "rotate":
        return await rotate(line, file, options, streams)
      case "revoke":
        return await revoke(line, file, options, streams)
      case "check":
        return await check(file, options, streams)
      default:
        return listKeys(line, file, options, streams)
    }
  } catch (cause) {
    if (cause instanceof Failed || cause instanceof LockedError) streams.err(`${cause.message}\n`)
    else if (cause instanceof Error && "code" in cause)
      streams.err(
        `the keys file cannot be ${isMissing(cause) ? "found" : "used"}: ${"path" in cause ? String(cause.path) : ""} (${reasonOf(cause)})${codeOf(cause) === "ENOENT" ? "; is its folder there?" : ""}\n`
      )
    else throw cause
    return 1
  }
}

/**
 * Entries and groups of keys, from what was written to what is judged by. All mistakes are told at once, each with its path; a
 * table with one is none: a restriction that could not be read must not be a restriction that is not there. No message has any part of
 * a key or a hash.
 */
import { checkCidr, parseNetworks } from "../../config/Cidr.ts"
import { checkPattern } from "../../config/FilterPattern.ts"
import { nearest } from "../../config/NearestWord.ts"
import type { FilterConfig } from "../../config/OllaConfig.ts"
import { parseInteger } from "../../config/ScalarReading.ts"
import type { TextTree } from "../../config/TextTree.ts"
import { expandVariables } from "../../config/VariableExpansion.ts"
import { parseInstant } from "./Instant.ts"
import {
  isKeyName,
  type KeyDigest,
  type KeyEntry,
  type KeyGroup,
  type KeyRules,
  noRules,
  type QueueClass,
  queueClasses,
  reservedNames
} from "./KeyEntry.ts"
import { digestOf, digestOfHash, foreignKeyProblem } from "./KeyForm.ts"

export interface EntryProblem {
  /** From the root of what is read: `keys[3].models.include[0]`. */
  readonly path: string
  readonly message: string
}

export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Throws as `node:fs` does. */
  readonly readFile: (path: string) => string
  /** What somebody has parsed of this text already; `undefined`: nothing, or it has a mistake. */
  readonly parsed?: (text: string) => TextTree | undefined
}

type Mapping = Readonly<Record<string, TextTree>>

const isMapping = (tree: TextTree | undefined): tree is Mapping => typeof tree === "object" && tree !== null && !Array.isArray(tree)

const ruleNames = ["models", "endpoints", "requests_per_minute", "burst", "tokens_per_minute", "max_concurrent", "class"]
const entryNames = [
  "name",
  "hash",
  "key",
  "key_file",
  "previous",
  "group",
  ...ruleNames,
  "expires",
  "disabled",
  "note",
  "networks",
  "users",
  "certificates",
  "created",
  "revoked",
  "cut"
]

/** One reading: `at` is the path of what is being read. */
export class EntryReading {
  readonly problems: Array<EntryProblem> = []
  readonly #sources: SecretSources
  /** Where each of them stands, for those that come twice. */
  readonly #names = new Map<string, string>()
  readonly #digests = new Map<string, string>()
  /** Of the entry that is being read, for messages. */
  #name = ""

  constructor(sources: SecretSources) {
    this.#sources = sources
  }

  entries(trees: TextTree | undefined, at: string): ReadonlyArray<KeyEntry> {
    return this.#list(trees, at).flatMap((tree, index) => this.#entry(tree, `${at}[${index}]`) ?? [])
  }

  groups(tree: TextTree | undefined, at: string): ReadonlyMap<string, KeyGroup> {
    const groups = new Map<string, KeyGroup>()
    if (tree === undefined || tree === null) return groups
    if (!isMapping(tree)) {
      this.#wrong(at, "needs a mapping of names to limits")
      return groups
    }
    for (const [name, rules] of Object.entries(tree)) {
      const path = `${at}.${name}`
      if (!isKeyName(name)) this.#wrong(path, "is no name: 1 to 64 of letters, digits, dot, dash and underscore")
      groups.set(name, { name, ...this.rules(rules, path) })
    }
    return groups
  }

  /** Rules and limits by themselves, as of a group or of anonymous clients. */
  rules(tree: TextTree, at: string): KeyRules {
    if (tree === null) return noRules
    if (!isMapping(tree)) {
      this.#wrong(at, "needs a mapping of rules and limits")
      return noRules
    }
    this.#known(tree, ruleNames, at)
    return this.#rulesOf(tree, at)
  }

  /** A single key for everybody. */
  sole(key: string, at: string): KeyEntry | undefined {
    this.#name = "default"
    const digest = this.#chosen(key, at)
    return digest === undefined
      ? undefined
      : {
          ...noRules,
          name: "default",
          digests: [digest],
          group: undefined,
          expires: undefined,
          disabled: false,
          revoked: "",
          created: "",
          cut: false,
          note: "",
          networks: [],
          unix: false,
          users: [],
          certificates: []
        }
  }

  /** Groups that entries name must be there. */
  checkGroups(entries: ReadonlyArray<readonly [entry: KeyEntry, path: string]>, groups: ReadonlyMap<string, KeyGroup>): void {
    for (const [{ name, group }, path] of entries) {
      if (group === undefined || groups.has(group)) continue
      this.#name = name
      const near = nearest(group, groups.keys())
      this.#wrong(`${path}.group`, `names "${group}", and there is no such group${near === undefined ? "" : `; did you mean ${near}?`}`)
    }
  }

  #entry(tree: TextTree, at: string): KeyEntry | undefined {
    this.#name = ""
    if (!isMapping(tree)) {
      this.#wrong(at, "needs a mapping with a name and a hash")
      return undefined
    }
    const name = this.#nameOf(tree, at)
    this.#name = name
    this.#known(tree, entryNames, at)
    const digests = this.#digestsOf(tree, at)
    const networks = this.#texts(tree, "networks", at)
    for (const [index, network] of networks.entries()) {
      const problem = network === "unix" ? undefined : checkCidr(network)
      if (problem !== undefined)
        this.#wrong(`${at}.networks[${index}]`, `must be a network such as 10.1.2.0/24, or unix, got "${network}": ${problem}`)
    }
    const users = this.#patterns(tree, "users", at)
    const certificates = this.#patterns(tree, "certificates", at, (text) => /^sha256:/i.test(text))
    for (const [index, text] of certificates.entries())
      if (/^sha256:/i.test(text) && !/^sha256:[0-9a-f]{64}$/i.test(text.replaceAll(":", "").replace(/^sha256/i, "sha256:")))
        this.#wrong(`${at}.certificates[${index}]`, "needs 64 hexadecimal digits behind sha256:")
    if (digests.length === 0 && !this.#says(tree, "hash", "key", "key_file") && networks.length + users.length + certificates.length === 0)
      this.#wrong(at, "is recognised by nothing: it needs hash, key, key_file, networks, users or certificates")
    return {
      ...this.#rulesOf(tree, at),
      name,
      digests,
      group: this.#text(tree, "group", at) || undefined,
      expires: this.#instant(tree, "expires", at),
      disabled: this.#bool(tree, "disabled", at),
      revoked: this.#instant(tree, "revoked", at) === undefined ? "" : this.#text(tree, "revoked", at),
      created: this.#instant(tree, "created", at) === undefined ? "" : this.#text(tree, "created", at),
      cut: this.#bool(tree, "cut", at),
      note: this.#note(tree, at),
      networks: parseNetworks(networks.filter((network) => network !== "unix" && checkCidr(network) === undefined)),
      unix: networks.includes("unix"),
      users,
      certificates: certificates.map((text) =>
        /^sha256:/i.test(text) ? `sha256:${text.slice(7).replaceAll(":", "").toLowerCase()}` : text
      )
    }
  }

  #nameOf(tree: Mapping, at: string): string {
    const name = this.#text(tree, "name", at)
    if (name === "") this.#wrong(at, "has no name")
    else if (!isKeyName(name)) this.#wrong(`${at}.name`, "is no name: 1 to 64 of letters, digits, dot, dash and underscore")
    else if (reservedNames.has(name.toLowerCase())) this.#wrong(`${at}.name`, `"${name}" stands for something else in figures and answers`)
    else {
      const before = this.#names.get(name.toLowerCase())
      if (before !== undefined) this.#wrong(`${at}.name`, `"${name}" is the name of ${before} too`)
      else this.#names.set(name.toLowerCase(), at)
    }
    return name
  }

  #says(tree: Mapping, ...names: ReadonlyArray<string>): boolean {
    return names.some((name) => tree[name] !== undefined)
  }

  #digestsOf(tree: Mapping, at: string): ReadonlyArray<KeyDigest> {
    const given = ["hash", "key", "key_file"].filter((name) => tree[name] !== undefined)
    const [first, second] = given
    if (first === undefined) {
      if (tree["previous"] !== undefined && tree["previous"] !== null)
        this.#wrong(`${at}.previous`, "needs a hash, key or key_file beside it")
      return []
    }
    if (second !== undefined) this.#wrong(`${at}.${second}`, `stands beside ${first}: use exactly one of hash, key and key_file`)
    const own = this.#own(tree, first, at)
    const previous = this.#previous(tree, at)
    return [own, previous].flatMap((digest) => (digest === undefined ? [] : [digest]))
  }

  #own(tree: Mapping, kind: string, at: string): KeyDigest | undefined {
    const text = this.#text(tree, kind, at)
    const path = `${at}.${kind}`
    if (text === "") {
      this.#wrong(path, "is empty")
      return undefined
    }
    if (kind === "hash") return this.#hashed(text, path, undefined)
    if (kind === "key_file") {
      try {
        return this.#chosen(this.#sources.readFile(text).trim(), path)
      } catch (cause) {
        this.#wrong(path, `cannot be read: ${cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"}`)
        return undefined
      }
    }
    const expanded = expandVariables(text, this.#sources.env)
    if (expanded._tag === "Expanded") return this.#chosen(expanded.value, path)
    this.#wrong(path, `required environment variable "${expanded.names.join('", "')}" is not set`)
    return undefined
  }

  #previous(tree: Mapping, at: string): KeyDigest | undefined {
    const path = `${at}.previous`
    const { previous } = tree
    if (previous === undefined || previous === null) return undefined
    if (!isMapping(previous)) {
      this.#wrong(path, "needs hash and until")
      return undefined
    }
    this.#known(previous, ["hash", "until"], path)
    const until = this.#instant(previous, "until", path)
    const hash = this.#text(previous, "hash", path)
    if (previous["until"] === undefined) this.#wrong(path, "needs until, the moment from which it is no longer good")
    if (hash === "") this.#wrong(path, "needs the hash")
    return hash === "" || until === undefined ? undefined : this.#hashed(hash, `${path}.hash`, until)
  }

  #hashed(text: string, path: string, until: number | undefined): KeyDigest | undefined {
    const digest = digestOfHash(text)
    if (digest !== undefined) return this.#unique(digest, path, until)
    this.#wrong(path, "needs sha256: and 64 hexadecimal digits, as `olla keys add` writes it")
    return undefined
  }

  #chosen(key: string, path: string): KeyDigest | undefined {
    const problem = key === "" ? "is empty" : foreignKeyProblem(key)
    if (problem === undefined) return this.#unique(digestOf(key), path, undefined)
    this.#wrong(path, problem)
    return undefined
  }

  #unique(digest: string, path: string, until: number | undefined): KeyDigest | undefined {
    const before = this.#digests.get(digest)
    if (before === undefined) {
      this.#digests.set(digest, this.#name)
      return { digest, until }
    }
    this.#wrong(path, `is the same key as that of "${before}"`)
    return undefined
  }

  #rulesOf(tree: Mapping, at: string): KeyRules {
    const requestsPerMinute = this.#count(tree, "requests_per_minute", at)
    const burst = tree["burst"] === undefined || tree["burst"] === null ? requestsPerMinute : this.#count(tree, "burst", at)
    if (burst === 0 && requestsPerMinute > 0)
      this.#wrong(`${at}.burst`, "is 0: every request would be refused. Leave it out, or use disabled")
    return {
      models: this.#filter(tree, "models", at),
      endpoints: this.#filter(tree, "endpoints", at),
      class: this.#class(tree, at),
      requestsPerMinute,
      burst,
      tokensPerMinute: this.#count(tree, "tokens_per_minute", at),
      maxConcurrent: this.#count(tree, "max_concurrent", at)
    }
  }

  #filter(tree: Mapping, name: string, at: string): FilterConfig {
    const value = tree[name]
    const path = `${at}.${name}`
    if (value === undefined) return { include: [], exclude: [] }
    if (value === null) this.#wrong(path, "says nothing: name what may be used, or leave the key out")
    if (value === null) return { include: [], exclude: [] }
    if (Array.isArray(value)) {
      // An empty list of what is allowed would be read as everything.
      if (value.length === 0) this.#wrong(path, 'is an empty list: name what may be used, "*" for all of it, or leave the key out')
      return { include: this.#patterns(tree, name, at), exclude: [] }
    }
    if (!isMapping(value)) {
      this.#wrong(path, "needs a list of patterns, or include and exclude")
      return { include: [], exclude: [] }
    }
    this.#known(value, ["include", "exclude"], path)
    const { include } = value
    if (Array.isArray(include) && include.length === 0)
      this.#wrong(`${path}.include`, 'is an empty list: name what may be used, "*" for all of it, or leave the key out')
    return { include: this.#patterns(value, "include", path), exclude: this.#patterns(value, "exclude", path) }
  }

  #class(tree: Mapping, at: string): QueueClass | undefined {
    const text = this.#text(tree, "class", at)
    if (text === "") return undefined
    const found = queueClasses.find((each) => each === text)
    if (found === undefined) this.#wrong(`${at}.class`, `"${text}" is none of ${queueClasses.join(", ")}`)
    return found
  }

  #note(tree: Mapping, at: string): string {
    const note = this.#text(tree, "note", at)
    if (note.length > 200) this.#wrong(`${at}.note`, "has more than 200 characters")
    return note
  }

  #text(tree: Mapping, name: string, at: string): string {
    const value = tree[name]
    if (value === undefined || value === null) return ""
    if (typeof value === "string") return value.trim()
    this.#wrong(`${at}.${name}`, "needs a text")
    return ""
  }

  #bool(tree: Mapping, name: string, at: string): boolean {
    const text = this.#text(tree, name, at)
    if (/^(?:true|yes|on)$/i.test(text)) return true
    if (text !== "" && !/^(?:false|no|off)$/i.test(text)) this.#wrong(`${at}.${name}`, "needs true or false")
    return false
  }

  #count(tree: Mapping, name: string, at: string): number {
    const text = this.#text(tree, name, at)
    if (text === "") {
      if (tree[name] === null) this.#wrong(`${at}.${name}`, "says nothing: write a number, or leave the key out")
      return 0
    }
    const value = parseInteger(text)
    if (value !== undefined && value >= 0) return value
    this.#wrong(`${at}.${name}`, "needs a whole number, 0 for no limit")
    return 0
  }

  #instant(tree: Mapping, name: string, at: string): number | undefined {
    const text = this.#text(tree, name, at)
    if (text === "") {
      if (tree[name] === null) this.#wrong(`${at}.${name}`, "says nothing: write a time, or leave the key out")
      return undefined
    }
    const value = parseInstant(text)
    if (value === undefined) this.#wrong(`${at}.${name}`, "is no time: write 2027-01-31 or 2027-01-31T12:00:00Z")
    return value
  }

  #texts(tree: Mapping, name: string, at: string): ReadonlyArray<string> {
    return this.#list(tree[name], `${at}.${name}`).flatMap((item, index) => {
      if (typeof item === "string" && item.trim() !== "") return [item.trim()]
      this.#wrong(`${at}.${name}[${index}]`, "needs a text")
      return []
    })
  }

  #patterns(tree: Mapping, name: string, at: string, isPlain: (text: string) => boolean = () => false): ReadonlyArray<string> {
    const texts = this.#texts(tree, name, at)
    for (const [index, text] of texts.entries()) {
      const problem = isPlain(text) ? undefined : checkPattern(text)
      if (problem !== undefined) this.#wrong(`${at}.${name}[${index}]`, `is no pattern: ${problem}`)
    }
    return texts
  }

  #list(tree: TextTree | undefined, at: string): ReadonlyArray<TextTree> {
    if (tree === undefined || tree === null) return []
    if (Array.isArray(tree)) return tree
    this.#wrong(at, "needs a list")
    return []
  }

  #known(tree: Mapping, names: ReadonlyArray<string>, at: string): void {
    for (const name of Object.keys(tree)) {
      if (names.includes(name)) continue
      const near = nearest(name, names)
      this.#wrong(`${at}.${name}`, `is no key here; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean ${near}?`}`)
    }
  }

  #wrong(path: string, said: string): void {
    this.problems.push({ path, message: `${this.#name === "" ? "" : `entry "${this.#name}": `}${path} ${said}` })
  }
}

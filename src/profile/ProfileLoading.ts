/** All profiles of this process: the shipped ones, then the user's folders over them. */
import { type Dirent, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Diagnostic } from "../config/Diagnostic.ts"
import { filterAdmits } from "../config/FilterPattern.ts"
import type { FilterConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import type { Profile } from "./Profile.ts"
import { buildProfile, layOver, normaliseName, type RawProfile, readProfileFile } from "./ProfileFile.ts"
import { type ProfileSet, Profiles } from "./Profiles.ts"
import { checkCalculations } from "./UsageExtraction.ts"

/** What ships with the program, by file name: a file of the user's under one of these names stands for the shipped one. */
export const shippedFiles: ReadonlySet<string> = new Set([
  "dmr.yaml",
  "lemonade.yaml",
  "litellm.yaml",
  "llamacpp.yaml",
  "lmdeploy.yaml",
  "lmstudio.yaml",
  "ollama.yaml",
  "omlx.yaml",
  "openai-compatible.yaml",
  "rapid-mlx.yaml",
  "sglang.yaml",
  "vllm-mlx.yaml",
  "vllm.yaml"
])

/** The build has a copy of its own, which edits in `config/profiles` do not reach; the sources have only the latter. */
const shippedFolder = [join(import.meta.dirname, "..", "profiles"), join(import.meta.dirname, "..", "..", "config", "profiles")].find(
  (folder) => existsSync(folder)
)

export interface ProfileSources {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Folder of the configuration file. */
  readonly configFolder: string | undefined
  readonly filter: FilterConfig
}

interface Definition {
  readonly raw: RawProfile
  readonly path: string
  /** Named like a shipped file: gives way to one that is not. */
  readonly shippedName: boolean
}

const errorText = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Profile files below a folder, folder by folder in byte order. A folder that is not there has none. */
const walk = (folder: string, unreadable: (path: string, why: string) => void): ReadonlyArray<string> => {
  let entries: ReadonlyArray<Dirent>
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) unreadable(folder, errorText(cause))
    return []
  }
  return [...entries]
    .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return walk(path, unreadable)
      if (!entry.name.endsWith(".yaml")) return []
      return entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? [] : [path]
    })
}

const loadShipped = (): ReadonlyMap<string, Definition> =>
  new Map(
    [...shippedFiles].map((file) => {
      const path = join(shippedFolder ?? "", file)
      const reading = readProfileFile(readFileSync(path, "utf8"))
      if (reading._tag === "error") throw new Error(`shipped profile ${path}: ${reading.why}`)
      return [String(reading.raw["name"]), { raw: reading.raw, path, shippedName: true }] as const
    })
  )

/** Where profiles of the user's are looked for: what comes later wins. A folder that is named twice counts at its strongest place. */
export const profileFolders = ({ configFolder, cwd, env }: Omit<ProfileSources, "filter">): ReadonlyArray<string> => {
  const named = [
    ...(configFolder === undefined ? [] : [join(configFolder, "profiles")]),
    join(cwd, "config", "profiles"),
    ...(env["OLLA_CONFIG_DIR"] ? [join(env["OLLA_CONFIG_DIR"], "profiles")] : [])
  ].map((folder) => resolve(folder))
  return [...new Set(named.reverse())].reverse()
}

/** What the user's folders hold, as read: in the order in which it counts. */
export interface ProfileFolder {
  readonly files: ReadonlyArray<{ readonly path: string; readonly text?: string; readonly problem?: string }>
  readonly unreadable: ReadonlyArray<readonly [path: string, why: string]>
}

export const readProfileFolders = (sources: Omit<ProfileSources, "filter">): ReadonlyArray<ProfileFolder> =>
  profileFolders(sources).map((folder) => {
    const unreadable: Array<readonly [string, string]> = []
    const files = walk(folder, (path, why) => unreadable.push([path, why])).map((path) => {
      try {
        return { path, text: readFileSync(path, "utf8") }
      } catch (cause) {
        return { path, problem: errorText(cause) }
      }
    })
    return { files, unreadable }
  })

export const loadProfiles = (sources: ProfileSources, folders: ReadonlyArray<ProfileFolder> = readProfileFolders(sources)): ProfileSet => {
  const diagnostics: Array<Diagnostic> = []
  const warn = (path: string, message: string): void => {
    diagnostics.push({ severity: "warning", message, file: path, fields: { path } })
  }
  const shipped = loadShipped()
  const definitions = new Map(shipped)
  for (const { files, unreadable } of folders) {
    const here = new Map<string, Definition>()
    const find = (name: string) => here.get(name)?.raw ?? definitions.get(name)?.raw ?? shipped.get(name)?.raw
    const read = ({ path, text = "", problem }: ProfileFolder["files"][number]): void => {
      const skip = (error: string): void => {
        diagnostics.push({
          severity: "warning",
          message: "profile failed to load, skipping",
          detail: error,
          file: path,
          fields: { path, error }
        })
      }
      if (problem !== undefined) return skip(`failed to read profile file: ${problem}`)
      const reading = readProfileFile(text)
      if (reading._tag === "error") return skip(reading.why)
      const merged = extend(reading.raw, find)
      if (typeof merged === "string") return skip(merged)
      const replaced = shipped.get(String(merged["name"]))
      const extended = replaced === undefined ? merged : layOver(keptWhenReplaced(replaced.raw), merged)
      const built = buildProfile(extended)
      if (built._tag === "error") return skip(built.why)
      for (const finding of [...reading.findings, ...built.findings, ...checkCalculations(built.profile)]) warn(path, finding)
      const { name } = built.profile
      if (shipped.has(name) && reading.raw["api"] === undefined && reading.raw["extends"] === undefined)
        warn(path, `replaces the shipped profile "${name}" without an api block; say "extends: ${name}" to change single keys`)
      const definition: Definition = { raw: extended, path, shippedName: shippedFiles.has(basename(path)) }
      const elsewhere = definitions.get(name)
      const other = here.get(name) ?? (elsewhere === shipped.get(name) ? undefined : elsewhere)
      // A file of its own name wins over one that is named like a shipped file, whatever their order.
      const wins = !here.has(name) || !definition.shippedName || other?.shippedName === true
      if (other !== undefined)
        warn(path, `profile "${name}" is defined here and in ${other.path}; ${wins ? "this one" : "that one"} is used`)
      if (wins) here.set(name, definition)
    }
    for (const [path, why] of unreadable) warn(path, `profiles folder cannot be read: ${why}`)
    for (const file of files) read(file)
    for (const [name, definition] of here) definitions.set(name, definition)
  }
  const profiles = [...definitions.values()].flatMap((definition) => {
    const built = buildProfile(definition.raw)
    return built._tag === "ok" && filterAdmits(sources.filter, built.profile.name) ? [built.profile] : []
  })
  return profileSet(profiles, diagnostics)
}

/** Files from before these keys cannot mean to take them away. */
const keptWhenReplaced = (shipped: RawProfile): RawProfile => {
  const section = (name: string, ...keys: ReadonlyArray<string>): RawProfile => {
    const all = (shipped[name] ?? {}) as RawProfile
    return Object.fromEntries(keys.filter((key) => all[key] !== undefined).map((key) => [key, all[key]]))
  }
  return {
    routing: section("routing", "generic", "generic_paths", "refused_paths", "refused_everywhere"),
    api: section("api", "listing_paths"),
    models: section("models", "implied_tag"),
    detection: section("detection", "proofs"),
    signals: section("signals", "sources"),
    characteristics: section("characteristics", "fixed_model", "prompt_cache_tokens"),
    version_listing: section("version_listing", "name", "place")
  }
}

const extend = (raw: RawProfile, find: (name: string) => RawProfile | undefined): RawProfile | string => {
  const base = raw["extends"]
  if (base === undefined || base === null) return raw
  const found = typeof base === "string" ? find(base) : undefined
  if (found === undefined) return `extends: no profile named "${String(base)}" has been read before this file`
  const { extends: _, ...own } = raw
  const merged = layOver(found, own)
  if (own["name"] === found["name"]) return merged
  const routing = (own["routing"] ?? {}) as RawProfile
  return {
    ...merged,
    name: own["name"],
    // Whose routes these are, and how it is listed, is the other one's alone.
    routing: {
      ...(merged["routing"] as RawProfile | undefined),
      prefixes: routing["prefixes"] ?? [],
      generic: routing["generic"] ?? "false"
    },
    version_listing: own["version_listing"],
    detection: { ...((merged["detection"] ?? {}) as RawProfile), proofs: ((own["detection"] ?? {}) as RawProfile)["proofs"] ?? [] }
  }
}

/** Lookups over a closed set of profiles. */
export const profileSet = (profiles: ReadonlyArray<Profile>, diagnostics: ReadonlyArray<Diagnostic> = []): ProfileSet => {
  const said = [...diagnostics]
  const sorted = [...profiles].sort((a, b) => Number(a.generic) - Number(b.generic) || (a.name < b.name ? -1 : 1))
  const byName = new Map(sorted.map((profile) => [profile.name, profile]))
  const byPrefix = new Map<string, Profile>()
  const all = sorted.map((profile) => {
    const prefixes = profile.prefixes.filter((prefix) => {
      const owner = byName.get(prefix) ?? byPrefix.get(prefix)
      if (owner === undefined || owner === profile) return true
      said.push({
        severity: "warning",
        message: "two profiles claim the same routing prefix; one will shadow the other",
        detail: `${prefix} stays with ${owner.name}, not with ${profile.name}`,
        fields: { prefix, keeping: owner.name, ignored: profile.name }
      })
      return false
    })
    const kept = prefixes.length === profile.prefixes.length ? profile : { ...profile, prefixes }
    byName.set(kept.name, kept)
    for (const prefix of prefixes) byPrefix.set(prefix, kept)
    return kept
  })
  const byNormal = new Map<string, Profile>()
  for (const profile of [...all].reverse()) {
    for (const prefix of profile.prefixes) byNormal.set(normaliseName(prefix), profile)
    byNormal.set(normaliseName(profile.name), profile)
  }
  const byPath = new Map<string, Set<Profile>>()
  for (const profile of all) {
    const declared = profile.anthropic?.enabled === true ? [...profile.paths, profile.anthropic.messagesPath] : profile.paths
    for (const path of declared) byPath.set(path, (byPath.get(path) ?? new Set()).add(profile))
  }
  const none: ReadonlySet<Profile> = new Set()
  const remembered = new Map<string, ReadonlySet<Profile>>()
  const find = (path: string): ReadonlySet<Profile> => {
    const exact = byPath.get(path)
    if (exact !== undefined) return exact
    // The longest suffix of whole segments; `/` alone says nothing.
    for (let slash = path.indexOf("/", 1); slash > 0; slash = path.indexOf("/", slash + 1)) {
      const found = slash === path.length - 1 ? undefined : byPath.get(path.slice(slash))
      if (found !== undefined) return found
    }
    return none
  }
  return {
    all,
    diagnostics: said,
    byName: (name) => byName.get(name),
    generic: all.find(({ generic }) => generic),
    resolveType: (type) => (type === "" || type === "auto" ? undefined : (byName.get(type) ?? byPrefix.get(type))),
    resolveSegment: (segment) => byPrefix.get(segment) ?? prefixed(byName.get(segment)) ?? prefixed(byNormal.get(normaliseName(segment))),
    typeNames: [...[...new Set([...byName.keys(), ...byPrefix.keys()])].sort(), "auto"],
    forPath: (path) => {
      const known = remembered.get(path)
      if (known !== undefined) return known
      const found = find(path)
      // Clients choose paths: what is remembered stays bounded.
      if (remembered.size < 1_000) remembered.set(path, found)
      return found
    }
  }
}

/** A profile without prefixes has no routes, under its own name neither. */
const prefixed = (profile: Profile | undefined): Profile | undefined =>
  profile !== undefined && profile.prefixes.length > 0 ? profile : undefined

export const layer = (cwd: string, env: Readonly<Record<string, string | undefined>>): Layer.Layer<Profiles, never, Settings> =>
  Layer.effect(
    Profiles,
    Effect.gen(function* () {
      const settings = yield* Settings
      return loadProfiles({ cwd, env, configFolder: settings.folder, filter: settings.current().proxy.profile_filter })
    })
  )

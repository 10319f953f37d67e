/**
 * All profiles of this process: the twelve shipped ones, then the user's folders over them (backend-profiles.md 1, 5, 6).
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Diagnostic } from "../config/Diagnostic.ts"
import { filterAdmits } from "../config/FilterPattern.ts"
import type { FilterConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import type { Profile } from "./Profile.ts"
import { buildProfile, layOver, type RawProfile, readProfileFile } from "./ProfileFile.ts"
import { type ProfileSet, Profiles } from "./Profiles.ts"
import { checkCalculations } from "./UsageExtraction.ts"

/** The shipped files travel with the program, next to src/ and dist/. */
const shippedFolder = join(import.meta.dirname, "..", "..", "config", "profiles")

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
  readonly shippedName: boolean
}

const walk = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const path = join(folder, entry.name)
        if (entry.isDirectory()) return walk(path)
        if (!entry.name.endsWith(".yaml")) return []
        return entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? [] : [path]
      })
  } catch {
    return []
  }
}

const baseName = (path: string): string => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1)

export const loadProfiles = (sources: ProfileSources): ProfileSet => {
  const diagnostics: Array<Diagnostic> = []
  const warn = (message: string, path: string) => diagnostics.push({ severity: "warning", message: `${path}: ${message}`, file: path })
  const shippedFiles = walk(shippedFolder)
  const shippedNames = new Set(shippedFiles.map(baseName))
  const definitions = new Map<string, Definition>()
  const embedded = new Map<string, RawProfile>()
  for (const path of shippedFiles) {
    const reading = readProfileFile(readFileSync(path, "utf8"))
    if (reading._tag === "error") throw new Error(`shipped profile ${path}: ${reading.why}`)
    const name = String(reading.raw["name"])
    embedded.set(name, reading.raw)
    definitions.set(name, { raw: reading.raw, path, shippedName: true })
  }
  const folders = [
    ...(sources.configFolder === undefined ? [] : [join(sources.configFolder, "profiles")]),
    resolve(sources.cwd, "config", "profiles"),
    ...(sources.env["OLLA_CONFIG_DIR"] ? [join(sources.env["OLLA_CONFIG_DIR"], "profiles")] : [])
  ]
  // Folders later in this list win; a folder that is named twice is read once, at its strongest place.
  const distinct = [...new Set(folders.map((folder) => resolve(folder)).reverse())]
    .reverse()
    .filter((folder) => folder !== resolve(shippedFolder))
  for (const folder of distinct) {
    const here = new Map<string, Definition>()
    for (const path of walk(folder)) {
      let text: string
      try {
        text = readFileSync(path, "utf8")
      } catch (cause) {
        warn(`profile failed to load, skipping: failed to read profile file: ${String(cause)}`, path)
        continue
      }
      const reading = readProfileFile(text)
      if (reading._tag === "error") {
        warn(`profile failed to load, skipping: ${reading.why}`, path)
        continue
      }
      const extended = extend(reading.raw, (name) => here.get(name)?.raw ?? definitions.get(name)?.raw ?? embedded.get(name))
      if (typeof extended === "string") {
        warn(`profile failed to load, skipping: ${extended}`, path)
        continue
      }
      const built = buildProfile(extended)
      if (built._tag === "error") {
        warn(`profile failed to load, skipping: ${built.why}`, path)
        continue
      }
      for (const finding of [...built.findings, ...checkCalculations(built.profile)]) warn(finding, path)
      const name = built.profile.name
      const definition: Definition = { raw: extended, path, shippedName: shippedNames.has(baseName(path)) }
      const other = here.get(name)
      if (other !== undefined) warn(`profile "${name}" is defined here and in ${other.path}`, path)
      if (embedded.has(name) && reading.raw["api"] === undefined && reading.raw["extends"] === undefined)
        warn(`replaces the shipped profile "${name}" without an api block; say "extends: ${name}" to change single keys`, path)
      // A file of its own name wins over one that is named like a shipped file, whatever their order.
      if (other === undefined || !(definition.shippedName && !other.shippedName)) here.set(name, definition)
    }
    for (const [name, definition] of here) definitions.set(name, definition)
  }
  const profiles = [...definitions.values()].flatMap((definition) => {
    const built = buildProfile(definition.raw)
    return built._tag === "ok" && filterAdmits(sources.filter, built.profile.name) ? [built.profile] : []
  })
  return profileSet(profiles, diagnostics)
}

const extend = (raw: RawProfile, find: (name: string) => RawProfile | undefined): RawProfile | string => {
  const base = raw["extends"]
  if (base === undefined || base === null) return raw
  const found = typeof base === "string" ? find(base) : undefined
  if (found === undefined) return `extends: unknown profile "${String(base)}"`
  const { extends: _, ...own } = raw
  const merged = layOver(found, own)
  if (own["name"] === found["name"]) return merged
  const routing = (own["routing"] ?? {}) as RawProfile
  return {
    ...merged,
    name: own["name"],
    routing: { ...(merged["routing"] as RawProfile | undefined), prefixes: routing["prefixes"] ?? [] }
  }
}

const normalise = (text: string): string => {
  const low = text.toLowerCase().replace(/_/g, "-")
  return low === "lmstudio" ? "lm-studio" : low
}

/** Lookups over a closed set of profiles. */
export const profileSet = (profiles: ReadonlyArray<Profile>, diagnostics: ReadonlyArray<Diagnostic> = []): ProfileSet => {
  const said = [...diagnostics]
  const last = (profile: Profile) => (profile.name === "openai-compatible" ? 1 : 0)
  const sorted = [...profiles].sort((a, b) => last(a) - last(b) || (a.name < b.name ? -1 : 1))
  const byName = new Map(sorted.map((profile) => [profile.name, profile]))
  const byPrefix = new Map<string, Profile>()
  const all = sorted.map((profile) => {
    const prefixes = profile.prefixes.filter((prefix) => {
      const owner = byName.get(prefix) ?? byPrefix.get(prefix)
      if (owner === undefined || owner === profile) return true
      said.push({
        severity: "warning",
        message: `two profiles claim the same routing prefix; one will shadow the other: prefix=${prefix} keeping=${owner.name} ignored=${profile.name}`
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
    for (const prefix of profile.prefixes) byNormal.set(normalise(prefix), profile)
    byNormal.set(normalise(profile.name), profile)
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
    resolveType: (type) => (type === "" || type === "auto" ? undefined : (byName.get(type) ?? byPrefix.get(type))),
    resolveSegment: (segment) => byPrefix.get(segment) ?? prefixed(byName.get(segment)) ?? prefixed(byNormal.get(normalise(segment))),
    typeNames: [...all.map((profile) => profile.name).sort(), "auto"],
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

/** All profiles that exist in this process, in name order with the generic one last. */
import * as Context from "effect/Context"
import type { Diagnostic } from "../config/Diagnostic.ts"
import type { Profile } from "./Profile.ts"

export interface ProfileSet {
  /** Another list after a reload that changed any of them: what was found out about the one is of no use for the other. */
  readonly all: ReadonlyArray<Profile>
  readonly byName: (name: string) => Profile | undefined
  /** The kind of servers of unknown make; `undefined` where the profile filter leaves it out. */
  readonly generic: Profile | undefined
  /** An endpoint's `type` (profile name or prefix, case-sensitive) to its profile; `undefined` for `auto`, empty and unknown ones. */
  readonly resolveType: (type: string) => Profile | undefined
  /** The raw `<segment>` of `/olla/<segment>/...` to its profile; raw first, then normalised. */
  readonly resolveSegment: (segment: string) => Profile | undefined
  /** Profiles that declare this stripped path: exact, else longest whole-segment suffix. Empty: no restriction. */
  readonly forPath: (path: string) => ReadonlySet<Profile>
  /** The list in the "unsupported endpoint type" message. */
  readonly typeNames: ReadonlyArray<string>
  /** What was skipped or shadowed while reading. */
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

export class Profiles extends Context.Service<Profiles, ProfileSet>()("olla/profile/Profiles") {}

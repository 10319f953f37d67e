/** Servers on this machine, for a daemon that nobody told of any: looked for at the start, and now and then while there are none. */
import * as Effect from "effect/Effect"
import type { LoadOptions } from "./config/ConfigLoading.ts"
import { findServers, type LocalServer, localCandidates } from "./endpoint/LocalServers.ts"
import { detectionOf } from "./profile/Detection.ts"
import { loadProfiles } from "./profile/ProfileLoading.ts"

const everything = { include: [], exclude: [] }

/** Milliseconds between two looks. */
export const searchEvery = 30_000

/** Where they are looked for is found out once. */
export const searchOf = ({ cwd, env }: LoadOptions): (() => Promise<ReadonlyArray<LocalServer>>) => {
  const { all } = loadProfiles({ cwd, env, configFolder: undefined, filter: everything })
  const candidates = localCandidates(all, env)
  const detection = detectionOf(all)
  return () => findServers(candidates, detection)
}

/** Until `look` has found something, which `found` then brings into force, or until there is a configuration that says where to look. */
export const untilFound = (look: () => Promise<boolean>, isWanted: () => boolean, found: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.gen(function* () {
    do {
      yield* Effect.sleep(searchEvery)
      if (!isWanted()) return
    } while (!(yield* Effect.promise(look)))
    yield* found
  })

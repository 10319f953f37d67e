/**
 * Notices that files have changed, by looking at their names through symbolic links four times a second. Notifications of the system
 * follow an inode: an editor that replaces the file, a Kubernetes volume that swaps a link, and a network mount all escape them.
 */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** What each path looked like; `absent` where nothing was. */
export type FilePrints = ReadonlyMap<string, string>

export const absent = "absent"

/** Milliseconds between two looks. */
export const lookEvery = 250
/** Milliseconds without a further change before files are read: whoever writes several is given the time. */
export const quietTime = 300
/** Milliseconds that a file must have been gone: replacing one may take it away for a moment. */
export const goneTime = 1_000

export interface WatchState {
  /** As read last. */
  readonly settled: FilePrints
  /** As looked at last. */
  readonly latest: FilePrints
  /** When `latest` came about, in milliseconds of a clock that nobody sets. */
  readonly changedAt: number
}

const same = (a: FilePrints, b: FilePrints): boolean => a.size === b.size && [...a].every(([path, print]) => b.get(path) === print)

/** One look: the state after it, and whether the files are to be read now. */
export const look = (state: WatchState, prints: FilePrints, now: number): { readonly state: WatchState; readonly isDue: boolean } => {
  if (!same(state.latest, prints)) return { state: { ...state, latest: prints, changedAt: now }, isDue: false }
  if (same(state.settled, prints)) return { state, isDue: false }
  const isGone = [...prints].some(([path, print]) => print === absent && (state.settled.get(path) ?? absent) !== absent)
  if (now - state.changedAt < (isGone ? goneTime : quietTime)) return { state, isDue: false }
  return { state: { ...state, settled: prints }, isDue: true }
}

/** Of a folder: its YAML files, those of folders in it too. */
const printOf = async (path: string): Promise<string> => {
  try {
    const found = await stat(path)
    if (!found.isDirectory()) return `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`
    const entries = await readdir(path, { withFileTypes: true })
    const inside = entries
      .filter((entry) => entry.isDirectory() || entry.name.endsWith(".yaml"))
      .map(async ({ name }) => `${name}=${await printOf(join(path, name))}`)
    return `{${(await Promise.all(inside)).sort().join(",")}}`
  } catch {
    return absent
  }
}

export const printsOf = async (paths: ReadonlyArray<string>): Promise<FilePrints> =>
  new Map(await Promise.all([...new Set(paths)].map(async (path) => [path, await printOf(path)] as const)))

/**
 * Runs `onChange` after each change that has come to rest, one at a time, until it is interrupted. `paths` is asked at every look:
 * what is read may name other files. A file that is named anew counts as changed, once.
 */
export const watchFiles = (
  paths: () => ReadonlyArray<string>,
  onChange: Effect.Effect<void>,
  prints: (paths: ReadonlyArray<string>) => Promise<FilePrints> = printsOf
): Effect.Effect<never> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => Number(clock.currentTimeNanosUnsafe()) / 1e6
    const first = yield* Effect.promise(() => prints(paths()))
    let state: WatchState = { settled: first, latest: first, changedAt: now() }
    for (;;) {
      yield* Effect.sleep(lookEvery)
      const seen = yield* Effect.promise(() => prints(paths()))
      const next = look(state, seen, now())
      state = next.state
      if (next.isDue) yield* onChange
    }
  })

/**
 * Going over to what the files say now. Everything is read and judged first, by the rules of a start; only what is right as a whole
 * comes into force, at once. One after the other: whoever asks during a reload waits and shares the next reading.
 */
import { existsSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { placed } from "./catalogue/ModelsFile.ts"
import { type ConfigChange, changesBetween, restartNeeded, secretsBetween } from "./config/ConfigChange.ts"
import { type Diagnostic, render } from "./config/Diagnostic.ts"
import { quietTime, watchFiles } from "./config/FileWatch.ts"
import type { Reload, ReloadOutcome, ReloadTrigger } from "./config/Reload.ts"
import type { Settings } from "./config/Settings.ts"
import type { Configuration } from "./configuration.ts"
import { ownSpan } from "./endpoint/OwnSpan.ts"
import { inSlices, turn } from "./endpoint/TimeSlices.ts"
import { redactText } from "./guard/Redaction.ts"
import { asSound, type InForce, type Sound } from "./inForce.ts"
import type { ProfileSet } from "./profile/Profiles.ts"
import { reportRemarks } from "./startupReport.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

export interface Reloading {
  readonly inForce: InForce
  /** Reads all files anew, in steps between which requests go on. */
  readonly read: (before: Sound) => Generator<void, Configuration>
  /** Brings it into force, whole; ends when requests see all of it. */
  readonly commit: (next: Sound) => Effect.Effect<void>
  readonly log: LogSink
  /** Epoch milliseconds. */
  readonly now: () => number
}

const profileFailures = ({ profiles }: Configuration): ReadonlyArray<Diagnostic> =>
  profiles.diagnostics.filter(({ message }) => message.startsWith("profile failed to load") || message.includes("cannot be read"))

/** What a start would live with and a running daemon must not: it would take away what is in use, or was only half written. */
export const reloadProblems = (before: Configuration, next: Configuration): ReadonlyArray<Diagnostic> => {
  const { loaded, models } = next
  const known = new Set(profileFailures(before).map(render))
  const empty: ReadonlyArray<Diagnostic> = loaded.isEmpty
    ? [
        {
          severity: "error",
          message: `${loaded.path} says nothing: it may be half written, and would replace the configuration by defaults`,
          file: loaded.path
        }
      ]
    : []
  const { hollowEnd: hollow } = loaded
  const cut: ReadonlyArray<Diagnostic> =
    hollow === undefined || hollow === before.loaded.hollowEnd
      ? []
      : loaded.adopt([
          {
            severity: "error",
            path: hollow,
            message: `${hollow} is the last key of the file and says nothing: it may be half written. Write what it has, or take the key out`
          }
        ])
  const profiles = profileFailures(next)
    .filter((failure) => !known.has(render(failure)))
    .map(
      (failure): Diagnostic => ({
        ...failure,
        severity: "error",
        message: failure.message.replace(/^profile failed to load, skipping/, "profile failed to load")
      })
    )
  const { path } = before.models
  const broken = models.warnings.find((warning) => warning.startsWith(`${path}: `))
  const lost: ReadonlyArray<Diagnostic> =
    path === undefined || models.path === path || (broken === undefined && existsSync(path))
      ? []
      : [
          placed(
            broken ?? `${path}: the loaded models.yaml is gone: put it back, or restart the daemon to go on with the built-in rules`,
            "error"
          )
        ]
  return [...empty, ...cut, ...profiles, ...lost]
}

const profileChanges = (before: ProfileSet, after: ProfileSet): ReadonlyArray<ConfigChange> =>
  [...new Set([...before.all, ...after.all].map(({ name }) => name))].flatMap((name) => {
    const [was, is] = [before.byName(name), after.byName(name)]
    if (isDeepStrictEqual(was, is)) return []
    return [{ key: `profiles.${name}`, before: was === undefined ? null : "changed", after: is === undefined ? null : "changed" }]
  })

/** Everything that is otherwise, contents of files included; secrets without their values. */
export const changesOf = (before: Sound, after: Sound): ReadonlyArray<ConfigChange> => [
  ...changesBetween(before.config, after.config, redactText),
  ...secretsBetween(before, after, redactText),
  ...profileChanges(before.profiles, after.profiles),
  ...(before.models.path === after.models.path && before.models.text === after.models.text
    ? []
    : [{ key: "models.yaml", before: before.models.path ?? null, after: after.models.path ?? null }]),
  ...keyChanges(before, after)
]

/** Entries that are otherwise though the configuration names the same: without a word of what they have. */
const keyChanges = (before: Sound, after: Sound): ReadonlyArray<ConfigChange> => {
  if (before.access === undefined || after.access === undefined || !isDeepStrictEqual(before.config.access, after.config.access)) return []
  if (before.access.fingerprint === after.access.fingerprint) return []
  const key = after.access.source === "" ? "access.api_key_file" : "access.keys_file"
  return [{ key, before: "changed", after: "changed" }]
}

const messageOf = (errors: ReadonlyArray<Diagnostic>): string =>
  `the configuration is not changed: ${errors.length === 1 ? "1 error" : `${errors.length} errors`} in what the files say now`

/** A fault of ours leaves what was in force, and is told as any other reason. */
const faultOf = (cause: Cause.Cause<never>): Diagnostic => ({ severity: "error", message: `internal error: ${Cause.pretty(cause)}` })

export const makeReload = Effect.fnUntraced(function* (parts: Reloading) {
  const { inForce, read, commit, log, now } = parts
  const first = inForce.current()
  const { generation } = inForce.settings
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const scope: Scope.Scope = yield* Effect.scope
  let loadedAt = now()
  let lastError: { readonly at: number; readonly message: string; readonly findings: ReadonlyArray<Diagnostic> } | undefined
  const needed = () => restartNeeded(first.config, inForce.current().config)

  const refuse = (trigger: ReloadTrigger, findings: ReadonlyArray<Diagnostic>): ReloadOutcome => {
    const message = messageOf(findings)
    lastError = { at: now(), message, findings }
    log.write("error", "Configuration reload failed", { trigger, error: findings.map(render).join("\n") })
    return { _tag: "Refused", message, findings }
  }

  const once = Effect.fnUntraced(function* (trigger: ReloadTrigger) {
    const before = inForce.current()
    const next = yield* inSlices(read(before))
    yield* turn
    const findings = [...next.errors, ...reloadProblems(before, next)]
    const sound = asSound(next)
    if (findings.length > 0 || sound === undefined) return refuse(trigger, findings)
    const changes = changesOf(before, sound)
    if (changes.length > 0) {
      yield* commit(sound)
      const told = new Set([...before.diagnostics, ...before.profiles.diagnostics].map(render))
      reportRemarks(
        log,
        [...sound.profiles.diagnostics, ...sound.diagnostics].filter((each) => each.severity === "warning" && !told.has(render(each)))
      )
      loadedAt = now()
    }
    lastError = undefined
    // Files that were only touched are no news.
    log.write(trigger === "watch" && changes.length === 0 ? "debug" : "info", "Configuration reloaded", {
      generation: generation(),
      trigger,
      changes
    })
    const restart = needed()
    if (changes.length > 0 && restart.length > 0)
      log.write("warn", "Some changed settings count from the next start on", { keys: restart, generation: generation() })
    return { _tag: "Reloaded", generation: generation(), changed: changes.map(({ key }) => key), restartNeeded: restart } as ReloadOutcome
  })

  const lock = Semaphore.makeUnsafe(1)
  /** Those who asked and for whom nothing has been read yet. */
  let waiting: Deferred.Deferred<ReloadOutcome> | undefined

  const reload = (trigger: ReloadTrigger): Effect.Effect<ReloadOutcome> =>
    Effect.suspend(() => {
      if (waiting !== undefined) return Deferred.await(waiting)
      const mine = Deferred.makeUnsafe<ReloadOutcome>()
      waiting = mine
      const run = Effect.suspend(() => {
        waiting = undefined
        return ownSpan("config.reload", { "olla.trigger": trigger })(once(trigger))
      }).pipe(Effect.catchCause((cause) => Effect.sync(() => refuse(trigger, [faultOf(cause)]))))
      // Whoever asked may go away: what has begun is finished.
      fork(Effect.forkIn(lock.withPermit(Deferred.into(run, mine)), scope))
      return Deferred.await(mine)
    })

  const service: Reload["Service"] = {
    reload,
    status: () => ({ generation: generation(), loadedAt, source: inForce.current().loaded.path, lastError, restartNeeded: needed() })
  }
  return service
})

/** While it is wanted: `reload` whenever files have changed and come to rest, and once at the beginning. */
export const watchWhile = Effect.fnUntraced(function* (
  settings: Settings["Service"],
  isWanted: () => boolean,
  files: () => ReadonlyArray<string>,
  reload: Effect.Effect<void>
) {
  const watch = yield* FiberHandle.make()
  const run = yield* FiberHandle.runtime(watch)<never>()
  let isOn = false
  const follow = () => {
    const wanted = isWanted()
    if (wanted === isOn) return
    isOn = wanted
    // What changed after it was read and before anybody watched is found by a reading of its own.
    if (wanted)
      run(Effect.raceFirst(watchFiles(files, reload), Effect.andThen(Effect.sleep(quietTime), Effect.andThen(reload, Effect.never))))
    else run(Effect.void)
  }
  follow()
  const off = settings.onReplace(follow)
  yield* Effect.addFinalizer(() => Effect.sync(off))
})

/** The keys file is live by itself, whether the configuration is watched or not: what is wrong with it leaves the last good keys in force. */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Effect from "effect/Effect"
import { readAccess, renderAll } from "./guard/keys/AccessLoading.ts"
import { isLong, treeApart } from "./guard/keys/TreeApart.ts"
import type { InForce } from "./inForce.ts"
import { watchWhile } from "./reload.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

/** Empty: it cannot be read, which the reading itself tells. */
const textOf = (readFile: (path: string) => string, path: string): string => {
  try {
    return path === "" ? "" : readFile(path)
  } catch {
    return ""
  }
}

export const watchKeys = (inForce: InForce, env: Readonly<Record<string, string | undefined>>, log: LogSink) => {
  const { settings, access } = inForce
  const cwd = process.cwd()
  const files = (): ReadonlyArray<string> => {
    const { accessFiles, config } = inForce.current()
    return [config.access.keys_file, ...accessFiles].filter((path) => path !== "").map((path) => resolve(cwd, path))
  }
  /** What was wrong last: told once. */
  let told = ""
  const look = Effect.gen(function* () {
    if (inForce.current().access === undefined) return
    const readFile = (path: string) => readFileSync(resolve(cwd, path), "utf8")
    const text = textOf(readFile, inForce.current().config.access.keys_file)
    const tree = isLong(text) ? yield* Effect.promise(() => treeApart(text)) : undefined
    // A reload may have come meanwhile.
    const before = inForce.current()
    if (before.access === undefined) return
    const read = readAccess(before.config, { env, readFile, parsed: (now) => (now === text ? tree : undefined) }, true)
    if (read.access === undefined) {
      const error = renderAll(read.diagnostics)
      access.lastError = error
      const print = hash("sha256", error)
      if (print !== told) {
        access.reloadFailures++
        log.write("error", "Keys not loaded", { file: before.config.access.keys_file, error })
      }
      told = print
      return
    }
    told = ""
    access.lastError = undefined
    if (read.access.fingerprint === before.access.fingerprint) return
    const change = inForce.replaceAccess(read.access, read.files)
    log.write("info", "Keys loaded", { file: before.config.access.keys_file, keys: read.access.table.entries.length, ...change })
  })
  return watchWhile(settings, () => access.current !== undefined && files().length > 0, files, look)
}

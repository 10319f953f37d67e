/**
 * Compiles src/ to dist/ and puts the shipped profiles beside. With --if-needed nothing is done while dist/ is newer than
 * everything that it is made of.
 */
import { spawnSync } from "node:child_process"
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { checkoutFacts, stampVersion } from "./stampVersion.js"

// Any Node from 20 on, of which the first have no import.meta.dirname.
const root = join(dirname(fileURLToPath(import.meta.url)), "..")

/** Folders and files that a build reads. */
const sources = ["src", "config/profiles", "scripts/build.js", "scripts/stampVersion.js", "package.json", "tsconfig.json"]

/** @param {string} path */
const newest = (path) => {
  const own = statSync(path)
  if (!own.isDirectory()) return own.mtimeMs
  return readdirSync(path, { recursive: true, withFileTypes: true }).reduce(
    (latest, entry) => Math.max(latest, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
    own.mtimeMs
  )
}

const isFresh = () => {
  try {
    const built = statSync(join(root, "dist", "main.js")).mtimeMs
    return sources.every((source) => newest(join(root, source)) < built)
  } catch {
    return false
  }
}

/**
 * Ends the process where the sources do not compile.
 *
 * @param {{ readonly ifNeeded: boolean }} options
 */
export const build = ({ ifNeeded }) => {
  if (ifNeeded && isFresh()) return
  // A file that was renamed or removed must not live on in dist/.
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const done = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { stdio: "inherit" })
  if (done.status !== 0) process.exit(done.status ?? 1)
  // The program's own copy: what a user does to config/profiles afterwards overrides it, and cannot break it.
  cpSync(join(root, "config", "profiles"), join(root, "dist", "profiles"), { recursive: true })
  const version = join(root, "dist", "version.js")
  writeFileSync(version, stampVersion(readFileSync(version, "utf8"), process.env, checkoutFacts(root, process.env)))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build({ ifNeeded: process.argv.includes("--if-needed") })

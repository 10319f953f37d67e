// Compiles src/ to dist/ and puts the shipped profiles beside. With --if-needed nothing is done while dist/ is newer than every source.
import { spawnSync } from "node:child_process"
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { stampVersion } from "./stampVersion.js"

const root = join(import.meta.dirname, "..")

const newest = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)

const isFresh = () => {
  try {
    return statSync(join(root, "dist", "main.js")).mtimeMs > newest(join(root, "src"))
  } catch {
    return false
  }
}

if (!(process.argv.includes("--if-needed") && isFresh())) {
  // A file that was renamed or removed must not live on in dist/.
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const done = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { stdio: "inherit" })
  // The program's own copy: what a user does to config/profiles afterwards overrides it, and cannot break it.
  cpSync(join(root, "config", "profiles"), join(root, "dist", "profiles"), { recursive: true })
  if (done.status !== 0) process.exit(done.status ?? 1)
  const version = join(root, "dist", "version.js")
  writeFileSync(version, stampVersion(readFileSync(version, "utf8"), process.env))
}

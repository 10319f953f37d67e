/** What a build calls itself: `olla --version`, the banner and `/version` tell it. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const keys = ["version", "commit", "date", "user", "tool", "homepage"]

/**
 * What the checkout at `root` says: package.json's version, git's commit (with `-dirty` where files differ from it), the time
 * of the build (`SOURCE_DATE_EPOCH` where a builder wants the same bytes again). Without git, what is left.
 *
 * @param {string} root
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Readonly<Record<string, string | undefined>>}
 */
export const checkoutFacts = (root, env) => {
  const epoch = Number(env["SOURCE_DATE_EPOCH"] || Number.NaN)
  const { version, homepage } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  return {
    version: `v${version}`,
    homepage,
    // A folder inside somebody else's repository is none of its own.
    commit: existsSync(join(root, ".git")) ? gitCommit(root) : undefined,
    date: `${(Number.isFinite(epoch) ? new Date(epoch * 1000) : new Date()).toISOString().slice(0, 19)}Z`,
    tool: "npm"
  }
}

/** @param {string} root */
const gitCommit = (root) => {
  const git = (/** @type {ReadonlyArray<string>} */ ...args) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "-dirty")
  } catch {
    return undefined
  }
}

/**
 * The text of the compiled version.js with the facts put in; OLLA_BUILD_VERSION, _COMMIT, _DATE, _USER, _TOOL and _HOMEPAGE win over them.
 *
 * @param {string} text
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {Readonly<Record<string, string | undefined>>} facts
 * @returns {string}
 */
export const stampVersion = (text, env, facts = {}) =>
  keys.reduce((stamped, key) => {
    const value = env[`OLLA_BUILD_${key.toUpperCase()}`] || facts[key]
    if (!value) return stamped
    return stamped.replace(new RegExp(`(\\b${key}: )"[^"]*"`), (_all, name) => name + JSON.stringify(value))
  }, text)

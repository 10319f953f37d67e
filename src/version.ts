/** What this build calls itself. The build puts in what package.json, git and OLLA_BUILD_* say (scripts/stampVersion.js); these are its words without one. */
export const build = {
  name: "Olla",
  shortName: "olla",
  version: "v0.0.x",
  commit: "none",
  date: "nowish",
  user: "local",
  tool: "make",
  /** Where its project is found: package.json's `homepage`. Empty: nowhere yet. */
  homepage: "" as string
} as const

/** What it runs on, in the form of `go1.24.1`. */
export const runtime = `node${process.versions.node}`

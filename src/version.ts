/** What this build calls itself. `npm run build` puts in what OLLA_BUILD_VERSION, _COMMIT, _DATE, _USER and _TOOL say; a checkout says so. */
export const build = {
  name: "Olla",
  shortName: "olla",
  version: "v0.0.x",
  commit: "none",
  date: "nowish",
  user: "local",
  tool: "make"
} as const

/** What it runs on, in the form of `go1.24.1`. */
export const runtime = `node${process.versions.node}`

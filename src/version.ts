/** What this build calls itself. Release builds stamp the environment of `npm run build`'s caller; a checkout says so. */
export const build = {
  name: "Olla",
  shortName: "olla",
  version: "v0.0.x",
  commit: "none",
  date: "nowish",
  user: "local",
  tool: "make"
} as const

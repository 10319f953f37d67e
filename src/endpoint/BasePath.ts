/**
 * The path of an endpoint's base URL, and what is asked for below it. Base URLs come in two spellings: the server's root, and, as the
 * clients of APIs want it, the root with `/v1`. Both mean the same server.
 */

const version = "/v1"

const bare = (basePath: string): string => basePath.replace(/\/+$/, "")

/** The base without its `/v1`: what paths that a kind of server is known by are below. */
export const rootOf = (basePath: string): string => {
  const base = bare(basePath)
  return base.endsWith(version) ? base.slice(0, -version.length) : basePath
}

/** Is it, or does it begin with, the version's segment? A query may follow. */
const isVersioned = (path: string): boolean => /^\/*v1(?:[/?#]|$)/.test(path)

/**
 * The base that a path is joined to: a `/v1` that both have is there once. `isOfKind`: the path is one that the kind of server is
 * known by, whose place is the root (`/api/chat`); any other one is below the base as it is written (`/chat/completions`).
 */
export const baseFor = (basePath: string, path: string, isOfKind: boolean): string =>
  isOfKind || isVersioned(path) ? rootOf(basePath) : basePath

/** Whether there is a path that matters. */
export const hasPath = (basePath: string): boolean => bare(basePath) !== ""

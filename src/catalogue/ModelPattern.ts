/**
 * Patterns of `models.yaml`, in RE2's dialect and on an engine of RE2's kind: names come from backends and patterns from
 * files, and a backtracking engine may never finish some pairs of them.
 */
import { createRequire } from "node:module"
import type { RE2JS as Re2 } from "re2js"

/** Longest name that patterns are tried on, in UTF-16 units. */
export const maxPatternSubject = 256

export interface ModelPattern {
  readonly matches: (name: string) => boolean
  /** The groups of the first match, the whole of it first; a group that took no part is `undefined`. */
  readonly groupsOf: (name: string) => ReadonlyArray<string | undefined> | undefined
  /** How many groups it has. */
  readonly groups: number
}

export type CompiledPattern =
  | { readonly _tag: "ok"; readonly pattern: ModelPattern }
  /** `why` names the pattern. */
  | { readonly _tag: "error"; readonly why: string }

// Only files with patterns of their own need the engine, and it costs a start some 40 ms.
const engine = (): typeof Re2 => (createRequire(import.meta.url)("re2js") as { readonly RE2JS: typeof Re2 }).RE2JS

/** `ignoreCase`: as capability patterns are matched. */
export const compilePattern = (source: string, ignoreCase: boolean): CompiledPattern => {
  const RE2JS = engine()
  try {
    const compiled = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0)
    const groups = compiled.groupCount()
    return {
      _tag: "ok",
      pattern: {
        matches: (name) => compiled.test(name),
        groupsOf: (name) => {
          const match = compiled.matcher(name)
          return match.find() ? Array.from({ length: groups + 1 }, (_, group) => match.group(group) ?? undefined) : undefined
        },
        groups
      }
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { _tag: "error", why: why.includes(source) ? why : `${why} in \`${source}\`` }
  }
}

/**
 * A pattern that we ship, written in what both dialects mean alike: the host's engine is twenty times as fast, and a fleet
 * has many names.
 */
export const shippedPattern = (source: string, ignoreCase: boolean): ModelPattern => {
  const expression = new RegExp(source, ignoreCase ? "iu" : "u")
  const groups = (new RegExp(`${source}|`, "u").exec("")?.length ?? 1) - 1
  return { matches: (name) => expression.test(name), groupsOf: (name) => expression.exec(name) ?? undefined, groups }
}

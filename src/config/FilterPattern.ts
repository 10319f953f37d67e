/** Patterns of `model_filter` and `profile_filter`: `*` at the ends only, case ignored. */
import type { FilterConfig } from "./OllaConfig.ts"

/** What is wrong with a pattern; `undefined` when nothing is. Blanks around it do not count. */
export const checkPattern = (written: string): string | undefined => {
  const pattern = written.trim()
  if (pattern === "") return "empty or whitespace-only pattern"
  if (pattern.includes("**")) return "double asterisk not supported"
  const stars = pattern.split("*").length - 1
  if (stars > 2) return "too many wildcards"
  const inner = pattern.replace(/^\*/, "").replace(/\*$/, "")
  if (inner.includes("*") || (stars === 2 && !(pattern.startsWith("*") && pattern.endsWith("*"))))
    return "wildcards only supported at start and/or end"
  return undefined
}

export const matchesPattern = (pattern: string, name: string): boolean => patternTest(pattern)(name.toLowerCase())

/** The same for many names, each lower-cased. */
export const patternTest = (pattern: string): ((low: string) => boolean) => {
  const text = pattern.trim().toLowerCase()
  if (text === "*") return () => true
  const open = text.startsWith("*")
  const close = text.endsWith("*")
  const core = text.slice(open ? 1 : 0, close ? -1 : undefined)
  if (open && close) return (low) => low.includes(core)
  if (open) return (low) => low.endsWith(core)
  if (close) return (low) => low.startsWith(core)
  return (low) => low === core
}

/** An empty `include`, or one with `*`, admits everything; `exclude` wins. */
export const filterAdmits = (filter: FilterConfig, name: string): boolean => {
  const included = filter.include.length === 0 || filter.include.some((pattern) => matchesPattern(pattern, name))
  return included && !filter.exclude.some((pattern) => matchesPattern(pattern, name))
}

/** Complaints about every bad pattern of a filter, with the list and position it stands in. */
export const checkFilter = (filter: FilterConfig): ReadonlyArray<{ readonly at: string; readonly message: string }> =>
  (["include", "exclude"] as const).flatMap((list) =>
    filter[list].flatMap((pattern, index) => {
      const problem = checkPattern(pattern)
      return problem === undefined ? [] : [{ at: `${list}[${index}]`, message: `invalid ${list} pattern '${pattern}': ${problem}` }]
    })
  )

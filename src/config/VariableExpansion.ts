/** `${VAR}` and `${VAR:-fallback}` in secrets, header values and URLs. */

export type Expansion =
  | { readonly _tag: "Expanded"; readonly value: string }
  /** Required variables that are not set, in order of appearance. */
  | { readonly _tag: "Missing"; readonly names: ReadonlyArray<string> }

const placeholder = /\$\{([^}]+)\}/g

/** Substituted text is not looked at again; bare `$VAR` stays. */
export const expandVariables = (text: string, env: Readonly<Record<string, string | undefined>>): Expansion => {
  if (!text.includes("${")) return { _tag: "Expanded", value: text }
  const missing: Array<string> = []
  const value = text.replace(placeholder, (_, inner: string) => {
    const at = inner.indexOf(":-")
    const name = at === -1 ? inner : inner.slice(0, at)
    const set = env[name]
    if (at !== -1) return set === undefined || set === "" ? inner.slice(at + 2) : set
    if (set === undefined) missing.push(name)
    return set ?? ""
  })
  return missing.length === 0 ? { _tag: "Expanded", value } : { _tag: "Missing", names: missing }
}

/** How a value would be right without the variable, for the key that has it. */
export const withFallback = (key: string, names: ReadonlyArray<string>): string => `${key}: "\${${names[0] ?? ""}:-fallback}"`

/** One line per variable; never any of the surrounding text. */
export const missingVariables = (names: ReadonlyArray<string>): string =>
  [...new Set(names)].map((name) => `required environment variable "${name}" is not set`).join("\n")

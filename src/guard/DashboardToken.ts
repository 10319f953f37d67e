/** The bearer token of `dashboard.access_policy`, from the configuration itself or from a file. It appears in no message. */
import type { Diagnostic } from "../config/Diagnostic.ts"
import { reasonOf } from "../config/FileReason.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { expandVariables, missingVariables, withFallback } from "../config/VariableExpansion.ts"

export interface TokenSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Throws as `node:fs` does. */
  readonly readFile: (path: string) => string
}

export interface DashboardToken {
  /** `undefined`: none is set. */
  readonly token: string | undefined
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

/** What can stand behind `Bearer` in a header. */
const sendable = /^[\x21-\x7e]+$/

const at = "dashboard.access_policy"

const wrong = (key: "token" | "token_file", message: string, example?: string): DashboardToken => ({
  token: undefined,
  diagnostics: [
    {
      severity: "error",
      path: `${at}.${key}`,
      message: `dashboard config invalid: ${at}.${key}: ${message}`,
      ...(example === undefined ? {} : { example })
    }
  ]
})

const judged = (key: "token" | "token_file", token: string): DashboardToken => {
  if (token === "") return wrong(key, "is empty")
  if (!sendable.test(token)) return wrong(key, "has spaces or characters that no header can carry as a token")
  return { token, diagnostics: [] }
}

export const loadDashboardToken = (
  { token, token_file }: OllaConfig["dashboard"]["access_policy"],
  { env, readFile }: TokenSources
): DashboardToken => {
  const isSet = (value: string | undefined): value is string => value !== undefined && value !== ""
  if (isSet(token) && isSet(token_file)) return wrong("token_file", "token and token_file are both set; use exactly one")
  if (isSet(token_file)) {
    try {
      return judged("token_file", readFile(token_file).trim())
    } catch (cause) {
      return wrong("token_file", `reading secret file "${token_file}": ${reasonOf(cause)}`)
    }
  }
  if (!isSet(token)) return { token: undefined, diagnostics: [] }
  const expanded = expandVariables(token, env)
  return expanded._tag === "Missing"
    ? wrong("token", missingVariables(expanded.names), withFallback("token", expanded.names))
    : judged("token", expanded.value)
}

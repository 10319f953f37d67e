/** The bearer tokens of `dashboard.access_policy`, from the configuration itself or from a file. None appears in a message. */
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

type TokenKey = "token" | "token_file" | "metrics_token" | "metrics_token_file"

const wrong = (key: TokenKey, message: string, example?: string): DashboardToken => ({
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

const judged = (key: TokenKey, token: string): DashboardToken => {
  if (token === "") return wrong(key, "is empty")
  if (!sendable.test(token)) return wrong(key, "has spaces or characters that no header can carry as a token")
  return { token, diagnostics: [] }
}

type Policy = OllaConfig["dashboard"]["access_policy"]

export const loadDashboardToken = (policy: Policy, sources: TokenSources): DashboardToken => load(policy, "token", sources)

export const loadMetricsToken = (policy: Policy, sources: TokenSources): DashboardToken => load(policy, "metrics_token", sources)

const load = (policy: Policy, key: "token" | "metrics_token", { env, readFile }: TokenSources): DashboardToken => {
  const token = policy[key]
  const fileKey = `${key}_file` as const
  const token_file = policy[fileKey]
  const isSet = (value: string | undefined): value is string => value !== undefined && value !== ""
  if (isSet(token) && isSet(token_file)) return wrong(fileKey, `${key} and ${fileKey} are both set; use exactly one`)
  if (isSet(token_file)) {
    try {
      return judged(fileKey, readFile(token_file).trim())
    } catch (cause) {
      return wrong(fileKey, `reading secret file "${token_file}": ${reasonOf(cause)}`)
    }
  }
  if (!isSet(token)) return { token: undefined, diagnostics: [] }
  const expanded = expandVariables(token, env)
  return expanded._tag === "Missing"
    ? wrong(key, missingVariables(expanded.names), withFallback(key, expanded.names))
    : judged(key, expanded.value)
}

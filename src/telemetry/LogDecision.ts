/**
 * Level, form and outputs of the log. Pure over the environment, what
 * the file says and whether standard output is a terminal.
 */

import type { Environment } from "../config/Environment.ts"
import type { LoggingConfig } from "../config/OllaConfig.ts"
import { parseInteger } from "../config/ScalarReading.ts"
import type { Level, LogForm } from "./LogRecord.ts"
import { type Theme, themeOf } from "./LogTheme.ts"

export interface FileSettings {
  readonly folder: string
  /** Bytes at which the file is rotated. */
  readonly maxSize: number
  /** Rotated files kept; 0: all. */
  readonly maxBackups: number
  /** Days; 0: for ever. */
  readonly maxAge: number
}

export interface LogDecision {
  readonly level: Level
  readonly form: LogForm
  readonly theme: Theme
  /** `undefined`: no file. */
  readonly file: FileSettings | undefined
}

export const isColoured = (env: Environment, isTerminal: boolean): boolean => {
  if (env["NO_COLOR"]) return false
  if (env["FORCE_COLOR"]) return env["FORCE_COLOR"] !== "0"
  if (env["OLLA_FORCE_COLORS"]) return env["OLLA_FORCE_COLORS"].toLowerCase() === "true"
  return isTerminal
}

const truths: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  T: true,
  true: true,
  True: true,
  TRUE: true,
  "0": false,
  f: false,
  F: false,
  false: false,
  False: false,
  FALSE: false
}

/** `undefined`: not set, or no boolean. */
const flag = (env: Environment, name: string): boolean | undefined => truths[env[name] ?? ""]

const levels: Readonly<Record<string, Level>> = { debug: "debug", info: "info", warn: "warn", warning: "warn", error: "error" }

const number = (env: Environment, name: string, fallback: number): number => {
  const parsed = env[name] ? parseInteger(env[name]) : undefined
  return parsed === undefined || parsed < 0 ? fallback : parsed
}

export const fileSettings = (env: Environment): FileSettings => ({
  folder: env["OLLA_LOG_DIR"] || "./logs",
  maxSize: (number(env, "OLLA_LOG_SIZE_MB", 10) || 100) * 1024 * 1024,
  maxBackups: number(env, "OLLA_LOG_MAX_BACKUPS", 7),
  maxAge: number(env, "OLLA_LOG_MAX_AGE_DAYS", 14)
})

const painted = (form: "json" | "text", env: Environment, isTerminal: boolean): LogForm =>
  form === "text" && isColoured(env, isTerminal) ? "pretty" : form

/** Until the configuration is known, and for good when it cannot be loaded. A file only when it was asked for. */
export const bootstrapLogging = (env: Environment, isTerminal: boolean): LogDecision => ({
  level: levels[(env["OLLA_LOG_LEVEL"] ?? "").toLowerCase()] ?? "info",
  form: painted(flag(env, "OLLA_PRETTY_LOGS") === false ? "json" : "text", env, isTerminal),
  theme: themeOf(env["OLLA_THEME"]),
  file: flag(env, "OLLA_FILE_OUTPUT") === true ? fileSettings(env) : undefined
})

/**
 * `OLLA_LOGGING_*`, then the file, then `OLLA_LOG_*`, then the default; a terminal gets text unless a variable says
 * otherwise. `isWritten` tells whether file or variable set a key (`logging.level`).
 */
export const decideLogging = (
  logging: Pick<LoggingConfig, "level" | "format" | "output">,
  isWritten: (key: string) => boolean,
  env: Environment,
  isTerminal: boolean
): LogDecision => {
  const pretty = isWritten("logging.format") ? undefined : flag(env, "OLLA_PRETTY_LOGS")
  const form = env["OLLA_LOGGING_FORMAT"]
    ? logging.format
    : pretty !== undefined
      ? pretty
        ? "text"
        : "json"
      : isTerminal
        ? "text"
        : logging.format
  const earlier = levels[(env["OLLA_LOG_LEVEL"] ?? "").toLowerCase()]
  const wantsFile = isWritten("logging.output") ? logging.output === "file" : flag(env, "OLLA_FILE_OUTPUT") === true
  return {
    level: isWritten("logging.level") ? logging.level : (earlier ?? logging.level),
    form: painted(form, env, isTerminal),
    theme: themeOf(env["OLLA_THEME"]),
    file: wantsFile ? fileSettings(env) : undefined
  }
}

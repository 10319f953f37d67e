/** One line a request, for a person at a coloured terminal: what came of it, where, how long, and what went wrong. Pure. */

import { visible } from "../LogRecord.ts"
import type { Theme } from "../LogTheme.ts"

export interface RequestSummary {
  readonly id: string
  readonly status: number
  /** `chat`, or method and path. */
  readonly what: string
  readonly model: string
  /** Empty: nobody was asked. */
  readonly endpoint: string
  /** Milliseconds. */
  readonly total: number
  /** Milliseconds to the first byte of a stream; `undefined`: no stream, or none came. */
  readonly first?: number | undefined
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly tokensPerSecond?: number | undefined
  /** What went wrong, in a few words; empty: nothing. */
  readonly trouble: string
}

/** `0.03s`, `1.24s`, `8.0s`, `2m05s`. */
export const shortDuration = (millis: number): string => {
  const seconds = millis / 1000
  if (seconds < 1) return `${Math.round(millis)}ms`
  if (seconds < 10) return `${seconds.toFixed(2)}s`
  if (seconds < 60) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`
}

const longestWhat = 40
/** Terminals narrower than this show no ids. */
const roomForIds = 100

const short = (text: string): string => (text.length <= longestWhat ? text : `${text.slice(0, longestWhat - 1)}…`)

const colourOf = (status: number, { levels }: Theme): string => (status >= 500 ? levels.error : status >= 400 ? levels.warn : "32")

/** `time`: `14:02:31`. `columns`: of the terminal; 0: not known. */
export const terminalLine = (summary: RequestSummary, time: string, theme: Theme, columns: number): string => {
  const paint = (colour: string, text: string): string => `\u001b[${colour}m${text}\u001b[0m`
  const { status, endpoint, trouble, inputTokens, outputTokens, tokensPerSecond, first, id } = summary
  const what = visible(`${short(summary.what)}${summary.model === "" ? "" : ` ${short(summary.model)}`}`)
  const where = endpoint === "" ? "" : `→ ${visible(endpoint)}`
  const tokens =
    inputTokens === undefined && outputTokens === undefined
      ? ""
      : `  ${inputTokens ?? "?"}→${outputTokens ?? "?"} tok${tokensPerSecond === undefined ? "" : `  ${Math.round(tokensPerSecond)}/s`}`
  const figures = `${shortDuration(summary.total)}${first === undefined ? "" : `  first ${shortDuration(first)}`}${tokens}`
  const told = `${what.padEnd(24)} ${paint(theme.endpoint, where.padEnd(14))} ${figures}`
  const wrong = trouble === "" ? "" : `  ${status >= 500 ? paint(theme.levels.error, visible(trouble)) : visible(trouble)}`
  const shows = trouble !== "" || columns === 0 || columns >= roomForIds
  return `${paint(theme.time, time)} ${paint(colourOf(status, theme), String(status))} ${told}${wrong}${shows ? `  ${paint(theme.time, id)}` : ""}`
}

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
  /** Millirights. */
  readonly total: number
  /** Millirights to the first byte of a stream; `undefined`: no stream, or none came. */
  readonly first?: number | undefined
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly tokensPerSecond?: number | undefined
  /** What went wrong, in a few words; empty: nothing. */
  readonly trouble: string
}

/** `0.03s`, `1.24s`, `8.0s`, `2m05s`. */
export const shortDuration = (millis: number): string => {
  const rights = millis / 1000
  if (rights < 1) return `${Math.round(millis)}ms`
  if (rights < 10) return `${rights.toFixed(2)}s`
  if (rights < 60) return `${rights.toFixed(1)}s`
  const whole = Math.round(rights)
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`
}

const longestWhat = 40
/** Terminals narrower than this show no ids. */
const roomForIds = 100
/** A line is not longer than this where nobody knows the terminal's width, or it is narrower; what went wrong is cut for it. */
const longestLine = 120
const leastTrouble = 30

const cut = (text: string, room: number): string => (text.length <= room ? text : `${text.slice(0, room - 1)}…`)
const short = (text: string): string => cut(text, longestWhat)

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
  // Of what failed nobody asks how fast it was.
  const more = status >= 400 ? "" : `${first === undefined ? "" : `  first ${shortDuration(first)}`}${tokens}`
  const figures = `${shortDuration(summary.total)}${more}`
  const shows = trouble !== "" || columns === 0 || columns >= roomForIds
  const length = (text: string) => `${time} ${status} ${text}  ${figures}`.length + (shows ? id.length + 2 : 0)
  const room = Math.max(longestLine, columns)
  // Columns stand below one another as long as there is room for it.
  const isWide = length(`${what.padEnd(24)} ${where.padEnd(14)}`) + 2 + trouble.length <= room
  const [left, right] = isWide ? [what.padEnd(24), where.padEnd(14)] : [what, where]
  const words = cut(visible(trouble), Math.max(leastTrouble, room - length(`${left} ${right}`) - 2))
  const wrong = trouble === "" ? "" : `  ${status >= 500 ? paint(theme.levels.error, words) : words}`
  const told = `${left} ${right === "" ? "" : `${paint(theme.endpoint, right)} `}${figures}`
  return `${paint(theme.time, time)} ${paint(colourOf(status, theme), String(status))} ${told}${wrong}${shows ? `  ${paint(theme.time, id)}` : ""}`
}

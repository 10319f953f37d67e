/** The line of `olla keys`, judged before anything is read: whether it can be meant, and its times. */
import { parseDuration } from "./config/Duration.ts"
import { parseInstant } from "./guard/keys/Instant.ts"
import { isKeyName, queueClasses, reservedNames } from "./guard/keys/KeyEntry.ts"
import { isOfOurs } from "./guard/keys/KeyForm.ts"
import type { FlagName } from "./usage.ts"

export interface KeysLine {
  readonly words: ReadonlyArray<string>
  readonly on: ReadonlySet<FlagName>
  readonly values: ReadonlyMap<FlagName, string>
}

export const keysWords = ["add", "list", "revoke", "rotate", "check"] as const

/** What is wrong with the line; `undefined`: nothing. */
export const keysLineProblem = ({ words, values }: KeysLine): string | undefined => {
  const [word, name, extra] = words
  if (word === undefined || !(keysWords as ReadonlyArray<string>).includes(word))
    return `"keys" needs a word: ${word === undefined ? "" : `unknown "${word}", `}there are ${keysWords.join(", ")}`
  const takesName = word !== "list" && word !== "check"
  if (takesName && (name ?? "") === "") return `"keys ${word}" needs a name`
  const over = takesName ? extra : name
  if (over !== undefined)
    return `"keys ${word}" does not take "${over.startsWith("olla_") ? "a key: it is read from standard input" : over}"`
  if (word === "add" && name !== undefined) {
    if (!isKeyName(name)) return `"${name}" is no name of a key: 1 to 64 of letters, digits, dot, dash and underscore`
    if (isOfOurs(name)) return "a key is no name: name whom it is for"
    if (reservedNames.has(name.toLowerCase())) return `"${name}" stands for something else in figures and answers`
  }
  for (const flag of ["rpm", "tpm", "concurrent"] as const) {
    const value = values.get(flag)
    if (value !== undefined && !/^\d{1,15}$/.test(value)) return `--${flag} ${value} is no whole number`
  }
  const queueClass = values.get("class")
  if (queueClass !== undefined && !(queueClasses as ReadonlyArray<string>).includes(queueClass))
    return `--class ${queueClass} is none of ${queueClasses.join(", ")}`
  const expires = values.get("expires")
  if (expires !== undefined && expiryOf(expires, 0) === undefined) return `--expires ${expires} is no time: write 30d, 12h or 2027-01-31`
  const grace = values.get("grace")
  if (grace !== undefined && spanOf(grace) === undefined) return `--grace ${grace} is no time: write 24h or 7d`
  return undefined
}

/** `30d` and durations. Milliseconds above 0. */
export const spanOf = (text: string): number | undefined => {
  const days = /^(\d{1,5})d$/.exec(text)?.[1]
  const millis = days === undefined ? parseDuration(text) : Number(days) * 86_400_000
  return millis !== undefined && millis > 0 ? millis : undefined
}

export const instantText = (millis: number): string => new Date(Math.floor(millis / 1000) * 1000).toISOString().replace(".000Z", "Z")

/** As it is written into the file. */
export const expiryOf = (text: string, now: number): string | undefined => {
  if (parseInstant(text) !== undefined) return text
  const span = spanOf(text)
  return span === undefined ? undefined : instantText(now + span)
}

/** Known names near one that nobody has, for the text of a refusal. Work is bounded: clients choose what they ask for. */
import type { Snapshot } from "./Snapshot.ts"

/** Names that are compared at most. */
const maxCompared = 2_000
/** Longer names are not compared letter by letter. */
const maxLength = 80
const maxShown = 3

const row = new Uint8Array(maxLength + 1)

/** Edits between two names of at most `maxLength`; more than `limit`: given up. No list is made: this runs for thousands of names. */
export const editsWithin = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  const over = limit + 1
  for (let j = 0; j <= b.length; j++) row[j] = Math.min(j, over)
  for (let i = 1; i <= a.length; i++) {
    // Further from the diagonal than the limit there are only more edits.
    const from = Math.max(1, i - limit)
    const to = Math.min(b.length, i + limit)
    let diagonal = row[from - 1] as number
    let least = over
    row[from - 1] = from === 1 ? Math.min(i, over) : over
    if (from === 1) least = row[0] as number
    for (let j = from; j <= to; j++) {
      const above = j < i + limit ? (row[j] as number) : over
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1) ? 0 : 1
      const edits = Math.min(above + 1, (row[j - 1] as number) + 1, diagonal + same, over)
      diagonal = row[j] as number
      row[j] = edits
      if (edits < least) least = edits
    }
    if (least > limit) return over
  }
  return row[b.length] as number
}

/** Without organisation and tag. */
const stem = (name: string): string => {
  const bare = name.slice(name.lastIndexOf("/") + 1)
  const colon = bare.indexOf(":")
  return colon > 0 ? bare.slice(0, colon) : bare
}

/** Larger is further; `undefined`: not near, or the very name. */
const distance = (asked: string, name: string): number | undefined => {
  if (asked === name) return undefined
  const [a, b] = [stem(asked), stem(name)]
  if (a === b) return 1
  const shorter = Math.min(a.length, b.length)
  if (shorter >= 3 && (a.startsWith(b) || b.startsWith(a))) return 2 + Math.abs(a.length - b.length) / 100
  if (asked.length > maxLength || name.length > maxLength) return undefined
  const limit = shorter <= 4 ? 1 : 2
  const edits = Math.min(editsWithin(a, b, limit), editsWithin(asked, name, limit))
  return edits <= limit ? 4 + edits : undefined
}

/** At most three, nearest first. `aliases`: configured names, which are no models but may be meant. */
export const nearestNames = (snapshot: Snapshot, asked: string, aliases: Iterable<string> = []): ReadonlyArray<string> => {
  const low = asked.toLowerCase()
  const near = new Map<string, number>()
  let compared = 0
  const compare = (name: string): void => {
    compared++
    const away = distance(low, name.toLowerCase())
    if (away !== undefined && !near.has(name)) near.set(name, away)
  }
  for (const alias of aliases) compare(alias)
  for (const { models } of snapshot.inventory) {
    for (const { name } of models) {
      if (compared >= maxCompared) break
      if (!near.has(name)) compare(name)
    }
  }
  return [...near]
    .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
    .slice(0, maxShown)
    .map(([name]) => name)
}

/** As a part of a sentence; empty when nothing is near. */
export const nearestText = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : `near it ${names.length === 1 ? "is" : "are"} ${names.map((name) => `"${name}"`).join(", ")}`

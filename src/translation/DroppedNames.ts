/** What a translated request had to leave out, and the header that names it. */
import type { JsonRecord } from "./JsonValue.ts"

/** Fields that are given and not known, as paths below `at`, which ends with a dot or is empty. */
export const fieldsBeside = (record: JsonRecord | undefined, known: ReadonlySet<string>, at = ""): ReadonlyArray<string> =>
  Object.entries(record ?? {}).flatMap(([name, value]) => (known.has(name) || value === null || value === undefined ? [] : [at + name]))

/** Longer lists are cut off behind the last name that fits, in bytes. */
const maxBytes = 1_000

/** Names come from clients: what cannot stand in a header, or would look like two names, becomes `_`. */
const safe = (name: string): string => name.replace(/[^\x21-\x2b\x2d-\x7e]/g, "_")

/** `undefined`: nothing was left out. */
export const droppedHeader = (names: ReadonlyArray<string>): string | undefined => {
  let out = ""
  for (const name of [...new Set(names.map(safe))].sort()) {
    const longer = out === "" ? name : `${out},${name}`
    if (longer.length > maxBytes) break
    out = longer
  }
  return out === "" ? undefined : out
}

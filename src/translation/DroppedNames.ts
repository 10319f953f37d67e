/** The header that names what a translated request had to leave out. */

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

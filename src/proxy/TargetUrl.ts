/** The path that goes to the backend. Percent-encoding stays as received; nothing climbs out of a base. */
import { baseFor } from "../endpoint/BasePath.ts"

/**
 * `target`: stripped path with its query, as received; a fragment is never sent. `ofKind`: paths that the endpoint's kind is known by, for
 * a base that ends in `/v1` (`endpoint/BasePath.ts`).
 */
export const outboundPath = (target: string, basePath: string, preservePath: boolean, ofKind: ReadonlyArray<string> = []): string => {
  const hash = target.indexOf("#")
  const sent = hash < 0 ? target : target.slice(0, hash)
  const mark = sent.indexOf("?")
  const query = mark < 0 ? "" : sent.slice(mark)
  const given = mark < 0 ? sent : sent.slice(0, mark)
  const path = given.startsWith("/") ? given : `/${given}`
  if (preservePath && basePath !== "" && basePath !== "/") {
    const below = clean(path)
    return (join(baseFor(basePath, below, ofKind.includes(below)), below) || "/") + query
  }
  return (hasDots(path) ? clean(path) : path) + query
}

/** A segment that is, or decodes to, `.` or `..`; also where an escape is none. */
const hasDots = (path: string): boolean => {
  if (!path.includes("/.") && !path.includes("%")) return false
  if (badEscape.test(path)) return true
  for (const segment of path.split("/")) {
    if (segment === "." || segment === "..") return true
    if (
      segment.includes("%") &&
      decoded(segment)
        .split("/")
        .some((part, _, parts) => part === ".." || (part === "." && parts.length === 1))
    )
      return true
  }
  return false
}

const badEscape = /%(?![0-9a-f]{2})/i

/** Byte by byte: what is escaped need not be UTF-8. */
const decoded = (segment: string): string =>
  segment.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** Parts at encoded slashes, where one of them climbs; else the segment is one name. Every part stays encoded. */
const partsOf = (segment: string): ReadonlyArray<string> => {
  if (!segment.includes("%")) return [segment]
  const parts = segment.split(/%2f/i)
  return parts.some((part) => decoded(part) === "..") ? parts : [segment]
}

/** Against root: slashes collapse, dots resolve, a trailing slash goes. */
export const clean = (path: string): string => {
  const out: Array<string> = []
  for (const segment of path.split("/"))
    for (const part of partsOf(segment)) {
      const plain = decoded(part)
      if (plain === "" || plain === ".") continue
      if (plain === "..") out.pop()
      else out.push(part)
    }
  return `/${out.join("/")}`
}

const join = (base: string, path: string): string => clean(`${base}/${path}`)

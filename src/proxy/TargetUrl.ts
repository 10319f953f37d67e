/** The path that goes to the backend (proxying.md 4.1, B14). Percent-encoding stays as received; nothing climbs out of a base. */

/** `target`: stripped path with its query, as received; a fragment is never sent. */
export const outboundPath = (target: string, basePath: string, preservePath: boolean): string => {
  const hash = target.indexOf("#")
  const sent = hash < 0 ? target : target.slice(0, hash)
  const mark = sent.indexOf("?")
  const query = mark < 0 ? "" : sent.slice(mark)
  const given = mark < 0 ? sent : sent.slice(0, mark)
  const path = given.startsWith("/") ? given : `/${given}`
  if (preservePath && basePath !== "" && basePath !== "/") return (join(basePath, clean(path)) || "/") + query
  return (hasDots(path) ? clean(path) : path) + query
}

/** A segment that is, or decodes to, `.` or `..`; also when it does not decode. */
const hasDots = (path: string): boolean => {
  if (!path.includes("/.") && !path.includes("%")) return false
  for (const segment of path.split("/")) {
    if (segment === "." || segment === "..") return true
    if (!segment.includes("%")) continue
    try {
      const decoded = decodeURIComponent(segment)
      if (decoded === "." || decoded === ".." || decoded.split("/").some((part) => part === "..")) return true
    } catch {
      return true
    }
  }
  return false
}

const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Against root: slashes collapse, dots resolve, a trailing slash goes. */
export const clean = (path: string): string => {
  const out: Array<string> = []
  for (const segment of path.split("/")) {
    const plain = decoded(segment)
    if (plain === "" || plain === ".") continue
    if (plain === "..") out.pop()
    else if (plain.split("/").includes(".."))
      out.push(
        ...clean(plain)
          .split("/")
          .filter((part) => part !== "")
      )
    else out.push(segment)
  }
  return `/${out.join("/")}`
}

const join = (base: string, path: string): string => clean(`${base}/${path}`)

/** The path of a request, as it is judged. */

/** Empty and dot segments resolved; a trailing slash stays. Encoded dots are the outbound path's business. */
export const cleanPath = (path: string): string => {
  if (!path.includes("//") && !path.includes("/.")) return path
  const out: Array<string> = []
  const segments = path.split("/")
  for (const segment of segments) {
    if (segment === "" || segment === ".") continue
    if (segment === "..") out.pop()
    else out.push(segment)
  }
  const slash = out.length > 0 && (path.endsWith("/") || path.endsWith("/.") || path.endsWith("/..")) ? "/" : ""
  return `/${out.join("/")}${slash}`
}

/** Without percent-encoding; one that cannot be decoded stands for itself. */
export const decodePath = (path: string): string => {
  if (!path.includes("%")) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

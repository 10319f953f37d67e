/** The path of a request: what would be sent of it, and what it is judged by. */
import { cleanPath, decodeFully, hasDots } from "../exchange/PathCleaning.ts"

/** Without empty and literal dot segments; a trailing slash stays. */
const literallyClean = (path: string): string => {
  if (!path.includes("//") && !path.includes("/.")) return path
  const out: Array<string> = []
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue
    if (segment === "..") out.pop()
    else out.push(segment)
  }
  return `/${out.join("/")}${out.length > 0 && /\/\.{0,2}$/.test(path) ? "/" : ""}`
}

/**
 * As it is sent: without empty and dot segments in whatever spelling, so that nothing else is judged. Dots that are escaped are a
 * backend's, and lead no higher than the route's own prefix. A trailing slash stays.
 */
export const sentPath = (path: string): string => {
  const plain = literallyClean(path)
  // Olla's own documents have no such spelling.
  if (!plain.startsWith("/olla/") || !hasDots(plain)) return plain
  const prefix = /^\/olla\/(?!models\/)[^/%]+(?=\/)/.exec(plain)?.[0] ?? ""
  const clean = cleanPath(plain.slice(prefix.length))
  return prefix + (clean !== "/" && /\/\.{0,2}$/.test(decodeFully(plain)) ? `${clean}/` : clean)
}

/** As the most lenient backend would read the path that is sent. */
export const judgedPath = (sent: string): string => (sent.includes("%") ? decodeFully(sent).replace(/\/{2,}/g, "/") : sent)

/** Without the slash at its end. */
export const withoutSlash = (path: string): string => (path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path)

/** Names of routes for spans: bounded, whatever clients ask for. */
import type { ProfileSet } from "../../profile/Profiles.ts"

const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** A method that nobody defined is `HTTP`. */
export const methodOf = (method: string): string => (methods.has(method) ? method : "HTTP")

/** `/olla/<prefix>/<path>` and `/<path>` where some kind declares the path, else with `*` in its place. */
export const routeNames = (profiles: Pick<ProfileSet, "all" | "resolveSegment">): ((path: string) => string) => {
  const known = new Set(
    profiles.all.flatMap(({ paths, anthropic, responses }) => [...paths, anthropic?.messagesPath, responses?.responsesPath])
  )
  for (const own of ["/v1/messages", "/v1/messages/count_tokens", "/v1/responses"]) known.add(own)
  const builtIn: ReadonlySet<string> = new Set(["proxy", "anthropic", "openai", "v1", "api", "models"])
  const nameOf = (path: string): string => {
    if (!path.startsWith("/olla/")) return known.has(path) ? path : "/*"
    if (known.has(path.slice("/olla".length))) return path
    const slash = path.indexOf("/", "/olla/".length)
    const prefix = path.slice("/olla/".length, slash < 0 ? undefined : slash)
    const isPrefix = builtIn.has(prefix) || profiles.resolveSegment(prefix) !== undefined
    if (!isPrefix) return "/olla/*"
    return slash >= 0 && known.has(path.slice(slash)) ? path : `/olla/${prefix}/*`
  }
  // One request mostly comes after another of its kind.
  let last = ""
  let named = "/*"
  return (path) => {
    if (path === last) return named
    last = path
    named = nameOf(path)
    return named
  }
}

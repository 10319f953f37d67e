/** The path that goes to the backend. Percent-encoding stays as received; nothing climbs out of a base. */
import { baseFor } from "../endpoint/BasePath.ts"
import { cleanPath, hasDots } from "../exchange/PathCleaning.ts"

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
    const below = cleanPath(path)
    return (join(baseFor(basePath, below, ofKind.includes(below)), below) || "/") + query
  }
  return (hasDots(path) ? cleanPath(path) : path) + query
}

const join = (base: string, path: string): string => cleanPath(`${base}/${path}`)

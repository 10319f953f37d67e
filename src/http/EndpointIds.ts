/** Short, stable names of endpoints in the documents: a hash of the display URL, without secrets. */
import type { Endpoint } from "../endpoint/Endpoint.ts"

export const plainId = (displayUrl: string): string => {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(displayUrl)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(36)
}

/** Endpoints whose display URLs collide are numbered by name, then by raw URL. */
export const endpointIds = (endpoints: ReadonlyArray<Endpoint>): ReadonlyMap<Endpoint, string> => {
  const groups = Map.groupBy(endpoints, (endpoint) => endpoint.displayUrl)
  const out = new Map<Endpoint, string>()
  for (const [displayUrl, group] of groups) {
    const id = plainId(displayUrl)
    const sorted = [...group].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.url < b.url ? -1 : 1))
    for (const [n, endpoint] of sorted.entries()) out.set(endpoint, sorted.length === 1 ? id : `${id}-${n}`)
  }
  return out
}

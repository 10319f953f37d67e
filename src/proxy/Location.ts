/** Where a backend's redirect leads, as a client can follow it: through Olla again. Addresses of backends are told to nobody. */
import type { Origin } from "../endpoint/Endpoint.ts"

/** `/olla/<segment>` of the request; empty elsewhere. */
const prefixOf = (requestPath: string): string => /^\/olla\/[^/?#]+/.exec(requestPath)?.[0] ?? ""

/**
 * `value` of a `Location`; `requestPath`: the client's, as received. A path, or an address of the backend itself, is put behind the
 * prefix of the request's route; another port of the same host is the backend's still, and `undefined`. Others pass.
 */
export const clientLocation = (
  value: string,
  origin: Pick<Origin, "hostname" | "authority" | "basePath">,
  requestPath: string
): string | undefined => {
  const absolute = /^(?:https?:)?\/\/([^/?#]*)(.*)$/is.exec(value)
  let path = value
  if (absolute !== null) {
    const authority = (absolute[1] ?? "").replace(/^.*@/, "").toLowerCase()
    const hostname = authority.replace(/:\d*$/, "").replace(/^\[|\]$/g, "")
    if (hostname !== origin.hostname.toLowerCase().replace(/^\[|\]$/g, "")) return value
    if (authority !== origin.authority.toLowerCase()) return undefined
    path = absolute[2] ?? ""
    if (!path.startsWith("/")) path = `/${path}`
  } else if (!value.startsWith("/")) return value
  const { basePath } = origin
  const inBase = basePath !== "" && basePath !== "/" && (path === basePath || path.startsWith(`${basePath}/`))
  return prefixOf(requestPath) + (inBase ? path.slice(basePath.length) || "/" : path)
}

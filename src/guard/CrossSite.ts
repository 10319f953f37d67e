/**
 * Refusal of requests that a web page slipped to us: a rebound DNS name in `Host`, or a foreign
 * `Origin`. Pure. Off unless `server.cross_site_protection` is set.
 */
import { isIP } from "node:net"

/** `host[:port]` without the port, lower-cased; IPv6 without brackets. */
export const hostName = (host: string): string => {
  const lower = host.trim().toLowerCase()
  if (lower.startsWith("[")) {
    const end = lower.indexOf("]")
    return end === -1 ? lower : lower.slice(1, end)
  }
  const colon = lower.lastIndexOf(":")
  return colon === -1 || lower.indexOf(":") !== colon ? lower : lower.slice(0, colon)
}

export const hostAllowed = (host: string | undefined, allowedHosts: ReadonlyArray<string>): boolean => {
  if (host === undefined) return false
  const name = hostName(host)
  return isIP(name) !== 0 || name === "localhost" || allowedHosts.some((allowed) => hostName(allowed) === name)
}

const defaultPorts: Readonly<Record<string, string>> = { http: ":80", https: ":443" }

/** Is the page that asks served from where it asks? Scheme-blind: TLS may end in front of us. */
export const sameOrigin = (origin: string, host: string | undefined): boolean => {
  const match = /^(https?):\/\/([^/?#]+)$/i.exec(origin.trim())
  if (match === null || host === undefined) return false
  const port = defaultPorts[(match[1] ?? "").toLowerCase()] ?? ""
  const bare = (authority: string) => {
    const lower = authority.trim().toLowerCase()
    return lower.endsWith(port) ? lower.slice(0, -port.length) : lower
  }
  return bare(match[2] ?? "") === bare(host)
}

export interface CrossSiteRequest {
  readonly host: string | undefined
  readonly origin: string | undefined
  /** Enabled CORS lets this origin read the path. */
  readonly originAllowed: boolean
}

/** Which of the two is wrong; `undefined`: neither. `null` is a foreign origin. */
export const crossSiteProblem = (request: CrossSiteRequest, allowedHosts: ReadonlyArray<string>): "host" | "origin" | undefined => {
  if (!hostAllowed(request.host, allowedHosts)) return "host"
  if (request.origin === undefined || request.originAllowed || sameOrigin(request.origin, request.host)) return undefined
  return "origin"
}

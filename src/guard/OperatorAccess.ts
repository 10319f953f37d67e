/**
 * Who may act on the daemon. Any web page can post to loopback, and any proxy on this machine makes everybody loopback: so an action
 * always says that it is meant, comes from no foreign page, and from this machine itself or with the dashboard's token. Pure.
 */

import { isIP } from "node:net"
import { inNetworks, parseNetworks } from "../config/Cidr.ts"
import { headerOf, headersOf } from "../exchange/RawHeaders.ts"
import { bearerOf, sameToken } from "./BearerToken.ts"
import { hostName, sameOrigin } from "./CrossSite.ts"

export interface OperatorRequest {
  /** The TCP peer's address; `unix`: through the daemon's own socket, whose mode decides who may. */
  readonly peer: string
  readonly rawHeaders: ReadonlyArray<string>
}

export interface OperatorPolicy {
  /** `dashboard.access_policy.allowed_hosts`. */
  readonly allowedHosts: ReadonlyArray<string>
  /** The dashboard's; `undefined`: none is set. */
  readonly token: string | undefined
}

export interface OperatorRefusal {
  readonly status: 401 | 403
  readonly code: "unauthorised" | "forbidden"
  /** What is wrong, and the way out. */
  readonly message: string
}

const forbidden = (message: string): OperatorRefusal => ({ status: 403, code: "forbidden", message })

const loopback = parseNetworks(["127.0.0.0/8", "::1/128"])

/** What proxies add: the peer is one of them, and not who asks. */
const proxied = [
  "x-forwarded-for",
  "forwarded",
  "x-real-ip",
  "via",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-client-ip",
  "true-client-ip",
  "cf-connecting-ip"
]

/** `undefined`: let it pass. The token stands in for the address alone. */
export const operatorRefusal = ({ peer, rawHeaders }: OperatorRequest, policy: OperatorPolicy): OperatorRefusal | undefined => {
  const all = (name: string) => headersOf(rawHeaders, name)
  if (all("x-olla-action").length === 0 || all("x-olla-action").some((value) => value.trim() !== "1"))
    return forbidden("an action must be meant: send the header X-Olla-Action: 1")
  const host = headerOf(rawHeaders, "host")
  if (all("origin").some((origin) => !sameOrigin(origin, host))) return forbidden("a web page of another origin asked for this action")
  if (all("sec-fetch-site").some((site) => site.trim().toLowerCase() !== "same-origin"))
    return forbidden("a web page of another site asked for this action, or the browser's address line")
  const name = host === undefined ? "" : hostName(host)
  if (isIP(name) === 0 && !policy.allowedHosts.some((allowed) => hostName(allowed) === name))
    return forbidden(
      `actions are not taken for the host "${name.slice(0, 260)}": ask by IP address, or add it to dashboard.access_policy.allowed_hosts`
    )
  const relayed = proxied.find((one) => all(one).length > 0)
  if (relayed === undefined && (peer === "unix" || inNetworks(loopback, peer))) return undefined
  const whence = relayed === undefined ? `from ${peer}` : `through a proxy (${relayed})`
  if (policy.token === undefined)
    return forbidden(
      `actions ${whence} need a token, and none is set: set dashboard.access_policy.token, or ask on the daemon's own machine`
    )
  const given = bearerOf(rawHeaders)
  if (given !== undefined && sameToken(given, policy.token)) return undefined
  const wrong = given === undefined ? "none was sent" : "this is another one"
  return { status: 401, code: "unauthorised", message: `actions ${whence} need the token of dashboard.access_policy, and ${wrong}` }
}

/**
 * Who may see what is not for clients: by TCP peer and by `Host`, so that neither another machine nor a rebound DNS name gets in.
 * Headers of proxies are never consulted. Compiled once per configuration.
 */

import { isIP } from "node:net"
import type * as IpNetwork from "effect/net/IpNetwork"
import { inNetworks, parseNetworks } from "../config/Cidr.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { sameToken } from "./BearerToken.ts"
import { hostName } from "./CrossSite.ts"

export interface AccessDenial {
  readonly reason: "ip not in allowed range" | "host not accepted" | "token missing" | "token wrong"
  /** What an operator would change to let it in. */
  readonly configKey: "dashboard.access_policy.allowed_cidrs" | "dashboard.access_policy.allowed_hosts" | "dashboard.access_policy.token"
}

const wrongAddress: AccessDenial = { reason: "ip not in allowed range", configKey: "dashboard.access_policy.allowed_cidrs" }
const wrongHost: AccessDenial = { reason: "host not accepted", configKey: "dashboard.access_policy.allowed_hosts" }

const tokenKey = "dashboard.access_policy.token"

/** `given`: what was sent; `undefined`: nothing. */
export const tokenDenial = (given: string | undefined, token: string): AccessDenial | undefined => {
  if (given === undefined) return { reason: "token missing", configKey: tokenKey }
  return sameToken(given, token) ? undefined : { reason: "token wrong", configKey: tokenKey }
}

/** 401 instead of 403: with the right token it would pass. */
export const isAboutToken = ({ configKey }: AccessDenial): boolean => configKey === tokenKey

/** The console has a gate of its own. */
export const isConsolePath = (path: string): boolean => path === "/internal/ui" || path.startsWith("/internal/ui/")

export class AccessPolicy {
  readonly #networks: ReadonlyArray<IpNetwork.IpNetwork>
  readonly #hosts: ReadonlySet<string>

  constructor({ allowed_cidrs, allowed_hosts }: OllaConfig["dashboard"]["access_policy"]) {
    this.#networks = parseNetworks(allowed_cidrs)
    this.#hosts = new Set(allowed_hosts.map(hostName))
  }

  /** The address is judged first. `peer` as `Client.peer`: without one, nobody gets in. */
  denies(peer: string, host: string | undefined): AccessDenial | undefined {
    // Who may open the socket file is said by its mode.
    if (peer !== "unix" && !inNetworks(this.#networks, peer)) return wrongAddress
    const name = host === undefined ? "" : hostName(host)
    return isIP(name) !== 0 || this.#hosts.has(name) ? undefined : wrongHost
  }
}

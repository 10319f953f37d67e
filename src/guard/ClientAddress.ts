/**
 * Who is asking. Addresses are brought into one spelling before they are compared, counted or printed:
 * IPv4-mapped IPv6 as IPv4, no zones, no ports. The networks that a proxy may speak from are parsed once per
 * configuration, and what was found out about a peer is kept, because peers are few and ask often.
 */
import { isIP, isIPv4 } from "node:net"
import type * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import { inNetworks, parseNetworks, unmap } from "../config/Cidr.ts"
import { headerOf, headersOf } from "../exchange/RawHeaders.ts"

/** Whose request this is. */
export interface Client {
  /** TCP peer: IPv4-mapped addresses as IPv4, no zone, no port; empty when the socket is gone. */
  readonly peer: string
  /** The peer, or what a trusted proxy says. */
  readonly ip: string
  /** Forwarding headers of this peer count. */
  readonly trustedPeer: boolean
}

const mapped = "::ffff:"

/** One spelling per address; text that is no address comes back trimmed of zone and mapping only. */
export const normaliseAddress = (address: string): string => {
  if (address.indexOf(":") === -1) return address
  const zone = address.indexOf("%")
  const bare = zone === -1 ? address : address.slice(0, zone)
  const tail = bare.slice(mapped.length)
  return bare.slice(0, mapped.length).toLowerCase() === mapped && isIPv4(tail) ? tail : bare
}

/** The address in a forwarding header's element: quotes, brackets and port removed; `undefined` for anything else (`unknown`, `_hidden`). */
export const forwardedAddress = (element: string): string | undefined => {
  const text = element.trim().replace(/^"(.*)"$/, "$1")
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1]
  const withPort = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1]
  const address = bracketed ?? withPort ?? text
  const zone = address.indexOf("%")
  const bare = zone === -1 ? address : address.slice(0, zone)
  if (isIP(bare) === 0) return undefined
  const plain = Result.getOrUndefined(NetAddress.ipFromString(bare))
  if (plain === undefined) return undefined
  return NetAddress.formatIp(unmap(plain))
}

/**
 * Loopback, link-local, and what RFC 1918 and RFC 4193 keep for private networks: the machine itself, and who shares a network
 * with it. Addresses shared behind a carrier (RFC 6598) are not.
 */
export const isPrivateAddress = (address: string): boolean => {
  const parsed = Result.getOrUndefined(NetAddress.ipFromString(address))
  if (parsed === undefined) return false
  const plain = unmap(parsed)
  if (NetAddress.isLoopback(plain) || NetAddress.isLinkLocal(plain)) return true
  return NetAddress.isIpv4Address(plain) ? NetAddress.isPrivate(plain) : NetAddress.isUniqueLocal(plain)
}

/** `for=` values of a `Forwarded` header (RFC 7239), in order; commas inside quotes do not separate. */
const forwardedFor = (header: string): ReadonlyArray<string> =>
  (header.match(/(?:[^,"]|"(?:\\.|[^"\\])*")+/g) ?? []).flatMap((element) => {
    const value = /(?:^|;)\s*for\s*=\s*("(?:\\.|[^"\\])*"|[^;\s]+)/i.exec(element)?.[1]
    return value === undefined ? [] : [value]
  })

/** Nobody stands behind more proxies of ours; a client may write as many into the header as fit. */
const mostHops = 32

/** From the right, because each proxy appends: the first address that is not one of our own proxies. */
const nearestForeign = (elements: ReadonlyArray<string>, isTrusted: (address: string) => boolean): string | undefined => {
  for (let index = elements.length - 1; index >= Math.max(0, elements.length - mostHops); index--) {
    const address = forwardedAddress(elements[index] ?? "")
    if (address !== undefined && !isTrusted(address)) return address
  }
  return undefined
}

/** More peers than this within one configuration forget what was known and start over. */
const remembered = 1024

export class ClientAddresses {
  readonly #networks: ReadonlyArray<IpNetwork.IpNetwork>
  readonly #trust: boolean
  readonly #peers = new Map<string, boolean>()
  readonly #private = new Map<string, boolean>()

  constructor(options: { readonly trust_proxy_headers: boolean; readonly trusted_proxy_cidrs: ReadonlyArray<string> }) {
    this.#trust = options.trust_proxy_headers
    this.#networks = this.#trust ? parseNetworks(options.trusted_proxy_cidrs) : []
  }

  #trusted = (address: string): boolean => {
    const known = this.#peers.get(address)
    if (known !== undefined) return known
    if (this.#peers.size >= remembered) this.#peers.clear()
    const trusted = inNetworks(this.#networks, address)
    this.#peers.set(address, trusted)
    return trusted
  }

  /** `isPrivateAddress`, remembered. */
  isPrivate(address: string): boolean {
    const known = this.#private.get(address)
    if (known !== undefined) return known
    if (this.#private.size >= remembered) this.#private.clear()
    const found = isPrivateAddress(address)
    this.#private.set(address, found)
    return found
  }

  of(peer: string | undefined, rawHeaders: ReadonlyArray<string>): Client {
    if (peer === "unix") return { peer, ip: this.#trust ? (this.#toldBy(rawHeaders) ?? peer) : peer, trustedPeer: this.#trust }
    const address = peer === undefined ? "" : normaliseAddress(peer)
    if (!this.#trust || !this.#trusted(address)) return { peer: address, ip: address, trustedPeer: false }
    return { peer: address, ip: this.#toldBy(rawHeaders) ?? address, trustedPeer: true }
  }

  #toldBy(rawHeaders: ReadonlyArray<string>): string | undefined {
    const chain = headersOf(rawHeaders, "x-forwarded-for").join(",").trim()
    if (chain !== "") return nearestForeign(chain.split(","), this.#trusted)
    const forwarded = forwardedFor(headersOf(rawHeaders, "forwarded").join(","))
    if (forwarded.length > 0) return nearestForeign(forwarded, this.#trusted)
    return forwardedAddress(headerOf(rawHeaders, "x-real-ip") ?? "")
  }
}

/**
 * What a client is counted by: an IPv4 address, or an IPv6 /64, because a single IPv6 customer owns at least that many.
 * The first four groups are spelled out by hand: parsing would cost more than the whole bucket.
 */
export const limitKey = (ip: string): string => {
  if (ip.indexOf(":") === -1) return ip
  const gap = ip.indexOf("::")
  const head = (gap === -1 ? ip : ip.slice(0, gap)).split(":").filter((group) => group !== "")
  if (gap !== -1) {
    const tail = ip
      .slice(gap + 2)
      .split(":")
      .filter((group) => group !== "")
    const groups = tail.length + (ip.includes(".") ? 1 : 0)
    while (head.length + groups < 8) head.push("0")
    head.push(...tail)
  }
  return `${head
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""))
    .join(":")}::/64`
}

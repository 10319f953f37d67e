/** Networks as `address/prefix`, IPv4 or IPv6; host bits are masked off. */
import { isIP } from "node:net"
import * as IpInterface from "effect/net/IpInterface"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** What is wrong with it; host bits may be set, a bare address is no network. */
export const checkCidr = (text: string): string | undefined => {
  const [address = "", prefix, ...rest] = text.trim().split("/")
  const family = address.includes("%") ? 0 : isIP(address)
  if (family !== 0 && prefix === undefined)
    return `not an address/prefix, write ${address}/${family === 4 ? 32 : 128} for this address alone`
  if (family === 0 || prefix === undefined || rest.length > 0) return "not an address/prefix"
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128) ? undefined : "prefix out of range"
}

/** The same for trusted proxies: a bare address is accepted, and an empty entry stands for nothing. */
export const checkProxyNetwork = (text: string): string | undefined => {
  const entry = text.trim()
  return entry === "" || (!entry.includes("%") && isIP(entry) !== 0) ? undefined : checkCidr(entry)
}

/** An IPv4 address that is written as an IPv6 one is itself. */
export const unmap = (address: NetAddress.IpAddress): NetAddress.IpAddress =>
  NetAddress.isIpv6Address(address) ? Option.getOrElse(NetAddress.fromIpv4Mapped(address), () => address) : address

/** Networks and bare addresses; entries that are neither have been refused with the configuration and match nothing. */
export const parseNetworks = (entries: ReadonlyArray<string>): ReadonlyArray<IpNetwork.IpNetwork> =>
  entries.flatMap((entry) => {
    const text = entry.trim()
    if (text === "") return []
    const whole = text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`
    // An interface may have host bits set; its network has them masked off.
    const parsed = Result.getOrUndefined(IpInterface.fromString(whole))
    return parsed === undefined ? [] : [IpNetwork.fromInterface(parsed)]
  })

export const inNetworks = (networks: ReadonlyArray<IpNetwork.IpNetwork>, address: string): boolean => {
  const parsed = Result.getOrUndefined(NetAddress.ipFromString(address))
  if (parsed === undefined) return false
  const plain = unmap(parsed)
  return networks.some((network) => IpNetwork.contains(network, plain))
}

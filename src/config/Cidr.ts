/** Networks as `address/prefix`, IPv4 or IPv6; a bare address is none, host bits are masked off. */
import { isIP } from "node:net"

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

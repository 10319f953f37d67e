/** Is this address in one of these networks? Node's own block list, which knows both families. */
import { BlockList, isIP } from "node:net"

/** IPv4 in IPv6 clothes is the IPv4 address. */
export const plainAddress = (address: string): string =>
  address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address

export const networks = (cidrs: ReadonlyArray<string>): ((address: string) => boolean) => {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = "", prefix = ""] = cidr.trim().split("/")
    const family = isIP(address)
    if (family !== 0) list.addSubnet(address, Number(prefix), family === 4 ? "ipv4" : "ipv6")
  }
  return (address) => {
    const plain = plainAddress(address)
    const family = isIP(plain)
    return family !== 0 && list.check(plain, family === 4 ? "ipv4" : "ipv6")
  }
}

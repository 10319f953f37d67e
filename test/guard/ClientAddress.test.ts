import { describe, expect, it } from "vitest"
import { inNetworks, parseNetworks } from "../../src/config/Cidr.ts"
import { ClientAddresses, forwardedAddress, limitKey, normaliseAddress } from "../../src/guard/ClientAddress.ts"

const privates = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
const trusting = (cidrs: ReadonlyArray<string> = privates) => new ClientAddresses({ trust_proxy_headers: true, trusted_proxy_cidrs: cidrs })

describe("addresses", () => {
  it.each([
    ["10.0.0.5", "10.0.0.5"],
    ["::ffff:10.0.0.5", "10.0.0.5"],
    ["::FFFF:10.0.0.5", "10.0.0.5"],
    ["fe80::1%eth0", "fe80::1"],
    ["2001:db8::1", "2001:db8::1"]
  ])("%s is spelled %s", (from, to) => expect(normaliseAddress(from)).toBe(to))

  it.each([
    ["203.0.113.9", "203.0.113.9"],
    [" 203.0.113.9:4711 ", "203.0.113.9"],
    ['"[2001:DB8::1]:80"', "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["unknown", undefined],
    ["_hidden", undefined],
    ["203.0.113", undefined],
    ["", undefined]
  ])("in a forwarding header, %s is %s", (from, to) => expect(forwardedAddress(from)).toBe(to))

  it("counts an IPv6 client by its /64 and an IPv4 one by itself", () => {
    expect(limitKey("203.0.113.9")).toBe("203.0.113.9")
    const one = limitKey("2001:db8:1:2:3:4:5:6")
    expect(limitKey("2001:DB8:1:2::9")).toBe(one)
    expect(limitKey("2001:0db8:0001:0002::")).toBe(one)
    expect(limitKey("2001:db8:1:3::9")).not.toBe(one)
    expect(limitKey("::1")).toBe("0:0:0:0::/64")
    expect(limitKey("2001:db8::5")).toBe("2001:db8:0:0::/64")
  })

  it("takes networks with host bits and bare addresses, of both families", () => {
    const networks = parseNetworks([" 10.1.2.3/8 ", "192.0.2.7", "2001:db8::/32", ""])
    expect(networks).toHaveLength(3)
    for (const inside of ["10.200.0.1", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.0.0.1"]) expect(inNetworks(networks, inside)).toBe(true)
    for (const outside of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "nonsense", ""]) expect(inNetworks(networks, outside)).toBe(false)
  })
})

describe("the client", () => {
  it("is the peer while forwarding headers are not trusted", () => {
    const addresses = new ClientAddresses({ trust_proxy_headers: false, trusted_proxy_cidrs: privates })
    expect(addresses.of("::ffff:127.0.0.1", ["X-Forwarded-For", "203.0.113.1"])).toEqual({
      peer: "127.0.0.1",
      ip: "127.0.0.1",
      trustedPeer: false
    })
  })

  it("is the peer when the peer is not a trusted proxy", () => {
    expect(trusting().of("203.0.113.50", ["X-Forwarded-For", "1.2.3.4"])).toMatchObject({ ip: "203.0.113.50", trustedPeer: false })
    expect(trusting([]).of("127.0.0.1", ["X-Forwarded-For", "1.2.3.4"])).toMatchObject({ ip: "127.0.0.1", trustedPeer: false })
    expect(trusting().of(undefined, ["X-Forwarded-For", "1.2.3.4"])).toMatchObject({ peer: "", ip: "", trustedPeer: false })
  })

  it.each<[string, ReadonlyArray<string>, string]>([
    ["the first of a normal chain", ["X-Forwarded-For", "203.0.113.1, 192.168.1.1"], "203.0.113.1"],
    ["not what the client made up in front", ["X-Forwarded-For", "6.6.6.6, 203.0.113.1, 10.0.0.9"], "203.0.113.1"],
    ["found over several header lines", ["x-forwarded-for", "6.6.6.6", "X-FORWARDED-FOR", "203.0.113.1"], "203.0.113.1"],
    ["no text that is not an address", ["X-Forwarded-For", "203.0.113.1, unknown"], "203.0.113.1"],
    ["the peer when all of the chain is ours", ["X-Forwarded-For", "10.0.0.1, 10.0.0.2"], "127.0.0.1"],
    ["the peer when nothing is an address", ["X-Forwarded-For", "<script>"], "127.0.0.1"],
    ["named by X-Real-IP without a chain", ["X-Real-IP", " 203.0.113.2 "], "203.0.113.2"],
    ["not a name in X-Real-IP", ["X-Real-IP", "host.example"], "127.0.0.1"],
    ["named by Forwarded", ["Forwarded", 'for="[2001:db8::1]:4711";proto=http, for=10.0.0.3'], "2001:db8::1"],
    ["of Forwarded before X-Real-IP", ["X-Real-IP", "203.0.113.3", "Forwarded", "for=203.0.113.4"], "203.0.113.4"],
    ["of X-Forwarded-For before Forwarded", ["Forwarded", "for=203.0.113.4", "X-Forwarded-For", "203.0.113.5"], "203.0.113.5"]
  ])("behind a trusted proxy is %s", (_name, headers, ip) => {
    expect(trusting().of("127.0.0.1", headers)).toEqual({ peer: "127.0.0.1", ip, trustedPeer: true })
  })

  it("is the peer behind more hops than anybody has, found at once", () => {
    const hops = Array.from({ length: 60_000 }, (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
    const began = performance.now()
    expect(trusting().of("127.0.0.1", ["X-Forwarded-For", `6.6.6.6,${hops.join(",")}`]).ip).toBe("127.0.0.1")
    expect(trusting().of("127.0.0.1", ["Forwarded", hops.map((hop) => `for=${hop}`).join(",")]).ip).toBe("127.0.0.1")
    expect(trusting().of("127.0.0.1", ["Forwarded", '"'.repeat(500_000)]).ip).toBe("127.0.0.1")
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(trusting().of("127.0.0.1", ["X-Forwarded-For", `6.6.6.6,203.0.113.1,${hops.slice(0, 20).join(",")}`]).ip).toBe("203.0.113.1")
  })
})

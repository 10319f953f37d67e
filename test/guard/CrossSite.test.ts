import { describe, expect, it } from "vitest"
import { crossSiteProblem, hostAllowed, hostName, sameOrigin } from "../../src/guard/CrossSite.ts"

describe("the host", () => {
  it.each([
    ["LOCALHOST:40114", "localhost"],
    ["[::1]:40114", "::1"],
    ["[::1]", "::1"],
    ["192.168.1.4:80", "192.168.1.4"],
    ["olla.lan", "olla.lan"]
  ])("%s is named %s", (host, name) => expect(hostName(host)).toBe(name))

  it("is fine as an address, as localhost and when it is listed, in any case and with any port", () => {
    for (const host of ["127.0.0.1:40114", "[2001:db8::1]", "localhost", "Olla.LAN:8080"])
      expect(hostAllowed(host, ["olla.lan"])).toBe(true)
    for (const host of ["rebound.evil:40114", "olla.lan.evil", "", undefined]) expect(hostAllowed(host, ["olla.lan"])).toBe(false)
  })
})

describe("the origin", () => {
  it.each([
    ["http://localhost:40114", "localhost:40114", true],
    ["https://olla.lan", "olla.lan", true],
    ["https://olla.lan", "olla.lan:443", true],
    ["http://OLLA.lan:80", "olla.lan", true],
    ["http://localhost:3000", "localhost:40114", false],
    ["null", "localhost", false],
    ["http://evil.example", "localhost", false],
    ["https://localhost/", "localhost", false]
  ])("%s for host %s is our own: %s", (origin, host, own) => expect(sameOrigin(origin, host)).toBe(own))

  it.each([
    [{ host: "rebound.evil", origin: undefined, originAllowed: false }, "host"],
    [{ host: "localhost", origin: undefined, originAllowed: false }, undefined],
    [{ host: "localhost", origin: "https://evil.example", originAllowed: false }, "origin"],
    [{ host: "localhost", origin: "https://evil.example", originAllowed: true }, undefined],
    [{ host: "localhost", origin: "null", originAllowed: false }, "origin"]
  ] as const)("problem of %o: %s", (request, problem) => expect(crossSiteProblem(request, [])).toBe(problem))
})

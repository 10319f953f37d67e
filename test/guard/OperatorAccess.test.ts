import { describe, expect, it } from "vitest"
import { operatorRefusal } from "../../src/guard/OperatorAccess.ts"

type Headers = Readonly<Record<string, string>>

const meant: Headers = { Host: "127.0.0.1:40114", "X-Olla-Action": "1" }
const policy = { allowedHosts: ["localhost", "Olla.lan"], token: undefined }
const secret = { ...policy, token: "s3cret" }

const judge = (headers: Headers, peer = "127.0.0.1", over = policy as typeof policy | typeof secret) =>
  operatorRefusal({ peer, rawHeaders: Object.entries(headers).flat() }, over)?.status ?? "passes"

describe("an action from this machine", () => {
  it.each(["127.0.0.1", "127.8.9.1", "::1", "unix"])("passes, by the address %s", (peer) => expect(judge(meant, peer)).toBe("passes"))

  it.each(["127.0.0.1:1", "[::1]:1", "192.168.1.4", "localhost", "OLLA.LAN:80"])("passes, for the host %s", (host) =>
    expect(judge({ ...meant, Host: host })).toBe("passes")
  )

  it.each([
    ["is not meant", { Host: "127.0.0.1" }],
    ["is meant otherwise", { ...meant, "X-Olla-Action": "true" }],
    ["is asked for a name that is not ours, as a rebound one", { ...meant, Host: "evil.example:40114" }],
    ["names no host", { "X-Olla-Action": "1" }],
    ["comes from a page elsewhere", { ...meant, Origin: "http://evil.example" }],
    ["comes from a page on another port", { ...meant, Origin: "http://127.0.0.1:3000" }],
    ["comes from a page without an origin", { ...meant, Origin: "null" }],
    ["comes from a page of a rebound name", { "X-Olla-Action": "1", Host: "evil.example", Origin: "http://evil.example" }],
    ["comes from another site, as the browser says", { ...meant, "Sec-Fetch-Site": "cross-site" }],
    ["comes from a sibling of the site", { ...meant, "Sec-Fetch-Site": "same-site" }],
    ["comes from the address line", { ...meant, "Sec-Fetch-Site": "none" }],
    ["went through a proxy here", { ...meant, "X-Forwarded-For": "10.1.2.3" }],
    ["went through one that says so otherwise", { ...meant, forwarded: "for=10.1.2.3" }],
    ["went through nginx", { ...meant, "X-Real-IP": "10.1.2.3" }],
    ["went through a cache", { ...meant, VIA: "1.1 cache" }],
    ["went through one that tells of the host alone", { ...meant, "X-Forwarded-Host": "olla.example" }],
    ["went through one that ended TLS", { ...meant, "X-Forwarded-Proto": "https" }],
    ["went through a tunnel of Cloudflare", { ...meant, "CF-Connecting-IP": "192.0.2.1" }]
  ] as ReadonlyArray<[string, Headers]>)("is refused when it %s", (_, headers) => expect(judge(headers)).toBe(403))

  it("passes from our own page", () =>
    expect(judge({ ...meant, Origin: "http://127.0.0.1:40114", "Sec-Fetch-Site": "same-origin" })).toBe("passes"))

  it("is judged by each of several values", () => {
    const twice = ["Host", "127.0.0.1", "X-Olla-Action", "1", "Origin", "http://127.0.0.1", "Origin", "http://evil.example"]
    expect(operatorRefusal({ peer: "127.0.0.1", rawHeaders: twice }, policy)?.status).toBe(403)
  })
})

describe("an action from elsewhere", () => {
  it.each(["10.0.0.7", "2001:db8::1", ""])("is refused without a token to ask for: %j", (peer) => expect(judge(meant, peer)).toBe(403))

  it.each([
    [{}, 401],
    [{ Authorization: "Bearer other" }, 401],
    [{ Authorization: "Basic s3cret" }, 401],
    [{ Authorization: "s3cret" }, 401],
    [{ Authorization: "Bearer s3cret" }, "passes"],
    [{ authorization: "bearer  s3cret" }, "passes"]
  ] as ReadonlyArray<[Headers, unknown]>)("needs the token where one is set: %j", (headers, wanted) => {
    expect(judge({ ...meant, ...headers }, "10.0.0.7", secret)).toBe(wanted)
    expect(judge({ ...meant, ...headers, "X-Forwarded-For": "10.0.0.7" }, "127.0.0.1", secret)).toBe(wanted)
  })

  it.each([
    { Host: "127.0.0.1" },
    { ...meant, Host: "evil.example" },
    { ...meant, Origin: "http://evil.example" },
    { ...meant, "Sec-Fetch-Site": "cross-site" }
  ] as ReadonlyArray<Headers>)("needs everything else as well: %j", (headers) =>
    expect(judge({ ...headers, Authorization: "Bearer s3cret" }, "10.0.0.7", secret)).toBe(403)
  )

  it("is never told what the token is", () => {
    const refused = operatorRefusal(
      { peer: "10.0.0.7", rawHeaders: [...Object.entries(meant).flat(), "Authorization", "Bearer wr0ng"] },
      secret
    )
    expect(JSON.stringify(refused)).not.toMatch(/s3cret|wr0ng/)
  })
})

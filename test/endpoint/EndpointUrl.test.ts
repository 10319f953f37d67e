import { describe, expect, it } from "vitest"
import {
  checkReference,
  checkUrl,
  credentialsRefusal,
  displayUrl,
  isPrivateHost,
  joinUrl,
  parseOrigin,
  redactUrl,
  sameEndpointKey
} from "../../src/endpoint/EndpointUrl.ts"
import { cleanPath } from "../../src/exchange/PathCleaning.ts"

describe("joining a path to a base", () => {
  it.each([
    ["http://h:1/a/b/", "/v1/models", "http://h:1/a/b/v1/models"],
    ["http://h:1", "/api/tags", "http://h:1/api/tags"],
    ["http://h:1", "api/tags", "http://h:1/api/tags"],
    ["http://h:1", "/", "http://h:1/"],
    ["http://h:1/api", "/", "http://h:1/api"],
    ["http://h:1/x/", "/", "http://h:1/x"],
    ["http://h:1/api?key=123", "/models", "http://h:1/api/models?key=123"],
    ["http://h:1/api#s", "/models", "http://h:1/api/models#s"],
    ["http://h:1/api/", "https://o:9/m?f=json", "https://o:9/m?f=json"],
    ["://bad", "/v1/models", "/v1/models"],
    ["", "/v1/models", "/v1/models"],
    ["http://h:1/x", "", "http://h:1/x"],
    ["http://h:1", "/health?deep=1", "http://h:1/health?deep=1"],
    ["http://h:1/p?k=1", "/health?deep=1", "http://h:1/p/health?deep=1"],
    ["http://h:1/a", "//b///c/./d/../e/", "http://h:1/a/b/c/e"],
    ["http://gw/llm", "../../x", "http://gw/x"],
    ["http://h:1/a%2Fb", "/c%20d", "http://h:1/a%2Fb/c%20d"],
    ["https://x.test/openai/v1", "/v1/models", "https://x.test/openai/v1/models"]
  ])("%s + %s", (base, reference, joined) => {
    expect(joinUrl(base, reference)).toBe(joined)
  })
  it("cleans a path against the root", () => {
    expect(cleanPath("/../../etc//passwd/")).toBe("/etc/passwd")
    expect(cleanPath("")).toBe("/")
  })
})

describe("judging a base URL on its text", () => {
  it.each([
    ["", "Empty"],
    ["http://u:p@h:1", "Credentials"],
    ["https://token@h/v1", "Credentials"],
    ["http://u:p%zz@h:1/x", "Credentials"],
    ["http://h/%zz", "Unparseable"],
    ["://bad", "Unparseable"],
    ["http://h:port", "Unparseable"],
    ["http://h:99999", "Unparseable"],
    ["http://a b/", "Unparseable"],
    ["http://h/\n", "Unparseable"],
    ["localhost:8080", "NotHttp"],
    ["http:///v1", "NotHttp"],
    ["http://:8080", "NotHttp"],
    ["ftp://h/", "NotHttp"],
    ["h", "NotHttp"]
  ])("%j is %s", (url, tag) => {
    expect(checkUrl(url)?._tag).toBe(tag)
  })
  it.each(["http://h", "HTTPS://H:8443/v1/?x=1#f", "http://[::1]:8080", "http://127.0.0.1:1/a@b"])("%s is fine", (url) => {
    expect(checkUrl(url)).toBeUndefined()
  })
})

describe("judging a health or model URL", () => {
  it.each(["/health", "health?x=1", "http://mon:9/h?x=1", "v1/models:list", "//a//b"])("%s is fine", (text) => {
    expect(checkReference(text)).toBeUndefined()
  })
  it.each(["monitor:9090/health", "ftp://x/y", "http:///x", "/a%zz", "mailto:x"])("%s is refused", (text) => {
    expect(checkReference(text)).toMatchObject({ credentials: false })
  })
  it("refuses credentials", () => {
    expect(checkReference("http://u:p@mon/h")).toMatchObject({ credentials: true })
  })
})

describe("credentials in a URL", () => {
  it("are refused with the rewritten URL and never shown", () => {
    const text = credentialsRefusal("gpu", "http://bob:s3cret@host:8080/v1?x=1")
    expect(text.split("\n")).toEqual([
      'endpoint URL for "gpu" must not embed credentials (user:pass@host); move them to the auth config block. Rewrite',
      "  http://<your username>:<your password>@host:8080/v1",
      "as",
      "  http://host:8080/v1",
      "auth:",
      "  type: basic",
      "  username: <your username>",
      "  password: <your password>",
      "  # or username_file / password_file to read from a file"
    ])
  })
  it("without a password also suggest a bearer token", () => {
    const text = credentialsRefusal("gpu", "https://tok@host/v1")
    expect(text).toContain("https://<your username>@host/v1")
    for (const part of ["Basic auth requires a password", "type: bearer", "token: <your token>", "token_file"]) expect(text).toContain(part)
    expect(text).not.toContain("tok@")
  })
})

describe("showing a URL", () => {
  it("drops query and fragment and touches nothing else", () => {
    expect(displayUrl("HTTP://Host:80?key=1#f")).toBe("HTTP://Host:80")
    expect(displayUrl("http://h/%zz")).toBe("[unparseable url]")
    expect(redactUrl("http://u:p@h/x?k=1")).toBe("http://h/x")
    expect(redactUrl("u:p@h")).toBe("[redacted]")
  })
  it("tells an origin apart", () => {
    expect(parseOrigin("https://[::1]/api/", undefined)).toEqual({
      secure: true,
      hostname: "::1",
      port: 443,
      authority: "[::1]",
      basePath: "/api/",
      tls: undefined
    })
    expect(parseOrigin("http://h:8080", undefined)).toMatchObject({
      secure: false,
      hostname: "h",
      port: 8080,
      authority: "h:8080",
      basePath: ""
    })
  })
  it("treats an empty path like / in the identity", () => {
    expect(sameEndpointKey("http://a:1")).toBe(sameEndpointKey("http://a:1/"))
    expect(sameEndpointKey("http://a:1?x=1")).not.toBe(sameEndpointKey("http://a:1"))
  })
})

it.each([
  ["localhost", true],
  ["127.3.4.5", true],
  ["10.0.0.5", true],
  ["172.31.0.1", true],
  ["192.168.1.1", true],
  ["::1", true],
  ["fd00::1", true],
  ["ollama", true],
  ["rack-2.lan", true],
  ["172.32.0.1", false],
  ["8.8.8.8", false],
  ["api.example.com", false],
  ["2001:db8::1", false]
])("%s is private: %s", (host, expected) => {
  expect(isPrivateHost(host)).toBe(expected)
})

/**
 * Known attacks on HTTP parsers and listeners, as bytes on a socket: each is refused or does no harm. What may never
 * happen: a backend sees a request that nobody sent, one client's bytes become another's request, or the daemon stops.
 */
import { connect } from "node:net"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, quickest, startDaemon } from "./daemon.ts"
import { converse, hangUp } from "./rawSocket.ts"

const body = '{"model":"m"}'
const chat = "POST /olla/proxy/v1/chat/completions HTTP/1.1\r\nHost: olla\r\nContent-Type: application/json\r\n"
const version = (...lines: ReadonlyArray<string>) => `GET /version HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`
const good = version("Host: olla", "Connection: close")
/** Must never arrive anywhere as a request. */
const smuggled = "GET /olla/proxy/smuggled HTTP/1.1\r\nHost: olla\r\n\r\n"
const chunked = `${chat}Transfer-Encoding: chunked\r\n\r\n`
const last = "0\r\n\r\n"

let backend: SimulatedBackend
let daemon: Daemon

beforeAll(async () => {
  backend = await startBackend({ kind: "vllm", models: ["m"] })
  daemon = await startDaemon(endpointsYaml([{ name: "desk", backend }]), {
    server: "  read_timeout: 1s\n  read_header_timeout: 1s\n  idle_timeout: 1s\n"
  })
})

afterAll(async () => {
  await daemon?.stop()
  await backend?.stop()
})

beforeEach(() => {
  backend.requests.length = 0
})

/** What reached the backend, its own health and model checks aside. */
const arrived = () => backend.requests.filter(({ method, url }) => method !== "GET" || !/^\/(?:health|v1\/models|metrics)$/.test(url))

describe("a request whose length can be read in two ways", () => {
  it.each<[string, string, number]>([
    ["with a length and chunks", `${chat}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n${last}`, 400],
    ["with chunks and a length", `${chat}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n`, 400],
    ["with two lengths", `${chat}Content-Length: 5\r\nContent-Length: 13\r\n\r\n${body}`, 400],
    ["with one length twice", `${chat}Content-Length: 13\r\nContent-Length: 13\r\n\r\n${body}`, 400],
    ["with a list of lengths", `${chat}Content-Length: 13, 13\r\n\r\n${body}`, 400],
    ["with a signed length", `${chat}Content-Length: +13\r\n\r\n${body}`, 400],
    ["with a negative length", `${chat}Content-Length: -1\r\n\r\n${body}`, 400],
    ["with a hexadecimal length", `${chat}Content-Length: 0xd\r\n\r\n${body}`, 400],
    ["with a length beyond 64 bits", `${chat}Content-Length: 99999999999999999999999\r\n\r\n${body}`, 400],
    ["with an empty length", `${chat}Content-Length: \r\n\r\n${body}`, 400],
    ["with an unknown coding", `${chat}Transfer-Encoding: xchunked\r\n\r\n${last}`, 501],
    ["with the coding identity", `${chat}Transfer-Encoding: identity\r\n\r\n`, 501],
    ["with a coding after chunked", `${chat}Transfer-Encoding: chunked, identity\r\n\r\n${last}`, 501],
    ["with a coding below chunked", `${chat}Transfer-Encoding: gzip, chunked\r\n\r\n${last}`, 501],
    ["with a coding in a second line", `${chat}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${last}`, 501],
    ["with chunked twice", `${chat}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${last}`, 501],
    ["with a space before the colon", `${chat}Transfer-Encoding : chunked\r\n\r\n${last}`, 400],
    ["with a vertical tab in the coding", `${chat}Transfer-Encoding: \x0bchunked\r\n\r\n${last}`, 400],
    ["with the coding on a folded line", `${chat}Transfer-Encoding:\r\n chunked\r\n\r\n${last}`, 400],
    ["with chunks of length -1", `${chunked}-1\r\n${body}\r\n${last}`, 400],
    ["with chunks of length 0xd", `${chunked}0xd\r\n${body}\r\n${last}`, 400],
    ["with chunks beyond 64 bits", `${chunked}fffffffffffffffff\r\n${body}\r\n${last}`, 400],
    ["with a chunk longer than it says", `${chunked}3\r\n${body}\r\n${last}`, 400],
    ["with a chunk without a length", `${chunked}\r\n${body}\r\n${last}`, 400],
    ["with a chunk line ended by LF", `${chunked}d\n${body}\r\n${last}`, 400],
    ["with a chunk ended by LF", `${chunked}d\r\n${body}\n${last}`, 400],
    ["with an endless chunk extension", `${chunked}d;${"a".repeat(40_000)}\r\n${body}\r\n${last}`, 400],
    ["with a length in its trailers", `${chunked}d\r\n${body}\r\n0\r\nContent-Length: 5\r\n\r\n`, 400]
  ])("%s is refused, and what follows is not looked at", async (_name, attack, status) => {
    const { statuses, said } = await converse(daemon.port, [attack + smuggled + good, hangUp])
    expect(statuses).toEqual([status])
    expect(said).toMatch(/\r\nConnection: close\r\n/i)
    expect(arrived()).toEqual([])
  })

  it("reaches the backend as one request with a plain length, when it came in chunks with extensions and trailers", async () => {
    const { statuses } = await converse(daemon.port, [`${chunked}7;a=b\r\n{"model\r\n6\r\n":"m"}\r\n0\r\nX-Trailer: y\r\n\r\n${good}`])
    expect(statuses).toEqual([200, 200])
    const [request, ...more] = arrived()
    expect(more).toEqual([])
    expect(request?.body).toBe(body)
    expect([request?.header("content-length"), request?.header("transfer-encoding"), request?.header("x-trailer")]).toEqual([
      "13",
      undefined,
      undefined
    ])
  })

  it("of HTTP/1.0 with chunks ends its connection", async () => {
    const old = `${chunked.replace("HTTP/1.1", "HTTP/1.0")}${last}`
    const { statuses } = await converse(daemon.port, [old + smuggled])
    expect(statuses).toHaveLength(1)
    expect(arrived().filter(({ url }) => url.includes("smuggled"))).toEqual([])
  })
})

describe("a malformed head", () => {
  it.each<[string, string]>([
    ["with bare line feeds", "GET /version HTTP/1.1\nHost: olla\n\n"],
    ["with one bare line feed", "GET /version HTTP/1.1\r\nHost: olla\nX: y\r\n\r\n"],
    ["with a bare carriage return", "GET /version HTTP/1.1\r\nHost: olla\rX: y\r\n\r\n"],
    ["with a folded line", version("Host: olla", "X-A: a", " b")],
    ["with a blank before the first name", version(" Host: olla")],
    ["with NUL in a value", version("Host: olla", "X-A: a\0b")],
    ["with NUL in a name", version("Host: olla", "X\0A: b")],
    ["with NUL in the path", `GET /ver\0sion HTTP/1.1\r\nHost: olla\r\n\r\n`],
    ["with a control character in a value", version("Host: olla", "X-A: a\x01b")],
    ["with a line without a colon", version("Host: olla", "XA")],
    ["with a blank in a name", version("Host: olla", "X A: b")],
    ["with an empty name", version("Host: olla", ": b")],
    ["without Host", version("Accept: */*")],
    ["with two Hosts", version("Host: a", "Host: b")],
    ["with two equal Hosts", version("Host: a", "host: a")],
    ["with a path in Host", version("Host: a/b")],
    ["with credentials in Host", version("Host: a@b")],
    ["with a blank in Host", version("Host: a b")],
    ["with a blank in the target", "GET /ver sion HTTP/1.1\r\nHost: olla\r\n\r\n"],
    ["with a target that is no path", "GET version HTTP/1.1\r\nHost: olla\r\n\r\n"],
    ["with an authority for a target", "GET @evil.example/version HTTP/1.1\r\nHost: olla\r\n\r\n"],
    ["with an unknown method", "FOO /version HTTP/1.1\r\nHost: olla\r\n\r\n"],
    ["with a method in lower case", "get /version HTTP/1.1\r\nHost: olla\r\n\r\n"],
    ["of HTTP/0.9", "GET /version\r\n\r\n"],
    ["of HTTP/1.2", "GET /version HTTP/1.2\r\nHost: olla\r\n\r\n"],
    ["of HTTP/2, its preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"],
    ["of HTTP/3.0", "GET /version HTTP/3.0\r\nHost: olla\r\n\r\n"],
    ["that is TLS", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"]
  ])("%s is 400, and what is pipelined behind it is not looked at", async (_name, attack) => {
    const { statuses, said } = await converse(daemon.port, [attack + smuggled + good, hangUp])
    expect(statuses).toEqual([400])
    expect(said).toMatch(/\r\nConnection: close\r\n/i)
    expect(said).toMatch(/\r\nX-Olla-Request-ID: \S+\r\n/)
    expect(said).not.toMatch(/node|at .*\.(?:ts|js):|HPE_/)
    expect(arrived()).toEqual([])
  })

  it.each<[string, ReadonlyArray<string>, number]>([
    ["one line of more than a megabyte", [`X: ${"a".repeat(1_100_000)}`], 431],
    ["thousands of lines", Array.from({ length: 20_000 }, (_, n) => `h${n}: `), 431],
    ["a hundred thousand empty lines of one name", Array.from({ length: 100_000 }, () => "a:"), 431],
    ["an expectation that nobody knows", ["Expect: 200-maybe"], 417],
    ["two pages that ask", ["Origin: http://a.example", "Origin: http://b.example"], 400]
  ])("with %s is refused at once", async (_name, lines, status) => {
    const refused = async () => {
      const { statuses, said, took } = await converse(daemon.port, [version("Host: olla", ...lines) + good, hangUp])
      expect(statuses).toEqual([status])
      if (status === 431) expect(said).toMatch(/server\.request_limits\.max_header_size|10000 header lines/)
      return took
    }
    expect(await quickest(500, refused)).toBeLessThan(500)
  })

  it("whose target is longer than all headers may be is 431", async () => {
    const { statuses } = await converse(daemon.port, [`GET /${"a".repeat(1_200_000)} HTTP/1.1\r\nHost: olla\r\n\r\n`])
    expect(statuses).toEqual([431])
  })

  it("is no attack when it is only large: a megabyte in two headers, and its log lines are short", async () => {
    let before = 0
    const served = async () => {
      before = daemon.output().length
      const { statuses, took } = await converse(daemon.port, [
        version("Host: olla", `User-Agent: ${"?".repeat(500_000)}`, `Referer: ${"a".repeat(500_000)}?`, "Connection: close")
      ])
      expect(statuses).toEqual([200])
      return took
    }
    expect(await quickest(1_000, served)).toBeLessThan(1_000)
    await eventually(daemon.output, (output) => output.slice(before).includes("Access log"))
    expect(daemon.output().length - before).toBeLessThan(100_000)
  })
})

describe("a target that names another host", () => {
  it.each<[string, string]>([
    ["in absolute form", "http://evil.example/olla/proxy/v1/chat/completions"],
    ["in absolute form with credentials", "http://u:p@evil.example/olla/proxy/v1/chat/completions"],
    ["in absolute form of another scheme", "ftp://evil.example/olla/proxy/v1/chat/completions"],
    ["behind two slashes", "//evil.example/../olla/proxy/v1/chat/completions"]
  ])("%s is served by the configured backend only", async (_name, target) => {
    const { statuses } = await converse(daemon.port, [
      `POST ${target} HTTP/1.1\r\nHost: olla\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n${body}`
    ])
    expect(statuses).toEqual([200])
    expect(arrived().map(({ url }) => url)).toEqual(["/v1/chat/completions"])
    expect(arrived()[0]?.header("host")).toBe(`127.0.0.1:${backend.port}`)
  })

  it("by CONNECT is 405 and opens no tunnel", async () => {
    const { statuses, said } = await converse(daemon.port, ["CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", smuggled])
    expect(statuses).toEqual([405])
    expect(said).toContain("Allow: ")
    expect(arrived()).toEqual([])
  })

  it.each([
    "/olla/proxy/../../etc/passwd",
    "/olla/proxy/%2e%2e/%2e%2e/etc/passwd",
    "/olla/proxy/%252e%252e/%252e%252e/etc/passwd",
    "/olla/proxy/..%2f..%2fetc/passwd",
    "/olla/proxy/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/olla/proxy/v1/..%5c..%5cetc/passwd",
    "/olla/proxy/v1/%c0%ae%c0%ae/etc/passwd",
    "/olla/proxy//etc//passwd",
    "/olla/proxy/@evil.example/",
    "/olla/proxy/%0d%0aX-Injected:%20y"
  ])("by climbing (%s) stays below the backend's root", async (path) => {
    const { statuses, said } = await converse(daemon.port, [`GET ${path} HTTP/1.1\r\nHost: olla\r\nConnection: close\r\n\r\n`])
    expect(statuses).toHaveLength(1)
    expect([200, 400, 404]).toContain(statuses[0])
    expect(said).not.toMatch(/^X-Injected/im)
    for (const { url, header } of arrived()) {
      expect(url).toMatch(/^\//)
      expect(url.split("?")[0]?.split("/")).not.toContain("..")
      expect(header("x-injected")).toBe(undefined)
      expect(header("host")).toBe(`127.0.0.1:${backend.port}`)
    }
  })
})

describe.concurrent("a client that takes its time", () => {
  it("over its head is 408 a second or two after the limit", async () => {
    const ended = async () => {
      const { statuses, took } = await converse(daemon.port, ["GET /version HTTP/1.1\r\nHost: ol"])
      expect(statuses).toEqual([408])
      return took
    }
    expect(await quickest(4_000, ended)).toBeLessThan(4_000)
  })

  it("over its body is 408, and nothing goes to a backend", async () => {
    const { statuses, said } = await converse(daemon.port, [`${chat}Accept: application/json\r\nContent-Length: 100\r\n\r\n{`])
    expect(statuses).toEqual([408])
    expect(said).toContain('"type":"timeout_error"')
    expect(arrived()).toEqual([])
    await eventually(daemon.output, (output) => /"msg":"Access log".*"status":408/.test(output))
  })

  it.each(["Content-Length: 100\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"])(
    "over a body that nobody wants gets one answer, 408 (%j)",
    async (rest) => {
      const { statuses } = await converse(daemon.port, [`POST /internal/health HTTP/1.1\r\nHost: olla\r\n${rest}`])
      expect(statuses).toEqual([408])
    }
  )

  it("before its first byte is hung up on without a word", async () => {
    expect((await converse(daemon.port, [])).said).toBe("")
  })

  it("between requests is hung up on without a word", async () => {
    expect((await converse(daemon.port, [version("Host: olla")])).statuses).toEqual([200])
  })
})

describe("bytes behind a request", () => {
  it("that is refused early are not taken for the next one, and the answer arrives", async () => {
    const { statuses, said } = await converse(daemon.port, [`${chat}Content-Length: 999999999999\r\n\r\n${smuggled}`, hangUp])
    expect(statuses).toEqual([413])
    expect(said).toContain("Request body too large")
    expect(arrived()).toEqual([])
  })

  it("that is answered without its body are its body", async () => {
    const unwanted = `POST /internal/health HTTP/1.1\r\nHost: olla\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`
    expect((await converse(daemon.port, [unwanted + good])).statuses).toEqual([200, 200])
    const unrouted = `POST /nowhere HTTP/1.1\r\nHost: olla\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`
    expect((await converse(daemon.port, [unrouted + good])).statuses).toEqual([404, 200])
    expect(arrived()).toEqual([])
  })

  it("that waits for leave and gets a refusal are not waited for", async () => {
    const { statuses } = await converse(daemon.port, [
      "POST /nowhere HTTP/1.1\r\nHost: olla\r\nExpect: 100-continue\r\nContent-Length: 49\r\n\r\n",
      (said) => (said.includes("404") ? smuggled : undefined),
      hangUp
    ])
    expect(statuses).toEqual([404])
    expect(arrived()).toEqual([])
  })

  it("of good requests are answered in order", async () => {
    const two = `GET /internal/health HTTP/1.1\r\nHost: olla\r\n\r\n${version("Host: olla")}`
    const { statuses, said } = await converse(daemon.port, [two + two + good])
    expect(statuses).toEqual([200, 200, 200, 200, 200])
    expect([...said.matchAll(/"status":"healthy"|"edition"/g)].map(([text]) => text.slice(1, 4))).toEqual([
      "sta",
      "edi",
      "sta",
      "edi",
      "edi"
    ])
  })

  it("of a last request, or of one that was refused, are never served", async () => {
    for (const [first, statuses] of [
      [version("Host: olla", "Connection: close"), [200]],
      ["GET /version HTTP/1.0\r\nHost: olla\r\n\r\n", [200]],
      [version("Host: olla", "Host: olla"), [400]]
    ] as const)
      expect((await converse(daemon.port, [first + smuggled + good, hangUp])).statuses).toEqual(statuses)
    expect(arrived()).toEqual([])
  })

  it("of a last request take its answer away from nobody, while that is still made", async () => {
    const { statuses, said } = await converse(daemon.port, [`${chat}Connection: close\r\nContent-Length: 13\r\n\r\n${body}${smuggled}`])
    expect([statuses, /\r\nConnection: close\r\n/i.test(said)]).toEqual([[200], true])
    expect(arrived().map(({ url }) => url)).toEqual(["/v1/chat/completions"])
  })

  it("of a client that vanishes are given up with it: the one under way ends, and those that wait are not begun", async () => {
    backend.setFault({ _tag: "slowHeaders", delay: 60_000 })
    const one = `${chat}Content-Length: 13\r\n\r\n${body}`
    const socket = connect(daemon.port, "127.0.0.1")
    socket.write(one + one)
    await eventually(arrived, (requests) => requests.length === 1)
    socket.destroy()
    await eventually(
      () => backend.active(),
      (count) => count === 0
    )
    backend.setFault(undefined)
    expect(arrived().map(({ abortedAt }) => abortedAt > 0)).toEqual([true])
  })

  it("of an upgrade that nobody offers are a plain request", async () => {
    const upgrade = `${chat}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 13\r\n\r\n${body}`
    const { statuses } = await converse(daemon.port, [upgrade, (said) => (said.includes("HTTP/1.1 200") ? good : undefined)])
    expect(statuses).toEqual([200, 200])
    expect(arrived().map((request) => [request.body, request.header("upgrade"), request.header("http2-settings")])).toEqual([
      [body, undefined, undefined]
    ])
  })
})

describe("after all of it", () => {
  it("the daemon serves, nothing is under way, and nothing of it was a request to a backend", async () => {
    const status = await eventually(
      async () => (await (await fetch(`${daemon.url}/internal/status`)).json()) as { system: Record<string, number> },
      ({ system }) => system["active_connections"] === 0
    )
    // The one whose client vanished.
    expect(status.system["total_failures"]).toBe(1)
    expect(daemon.output()).not.toContain("A request ended in a fault")
  })
})

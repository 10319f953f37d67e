import type { IncomingHttpHeaders } from "node:http"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { asFailure, BackendClient, type BackendRequest } from "../../src/endpoint/BackendClient.ts"
import { connectKind } from "../../src/proxy/client/ConnectKind.ts"
import { freePort } from "../contract/freePort.ts"
import { serve, serveRaw } from "./servers.ts"

const credentials = {
  headers: [
    ["X-Team", "blue"],
    ["Authorization", "Bearer secret"]
  ] as const,
  names: new Set(["x-team", "authorization"])
}
const ask = (url: string, more: Partial<BackendRequest> = {}): BackendRequest => ({
  url,
  headers: [
    ["User-Agent", "olla-Test/1"],
    ["Accept", "application/json"]
  ],
  credentials,
  tls: undefined,
  maxBody: 1024 * 1024,
  body: "text",
  ...more
})
const get = (request: BackendRequest) => BackendClient.use((client) => client.get(request)).pipe(Effect.provide(BackendClient.layer))
const failure = (request: BackendRequest) => Effect.flip(get(request))

describe("a request", () => {
  it.live("carries the fixed headers, then the custom ones, then the credentials", () =>
    Effect.gen(function* () {
      const seen: Array<IncomingHttpHeaders> = []
      const url = yield* serve((request, response) => {
        seen.push(request.headers)
        response.end("ok")
      })
      const mine = { ...credentials, headers: [["user-agent", "mine"] as const, ...credentials.headers] }
      const answer = yield* get(ask(`${url}/x?y=1`, { credentials: mine }))
      expect(answer).toMatchObject({ status: 200, body: "ok" })
      expect(seen).toMatchObject([
        { "user-agent": "mine", accept: "application/json", "x-team": "blue", authorization: "Bearer secret", "accept-encoding": "gzip" }
      ])
    })
  )
  it.live("never goes through a proxy from the environment", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => response.end("direct"))
      const before = process.env["HTTP_PROXY"]
      process.env["HTTP_PROXY"] = `http://127.0.0.1:${yield* Effect.promise(freePort)}`
      const answer = yield* get(ask(url)).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            if (before === undefined) delete process.env["HTTP_PROXY"]
            else process.env["HTTP_PROXY"] = before
          })
        )
      )
      expect(answer.body).toBe("direct")
    })
  )
})

describe("redirects", () => {
  it.live("inside the origin keep the credentials", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const url = yield* serve((request, response) => {
        seen.push([request.url, request.headers.authorization, request.headers["x-team"]])
        if (request.url === "/a") response.writeHead(302, { location: "/b" }).end()
        else response.end("there")
      })
      expect((yield* get(ask(`${url}/a`))).body).toBe("there")
      expect(seen).toEqual([
        ["/a", "Bearer secret", "blue"],
        ["/b", "Bearer secret", "blue"]
      ])
    })
  )
  it.live("to another origin are not followed, whichever comes first", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const away = yield* serve((_, response) => {
        seen.push("away")
        response.end("fine")
      })
      const home = yield* serve((request, response) => {
        seen.push(request.url ?? "")
        response.writeHead(request.url === "/a" ? 307 : 301, { location: request.url === "/a" ? "/b" : `${away}/x` }).end()
      })
      for (const body of ["text", "discard"] as const)
        expect(yield* get(ask(`${home}/a`, { body }))).toMatchObject({ status: 301, body: "", leadsAway: true })
      expect(seen).toEqual(["/a", "/b", "/a", "/b"])
      const port = new URL(away).port
      const sameHost = yield* serve((_, response) => response.writeHead(302, { location: `//127.0.0.1:${port}/` }).end())
      expect(yield* get(ask(sameHost))).toMatchObject({ status: 302, leadsAway: true })
    })
  )
  it.live("end after three", () =>
    Effect.gen(function* () {
      let count = 0
      const url = yield* serve((_, response) => {
        count++
        response.writeHead(302, { location: `/${count}` }).end()
      })
      expect(yield* failure(ask(url))).toMatchObject({ kind: "network", cause: "too many redirects" })
      expect(count).toBe(4)
    })
  )
  it.live("to another scheme are not followed", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => response.writeHead(302, { location: "file:///etc/passwd" }).end())
      expect(yield* failure(ask(url))).toMatchObject({ kind: "network", cause: "redirect to an invalid address" })
    })
  )
  it.live("without a location are the answer", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => response.writeHead(302).end())
      expect((yield* get(ask(url))).status).toBe(302)
    })
  )
})

describe("bodies", () => {
  it.live("lose a byte order mark", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => response.end("\uFEFF{}"))
      expect((yield* get(ask(url))).body).toBe("{}")
    })
  )
  it.live("are decompressed", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync('{"data":[]}')))
      expect((yield* get(ask(url))).body).toBe('{"data":[]}')
    })
  )
  it.live("larger than the limit are refused, whatever their compression hides", () =>
    Effect.gen(function* () {
      const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024))
      const url = yield* serve((request, response) => {
        if (request.url === "/gzip") response.writeHead(200, { "content-encoding": "gzip" }).end(bomb)
        else response.end(Buffer.alloc(2 * 1024 * 1024))
      })
      expect(yield* failure(ask(`${url}/gzip`))).toMatchObject({ kind: "tooLarge", cause: "the answer is larger than 1 MiB" })
      expect(yield* failure(ask(`${url}/plain`))).toMatchObject({ kind: "tooLarge" })
    })
  )
  it.live("without end are refused at the limit, and the connection is closed", () =>
    Effect.gen(function* () {
      let closed: () => void = () => {}
      const end = new Promise<void>((resolve) => {
        closed = resolve
      })
      const url = yield* serve((_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        }
        response.on("drain", more).on("close", closed)
        more()
      })
      expect(yield* failure(ask(url))).toMatchObject({ kind: "tooLarge" })
      yield* Effect.promise(() => end)
    })
  )
  it.live("cut short are a failure with a listing and nothing to a probe", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((socket) => {
        socket.once("data", () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data'))
      })
      expect(yield* failure(ask(url))).toMatchObject({ kind: "network", answered: true })
      expect(yield* get(ask(url, { body: "discard" }))).toMatchObject({ status: 200, body: "" })
    })
  )
  it.live("without end do not hold a probe", () =>
    Effect.gen(function* () {
      const url = yield* serve((_, response) => {
        response.writeHead(200)
        response.write("...")
      })
      const answer = yield* get(ask(url, { body: "discard" })).pipe(Effect.timeout("500 millis"))
      expect(answer.status).toBe(200)
    })
  )
})

describe("heads", () => {
  it.live("may be as long as those that the engines take", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((socket) => {
        socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\nX-Long: ${"a".repeat(40_000)}\r\nContent-Length: 2\r\n\r\n{}`))
      })
      expect(yield* get(ask(url))).toMatchObject({ status: 200, body: "{}" })
    })
  )
  it.live("beyond that are refused, and said to be too long", () =>
    Effect.gen(function* () {
      const url = yield* serveRaw((socket) => {
        socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\nX-Long: ${"a".repeat(80_000)}\r\nContent-Length: 2\r\n\r\n{}`))
      })
      expect(yield* failure(ask(url))).toMatchObject({ kind: "network", cause: "the head of the answer is larger than 64 KiB" })
    })
  )
})

describe("a shortage of descriptors", () => {
  it.each(["EMFILE", "ENFILE"])("(%s) is ours, and no backend's", (code) => {
    const error = Object.assign(new Error(`connect ${code}`), { code })
    expect([error, new AggregateError([error])].map(asFailure)).toMatchObject([{ kind: "local" }, { kind: "local" }])
    expect(connectKind(error)).toBe("descriptors")
  })
})

describe("failures", () => {
  it.live("are told without addresses", () =>
    Effect.gen(function* () {
      const silent = yield* serveRaw((socket) => socket.once("data", () => socket.destroy()))
      const garbage = yield* serveRaw((socket) => socket.once("data", () => socket.end("SSH-2.0-x\r\n\r\n")))
      const closed = yield* failure(ask(silent))
      expect(["connection reset", "connection closed before an answer"]).toContain(closed.cause)
      expect((yield* failure(ask(garbage))).cause).toBe("malformed HTTP answer")
      const upgraded = yield* serveRaw((socket) => {
        socket.once("data", () => socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
      })
      expect((yield* failure(ask(upgraded))).cause).toBe("malformed HTTP answer")
      expect((yield* failure(ask(`http://127.0.0.1:${yield* Effect.promise(freePort)}/`))).cause).toBe("connection refused")
      expect((yield* failure(ask("http://nothing.invalid/"))).cause).toBe("no such host")
    })
  )
  it.live("of an interrupted request close its connection", () =>
    Effect.gen(function* () {
      let closed: () => void = () => {}
      const end = new Promise<void>((resolve) => {
        closed = resolve
      })
      const url = yield* serveRaw((socket) => socket.on("close", closed).resume())
      yield* get(ask(url)).pipe(Effect.timeoutOption("50 millis"))
      yield* Effect.promise(() => end)
    })
  )
})

/** What both engines promise (`src/proxy/Engine.ts`), over real sockets. Each engine's own test file runs this suite. */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import net from "node:net"
import { join } from "node:path"
import tls from "node:tls"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import fc from "fast-check"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { failure } from "../../src/exchange/Failure.ts"
import type { Deadlines } from "../../src/proxy/client/Transport.ts"
import type { AnswerTranslator } from "../../src/proxy/Dialect.ts"
import type { Engine } from "../../src/proxy/Engine.ts"
import type { FakeFields } from "../balancing/fakes.ts"
import {
  ask,
  chunk,
  Front,
  failureOf,
  type Heard,
  holdUp,
  independentBackend,
  looked,
  plain,
  type RawBackend,
  rawBackend,
  sse,
  unaccepting,
  withEngine
} from "./rig.ts"

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const limits = (some: Partial<Deadlines>): Deadlines => ({
  connect: 2_000,
  tls: 2_000,
  headers: 5_000,
  response: 0,
  firstByte: 0,
  hold: 0,
  idle: 5_000,
  keepAlive: 30_000,
  ...some
})

export const engineContract = (name: string, make: Effect.Effect<Engine, never, Scope.Scope>): void => {
  describe(name, () => {
    let front: Front
    let close: () => Promise<void>
    const backends: Array<RawBackend> = []

    beforeAll(async () => {
      const built = await withEngine(make)
      close = built.close
      front = new Front(built.engine)
      await front.start()
    })
    afterEach(async () => {
      for (const backend of backends.splice(0)) await backend.stop()
    })
    afterAll(async () => {
      await front.stop()
      await close()
    })

    const serve = async (answer: (socket: net.Socket, heard: Heard, nth: number) => void): Promise<RawBackend> => {
      const backend = await rawBackend(answer)
      backends.push(backend)
      front.target = { url: `http://127.0.0.1:${backend.port}` }
      return backend
    }
    const serveText = (text: string) => serve((socket) => socket.write(text, "latin1"))

    describe("the request", () => {
      it("goes out with the headers, their order, spelling and repetition as given", async () => {
        const backend = await serveText(plain("{}"))
        const headers = "Host: backend.example\r\nX-One: 1\r\nx-two: a\r\nX-Two: b\r\nX-Latin: caf\xe9\r\n"
        front.target = { ...front.target, headers }
        await ask(front.port)
        const own = backend.heard[0]?.headers.filter(([key]) => key.toLowerCase().startsWith("x-"))
        expect(own).toEqual([
          ["X-One", "1"],
          ["x-two", "a"],
          ["X-Two", "b"],
          ["X-Latin", "caf\xe9"]
        ])
        expect(backend.heard[0]?.headers.find(([key]) => key.toLowerCase() === "host")?.[1]).toBe("backend.example")
      })

      it("keeps path and query byte for byte", async () => {
        const backend = await serveText(plain("{}"))
        const path = "/v1//models/org%2Fmodel/caf\xc3\xa9?a=1&b=%20'\"|<>&stream=true"
        front.target = { ...front.target, path }
        await ask(front.port)
        expect(backend.heard[0]?.line).toBe(`GET ${path} HTTP/1.1`)
      })

      it.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])("carries %s with its body and length", async (method) => {
        const backend = await serveText(plain("{}"))
        const answer = await ask(front.port, { method, body: "\x00\x01 four" })
        expect(answer?.status).toBe(200)
        expect(backend.heard[0]?.line.startsWith(`${method} `)).toBe(true)
        expect(backend.heard[0]?.body.toString("latin1")).toBe("\x00\x01 four")
        expect(backend.heard[0]?.headers.filter(([key]) => key.toLowerCase() === "transfer-encoding")).toEqual([])
      })

      it("says that a POST without a body has none", async () => {
        const backend = await serveText(plain("{}"))
        await ask(front.port, { method: "POST" })
        expect(backend.heard[0]?.headers.find(([key]) => key.toLowerCase() === "content-length")?.[1]).toBe("0")
      })

      it("carries a body of many chunks whole", async () => {
        const backend = await serveText(plain("{}"))
        const body = randomBytes(1_500_000)
        await ask(front.port, { method: "POST", body })
        expect(
          createHash("sha1")
            .update(backend.heard[0]?.body ?? "")
            .digest("hex")
        ).toBe(createHash("sha1").update(body).digest("hex"))
      })

      it("uses a kept connection again", async () => {
        const backend = await serveText(plain("{}"))
        for (let i = 0; i < 3; i++) await ask(front.port)
        expect(backend.heard.map(({ connection }) => connection)).toEqual([1, 1, 1])
      })
    })

    describe("the answer", () => {
      it("keeps repeated headers, their order and spelling, and its body", async () => {
        await serveText(plain('{"a":1}', "X-B: 1\r\nX-A: 2\r\nX-B: 3\r\n"))
        const answer = await ask(front.port)
        expect(answer?.headers.filter(([key]) => key === "x-a" || key === "x-b")).toEqual([
          ["x-b", "1"],
          ["x-a", "2"],
          ["x-b", "3"]
        ])
        expect(answer?.body.toString()).toBe('{"a":1}')
        expect(answer?.header("content-length")).toBe("7")
      })

      it("comes chunked when the backend chunks, with one Date at most", async () => {
        await serveText(
          `HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("one")}${chunk("two")}0\r\n\r\n`
        )
        const answer = await ask(front.port)
        expect(answer?.header("transfer-encoding")).toBe("chunked")
        expect(answer?.body.toString()).toBe("onetwo")
        expect(answer?.headers.filter(([key]) => key === "date")).toEqual([["date", "Thu, 01 Jan 1970 00:00:00 GMT"]])
      })

      it.each([
        ["a length", plain("{}", "X-Cafe: caf\xe9\r\n")],
        ["chunks", `${sse.slice(0, -2)}X-Cafe: caf\xe9\r\n\r\n${chunk("data: 1\n\n")}0\r\n\r\n`]
      ])("with %s keeps the bytes of its headers, and has a Date where the backend gave none", async (_, text) => {
        await serve((socket) => socket.write(text, "latin1"))
        const answer = await ask(front.port)
        expect(answer?.header("x-cafe")).toBe("caf\xe9")
        expect(Date.parse(answer?.header("date") ?? "")).not.toBeNaN()
      })

      it("that ends with its connection is whole, and chunked for the client", async () => {
        await serve((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nuntil the end"))
        const answer = await ask(front.port)
        expect(answer?.body.toString()).toBe("until the end")
        expect(answer?.complete).toBe(true)
      })

      it("without a length reaches an HTTP/1.0 client unframed", async () => {
        await serveText(`${sse}${chunk("data: 1\n\n")}0\r\n\r\n`)
        const answer = await ask(front.port, { version: "1.0" })
        expect(answer?.header("transfer-encoding")).toBeUndefined()
        expect(answer?.body.toString()).toBe("data: 1\n\n")
      })

      it.each([200, 201, 301, 307, 400, 401, 404, 429, 500, 503])("of status %i is relayed as it is", async (status) => {
        await serveText(`HTTP/1.1 ${status} X\r\nLocation: http://elsewhere/x\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno`)
        const answer = await ask(front.port, { method: "POST", body: "x" })
        expect([answer?.status, answer?.header("location"), answer?.header("retry-after"), answer?.body.toString()]).toEqual([
          status,
          "http://elsewhere/x",
          "7",
          "no"
        ])
      })

      it("to HEAD has headers and no body, and the connection goes on", async () => {
        await serve((socket, heard) => socket.write(heard.line.startsWith("HEAD") ? plain("{}").slice(0, -2) : plain("{}")))
        const answer = await ask(front.port, { method: "HEAD" })
        expect([answer?.status, answer?.header("content-length"), answer?.body.length]).toEqual([200, "2", 0])
        expect((await ask(front.port))?.body.toString()).toBe("{}")
      })

      it.each([204, 304])("of status %i has no body and does not wait for one", async (status) => {
        await serveText(`HTTP/1.1 ${status} X\r\nETag: "e"\r\n\r\n`)
        const answer = await ask(front.port)
        expect([answer?.status, answer?.header("etag"), answer?.body.length]).toEqual([status, '"e"', 0])
      })

      it("leaves interim answers and trailers behind", async () => {
        await serveText(
          `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("body")}0\r\nX-T: 1\r\n\r\n`
        )
        const answer = await ask(front.port)
        expect([answer?.status, answer?.header("link"), answer?.header("trailer"), answer?.body.toString(), answer?.complete]).toEqual([
          200,
          undefined,
          undefined,
          "body",
          true
        ])
      })

      it.each([
        ["switching protocols unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
        ["with a coding besides chunks", `HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${chunk("one")}0\r\n\r\n`]
      ])("%s is malformed", async (_, text) => {
        await serveText(text)
        const ended = front.carried()
        expect((await ask(front.port))?.status).toBe(502)
        expect(failureOf((await ended).exit)?.kind).toBe("malformed")
      })

      it.each([
        ["what is not HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
        ["a header block beyond 32 KiB", `HTTP/1.1 200 OK\r\nX-Big: ${"x".repeat(33 * 1024)}\r\n\r\n`],
        ["a status line that does not end", `HTTP/1.1 200 ${"x".repeat(200 * 1024)}`],
        ["headers that do not end", `HTTP/1.1 200 OK\r\n${"X-More: and more\r\n".repeat(10_000)}`],
        ["interim heads that do not end", `HTTP/1.1 103 Early\r\n${"X-More: and more\r\n".repeat(10_000)}`],
        ["a control character in a header", "HTTP/1.1 200 OK\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n"],
        ["two lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"]
      ])("with %s is malformed", async (_, text) => {
        await serveText(text)
        front.target = { ...front.target, timeouts: limits({ headers: 60_000 }) }
        const ended = front.carried()
        expect((await ask(front.port))?.status).toBe(502)
        expect(failureOf((await ended).exit)?.kind).toBe("malformed")
      })

      it("sends its head before any of its body, and each piece as it comes", async () => {
        let socket: net.Socket | undefined
        await serve((given) => {
          socket = given
          given.write(sse)
        })
        const seen: Array<string> = []
        const steps = ["data: 1\n\n", "data: 2\n\n"]
        const answer = await ask(front.port, {
          onBytes: (soFar) => {
            seen.push(soFar.toString())
            const next = steps.shift()
            setTimeout(() => socket?.write(next === undefined ? "0\r\n\r\n" : chunk(next)), 5)
          }
        })
        expect(answer?.complete).toBe(true)
        expect(seen[0]).toMatch(/\r\n\r\n$/)
        expect(seen[1]).toContain("data: 1")
        expect(seen[1]).not.toContain("data: 2")
      })

      it("arrives identical however its stream is split", async () => {
        const text = `data: {"delta":"é\u{1f600}"}\r\n\r\n: ping\n\ndata: [DONE]\n\n`
        const whole = Buffer.from(
          `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(text.slice(0, 20))}${chunk(text.slice(20))}0\r\n\r\n`
        )
        let cuts: ReadonlyArray<number> = []
        await serve(async (socket) => {
          let from = 0
          for (const cut of [...cuts, whole.length]) {
            socket.write(whole.subarray(from, cut))
            from = cut
            await new Promise(setImmediate)
          }
        })
        const check = async (at: ReadonlyArray<number>) => {
          cuts = at
          const answer = await ask(front.port)
          expect([answer?.complete, answer?.body.toString()]).toEqual([true, text])
        }
        for (let at = 1; at < whole.length; at++) await check([at])
        await fc.assert(
          fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 12 }), (at) =>
            check(at.sort((a, b) => a - b))
          ),
          { numRuns: 60 }
        )
      })

      it("of 3 MB arrives whole", async () => {
        const body = randomBytes(3_000_000)
        await serve((socket) => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
          socket.write(body)
        })
        const ended = front.carried()
        const answer = await ask(front.port)
        expect(answer?.body.equals(body)).toBe(true)
        expect((await ended).attempt.bytes).toBe(body.length)
      })
    })

    describe("the record", () => {
      it("has status, bytes and the times of its phases in order", async () => {
        await serveText(plain('{"usage":1}'))
        const ended = front.carried()
        await ask(front.port)
        const { attempt, exit } = await ended
        expect(Exit.isSuccess(exit)).toBe(true)
        expect([attempt.status, attempt.bytes]).toEqual([200, 11])
        const { sent, headers, firstByte, lastByte } = attempt.timings
        expect([sent > 0, headers >= sent, firstByte >= headers, lastByte >= firstByte]).toEqual([true, true, true, true])
      })

      it("keeps head, tail and type of the answer for usage figures, and only where somebody wants them", async () => {
        await serveText(plain('{"usage":1}'))
        let ended = front.carried()
        await ask(front.port)
        const { kept } = (await ended).exchange
        expect([kept.contentType, Buffer.concat(kept.tail).toString()]).toEqual(["application/json", '{"usage":1}'])
        ended = front.carried()
        const { exchange } = await (async () => {
          await ask(front.port)
          return ended
        })()
        expect(exchange.kept.tail.length).toBe(1)
      })

      it("keeps no more than the tail of a long answer", async () => {
        const body = "x".repeat(1_500_000)
        await serveText(plain(body))
        const ended = front.carried()
        await ask(front.port)
        const { kept } = (await ended).exchange
        const size = kept.tail.reduce((sum, part) => sum + part.length, 0)
        expect(size).toBeGreaterThanOrEqual(8192)
        expect(size).toBeLessThan(300_000)
      })
    })

    describe("a failure before the answer", () => {
      const kindFrom = async (): Promise<string | undefined> => {
        const ended = front.carried()
        await ask(front.port, { method: "POST", body: "{}" })
        return failureOf((await ended).exit)?.kind
      }

      it("is refused where nobody listens", async () => {
        const backend = await serveText("")
        await backend.stop()
        expect(await kindFrom()).toBe("refused")
      })

      it("is a name that does not resolve", async () => {
        // Too long for a name: refused by every system's resolver, whatever its network is like.
        front.target = { url: `http://${"x".repeat(64)}.invalid:80` }
        expect(await kindFrom()).toBe("dns")
      })

      it("is closed when a fresh connection ends without a byte, and nothing is repeated", async () => {
        const backend = await serve((socket) => socket.end())
        expect(await kindFrom()).toBe("closed")
        expect(backend.heard.length).toBe(1)
      })

      it("is reset when a fresh connection is", async () => {
        const backend = await serve((socket) => socket.resetAndDestroy())
        expect(await kindFrom()).toBe("reset")
        expect(backend.heard.length).toBe(1)
      })

      it("is the header limit that fired, within its time, and the backend is let go", async () => {
        const backend = await serve(() => {})
        front.target = { ...front.target, timeouts: limits({ headers: 300 }) }
        const gone = once(backend.events, "closed")
        const started = performance.now()
        const ended = front.carried()
        await ask(front.port)
        const failed = failureOf((await ended).exit)
        expect([failed?.kind, failed?.limitMs]).toEqual(["header_timeout", 300])
        expect(performance.now() - started).toBeLessThan(4_000)
        await gone
      })

      it("is named after the response limit where that is the shorter", async () => {
        await serve(() => {})
        front.target = { ...front.target, timeouts: limits({ response: performance.now() + 250 }) }
        expect(await kindFrom()).toBe("response_timeout")
      })

      it.each([
        ["the connect limit", { connect: 300 }, "connect_timeout"],
        ["the response limit, which does not wait for a connection,", { response: 300 }, "response_timeout"]
      ])("is %s where no connection comes about", async (_, own, kind) => {
        const silent = await unaccepting()
        try {
          const response = "response" in own ? performance.now() + own.response : 0
          front.target = { url: `http://127.0.0.1:${silent.port}`, timeouts: limits({ ...own, response }) }
          const started = performance.now()
          expect(await kindFrom()).toBe(kind)
          expect(performance.now() - started).toBeGreaterThanOrEqual(299)
          expect(performance.now() - started).toBeLessThan(4_000)
        } finally {
          await silent.stop()
        }
      })

      it("does not happen while the head is late but in time", async () => {
        await serve((socket) => setTimeout(() => socket.write(plain("{}")), 250))
        front.target = { ...front.target, timeouts: limits({ headers: 1_500 }) }
        expect((await ask(front.port))?.status).toBe(200)
      })

      it.each([
        ["for its head", ["", plain("{}")], "{}"],
        ["for its next bytes", [`${sse}${chunk("1")}`, `${chunk("2")}0\r\n\r\n`], "12"]
      ])("does not come from a loop that was held up, whatever was waited %s meanwhile", async (_, parts, body) => {
        const backend = await independentBackend(parts, 100)
        try {
          front.target = { url: `http://127.0.0.1:${backend.port}`, timeouts: limits({ headers: 300, idle: 300 }) }
          const asked = backend.asked()
          let begun = () => {}
          const relayed = new Promise<void>((resolve) => {
            begun = resolve
          })
          const answer = ask(front.port, { onBytes: () => begun() })
          await asked
          if (parts[0] !== "") await relayed
          holdUp(900)
          expect((await answer)?.body.toString()).toBe(body)
        } finally {
          await backend.stop()
        }
      })

      const dying = (how: string) =>
        serve((socket, heard, nth) => {
          if (nth === 1 || heard.connection > 1) socket.write(plain(`${nth}`))
          else if (how === "end") socket.end()
          else socket.resetAndDestroy()
        })

      it.each(["end", "reset"].flatMap((how) => ["GET", "OPTIONS"].map((method) => [method, how] as const)))(
        "of a %s on a kept connection that meets its %s is repeated once, silently",
        async (method, how) => {
          const backend = await dying(how)
          expect((await ask(front.port, { method }))?.status).toBe(200)
          const ended = front.carried()
          expect((await ask(front.port, { method }))?.status).toBe(200)
          expect(Exit.isSuccess((await ended).exit)).toBe(true)
          expect(backend.heard.map(({ connection }) => connection)).toEqual([1, 1, 2])
        }
      )

      it.each(["end", "reset"].flatMap((how) => ["POST", "PUT", "PATCH", "DELETE"].map((method) => [method, how] as const)))(
        "of a %s that the backend of a kept connection has read before its %s is told, and nothing is sent twice",
        async (method, how) => {
          const backend = await dying(how)
          // undici does not keep a connection that has carried a DELETE with a body.
          const body = method === "DELETE" ? "" : "a"
          expect((await ask(front.port, { method, body }))?.status).toBe(200)
          const ended = front.carried()
          expect((await ask(front.port, { method, body }))?.status).toBe(502)
          expect(failureOf((await ended).exit)?.kind).toBe(how === "end" ? "closed" : "reset")
          expect(backend.heard.map(({ connection }) => connection)).toEqual([1, 1])
        }
      )

      it.each(["destroy", "resetAndDestroy"] as const)(
        "does not come from a kept connection whose end (%s) waits to be read while a POST sets out: that goes out on a fresh one",
        async (how) => {
          const backend = await serve((socket, _, nth) => socket.write(plain(`${nth}`)))
          for (let nth = 1; nth <= 5; nth++) {
            const answer = ask(front.port, { method: "POST", body: "a", onBytes: () => {} })
            expect((await answer)?.body.toString()).toBe(`${nth}`)
            // Read by the front together with its next request.
            backend.sockets.at(-1)?.[how]()
          }
          expect(backend.heard.length).toBe(5)
        }
      )

      it("never has a POST arrive twice, whenever kept connections end", async () => {
        const backend = await serve((socket, _, nth) => {
          socket.write(plain(`${nth}`))
          setTimeout(() => socket[nth % 2 === 0 ? "destroy" : "resetAndDestroy"](), (nth % 7) / 3)
        })
        for (let i = 0; i < 200; i++) {
          await ask(front.port, { method: "POST", body: `request ${i}` })
          await pause((i % 5) / 3)
        }
        const arrived = backend.heard.map(({ body }) => body.toString())
        expect(new Set(arrived).size).toBe(arrived.length)
      })

      it("on the repetition is the end of it", async () => {
        const backend = await serve((socket, _, nth) => (nth === 1 ? socket.write(plain("ok")) : socket.resetAndDestroy()))
        await ask(front.port)
        const ended = front.carried()
        await ask(front.port)
        expect(failureOf((await ended).exit)?.kind).toBe("reset")
        expect(backend.heard.length).toBe(3)
      })

      it("does not come from a kept connection that had been closed while idle", async () => {
        const backend = await serveText(plain("ok", "Keep-Alive: timeout=1\r\n"))
        await ask(front.port)
        backend.sockets[0]?.destroy()
        await pause(30)
        expect((await ask(front.port))?.status).toBe(200)
        expect(backend.heard.length).toBe(2)
      })
    })

    describe("a backend behind TLS", () => {
      const pem = (file: string) => readFileSync(join(import.meta.dirname, "..", "endpoint", "tls", file), "utf8")
      const servers: Array<net.Server> = []
      afterEach(() => {
        for (const server of servers.splice(0)) server.close()
      })
      const trusting = { ca: pem("ca.pem"), cert: undefined, key: undefined, serverName: "backend.test", rejectUnauthorized: true }
      const listen = async (server: net.Server, own: FakeFields["tls"] = trusting, timeouts = limits({})) => {
        servers.push(server)
        server.listen(0, "127.0.0.1")
        await once(server, "listening")
        front.target = { url: `https://127.0.0.1:${(server.address() as net.AddressInfo).port}`, tls: own, timeouts }
      }
      const secure = (options: tls.TlsOptions, answer: (socket: tls.TLSSocket) => void) =>
        tls.createServer({ cert: pem("server.pem"), key: pem("server.key"), ...options }, (socket) => {
          socket.on("error", () => {})
          socket.on("data", (bytes) => {
            if (bytes.includes("\r\n\r\n")) answer(socket)
          })
        })
      const kindFrom = async () => {
        const ended = front.carried()
        await ask(front.port, { method: "POST", body: "{}" })
        return failureOf((await ended).exit)?.kind
      }

      it("with an authority of its own is spoken to on kept connections, and streams", async () => {
        let connections = 0
        const server = secure({}, (socket) => socket.write(`${sse}${chunk("data: 1\n\n")}0\r\n\r\n`))
        server.on("secureConnection", () => connections++)
        await listen(server)
        for (let i = 0; i < 3; i++) {
          const answer = await ask(front.port, { method: "POST", body: "{}" })
          expect([answer?.status, answer?.body.toString(), answer?.complete]).toEqual([200, "data: 1\n\n", true])
        }
        expect(connections).toBe(1)
      })

      it("that is not trusted, or is somebody else, is a failure of TLS", async () => {
        await listen(
          secure({}, (socket) => socket.write(plain("{}"))),
          { ...trusting, ca: undefined }
        )
        expect(await kindFrom()).toBe("tls")
        front.target = { ...front.target, tls: { ...trusting, serverName: "elsewhere.test" } }
        expect(await kindFrom()).toBe("tls")
        front.target = { ...front.target, tls: { ...trusting, ca: undefined, rejectUnauthorized: false } }
        expect((await ask(front.port))?.status).toBe(200)
      })

      it("that wants to know who asks is shown the certificate", async () => {
        const options = { requestCert: true, rejectUnauthorized: true, ca: pem("ca.pem") }
        await listen(
          secure(options, (socket) => socket.write(plain(String(socket.getPeerCertificate().subject.CN)))),
          { ...trusting, cert: pem("client.pem"), key: pem("client.key") }
        )
        expect((await ask(front.port))?.body.toString().length).toBeGreaterThan(2)
      })

      it("that does not shake hands runs into the limit for it, and one that hangs up has closed", async () => {
        await listen(
          net.createServer(() => {}),
          trusting,
          limits({ tls: 200 })
        )
        expect(await kindFrom()).toBe("tls_timeout")
        await listen(net.createServer((socket) => socket.destroy()))
        // Whatever of the handshake it had not read makes a reset of its end.
        expect(["closed", "reset"]).toContain(await kindFrom())
        await listen(net.createServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))))
        expect(await kindFrom()).toBe("tls")
      })

      it("that breaks off in the middle is cut for the client as well", async () => {
        await listen(
          secure({}, (socket) => {
            socket.write(`${sse}${chunk("partial")}`)
            setTimeout(() => socket.destroy(), 30)
          })
        )
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["partial", false])
        expect(failureOf((await ended).exit)?.kind).toBe("truncated")
      })
    })

    describe("a failure in the middle of the answer", () => {
      it.each([
        ["short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"],
        ["between chunks", `${sse}${chunk("partial")}`],
        ["inside a chunk", `${sse}10\r\npartial`]
      ])("%s delivers what came, then cuts the client's connection", async (_, text) => {
        await serve((socket) => socket.end(text))
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.status, answer?.complete]).toEqual([200, false])
        const { exit, attempt } = await ended
        expect([failureOf(exit)?.kind, attempt.status]).toEqual(["truncated", 200])
      })

      describe("that the client's connection delimits", () => {
        const part = randomBytes(900_000)
        const parrot: AnswerTranslator = {
          head: ({ status }) => ({ status, headers: [] }),
          push: (bytes) => ({ bytes: Buffer.from(bytes) }),
          end: () => undefined,
          fail: () => ({ bytes: Buffer.from("last words"), complete: false })
        }

        it.each([
          ["flows", {}, ""],
          ["is gathered", { flushes: () => false }, ""],
          ["is translated", { translator: parrot }, "last words"]
        ])("ends with a reset when all of it has been read, where it %s", async (_, target, words) => {
          await serve((socket) => {
            socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${part.length.toString(16)}\r\n`)
            socket.write(part)
            socket.end("\r\n")
          })
          front.target = { ...front.target, ...target }
          const ended = front.carried()
          const answer = await ask(front.port, { version: "1.0", slow: true })
          expect([answer?.body.equals(Buffer.concat([part, Buffer.from(words)])), answer?.reset]).toEqual([true, true])
          expect(failureOf((await ended).exit)?.kind).toBe("truncated")
        })

        it("ends without one when it is whole", async () => {
          await serveText(`${sse}${chunk("data: 1\n\n")}0\r\n\r\n`)
          const answer = await ask(front.port, { version: "1.0" })
          expect([answer?.body.toString(), answer?.reset]).toEqual(["data: 1\n\n", false])
        })
      })

      it("delivers whole pieces before a reset", async () => {
        await serve((socket) => {
          socket.write(`${sse}${chunk("data: 1\n\n")}`)
          // A reset overtakes what has not been read.
          setTimeout(() => void looked().then(() => socket.resetAndDestroy()), 50)
        })
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["data: 1\n\n", false])
      })

      it("delivers all of a large part that came just before the end", async () => {
        const part = randomBytes(300_000)
        await serve((socket) => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
          socket.end(part)
        })
        const answer = await ask(front.port)
        expect([answer?.body.length, answer?.complete]).toEqual([300_000, false])
      })

      it("by silence cuts after the idle limit, and lets the backend go", async () => {
        const backend = await serve((socket) => socket.write(`${sse}${chunk("data: 1\n\n")}`))
        front.target = { ...front.target, timeouts: limits({ idle: 300 }) }
        const gone = once(backend.events, "closed")
        const started = performance.now()
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["data: 1\n\n", false])
        const failed = failureOf((await ended).exit)
        expect([failed?.kind, failed?.limitMs]).toEqual(["idle_timeout", 300])
        expect(performance.now() - started).toBeLessThan(4_000)
        await gone
      })

      it("does not come from an answer that keeps sending", async () => {
        await serve(async (socket) => {
          socket.write(sse)
          for (let i = 0; i < 8; i++) {
            await pause(100)
            socket.write(chunk(`${i}`))
          }
          socket.write("0\r\n\r\n")
        })
        front.target = { ...front.target, timeouts: limits({ idle: 500, headers: 300 }) }
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["01234567", true])
      })
    })

    describe("the client", () => {
      it("that leaves before the answer stops the backend at once", async () => {
        const backend = await serve(() => {})
        const arrived = new Promise<void>((resolve) => {
          const timer = setInterval(() => {
            if (backend.heard.length === 0) return
            clearInterval(timer)
            resolve()
          }, 5)
        })
        const ended = front.carried()
        void ask(front.port, { onSocket: (socket) => void arrived.then(() => socket.destroy()) })
        await arrived
        const left = performance.now()
        await once(backend.events, "closed")
        expect(performance.now() - left).toBeLessThan(2_000)
        expect(Exit.hasInterrupts((await ended).exit)).toBe(true)
      })

      it("that leaves in the middle stops the backend at once, and what it got is on record", async () => {
        const backend = await serve((socket) => {
          socket.write(`${sse}${chunk("0123456789")}`)
        })
        const ended = front.carried()
        let left = 0
        let mine: net.Socket | undefined
        void ask(front.port, {
          onSocket: (socket) => {
            mine = socket
          },
          onBytes: (soFar) => {
            if (!soFar.includes("0123456789") || left > 0) return
            left = performance.now()
            mine?.destroy()
          }
        })
        await once(backend.events, "closed")
        expect(performance.now() - left).toBeLessThan(2_000)
        const { exit, attempt } = await ended
        expect([Exit.hasInterrupts(exit), attempt.bytes]).toEqual([true, 10])
      })

      it("that reads slowly pauses the backend, and loses nothing", async () => {
        const total = 24 * 1024 * 1024
        let sent = 0
        await serve((socket) => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
          const more = () => {
            while (sent < total) {
              sent += 65536
              if (!socket.write(Buffer.alloc(65536, sent / 65536))) {
                socket.once("drain", more)
                return
              }
            }
          }
          more()
        })
        front.target = { ...front.target, timeouts: limits({ idle: 800 }) }
        let mine: net.Socket | undefined
        let got = 0
        const done = ask(front.port, {
          onSocket: (socket) => {
            mine = socket
            socket.pause()
            socket.on("data", (bytes) => {
              got += bytes.length
              if (got > total) socket.destroy()
            })
            socket.pause()
          }
        })
        await pause(1_300)
        expect(sent).toBeLessThan(total)
        mine?.resume()
        await done
        expect(got).toBeGreaterThan(total)
      })
    })

    describe("an answer that is gathered", () => {
      const gather = { flushes: () => false }

      it("of unknown length that is short gets a length and comes at once at its end", async () => {
        await serveText(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("a")}${chunk("b")}0\r\n\r\n`)
        front.target = { ...front.target, ...gather }
        const answer = await ask(front.port)
        expect([answer?.header("content-length"), answer?.header("transfer-encoding"), answer?.body.toString()]).toEqual([
          "2",
          undefined,
          "ab"
        ])
      })

      it("waits for its first two kilobytes", async () => {
        let socket: net.Socket | undefined
        await serve((given) => {
          socket = given
          given.write(`${sse}${chunk("x".repeat(1000))}`)
        })
        front.target = { ...front.target, ...gather }
        let got = 0
        const done = ask(front.port, {
          onBytes: (soFar) => {
            got = soFar.length
          }
        })
        while (socket === undefined) await pause(5)
        expect(got).toBe(0)
        socket?.write(chunk("y".repeat(1500)))
        while (got < 2500) await pause(5)
        socket?.write(`${chunk("z")}0\r\n\r\n`)
        const answer = await done
        expect([answer?.body.length, answer?.complete]).toEqual([2501, true])
      })

      it("does not wait longer than a moment of silence for more", async () => {
        let socket: net.Socket | undefined
        await serve((given) => {
          socket = given
          given.write(`${sse}${chunk("one")}`)
        })
        front.target = { ...front.target, ...gather }
        // The next piece is made when the last one has arrived.
        const pieces = ["two", "three"]
        const answer = await ask(front.port, {
          onBytes: (soFar) => {
            if (!soFar.toString().endsWith(`${pieces.length === 2 ? "one" : pieces.length === 1 ? "two" : "three"}\r\n`)) return
            const next = pieces.shift()
            socket?.write(next === undefined ? "0\r\n\r\n" : chunk(next))
          }
        })
        expect([answer?.body.toString(), answer?.complete]).toEqual(["onetwothree", true])
      })

      it("that breaks off delivers what was gathered, then cuts", async () => {
        await serve((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"))
        front.target = { ...front.target, ...gather }
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["partial", false])
      })
    })

    describe("a translated answer", () => {
      const upper = (over: Partial<AnswerTranslator> = {}): AnswerTranslator => ({
        head: (head) => ({ status: head.status, headers: ["Content-Type", "text/plain"] }),
        push: (bytes) => ({ bytes: Buffer.from(bytes.toString().toUpperCase()) }),
        end: () => ({ bytes: Buffer.from("!") }),
        fail: () => ({ bytes: Buffer.from("?"), complete: false }),
        ...over
      })

      it("is the translator's words, without the backend's frames", async () => {
        await serveText(`${sse}${chunk("one ")}${chunk("two")}0\r\n\r\n`)
        front.target = { ...front.target, translator: upper() }
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete, answer?.header("content-type")]).toEqual(["ONE TWO!", true, "text/plain"])
        expect([Exit.isSuccess((await ended).exit), (await ended).attempt.bytes]).toEqual([true, 8])
      })

      it("may hold its head back, and choose it by the body", async () => {
        await serveText(plain("bad"))
        front.target = {
          ...front.target,
          translator: upper({
            head: () => undefined,
            push: () => undefined,
            end: () => ({ head: { status: 418, headers: ["Content-Length", "2"] }, bytes: Buffer.from("no"), done: true })
          })
        }
        const answer = await ask(front.port)
        expect([answer?.status, answer?.body.toString()]).toEqual([418, "no"])
      })

      it("says its last words when the backend breaks off, then cuts", async () => {
        await serve((socket) => {
          socket.write(`${sse}${chunk("one")}`)
          setTimeout(() => socket.destroy(), 30)
        })
        front.target = { ...front.target, translator: upper() }
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["ONE?", false])
        expect(failureOf((await ended).exit)?.kind).toBe("truncated")
      })

      it("that ends itself drops the rest of the backend's", async () => {
        const backend = await serve((socket) => {
          socket.write(`${sse}${chunk("one")}`)
        })
        front.target = { ...front.target, translator: upper({ push: () => ({ bytes: Buffer.from("enough"), done: true }) }) }
        const gone = once(backend.events, "closed")
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["enough", true])
        await gone
      })

      it("ends well behind last words that say what happened, and the failure is the attempt's all the same", async () => {
        await serve((socket) => {
          socket.write(`${sse}${chunk("one")}`)
          setTimeout(() => socket.destroy(), 30)
        })
        front.target = { ...front.target, translator: upper({ fail: () => ({ bytes: Buffer.from("error!"), complete: true }) }) }
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["ONEerror!", true])
        expect(failureOf((await ended).exit)?.kind).toBe("truncated")
      })

      it("that finds the answer no good says so and ends, and its fault is the attempt's failure", async () => {
        await serveText(`${sse}${chunk("one")}0\r\n\r\n`)
        front.target = {
          ...front.target,
          translator: upper({ push: () => ({ bytes: Buffer.from("so far"), done: true, fault: failure("untranslatable", "no end") }) })
        }
        const ended = front.carried()
        const answer = await ask(front.port)
        expect([answer?.body.toString(), answer?.complete]).toEqual(["so far", true])
        expect(failureOf((await ended).exit)?.detail).toBe("no end")
      })

      it("may ask the same endpoint again in other words", async () => {
        await serveText(plain("{}"))
        const again = { target: "/v1/x", body: [], headers: [], answer: undefined } as const
        front.target = { ...front.target, translator: upper({ head: () => undefined, push: () => ({ again }), end: () => ({ again }) }) }
        const ended = front.carried()
        let mine: net.Socket | undefined
        void ask(front.port, {
          onSocket: (socket) => {
            mine = socket
          }
        })
        const { exit } = await ended
        mine?.destroy()
        expect(Exit.isSuccess(exit) ? exit.value : undefined).toBe(again)
      })

      it("whose translator throws ends this exchange only", async () => {
        await serveText(plain("{}"))
        front.target = {
          ...front.target,
          translator: upper({
            head: () => undefined,
            push: () => {
              throw new Error("a bug")
            }
          })
        }
        const ended = front.carried()
        expect((await ask(front.port))?.status).toBe(502)
        expect(failureOf((await ended).exit)?.kind).toBe("internal")
        front.target = { url: front.target.url ?? "" }
        expect((await ask(front.port))?.status).toBe(200)
      })
    })
  })
}

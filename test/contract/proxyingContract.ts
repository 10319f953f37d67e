/** What a client and a backend see of a proxied request: headers, failover, limits and streams, from outside, for both engines and both clients of `olla`. */
import { once } from "node:events"
import { request } from "node:http"
import net from "node:net"
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { ask, type Answer as RawAnswer } from "../proxy/rig.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { ModelServer, sse } from "./modelServer.ts"

const version = /^Olla\/v\S+$/
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

interface Endpoints {
  readonly endpoints: ReadonlyArray<{ readonly name: string; readonly status: string }>
  readonly routable_count: number
}

export const proxyingContract = (label: string, engine: "olla" | "sherpa", env: Record<string, string> = {}): void => {
  describe(label, () => {
    let a: ModelServer
    let b: ModelServer
    let daemon: Daemon
    const started = () =>
      startDaemon(
        `proxy:
  engine: ${engine}
  response_header_timeout: 1500ms
  read_timeout: 1s
  sticky_sessions: {enabled: true, key_sources: [session_header, prefix_hash]}
# What one test breaks must not be left out in the next, and errors are to arrive.
traffic: {ejection: {failures: 0}, failover: {statuses: []}}
model_aliases:
  both: [backend-name-a, backend-name-b]
discovery:
  static:
    endpoints:
      - {url: "${a.url}", name: a, type: openai-compatible, check_interval: 1s, check_timeout: 900ms, headers: {X-Backend-Only: inner}, auth: {type: bearer, token: inner-token}}
      - {url: "${b.url}", name: b, type: openai-compatible, check_interval: 1s, check_timeout: 900ms}
`,
        { env, server: "  request_limits: {max_body_size: 1MB}\n" }
      )

    beforeAll(async () => {
      a = await new ModelServer(["m", "only-a", "backend-name-a"]).start()
      b = await new ModelServer(["m", "backend-name-b"]).start()
      daemon = await started()
    })
    afterAll(async () => {
      await daemon?.stop()
      await Promise.all([a?.stop(), b?.stop()])
    })

    const status = async () => (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as Endpoints
    const health = async () => Object.fromEntries((await status()).endpoints.map((each) => [each.name, each.status]))
    beforeEach(async () => {
      await a.start()
      await b.start()
      a.reset()
      b.reset()
      await eventually(status, ({ routable_count }) => routable_count === 2)
    })

    const asked = () => [...a.asked, ...b.asked]
    const only = () => asked()[0] as (typeof a.asked)[0]
    const post = (body: unknown, headers: Record<string, string> = {}, path = "/olla/proxy/v1/chat/completions") =>
      fetch(`${daemon.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body)
      })
    const raw = (path: string, options: Parameters<typeof ask>[1] = {}) => ask(daemon.port, { ...options, path })
    const named = (answer: RawAnswer | undefined, name: string) =>
      (answer?.headers ?? []).filter(([key]) => key === name).map(([, value]) => value)

    describe("the request", () => {
      it("reaches the backend with the headers of the page, and no others", async () => {
        await raw("/olla/proxy/v1/chat/completions?format=json&stream=true", {
          method: "POST",
          body: '{"model":"ONLY-A"}',
          headers: [
            "User-Agent: a-client",
            "Authorization: Bearer outer",
            "Cookie: a=b",
            "X-Api-Key: outer",
            "X-Auth-Token: outer",
            "Proxy-Authorization: outer",
            "Proxy-Connection: keep-alive",
            "Connection: X-Hop, keep-alive",
            "Keep-Alive: timeout=5",
            "X-Hop: mine",
            "TE: trailers",
            "Trailer: X-T",
            "Accept-Encoding: br",
            "Set-Cookie: odd",
            "Anthropic-Version: 1",
            "X-Olla-Thing: kept",
            "X-Request-ID: my-id",
            "X-Real-IP: 9.9.9.9",
            "X-Forwarded-For: 8.8.8.8",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: elsewhere",
            "Via: 1.0 before",
            "X-Backend-Only: outer",
            "X-Multi: 1",
            "X-Multi: 2"
          ]
        })
        const request = only()
        expect(a.asked.length).toBe(1)
        expect(request.url).toBe("/v1/chat/completions?format=json&stream=true")
        const headers = request.headers.map(([name, value]) => `${name.toLowerCase()}: ${value}`)
        const proxied = headers.find((each) => each.startsWith("x-proxied-by: "))
        const olla = proxied?.slice("x-proxied-by: Olla/".length)
        expect(proxied).toMatch(/^x-proxied-by: Olla\/v\S+$/)
        const framing = headers.filter((each) => !each.startsWith("connection:"))
        expect(framing.sort()).toEqual(
          [
            `host: ${a.url.slice(7)}`,
            "user-agent: a-client",
            "accept-encoding: br",
            "set-cookie: odd",
            "anthropic-version: 1",
            "x-olla-thing: kept",
            "x-request-id: my-id",
            "x-real-ip: 127.0.0.1",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-host: front",
            `via: 1.0 before, 1.1 olla/${olla}`,
            "x-backend-only: inner",
            "authorization: Bearer inner-token",
            "x-multi: 1",
            "x-multi: 2",
            "x-model: only-a",
            "content-length: 18",
            `x-proxied-by: Olla/${olla}`
          ].sort()
        )
      })

      it("carries an id of Olla's own making where the client brings none", async () => {
        const answer = await raw("/olla/proxy/x")
        expect(only().header("x-request-id")).toBe(answer?.header("x-olla-request-id"))
        expect(answer?.header("x-olla-request-id")).toMatch(/^[a-z]+-[a-z]+-[0-9a-f]{8}$/)
      })

      it.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])("of method %s arrives as it was sent", async (method) => {
        for (const body of ["", '{"a":1}', "<xml/>", "plain", "\x00\x01\xfe\xff"]) {
          a.reset()
          b.reset()
          const answer = await raw("/olla/proxy/any/thing", { method, body: Buffer.from(body, "latin1") })
          expect(answer?.status).toBe(200)
          expect([only().method, only().body.toString("latin1")]).toEqual([method, body])
        }
      })

      it("arrives whole when it came in chunks, with its length", async () => {
        const asking = request({ port: daemon.port, path: "/olla/proxy/x", method: "POST" })
        asking.write("one ")
        await pause(20)
        asking.write("two")
        asking.end()
        const [answer] = await once(asking, "response")
        answer.resume()
        expect([only().body.toString(), only().header("content-length"), only().header("transfer-encoding")]).toEqual([
          "one two",
          "7",
          undefined
        ])
      })

      it("keeps its path byte for byte, cleaned only where a segment is empty or dots", async () => {
        for (const [path, wanted] of [
          ["/olla/proxy/api/caf%C3%A9", "/api/caf%C3%A9"],
          ["/olla/proxy/models/org%2Fmodel", "/models/org%2Fmodel"],
          ["/olla/proxy//v1//chat/completions", "/v1/chat/completions"],
          ["/olla/proxy/v1/a/", "/v1/a/"],
          ["/olla/proxy/v1/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd"],
          ["/olla/proxy/v1/x?a=%20b&c=/../", "/v1/x?a=%20b&c=/../"],
          ["/olla/proxy/", "/"]
        ] as const) {
          a.reset()
          b.reset()
          await raw(path, { method: "POST", body: "{}" })
          expect([path, only().url]).toEqual([path, wanted])
        }
      })

      it("may carry a header of 8 KiB", async () => {
        const value = "v".repeat(8192)
        await raw("/olla/proxy/x", { headers: [`X-Large: ${value}`] })
        expect(only().header("x-large")).toBe(value)
      })

      it("is refused when its header block is beyond the limit", async () => {
        const answer = await raw("/olla/proxy/x", { headers: [`X-Large: ${"v".repeat(1_100_000)}`] })
        expect([answer?.status, asked().length]).toEqual([431, 0])
      })

      it("names each backend's own model, and nothing else of its body changes, also after a failover", async () => {
        const body = (model: string) =>
          ` {"messages":[{"role":"user","content":"\\"model\\": \\u0022both\\u0022"}],\n "n": 1.0e0, "model" :  "${model}","x":{"model":"both"}}`
        // Whoever is asked first resets, on a kept connection and on a fresh one; the other answers.
        let failing: ModelServer | undefined
        for (const each of [a, b])
          each.answer = (res) => {
            failing ??= each
            if (failing === each) res.socket?.resetAndDestroy()
            else res.end("{}")
          }
        const first = await post(body("both"))
        expect(first.status).toBe(200)
        expect([first.headers.get("x-olla-model"), first.headers.get("x-olla-routing-strategy")]).toEqual(["both", "alias"])
        expect(a.asked.at(-1)?.body.toString()).toBe(body("backend-name-a"))
        expect(b.asked.at(-1)?.body.toString()).toBe(body("backend-name-b"))
        expect(a.asked.at(-1)?.header("x-model")).toBe("both")
      })
    })

    describe("the answer", () => {
      it("has our headers once, in one piece with its first byte, and the backend's that may pass", async () => {
        a.answer = (res) => {
          res.writeHead(201, [
            ...["Content-Type", "text/event-stream", "X-Olla-Endpoint", "fake", "X-Olla-Unknown", "fake", "Set-Cookie", "a=b"],
            ...["Authorization", "Bearer inner-token", "X-Api-Key", "k", "X-Auth-Token", "t", "X-Backend-Only", "inner"],
            ...["X-Served-By", "somebody", "Via", "1.1 uv", "Via", "1.0 nginx", "Keep-Alive", "timeout=9", "Trailer", "X-T"],
            ...["Connection", "X-Named, keep-alive", "X-Named", "1", "X-Multi", "1", "X-Multi", "2", "ETag", '"e"', "Server", "uvicorn"],
            ...["Retry-After", "3", "Location", "http://elsewhere/", "Access-Control-Allow-Origin", "*", "X-RateLimit-Limit", "9"],
            ...["X-RateLimit-Limit-Tokens", "5", "Proxy-Authenticate", "Basic"]
          ])
          res.flushHeaders()
          setTimeout(() => res.end("data: 1\n\n"), 100)
        }
        let headed = ""
        const answer = await raw("/olla/proxy/v1/chat/completions", {
          method: "POST",
          body: '{"model":"only-a","messages":[{"role":"user","content":"Hi"}]}',
          onBytes: (soFar) => {
            if (headed === "") headed = soFar.toString("latin1")
          }
        })
        expect(headed).toContain("data: 1")
        expect(answer?.status).toBe(201)
        const one = (name: string) => named(answer, name)
        expect(one("x-served-by").length === 1 && version.test(one("x-served-by")[0] as string)).toBe(true)
        expect(one("via")).toEqual([expect.stringMatching(/^1\.1 uv, 1\.0 nginx, 1\.1 olla\/v\S+$/)])
        expect(one("x-olla-endpoint")).toEqual(["a"])
        expect(one("x-olla-backend-type")).toEqual(["openai-compatible"])
        expect(one("x-olla-model")).toEqual(["only-a"])
        expect(one("x-olla-response-time")).toEqual([expect.stringMatching(/^\d+ms$/)])
        expect(one("x-olla-request-id").length).toBe(1)
        expect(one("x-olla-routing-decision")).toEqual(["routed"])
        expect(one("x-olla-sticky-session")).toEqual(["miss"])
        expect(one("x-olla-sticky-key-source")).toEqual(["prefix_hash"])
        expect(one("x-multi")).toEqual(["1", "2"])
        expect([one("etag"), one("server"), one("retry-after"), one("location")]).toEqual([
          ['"e"'],
          ["uvicorn"],
          ["3"],
          ["http://elsewhere/"]
        ])
        expect([one("x-ratelimit-limit-tokens"), one("access-control-allow-origin")]).toEqual([["5"], ["*"]])
        for (const gone of [
          ...["x-olla-unknown", "set-cookie", "authorization", "x-api-key", "x-auth-token", "x-backend-only", "trailer", "x-named"],
          ...["proxy-authenticate", "x-olla-session-id"]
        ])
          expect([gone, one(gone)]).toEqual([gone, []])
        expect(one("x-ratelimit-limit")).not.toContain("9")
        expect(one("keep-alive")).not.toContain("timeout=9")
      })

      it.each([301, 400, 401, 404, 429, 500, 503])("of status %i arrives unchanged, and the endpoint stays in rotation", async (code) => {
        for (const each of [a, b])
          each.answer = (res) => {
            res.writeHead(code, { "content-type": "text/weird", location: "/x" })
            res.end(`because ${code}`)
          }
        const answer = await raw("/olla/proxy/x", { method: "POST", body: "{}" })
        // A 404 that no server of models wrote is about the path: the other endpoint might serve it.
        expect([answer?.status, answer?.body.toString(), asked().length]).toEqual([code, `because ${code}`, code === 404 ? 2 : 1])
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })

      it("to HEAD, and of 204 and 304, waits for no body, and the connection goes on", async () => {
        for (const each of [a, b])
          each.answer = (res, { method, url }) => {
            if (method === "HEAD") res.writeHead(200, { "content-length": 12 }).end()
            else res.writeHead(Number(url.slice(1)), { etag: "e" }).end()
          }
        const socket = net.connect(daemon.port, "127.0.0.1")
        let got = ""
        socket.on("data", (bytes) => {
          got += bytes.toString("latin1")
        })
        socket.write("HEAD /olla/proxy/x HTTP/1.1\r\nHost: f\r\n\r\n")
        await eventually(
          () => got,
          (text) => text.includes("\r\n\r\n")
        )
        socket.write("GET /olla/proxy/204 HTTP/1.1\r\nHost: f\r\n\r\nGET /olla/proxy/304 HTTP/1.1\r\nHost: f\r\n\r\n")
        await eventually(
          () => got,
          (text) => text.split("\r\n\r\n").length === 4
        )
        expect([...got.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code)).toEqual(["200", "204", "304"])
        expect(got.toLowerCase()).toContain("content-length: 12")
        expect(got.endsWith("\r\n\r\n")).toBe(true)
        socket.destroy()
      })

      it("leaves trailers and interim answers behind", async () => {
        for (const each of [a, b])
          each.answer = (res) => {
            res.writeProcessing()
            res.writeEarlyHints({ link: "</style.css>; rel=preload" })
            res.writeHead(200, { trailer: "X-T", "content-type": "text/plain" })
            res.addTrailers({ "X-T": "1" })
            res.end("body")
          }
        const answer = await raw("/olla/proxy/x")
        expect([answer?.status, answer?.body.toString(), answer?.complete, named(answer, "x-t"), named(answer, "trailer")]).toEqual([
          200,
          "body",
          true,
          [],
          []
        ])
      })

      it("streams each event as it comes", async () => {
        a.answer = (res) => {
          sse(res)
          let n = 0
          const timer = setInterval(() => {
            if (n === 8) {
              clearInterval(timer)
              res.end()
            } else res.write(`data: ${n++}\n\n`)
          }, 5)
        }
        let pieces = 0
        const answer = await raw("/olla/proxy/v1/chat/completions", {
          method: "POST",
          body: '{"model":"only-a","stream":true}',
          onBytes: () => pieces++
        })
        expect(answer?.body.toString()).toBe(Array.from({ length: 8 }, (_, n) => `data: ${n}\n\n`).join(""))
        expect(pieces).toBeGreaterThanOrEqual(6)
      })

      it("of a binary type comes in larger pieces, unless the request wants a stream", async () => {
        a.answer = (res) => {
          res.writeHead(200, { "content-type": "image/png" })
          let n = 0
          const timer = setInterval(() => {
            if (n++ < 6) res.write("x".repeat(100))
            else {
              clearInterval(timer)
              res.end()
            }
          }, 5)
        }
        const pieces = async (body: string) => {
          let count = 0
          const answer = await raw("/olla/proxy/v1/images", { method: "POST", body, onBytes: () => count++ })
          expect(answer?.body.length).toBe(600)
          return [count, answer?.header("content-length")] as const
        }
        expect(await pieces('{"model":"only-a"}')).toEqual([1, "600"])
        const [flushed, length] = await pieces('{"model":"only-a","stream":true}')
        expect([flushed > 3, length]).toEqual([true, undefined])
      })
    })

    describe("failover", () => {
      it("hides a backend that died: every request is answered, and it is offline at once", async () => {
        await a.stop()
        const answers = await Promise.all(Array.from({ length: 20 }, () => post({ x: 1 })))
        expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
        expect(await health()).toMatchObject({ a: "offline", b: "healthy" })
      })

      it("ends in a refusal that names no address when all are gone", async () => {
        await Promise.all([a.stop(), b.stop()])
        const answer = await post({ x: 1 })
        const text = await answer.text()
        expect([answer.status, answer.headers.get("content-type"), answer.headers.get("x-content-type-options")]).toEqual([
          502,
          "text/plain; charset=utf-8",
          "nosniff"
        ])
        expect(text).toMatch(/^Proxy error: all endpoints failed with connection errors: connection refused .*\n$/)
        expect(text).not.toMatch(/127\.0\.0\.1|localhost|:\d{4}/)
        expect([answer.headers.get("x-olla-endpoint"), answer.headers.get("x-olla-response-time")]).toEqual([
          expect.stringMatching(/^[ab]$/),
          null
        ])
        expect(await health()).toEqual({ a: "offline", b: "offline" })
        const next = await post({ x: 1 })
        expect(next.status).toBe(503)
      })

      it("does not happen after the first byte: the client sees the break, and nobody else is asked", async () => {
        for (const method of ["GET", "POST"]) {
          a.reset()
          b.reset()
          for (const each of [a, b])
            each.answer = (res) => {
              sse(res)
              res.write("data: partial\n\n")
              setTimeout(() => res.socket?.destroy(), 20)
            }
          const answer = await raw("/olla/proxy/x", { method })
          expect([answer?.status, answer?.body.toString(), answer?.complete, asked().length]).toEqual([200, "data: partial\n\n", false, 1])
        }
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })

      it("gives up on a backend that never answers, with 504 in time, without asking anybody else", async () => {
        for (const each of [a, b]) each.answer = () => {}
        const started = performance.now()
        const slow = post({ x: 1 }, { accept: "application/json" })
        await pause(200)
        expect((await fetch(`${daemon.url}/internal/health`)).status).toBe(200)
        const answer = await slow
        const waited = performance.now() - started
        expect([answer.status, asked().length]).toEqual([504, 1])
        expect(waited).toBeGreaterThan(1_490)
        expect(waited).toBeLessThan(5_000)
        const { error } = (await answer.json()) as { readonly error: Record<string, unknown> }
        expect(error).toEqual({ message: expect.stringContaining("timeout"), type: expect.any(String), code: null })
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })

      it("waits for one that is slow but in time", async () => {
        for (const each of [a, b]) each.answer = (res) => void setTimeout(() => res.end("late"), 500)
        expect(await (await post({ x: 1 })).text()).toBe("late")
      })

      it("cuts an answer that falls silent, and keeps what came", async () => {
        for (const each of [a, b])
          each.answer = (res) => {
            sse(res)
            res.write("data: 1\n\n")
          }
        const started = performance.now()
        const answer = await raw("/olla/proxy/x", { method: "POST", body: "{}" })
        expect([answer?.body.toString(), answer?.complete]).toEqual(["data: 1\n\n", false])
        expect(performance.now() - started).toBeGreaterThan(990)
        expect(performance.now() - started).toBeLessThan(4_000)
        await eventually(
          () => only().goneAt,
          (at) => at > 0
        )
      })

      it("never shows a kept connection that the backend closed: 30 posts at its idle limit", async () => {
        for (const each of [a, b]) each.server.keepAliveTimeout = 0
        for (const each of [a, b])
          each.answer = (res) => {
            // No announcement: the close comes as a surprise.
            res.shouldKeepAlive = true
            res.setHeader("connection", "keep-alive")
            const { socket } = res
            res.end("{}")
            setTimeout(() => socket?.destroy(), 20)
          }
        const statuses: Array<number> = []
        for (let i = 0; i < 30; i++) {
          statuses.push((await post({ i })).status)
          await pause(18 + (i % 5))
        }
        expect(statuses).toEqual(Array(30).fill(200))
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })
    })

    describe("a client", () => {
      it("that leaves in the middle stops the backend, and every lease returns", async () => {
        for (const each of [a, b])
          each.answer = (res) => {
            sse(res)
            const timer = setInterval(() => res.write("data: x\n\n"), 5)
            res.on("close", () => clearInterval(timer))
          }
        const leaving = Array.from({ length: 10 }, () => new AbortController())
        await Promise.all(
          leaving.map(async (each) => {
            const answer = await fetch(`${daemon.url}/olla/proxy/x`, { method: "POST", body: "{}", signal: each.signal })
            await answer.body?.getReader().read()
          })
        )
        const left = performance.now()
        for (const each of leaving) each.abort()
        await eventually(
          () => asked().filter(({ goneAt }) => goneAt > 0).length,
          (gone) => gone === 10
        )
        expect(Math.max(...asked().map(({ goneAt }) => goneAt)) - left).toBeLessThan(4_000)
        const active = await eventually(
          async () =>
            (await (await fetch(`${daemon.url}/internal/status`)).json()) as { readonly system: { readonly active_connections: number } },
          ({ system }) => system.active_connections === 0
        )
        expect(active.system.active_connections).toBe(0)
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })

      it.each([
        ["at the last word of a stream has had everything", ["data: {}\n\n", "data: [DONE]\n\n"], "Request completed"],
        ["before it has not", ["data: {}\n\n", "data: [DONE\n\n"], "Request cancelled"]
      ])("that leaves %s, though its backend does not end", async (_, [first = "", last = ""], told) => {
        for (const each of [a, b])
          each.answer = (res) => {
            sse(res)
            res.write(first)
            setImmediate(() => res.write(last))
          }
        const leaving = new AbortController()
        const answer = await fetch(`${daemon.url}/olla/proxy/x`, { method: "POST", body: "{}", signal: leaving.signal })
        const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
        for (let got = ""; !got.endsWith(last); ) got += (await reader?.read())?.value ?? ""
        leaving.abort()
        const id = answer.headers.get("x-olla-request-id") ?? "none"
        const record = await eventually(
          () =>
            daemon
              .output()
              .split("\n")
              .find((line) => line.includes(id) && /"msg":"Request (?:completed|cancelled)"/.test(line)),
          (line) => line !== undefined
        )
        expect(JSON.parse(record ?? "{}")).toMatchObject({ msg: told })
      })

      it("that closes its side has left: a close and a half-close look the same until something is written", async () => {
        for (const each of [a, b]) each.answer = () => {}
        const socket = net.connect({ port: daemon.port, host: "127.0.0.1", allowHalfOpen: true })
        socket.write("POST /olla/proxy/x HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\n\r\n{}")
        await eventually(
          () => asked().length,
          (count) => count === 1
        )
        const left = performance.now()
        socket.end()
        await eventually(
          () => only().goneAt,
          (at) => at > 0
        )
        expect(only().goneAt - left).toBeLessThan(4_000)
        socket.destroy()
      })

      it("that sends byte by byte is understood", async () => {
        const socket = net.connect({ port: daemon.port, host: "127.0.0.1", noDelay: true })
        let got = ""
        socket.on("data", (bytes) => {
          got += bytes.toString()
        })
        for (const byte of 'POST /olla/proxy/x HTTP/1.1\r\nHost: f\r\nContent-Length: 18\r\n\r\n{"model":"only-a"}') {
          socket.write(byte)
          await new Promise((resolve) => setImmediate(resolve))
        }
        await eventually(
          () => got,
          (text) => text.includes('{"ok":true}')
        )
        socket.destroy()
        expect(a.asked[0]?.body.toString()).toBe('{"model":"only-a"}')
      })

      it("that pipelines gets its answers in order, each its own", async () => {
        for (const each of [a, b])
          each.answer = (res, { url }) =>
            void setTimeout(
              () => {
                sse(res)
                res.end(`answer ${url}`)
              },
              url === "/1" ? 80 : 5
            )
        const socket = net.connect(daemon.port, "127.0.0.1")
        let got = ""
        socket.on("data", (bytes) => {
          got += bytes.toString()
        })
        socket.write([1, 2, 3].map((n) => `GET /olla/proxy/${n} HTTP/1.1\r\nHost: f\r\n\r\n`).join(""))
        await eventually(
          () => [...got.matchAll(/answer \/(\d)/g)].map(([, n]) => n),
          (seen) => seen.length === 3
        )
        socket.destroy()
        expect([...got.matchAll(/answer \/(\d)/g)].map(([, n]) => n)).toEqual(["1", "2", "3"])
        expect(got.match(/HTTP\/1\.1 200/g)?.length).toBe(3)
      })

      it("of HTTP/1.0 gets an answer that ends with its connection", async () => {
        for (const each of [a, b])
          each.answer = (res) => {
            sse(res)
            res.write("data: 1\n\n")
            res.end("data: 2\n\n")
          }
        const answer = await raw("/olla/proxy/x", { version: "1.0" })
        expect([answer?.status, answer?.header("transfer-encoding"), answer?.body.toString()]).toEqual([
          200,
          undefined,
          "data: 1\n\ndata: 2\n\n"
        ])
      })

      it("that asks for an upgrade gets the backend's plain answer", async () => {
        const answer = await raw("/olla/proxy/ws", {
          headers: ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==", "Sec-WebSocket-Version: 13"]
        })
        expect([answer?.status, only().method, only().header("upgrade")]).toEqual([200, "GET", undefined])
        expect(only().header("connection") ?? "keep-alive").toBe("keep-alive")
      })

      it("that wants a tunnel is refused", async () => {
        const socket = net.connect(daemon.port, "127.0.0.1")
        socket.on("error", () => {})
        socket.write("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        socket.resume()
        await once(socket, "close")
        expect(asked()).toEqual([])
        expect((await fetch(`${daemon.url}/internal/health`)).status).toBe(200)
      })

      it("that waits for leave to send gets it", async () => {
        const asking = request({
          port: daemon.port,
          path: "/olla/proxy/x",
          method: "POST",
          headers: { expect: "100-continue", "content-length": 2 }
        })
        asking.flushHeaders()
        await once(asking, "continue")
        asking.end("{}")
        const [answer] = await once(asking, "response")
        answer.resume()
        expect([answer.statusCode, only().header("expect"), only().body.toString()]).toEqual([200, undefined, "{}"])
      })

      it("that sends too much is told so, with a length or in chunks", async () => {
        const known = await raw("/olla/proxy/x", { method: "POST", body: Buffer.alloc(1_100_000) })
        expect([known?.status, known?.body.toString().trim()]).toEqual([413, expect.stringMatching(/^Request body too large: /)])
        const asking = request({ port: daemon.port, path: "/olla/proxy/x", method: "POST" })
        asking.on("error", () => {})
        const answered = once(asking, "response")
        for (let i = 0; i < 20; i++) asking.write(Buffer.alloc(100_000))
        const [answer] = await answered
        answer.resume()
        expect([answer.statusCode, answer.headers.connection, asked().length]).toEqual([413, "close", 0])
        asking.destroy()
      })

      it("that breaks off its upload touches no endpoint", async () => {
        const socket = net.connect(daemon.port, "127.0.0.1")
        socket.write("POST /olla/proxy/x HTTP/1.1\r\nHost: f\r\nContent-Length: 1000\r\n\r\n{")
        await pause(30)
        socket.destroy()
        await pause(50)
        expect(asked()).toEqual([])
        expect(await health()).toEqual({ a: "healthy", b: "healthy" })
      })

      it("may send what is no JSON, or nothing", async () => {
        for (const body of ["{", "", "null", "[1]", '{"model":5}', "\xff"]) expect((await post(body)).status).toBe(200)
      })

      it("gets an id for each of fifty", async () => {
        const ids = await Promise.all(Array.from({ length: 50 }, async () => (await post({})).headers.get("x-olla-request-id")))
        expect(new Set(ids).size).toBe(50)
      })
    })

    describe("balancing", () => {
      it("shares idle backends evenly", async () => {
        for (let i = 0; i < 40; i++) await (await post({ i })).text()
        expect([a.asked.length, b.asked.length]).toEqual([20, 20])
      })

      it("shares slow requests evenly", async () => {
        const waiting: Array<() => void> = []
        for (const each of [a, b])
          each.answer = (res) => {
            waiting.push(() => res.end("{}"))
            if (waiting.length === 20) for (const answer of waiting) answer()
          }
        await Promise.all(Array.from({ length: 20 }, (_, i) => post({ i })))
        expect([a.asked.length, b.asked.length]).toEqual([10, 10])
      })
    })

    describe("sticky sessions", () => {
      const said = (answer: Response) =>
        ["x-olla-sticky-session", "x-olla-sticky-key-source", "x-olla-session-id", "x-olla-endpoint"].map((name) =>
          answer.headers.get(name)
        )

      it("go by the session's header, and echo it", async () => {
        const id = `s-${Math.random()}`
        const [outcome, source, echo, first] = said(await post({ model: "m" }, { "x-olla-session-id": id }))
        expect([outcome, source, echo]).toEqual(["miss", "session_header", id])
        for (let i = 0; i < 3; i++)
          expect(said(await post({ model: "m" }, { "x-olla-session-id": id }))).toEqual(["hit", "session_header", id, first])
        expect(said(await post({ model: "m" }, { "x-olla-session-id": `${id}x` }))[0]).toBe("miss")
        expect(said(await post({ model: "only-a" }, { "x-olla-session-id": id }))[0]).toBe("miss")
        const pinned = first === "a" ? a : b
        await pinned.stop()
        const moved = await post({ model: "m" }, { "x-olla-session-id": id })
        expect(moved.status).toBe(200)
        expect(said(moved)[0]).toMatch(/^(repin|miss)$/)
        expect(said(await post({ model: "m" }, { "x-olla-session-id": id }))[0]).toBe("hit")
      })

      it("go by the conversation's beginning, and say nothing of a session", async () => {
        const first = { role: "user", content: `Hi ${Math.random()}` }
        const one = said(await post({ model: "m", messages: [{ role: "system", content: "s" }, first] }))
        expect(one.slice(0, 3)).toEqual(["miss", "prefix_hash", null])
        const later = [{ role: "system", content: "s" }, first, { role: "assistant", content: "Yes" }, { role: "user", content: "And?" }]
        expect(said(await post({ model: "m", messages: later }))).toEqual(["hit", "prefix_hash", null, one[3]])
      })

      it("are disabled without a key", async () => {
        expect(said(await post({ model: "m" })).slice(0, 3)).toEqual(["disabled", null, null])
      })

      it("count", async () => {
        const stats = (await (await fetch(`${daemon.url}/internal/stats/sticky`)).json()) as Record<string, unknown>
        expect(Object.keys(stats).sort()).toEqual(
          ["active_sessions", "enabled", "evictions", "hits", "idle_ttl_seconds", "insertions", "max_sessions", "misses"].sort()
        )
      })
    })

    it.runIf(engine === "olla")("has a breaker that hides a backend which hangs, after five", async () => {
      const shared = daemon
      // One of its own: for half a minute, nothing goes to that backend.
      daemon = await started()
      onTestFinished(async () => {
        const own = daemon
        daemon = shared
        await own.stop()
      })
      await eventually(status, ({ routable_count }) => routable_count === 2)
      a.answer = () => {}
      // Each gets half of them, as long as neither answers.
      const waiting: Array<() => void> = []
      b.answer = (res) => void waiting.push(() => res.end("{}"))
      const asking = Promise.all(Array.from({ length: 10 }, (_, i) => post({ i })))
      await eventually(
        () => asked().length,
        (count) => count === 10
      )
      b.answer = (res) => res.end("{}")
      for (const answer of waiting) answer()
      const first = await asking
      expect(first.filter(({ status }) => status === 504).length).toBe(5)
      // Nobody waits for it any more: whoever did would get 504.
      const later = await Promise.all(Array.from({ length: 10 }, (_, i) => post({ i })))
      expect(later.map(({ status, headers }) => [status, headers.get("x-olla-endpoint")])).toEqual(Array(10).fill([200, "b"]))
      const { endpoints } = (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as {
        readonly endpoints: ReadonlyArray<{ readonly name: string; readonly status: string; readonly circuit_breaker?: string }>
      }
      expect(endpoints.find(({ name }) => name === "a")).toMatchObject({ status: "healthy", circuit_breaker: "open" })
    })

    it(`is what the daemon says that it is (${label})`, async () => {
      const { proxy } = (await (await fetch(`${daemon.url}/internal/status`)).json()) as { readonly proxy: { readonly engine: string } }
      expect(proxy.engine).toBe(engine)
    })
  })
}

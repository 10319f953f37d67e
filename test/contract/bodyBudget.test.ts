/** Memory for the bodies of all clients is one budget: who is beyond it hears so in his dialect, and every end gives back what it took. */
import { connect, type Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Answer, ask, chat } from "./ask.ts"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

const budget = 900_000
const chatPath = "/olla/proxy/v1/chat/completions"
const json = { "content-type": "application/json" }
const padded = (size: number): string => JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(size) }] })

const server = new ModelServer(["m"])
const dying = new ModelServer(["f"])
const standIn = new ModelServer(["f"])

const figure = async (daemon: Daemon, name: string): Promise<number> => {
  const { text } = await ask(daemon.port, { path: "/internal/metrics" })
  return Number(new RegExp(`^olla_${name} (\\S+)$`, "m").exec(text)?.[1])
}
const held = (daemon: Daemon) => figure(daemon, "request_bodies_bytes")
const emptied = (daemon: Daemon) =>
  eventually(
    () => held(daemon),
    (bytes) => bytes === 0
  )

const send = (daemon: Daemon, path: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(daemon.port, { method: "POST", path, headers: { ...json, ...headers }, body })

describe.each([
  ["olla", {}],
  ["sherpa", { OLLA_PROXY_ENGINE: "sherpa" }],
  ["undici", { OLLA_ENGINE_CLIENT: "undici" }]
] as const)("the budget of bodies with %s", (_name, env) => {
  let daemon: Daemon
  const open: Array<Socket> = []

  /** Declares so many bytes and sends the beginning of them. */
  const declare = async (length: number): Promise<Socket> => {
    const before = await held(daemon)
    const socket = connect(daemon.port, "127.0.0.1")
    socket.on("error", () => {})
    open.push(socket)
    socket.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n{"model":`)
    await eventually(
      () => held(daemon),
      (bytes) => bytes === before + length
    )
    return socket
  }

  beforeAll(async () => {
    await Promise.all([server.start(), dying.start(), standIn.start()])
    const entry = (name: string, to: ModelServer, more = "") =>
      `      - {name: ${name}, type: vllm, url: "${to.url}", ${rareChecks}${more}}\n`
    daemon = await startDaemon(
      `proxy: {load_balancer: priority}\ndiscovery:\n  static:\n    endpoints:\n${entry("one", server)}${entry("dying", dying, ", priority: 200")}${entry("standin", standIn)}`,
      { env, server: `  request_limits: {max_buffered: ${budget}, max_body_size: 600KB}\n` }
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([server.stop(), dying.stop(), standIn.stop()])
  })
  beforeEach(() => server.reset())
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy()
    await emptied(daemon)
  })

  it("refuses beyond it with 503, Retry-After and the key, in the words of the route, and is free again when others leave", async () => {
    await declare(500_000)
    await declare(390_000)
    const refusedBefore = await figure(daemon, "request_bodies_refused_total")
    const plain = await send(daemon, chatPath, padded(20_000), { accept: "application/json" })
    expect([plain.status, plain.header("retry-after"), plain.header("x-olla-limit")]).toEqual([
      503,
      "1",
      "server.request_limits.max_buffered"
    ])
    expect(plain.json().error.code).toBe("bodies_full")
    expect(plain.json().error.message).toContain("900000 bytes (server.request_limits.max_buffered, OLLA_SERVER_MAX_BUFFERED)")
    const anthropic = await send(daemon, "/olla/anthropic/v1/messages", padded(20_000))
    expect([anthropic.status, anthropic.json().type, anthropic.header("retry-after")]).toEqual([503, "error", "1"])
    const chunked = await send(daemon, chatPath, padded(20_000), { "transfer-encoding": "chunked" })
    expect(chunked.status).toBe(503)
    const packed = await send(daemon, chatPath, gzipSync(padded(500_000)), { "content-encoding": "gzip" })
    expect(packed.status).toBe(503)
    expect((await figure(daemon, "request_bodies_refused_total")) - refusedBefore).toBe(4)
    expect(daemon.output()).toContain("memory for request bodies is full")
    // What is short is served as long as there is room for it.
    expect((await send(daemon, chatPath, chat("m"))).status).toBe(200)
    for (const socket of open.splice(0)) socket.destroy()
    await emptied(daemon)
    expect((await send(daemon, chatPath, padded(500_000))).status).toBe(200)
  })

  it("is given back as soon as a backend that has the whole body answers", async () => {
    let end = (): void => {}
    server.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.write("data: {}\n\n")
      end = () => res.end("data: [DONE]\n\n")
    }
    const answer = send(daemon, chatPath, padded(300_000))
    await eventually(
      () => server.asked.length,
      (asked) => asked === 1
    )
    await emptied(daemon)
    end()
    expect((await answer).status).toBe(200)
  })

  it("counts a body in translation three times, to its end", async () => {
    let end = (): void => {}
    server.answer = (res) => {
      end = () => {
        res.writeHead(200, { "content-type": "application/json" })
        res.end(JSON.stringify({ choices: [{ message: { role: "assistant", content: "hi" }, finish_reason: "stop" }] }))
      }
    }
    const body = JSON.stringify({ model: "m", max_tokens: 5, messages: [{ role: "user", content: "x".repeat(100_000) }] })
    const answer = send(daemon, "/olla/anthropic/v1/messages", body)
    await eventually(
      () => server.asked.length,
      (asked) => asked === 1
    )
    expect(await held(daemon)).toBe(3 * body.length)
    end()
    expect((await answer).status).toBe(200)
    await emptied(daemon)
  })

  it("is empty after refusals, failover, cancelled uploads and cancelled answers", async () => {
    expect((await send(daemon, chatPath, padded(700_000))).status).toBe(413)
    expect((await send(daemon, chatPath, gzipSync(padded(700_000)), { "content-encoding": "gzip" })).text).toContain(
      "Request body too large once it is unpacked: the limit is 614400 bytes (server.request_limits.max_body_size, OLLA_SERVER_MAX_BODY_SIZE)"
    )
    expect((await send(daemon, chatPath, "no gzip at all", { "content-encoding": "gzip" })).status).toBe(400)
    expect((await send(daemon, chatPath, padded(100).replace('"m"', '"nobody"'))).status).toBe(404)
    expect((await send(daemon, "/olla/anthropic/v1/messages", "{}")).status).toBe(400)
    // Of messages no more than a third of the budget is taken.
    const long = await send(daemon, "/olla/anthropic/v1/messages", padded(310_000))
    expect([long.status, long.header("x-olla-limit")]).toEqual([413, "server.request_limits.max_buffered"])
    await emptied(daemon)
    dying.answer = (_res, _asked, req) => req.socket.destroy()
    expect((await send(daemon, chatPath, padded(200_000).replace('"m"', '"f"'))).status).toBe(200)
    await emptied(daemon)
    ;(await declare(100_000)).destroy()
    await emptied(daemon)
    server.answer = () => {}
    const left = connect(daemon.port, "127.0.0.1")
    left.on("error", () => {})
    const body = padded(50_000)
    left.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await eventually(
      () => server.asked.length,
      (asked) => asked === 1
    )
    expect(await held(daemon)).toBe(body.length)
    left.destroy()
    await emptied(daemon)
  })
})

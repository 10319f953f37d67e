/** What this node still has inside, and that a node without it is served the usual way. */
import { EventEmitter, once } from "node:events"
import { createServer, IncomingMessage, request, ServerResponse } from "node:http"
import net, { type AddressInfo, Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { afterEach, describe, expect, it } from "vitest"
import { closeNotifyOf, flushHead, getterOf, keepHalfOpen, setConsumed, storeHead, unsentOf } from "../../src/proxy/NodeInternals.ts"

const servers: Array<net.Server> = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** What a client gets of a response that `answer` gives. */
const answered = async (answer: (res: ServerResponse) => void, onHead = () => {}) => {
  const server = createServer((_, res) => answer(res)).listen(0, "127.0.0.1")
  servers.push(server)
  await once(server, "listening")
  const asked = request({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", agent: false }).end()
  const [got] = (await once(asked, "response")) as [IncomingMessage]
  onHead()
  let body = ""
  for await (const part of got) body += part
  return { status: got.statusCode, headers: got.headers, body }
}

describe("this node still has", () => {
  it("what writes a head as it is", async () => {
    const got = await answered((res) => {
      expect(storeHead(res, "HTTP/1.1 418 Short\r\nX-One: 1\r\n", ["Content-Length", "2"])).toBe(true)
      res.end("ok")
    })
    expect([got.status, got.headers["x-one"], got.headers["content-length"], got.body]).toEqual([418, "1", "2", "ok"])
  })

  it("what sends a head alone, byte for byte", async () => {
    expect(Reflect.has(ServerResponse.prototype, "_send")).toBe(true)
    let end = () => {}
    const got = await answered(
      (res) => {
        res.writeHead(200, { "X-Cafe": "caf\xe9" })
        flushHead(res)
        end = () => res.end("ok")
      },
      () => end()
    )
    expect([got.headers["x-cafe"], got.body]).toEqual(["caf\xe9", "ok"])
  })

  it("what says how much of a write the system has not taken", async () => {
    const server = net.createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1")
    servers.push(server)
    await once(server, "listening")
    const socket = net.connect((server.address() as AddressInfo).port, "127.0.0.1")
    await once(socket, "connect")
    const size = 32_000_000
    socket.write(Buffer.alloc(size))
    expect(unsentOf(socket)).toBeGreaterThan(0)
    expect(unsentOf(socket)).toBeLessThan(size)
    socket.destroy()
  })

  it("the choice to leave a client's half-close to us", () => {
    const server = createServer()
    expect(Reflect.get(server, "httpAllowHalfOpen")).toBe(false)
    keepHalfOpen(server)
    expect(Reflect.get(server, "httpAllowHalfOpen")).toBe(true)
  })

  it("the flag that keeps a body from being read away, and the getters that are wrapped", () => {
    expect(Reflect.has(new IncomingMessage(new Socket()), "_consuming")).toBe(true)
    for (const name of ["readableEnded", "headers"]) {
      const get = getterOf<IncomingMessage, unknown>(IncomingMessage.prototype, name)
      expect(get.call(new IncomingMessage(new Socket()))).toBeDefined()
    }
  })
})

describe("a node without it", () => {
  it("writes heads the usual way", () => {
    expect(storeHead({} as ServerResponse, "", [])).toBe(false)
    expect(storeHead({ _storeHeader: () => {}, _expect_continue: true } as unknown as ServerResponse, "", [])).toBe(false)
    let flushed = 0
    flushHead({ flushHeaders: () => flushed++ } as unknown as ServerResponse)
    expect(flushed).toBe(1)
  })

  it("counts what the stream has not handed on, and takes every end for a good one", () => {
    expect(unsentOf({ writableLength: 7 } as Socket)).toBe(7)
    const socket = Object.assign(new EventEmitter(), { push: () => true }) as unknown as TLSSocket
    const notified = closeNotifyOf(socket)
    socket.push(null)
    expect(notified()).toBe(true)
  })

  it("has no getter to wrap, and a flag that nobody looks at", () => {
    expect(getterOf({}, "headers").call({})).toBeUndefined()
    const request = {}
    setConsumed(request, true)
    expect(request).toEqual({ _consuming: true })
  })
})

/**
 * A client that ends its sending half while it is owed an answer. To a server that is what a client looks like that closes its
 * connection, so nginx, Go's server and node's let go of what they do for it; Olla stops the backend, however much the client has not read.
 */
import { once } from "node:events"
import net from "node:net"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Exchange } from "../../../src/exchange/Exchange.ts"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { chunk, type RawBackend, rawBackend, sse } from "../../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "../serving.ts"

const soon = () => new Promise((resolve) => setImmediate(resolve))
/** Fails like the test that waits in vain, and does not go on beside the next one. */
const until = async (holds: () => boolean) => {
  const began = performance.now()
  while (!holds()) {
    if (performance.now() - began > 4_000) throw new Error("waited for in vain")
    await soon()
  }
}

const message = '{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
const words = chunk(`data: {"choices":[{"index":0,"delta":{"content":"${"a".repeat(16_000)}"}}]}\n\n`)
const surfaces = [
  { what: "plain, in chunks", path: "/olla/proxy/v1/chat/completions", head: sse },
  {
    what: "plain, with its length",
    path: "/olla/proxy/v1/chat/completions",
    head: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
  },
  { what: "translated", path: "/olla/anthropic/v1/messages", head: sse }
]

describe.each(["olla", "undici", "sherpa"] as const)("a client of the %s engine that ends its sending half", (engine) => {
  let rooms: Rooms
  let listening: Listening
  let backend: RawBackend
  let say: (socket: net.Socket) => void
  const clients: Array<net.Socket> = []
  let later = () => {}

  beforeAll(async () => {
    backend = await rawBackend((socket) => say(socket))
    const fleet = new ListedFleet()
    // Of a kind that is asked in another dialect than the client's.
    fleet.with("one", "openai-compatible", ["m"], { url: `http://127.0.0.1:${backend.port}` })
    rooms = await openRooms(fleet, engine, "")
    listening = await listen(rooms, [
      {
        handle: (_services, context, path) => {
          if (path !== "/later" && path !== "/large") return false
          if (path === "/large") context.answer(200, "text/plain", Buffer.alloc(16 * 1024 * 1024, "x"))
          else later = () => context.answer(200, "text/plain", "here it is")
          return true
        }
      }
    ])
  })
  afterEach(() => {
    for (const socket of [...clients.splice(0), ...backend.sockets.splice(0)]) socket.destroy()
    rooms.reset()
  })
  afterAll(async () => {
    await listening.stop(0)
    await backend.stop()
    await rooms.close()
  })

  const connect = (text: string): net.Socket => {
    const socket = net.connect({ port: listening.port, host: "127.0.0.1", allowHalfOpen: true })
    socket.on("error", () => {})
    socket.write(text)
    clients.push(socket)
    return socket
  }
  const post = (path: string, version = "1.1") =>
    `POST ${path} HTTP/${version}\r\nHost: front\r\nContent-Type: application/json\r\nContent-Length: ${message.length}\r\n\r\n${message}`
  const endOf = async (): Promise<Exchange> => {
    await until(() => rooms.ended.length > 0)
    expect(rooms.ended.length).toBe(1)
    return rooms.ended[0] as Exchange
  }

  it.each(surfaces)("has left, although it reads nothing of the megabytes that wait for it ($what)", async ({ path, head }) => {
    let isHeldBack = false
    say = (socket) => {
      const more = () => {
        while (socket.writable && socket.writableLength < 4 * 1024 * 1024) socket.write(words)
        isHeldBack = true
      }
      socket.write(head)
      socket.on("drain", more)
      more()
    }
    const socket = connect(post(path))
    socket.pause()
    await until(() => isHeldBack)
    // Until nothing moves: what waits now waits for the client.
    const passed = () => backend.sockets.reduce((sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength, 0)
    let [seen, still] = [-1, 0]
    await until(() => {
      still = passed() === seen ? still + 1 : 0
      seen = passed()
      return still > 200
    })
    const left = new Promise((resolve) => backend.sockets.at(-1)?.once("close", resolve))
    socket.end()
    const { outcome, timings } = await endOf()
    expect(outcome).toEqual({ _tag: "cancelled", status: 200, committed: true })
    expect(timings.ended).toBeGreaterThan(0)
    await left
  })

  it("before its answer has begun has left too", async () => {
    say = () => socket.end()
    const socket = connect(post("/olla/proxy/v1/chat/completions"))
    socket.resume()
    const [hadError] = await once(socket, "close")
    expect([hadError, socket.bytesRead]).toEqual([false, 0])
    expect((await endOf()).outcome).toEqual({ _tag: "cancelled", status: 499, committed: false })
  })

  it("in HTTP/1.0 has a broken stream end by a reset, for a plain end would be its good end", async () => {
    say = (socket) => socket.write(sse + words)
    const socket = connect(post("/olla/proxy/v1/chat/completions", "1.0"))
    const broken = once(socket, "error").catch((error: Error) => [error])
    await once(socket, "data")
    socket.resume()
    socket.end()
    expect(await broken).toMatchObject([{ code: "ECONNRESET" }])
    expect((await endOf()).outcome).toMatchObject({ _tag: "cancelled", committed: true })
  })

  describe.runIf(engine === "olla")("still gets", () => {
    const all = async (socket: net.Socket) => {
      let said = ""
      socket.on("data", (bytes: Buffer) => {
        said += bytes.toString("latin1")
      })
      await once(socket, "close")
      return said
    }

    it.each(["1.0", "1.1"])("what Olla answers by itself, however late (HTTP/%s)", async (version) => {
      const socket = connect(`GET /later HTTP/${version}\r\nHost: front\r\n\r\n`)
      socket.end()
      const read = all(socket)
      await once(socket, "finish")
      for (let turn = 0; turn < 20; turn++) await soon()
      later()
      expect(await read).toMatch(/^HTTP\/1\.1 200 [\s\S]*here it is$/)
    })

    it("an answer whose end it has not read yet", async () => {
      const socket = connect("GET /large HTTP/1.1\r\nHost: front\r\n\r\n")
      socket.pause()
      await once(socket, "readable")
      socket.end()
      await once(socket, "finish")
      for (let turn = 0; turn < 20; turn++) await soon()
      expect((await all(socket)).length).toBeGreaterThan(16 * 1024 * 1024)
    })
  })
})

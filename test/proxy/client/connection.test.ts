/** How connections are opened, kept, given up and timed, against both clients. */
import net from "node:net"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ownTransport } from "../../../src/proxy/client/OwnTransport.ts"
import type { Transport } from "../../../src/proxy/client/Transport.ts"
import { undiciTransport } from "../../../src/proxy/client/UndiciTransport.ts"
import { looked } from "../rig.ts"
import { ask, chunkedHead, frame, plain, Recorder, ScriptedBackend, send, until } from "./conversation.ts"

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe.each([
  ["the own client", ownTransport],
  ["undici", undiciTransport]
])("connections of %s", (name, make) => {
  const own = name === "the own client"
  let backend: ScriptedBackend
  let transport: Transport

  beforeEach(async () => {
    backend = new ScriptedBackend()
    transport = make()
    await backend.start()
  })
  afterEach(async () => {
    transport.close()
    await backend.stop()
  })
  const told = (options: Parameters<typeof ask>[2] = {}) => ask(transport, backend.port, options)
  const gone = (nth: number) => {
    const socket = backend.sockets[nth - 1]
    return socket === undefined || socket.destroyed || socket.readableEnded
  }

  describe("a request", () => {
    it.runIf(own)("never goes out with a path that would be more than a path", () => {
      for (const path of ["/a\r\nX: y", "/a b", "/a\0", ""])
        expect(() => send(transport, backend.port, { path })).toThrow("a path with blanks")
      expect(backend.sockets).toEqual([])
    })

    it("goes out as it was given", async () => {
      backend.says(plain("hello"))
      const answer = await told({ body: [Buffer.from("one "), Buffer.from("two")] })
      expect(answer.bytes.toString()).toBe("hello")
      const lines = backend.asked[0]?.head.split("\r\n") ?? []
      expect(lines[0]).toBe("POST /v1/chat?x=1 HTTP/1.1")
      expect(lines).toContain("X-One: 1")
      expect(lines.filter((line) => /^content-length: 7$/i.test(line))).toHaveLength(1)
      expect(lines.some((line) => /^transfer-encoding/i.test(line))).toBe(false)
      expect(backend.asked[0]?.body.toString()).toBe("one two")
    })

    it("says that it has no body", async () => {
      backend.says(plain("hello"))
      await told()
      expect(backend.asked[0]?.head).toMatch(/content-length: 0/i)
    })

    it("with a long body arrives whole, in the order of its chunks", async () => {
      backend.says(plain("hello"))
      const body = Array.from({ length: 64 }, (_, i) => Buffer.alloc(65_536, i))
      await told({ body })
      expect(backend.asked[0]?.body.equals(Buffer.concat(body))).toBe(true)
    })

    it("with bytes beyond ASCII arrives as it was, short or long", async () => {
      backend.says(plain("hello"))
      for (const size of [1, 400]) {
        const body = [Buffer.from("grüße € \u{1f999} ".repeat(size))]
        await told({ body })
        expect(backend.asked.at(-1)?.body.equals(body[0] as Buffer)).toBe(true)
      }
    })

    it.runIf(own)("is read to the end of its answer although the backend refuses the rest of it", async () => {
      backend.accept = (socket) => {
        // Says its word after the head, reads nothing more, closes: the system resets the connection.
        socket.once("data", () => {
          socket.pause()
          socket.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo long")
          setTimeout(() => void looked().then(() => socket.destroy()), 20)
        })
        return true
      }
      const answer = await told({ body: Array.from({ length: 128 }, () => Buffer.alloc(65_536)) })
      expect([answer.failure, answer.head?.status, answer.bytes.toString()]).toEqual([undefined, 413, "too long"])
    })

    it("answered before it is through does not leave its rest to the next one", async () => {
      backend.accept = (socket, nth) => {
        if (nth > 1) return false
        socket.once("data", () => {
          socket.pause()
          socket.write(plain("early"))
        })
        return true
      }
      backend.says(plain("hello"))
      const big = Array.from({ length: 256 }, () => Buffer.alloc(65_536))
      expect((await told({ body: big })).bytes.toString()).toBe("early")
      expect((await told()).bytes.toString()).toBe("hello")
      expect(backend.sockets.length).toBe(2)
    })
  })

  describe("a connection", () => {
    it("is used again and again", async () => {
      backend.says(plain("hello"))
      for (let i = 0; i < 5; i++) {
        await told()
        await settled()
      }
      expect([backend.sockets.length, backend.asked.length]).toEqual([1, 5])
    })

    it("is used again after chunks", async () => {
      backend.says(`${chunkedHead}${frame("hello")}0\r\n\r\n`)
      for (let i = 0; i < 3; i++) {
        await told()
        await settled()
      }
      expect(backend.sockets.length).toBe(1)
    })

    it("is one for each request that is under way, without a limit", async () => {
      const waiting: Array<net.Socket> = []
      backend.answer = (socket) => waiting.push(socket)
      const all = Array.from({ length: 120 }, () => told())
      await until(() => waiting.length === 120)
      for (const socket of waiting) socket.write(plain("hello"))
      const answers = await Promise.all(all)
      expect(answers.every((answer) => answer.bytes.toString() === "hello")).toBe(true)
      // Of those that are idle now, 25 are kept.
      await until(() => backend.sockets.filter((socket) => !socket.readableEnded).length === 25)
    })

    it.each(["Connection: close\r\n", "Keep-Alive: timeout=1\r\n"])("is not used again after %j", async (header) => {
      backend.says(plain("hello", header))
      await told()
      await told()
      expect(backend.sockets.length).toBe(2)
    })

    it("that the backend closed meanwhile is replaced", async () => {
      backend.says(plain("hello"))
      await told()
      backend.sockets[0]?.end()
      await until(() => gone(1))
      await settled()
      expect((await told()).bytes.toString()).toBe("hello")
      expect(backend.sockets.length).toBe(2)
    })

    it.each([["closed"], ["reset"]])("that had been used and is %s without a word is stale, once", async (how) => {
      backend.answer = (socket, asked, nth) => {
        if (nth === 1 || asked.connection > 1) socket.write(plain("hello"))
        else if (how === "reset") socket.resetAndDestroy()
        else socket.end()
      }
      const ask = { method: "GET" }
      await told(ask)
      await settled()
      const answer = await told(ask)
      expect([answer.failure?.kind, answer.stale]).toEqual([how, true])
      expect((await told({ ...ask, fresh: true })).bytes.toString()).toBe("hello")
      await settled()
      // What may have been served is not sent again.
      const generation = await told({ method: "POST" })
      expect([generation.failure, generation.stale]).toEqual([undefined, false])
    })

    it("that is new and is closed without a word is not stale", async () => {
      backend.answer = (socket) => socket.end()
      const answer = await told()
      expect([answer.failure?.kind, answer.stale]).toEqual(["closed", false])
    })

    it("is a new one when a fresh one is asked for", async () => {
      backend.says(plain("hello"))
      await told()
      await settled()
      await told({ fresh: true })
      expect(backend.sockets.length).toBe(2)
    })
  })

  describe("no connection", () => {
    it("because nobody listens is refused", async () => {
      const port = backend.port
      await backend.stop()
      expect((await ask(transport, port)).failure?.kind).toBe("refused")
      await backend.start()
    })

    it("because the name means nothing is a matter of names", async () => {
      expect((await told({ hostname: `${"x".repeat(64)}.invalid` })).failure?.kind).toBe("dns")
    })
  })

  it("a host by its name or its IPv6 address is found", async () => {
    backend.says(plain("hello"))
    expect((await told({ hostname: "localhost" })).bytes.toString()).toBe("hello")
    const six = net.createServer((socket) => socket.once("data", () => socket.end(plain("hello"))).on("error", () => {}))
    const listens = await new Promise<boolean>((resolve) => six.on("error", () => resolve(false)).listen(0, "::1", () => resolve(true)))
    if (!listens) return
    const { port } = six.address() as net.AddressInfo
    expect((await ask(transport, port, { hostname: "::1" })).bytes.toString()).toBe("hello")
    six.close()
  })

  describe("time limits", () => {
    it("end the wait for an answer's head", async () => {
      const answer = await told({ deadlines: { headers: 50 } })
      expect([answer.failure?.kind, answer.failure?.limitMs, answer.stale]).toEqual(["header_timeout", 50, false])
      await until(() => gone(1))
    })

    it("name the limit that they stand for", async () => {
      expect((await told({ deadlines: { response: performance.now() + 50 } })).failure?.kind).toBe("response_timeout")
    })

    it.runIf(own)("are not put off by a head that comes in drops", async () => {
      backend.answer = (socket) => {
        const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write("X")), 20)
        socket.write("HTTP/1.1 200 OK\r\nX-A: ")
      }
      expect((await told({ deadlines: { headers: 300 } })).failure?.kind).toBe("header_timeout")
    })

    it("end a silence in the middle of an answer, and what came is delivered", async () => {
      backend.says(`${chunkedHead}${frame("hello")}`)
      const answer = await told({ deadlines: { idle: 50 } })
      expect([answer.failure?.kind, answer.failure?.limitMs, answer.bytes.toString()]).toEqual(["idle_timeout", 50, "hello"])
    })

    it("do not end an answer that keeps coming", async () => {
      backend.answer = (socket) => {
        let left = 12
        socket.write(chunkedHead)
        const timer = setInterval(() => {
          socket.write(left-- > 0 ? frame("x") : "0\r\n\r\n")
          if (left < 0) clearInterval(timer)
        }, 60)
      }
      const answer = await told({ deadlines: { idle: 500, headers: 100 } })
      expect([answer.failure, answer.payload]).toEqual([undefined, 12])
    })

    it("do not run while the client is the one who is waited for", async () => {
      backend.answer = (socket) => {
        socket.write(`${chunkedHead}${frame("hello")}`)
        setTimeout(() => socket.write("0\r\n\r\n"), 500)
      }
      const relay = new Recorder()
      relay.goOn = () => false
      const { sent } = send(transport, backend.port, { relay, deadlines: { idle: 250 } })
      setTimeout(() => sent.resume(), 450)
      const answer = await relay.told
      expect([answer.failure, answer.bytes.toString()]).toEqual([undefined, "hello"])
    })

    it("of zero are none", async () => {
      backend.answer = (socket) => setTimeout(() => socket.write(plain("hello")), 450)
      const answer = await told({ deadlines: { headers: 0, idle: 0 } })
      expect(answer.bytes.toString()).toBe("hello")
    })
  })

  describe("giving up", () => {
    it("before the head closes the connection at once", async () => {
      let asked = false
      backend.answer = () => {
        asked = true
      }
      const { sent, relay } = send(transport, backend.port)
      await until(() => asked)
      sent.abort()
      await until(() => gone(1))
      expect(relay.ends).toBe(0)
    })

    it("in the middle of an answer closes the connection at once, and nothing more is told", async () => {
      backend.says(`${chunkedHead}${frame("hello")}`)
      const { sent, relay } = send(transport, backend.port)
      await until(() => relay.bytes.length === 5)
      expect(sent.payload).toBe(5)
      sent.abort()
      await until(() => gone(1))
      expect(relay.ends).toBe(0)
    })

    it("while the connection is being opened is quiet", async () => {
      const { sent, relay } = send(transport, backend.port)
      sent.abort()
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect([relay.ends, backend.asked.length]).toEqual([0, 0])
    })

    it("while a long prompt goes out closes the connection at once", async () => {
      backend.accept = (socket) => {
        socket.pause()
        return true
      }
      const { sent } = send(transport, backend.port, { body: Array.from({ length: 128 }, () => Buffer.alloc(65_536)) })
      await until(() => backend.sockets.length === 1)
      sent.abort()
      backend.sockets[0]?.resume()
      await until(() => gone(1))
    })
  })

  it("a relay that takes no more holds the backend back", async () => {
    let written = 0
    backend.answer = (socket) => {
      const total = 64 * 1024 * 1024
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const block = Buffer.alloc(65_536)
      const more = () => {
        while (written < total) {
          written += block.length
          if (!socket.write(block)) return void socket.once("drain", more)
        }
      }
      more()
    }
    const relay = new Recorder()
    let reads = 0
    relay.goOn = () => ++reads > 1
    const { sent } = send(transport, backend.port, { relay })
    await until(() => reads === 1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    const held = written
    expect(held).toBeLessThan(32 * 1024 * 1024)
    expect(relay.bytes.length).toBeLessThanOrEqual(128 * 1024)
    sent.resume()
    expect((await relay.told).payload).toBe(64 * 1024 * 1024)
  })

  it.runIf(own).each([8_192, 100])("reads are no larger than asked for: %i bytes", async (readSize) => {
    backend.says(plain("x".repeat(20_000)))
    const sizes: Array<number> = []
    const relay = new Recorder()
    relay.goOn = (bytes) => {
      sizes.push(bytes.length)
      return true
    }
    expect((await told({ relay, readSize })).payload).toBe(20_000)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(readSize)
  })

  it("frames are relayed for what they are, and their payload is shown beside them", async () => {
    const events = ["data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n"]
    backend.says(`${chunkedHead}${events.map(frame).join("")}0\r\n\r\n`)
    const relay = new Recorder({ frames: true, wantsPayload: true })
    const answer = await told({ relay })
    expect(Buffer.concat(relay.payloadParts).toString()).toBe(events.join(""))
    expect(answer.payload).toBe(events.join("").length)
    if (own) expect(answer.bytes.toString()).toBe(events.map(frame).join(""))
  })
})

/** Backends that break the rules, against both clients: nothing of it reaches a client as if it were right. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ownTransport } from "../../../src/proxy/client/OwnTransport.ts"
import type { Transport } from "../../../src/proxy/client/Transport.ts"
import { undiciTransport } from "../../../src/proxy/client/UndiciTransport.ts"
import { ask, chunkedHead, frame, plain, Recorder, ScriptedBackend, send, until } from "./conversation.ts"

describe.each([
  ["the own client", ownTransport],
  ["undici", undiciTransport]
])("a hostile backend against %s", (name, make) => {
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

  describe("heads", () => {
    it.each([
      ["that are not HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
      ["of another protocol", "ICY 200 OK\r\n\r\n"],
      ["with folded lines", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"],
      ["with a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
      ["with two lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
      ["with a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello"],
      ["with a NUL", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"],
      ["with a bare CR", "HTTP/1.1 200 OK\r\nX-A: a\rb: c\r\nContent-Length: 0\r\n\r\n"],
      ["that switch protocols unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"],
      ["that are too large", `HTTP/1.1 200 OK\r\n${`X-Filler: ${"x".repeat(1_000)}\r\n`.repeat(40)}Content-Length: 0\r\n\r\n`],
      ["that never end", `HTTP/1.1 200 OK\r\nX-Filler: ${"x".repeat(70_000)}`]
    ])("%s are malformed", async (_what, bytes) => {
      backend.says(bytes)
      const answer = await told()
      expect([answer.failure?.kind, answer.stale, answer.head]).toEqual(["malformed", false, undefined])
      await until(() => backend.sockets[0]?.readableEnded === true || backend.sockets[0]?.destroyed === true)
    })

    it.runIf(own)("of bare line feeds are malformed at once, not at a time limit", async () => {
      backend.says("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
      expect((await told()).failure?.kind).toBe("malformed")
    })

    it("just within the limit are read", async () => {
      const filler = `X-Filler: ${"x".repeat(988)}\r\n`.repeat(30)
      backend.says(`HTTP/1.1 200 OK\r\n${filler}Content-Length: 2\r\n\r\nok`)
      const answer = await told()
      expect([answer.failure, answer.bytes.toString(), answer.head?.raw.length]).toEqual([undefined, "ok", 62])
    })

    it("that come byte by byte are read", async () => {
      const bytes = Buffer.from(plain("hello"))
      backend.answer = async (socket) => {
        for (const byte of bytes) {
          socket.write(Buffer.from([byte]))
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      expect((await told()).bytes.toString()).toBe("hello")
    })

    it("that fill up with interim answers are malformed", async () => {
      backend.says("HTTP/1.1 102 Processing\r\n\r\n".repeat(100))
      expect((await told()).failure?.kind).toBe("malformed")
    })
  })

  describe("interim answers", () => {
    const unasked = "HTTP/1.1 100 Continue\r\n\r\n"

    it("are swallowed, however they come", async () => {
      backend.says(`${unasked}HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${plain("hello", "X-A: 1\r\n")}`)
      const recorder = new Recorder()
      const answer = await told({ relay: recorder })
      expect([recorder.heads.length, answer.head?.status, answer.bytes.toString()]).toEqual([1, 200, "hello"])
    })

    it("are swallowed when each comes alone", async () => {
      backend.answer = async (socket) => {
        for (const part of ["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", unasked.slice(0, -2), unasked.slice(-2), plain("hello")]) {
          socket.write(part)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      const answer = await told()
      expect([answer.head?.status, answer.bytes.toString()]).toEqual([200, "hello"])
    })

    it("do not make a dead connection's request repeatable", async () => {
      backend.answer = (socket, _asked, nth) => {
        if (nth === 1) socket.write(plain("one"))
        else socket.end("HTTP/1.1 102 Processing\r\n\r\n")
      }
      await told()
      await new Promise((resolve) => setImmediate(resolve))
      const answer = await told()
      expect([answer.failure?.kind, answer.stale]).toEqual(["closed", false])
    })
  })

  describe("bodies", () => {
    it.each([
      ["ends early", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "end"],
      ["is reset", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "reset"],
      ["in chunks ends early", `${chunkedHead}${frame("hello")}`, "end"],
      ["in chunks is reset", `${chunkedHead}${frame("hello")}`, "reset"],
      ["in chunks ends within one", `${chunkedHead}a\r\nhello`, "end"],
      ["in chunks ends within its last", `${chunkedHead}${frame("hello")}0\r\n`, "end"],
      ["in chunks turns to nonsense", `${chunkedHead}${frame("hello")}nonsense\r\n`, "keep"],
      ["in chunks has one with a bare LF", `${chunkedHead}${frame("hello")}1\nx\r\n0\r\n\r\n`, "keep"]
    ] as const)("one that %s is truncated, and what came is delivered", async (_what, bytes, end) => {
      backend.says(bytes, end)
      const answer = await told()
      expect([answer.failure?.kind, answer.bytes.toString(), answer.payload]).toEqual(["truncated", "hello", 5])
    })

    it("one of a known length ends there, and the connection with it if more comes", async () => {
      backend.says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloEXTRA")
      expect((await told()).bytes.toString()).toBe("hello")
      await until(() => backend.sockets[0]?.readableEnded === true || backend.sockets[0]?.destroyed === true)
      expect((await told()).bytes.toString()).toBe("hello")
      expect(backend.sockets.length).toBe(2)
    })

    it("a second answer that nobody asked for is dropped with its connection", async () => {
      backend.says(plain("hello") + plain("poison"))
      expect((await told()).bytes.toString()).toBe("hello")
      await until(() => backend.sockets[0]?.readableEnded === true || backend.sockets[0]?.destroyed === true)
      expect((await told()).bytes.toString()).toBe("hello")
    })

    it("bytes after the last chunk drop the connection", async () => {
      backend.says(`${chunkedHead}${frame("hello")}0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`)
      expect((await told()).bytes.toString()).toBe("hello")
      await until(() => backend.sockets[0]?.readableEnded === true || backend.sockets[0]?.destroyed === true)
    })

    it("bytes on a kept connection drop it", async () => {
      backend.says(plain("hello"))
      await told()
      backend.sockets[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
      await until(() => backend.sockets[0]?.readableEnded === true || backend.sockets[0]?.destroyed === true)
      expect((await told()).bytes.toString()).toBe("hello")
    })

    it("trailers are held back and dropped", async () => {
      backend.says(`${chunkedHead}${frame("hello")}0\r\nX-Digest: abc\r\n\r\n`)
      const answer = await told({ relay: new Recorder({ frames: true }) })
      expect([answer.failure, answer.bytes.toString(), answer.payload]).toEqual([undefined, frame("hello"), 5])
      await told()
      expect(backend.sockets.length).toBe(1)
    })

    it("one that ends with the connection is whole when the connection ends well", async () => {
      backend.says("HTTP/1.1 200 OK\r\n\r\nhello", "end")
      const answer = await told()
      expect([answer.failure, answer.bytes.toString(), answer.payload]).toEqual([undefined, "hello", 5])
    })

    it.runIf(own)("one that ends with a reset of the connection is truncated", async () => {
      backend.says("HTTP/1.1 200 OK\r\n\r\nhello", "reset")
      const answer = await told()
      expect([answer.failure?.kind, answer.bytes.toString()]).toEqual(["truncated", "hello"])
    })

    it("none is expected after HEAD, 204 and 304", async () => {
      const heads = [
        ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"],
        ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
        ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
        ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"]
      ] as const
      for (const [method, bytes] of heads) {
        backend.says(bytes)
        const answer = await told({ method })
        expect([answer.failure, answer.payload]).toEqual([undefined, 0])
      }
      if (own) expect(backend.sockets.length).toBe(1)
    })
  })

  it("a fault of ours in a relay fails that exchange alone", async () => {
    backend.says(plain("hello"))
    const relay = new Recorder()
    relay.goOn = () => {
      throw new Error("ours")
    }
    const answer = await told({ relay })
    expect([answer.failure?.kind, relay.ends]).toEqual(["internal", 1])
    expect((await told()).bytes.toString()).toBe("hello")
  })

  it("an answer is told once, whatever follows", async () => {
    backend.says(`${plain("hello")}${plain("more")}`, "reset")
    const { relay } = send(transport, backend.port)
    await relay.told
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(relay.ends).toBe(1)
  })
})

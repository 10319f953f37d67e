/** What the `olla` engine does in its own way: frames that pass through, one write for small answers, pauses in both directions. */
import { request } from "node:http"
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ownTransport } from "../../src/proxy/client/OwnTransport.ts"
import type { Transport } from "../../src/proxy/client/Transport.ts"
import { undiciTransport } from "../../src/proxy/client/UndiciTransport.ts"
import { chunkedHead, frame, plain, ScriptedBackend, until } from "./client/conversation.ts"
import { OllaFront, RawClient } from "./ollaFront.ts"

describe.each([
  ["its own client", ownTransport],
  ["undici", undiciTransport]
])("the olla engine on %s", (name, make) => {
  const own = name === "its own client"
  let backend: ScriptedBackend
  let transport: Transport
  let front: OllaFront
  let clients: Array<RawClient>

  beforeEach(async () => {
    backend = new ScriptedBackend()
    transport = make()
    front = new OllaFront(transport)
    clients = []
    await backend.start()
    await front.start()
    front.backendPort = backend.port
  })
  afterEach(async () => {
    for (const client of clients) client.socket.destroy()
    transport.close()
    await front.stop()
    await backend.stop()
  })

  const client = () => {
    const made = new RawClient(front.port)
    clients.push(made)
    return made
  }
  const viaNode = (method = "POST") =>
    new Promise<{
      readonly status: number | undefined
      readonly body: Buffer
      readonly whole: boolean
      readonly raw: ReadonlyArray<string>
    }>((resolve) => {
      const asked = request({ port: front.port, host: "127.0.0.1", method, agent: false }, (answer) => {
        const parts: Array<Buffer> = []
        answer.on("data", (part: Buffer) => parts.push(part))
        answer.on("error", () => {})
        answer.on("close", () =>
          resolve({ status: answer.statusCode, body: Buffer.concat(parts), whole: answer.complete, raw: answer.rawHeaders })
        )
      })
      asked.on("error", () => resolve({ status: undefined, body: Buffer.alloc(0), whole: false, raw: [] }))
      asked.end(method === "POST" ? "{}" : undefined)
    })
  const last = () => front.carried.at(-1)

  it("carries any body in any split, byte for byte", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.constantFrom("chunks", "length", "close"),
        async (chunks, cuts, framing) => {
          const body = Buffer.concat(chunks)
          const wire =
            framing === "chunks"
              ? Buffer.concat([
                  Buffer.from(chunkedHead),
                  ...chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), Buffer.from(chunk), Buffer.from("\r\n")]),
                  Buffer.from("0\r\n\r\n")
                ])
              : Buffer.concat([
                  Buffer.from(`HTTP/1.1 200 OK\r\n${framing === "length" ? `Content-Length: ${body.length}\r\n` : ""}\r\n`),
                  body
                ])
          backend.answer = async (socket) => {
            const places = [0, ...cuts.map((cut) => cut % wire.length).sort((a, b) => a - b), wire.length]
            for (const [i, to] of places.slice(1).entries()) {
              socket.write(wire.subarray(places[i], to))
              await new Promise((resolve) => setImmediate(resolve))
            }
            if (framing === "close") socket.end()
          }
          const answer = await viaNode()
          expect([answer.status, answer.whole, answer.body.equals(body)]).toEqual([200, true, true])
          expect(last()?.attempt.bytes).toBe(body.length)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("carries a stream of events cut at every byte", async () => {
    const events = ['data: {"x":1}\n\n', "data: [DONE]\n\n"]
    const wire = Buffer.from(`${chunkedHead}${events.map(frame).join("")}0\r\n\r\n`)
    let cut = 0
    backend.answer = (socket) => {
      socket.write(wire.subarray(0, cut))
      setImmediate(() => socket.write(wire.subarray(cut)))
    }
    for (cut = 1; cut < wire.length; cut++) {
      const answer = await viaNode()
      expect([cut, answer.whole, answer.body.toString()]).toEqual([cut, true, events.join("")])
    }
  })

  it.runIf(own)("passes frames on as they came, and ends the body itself", async () => {
    backend.says(`${chunkedHead}0005;x=1\r\nhello\r\n3\r\nyou\r\n000\r\nX-Trailer: 1\r\n\r\n`)
    const raw = client().ask()
    await until(() => raw.text.endsWith("0\r\n\r\n"))
    expect(raw.body).toBe("0005;x=1\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n")
  })

  it("sends the head before any of the body is there, with a length or without", async () => {
    for (const head of [chunkedHead, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]) {
      backend.says(head)
      const raw = client().ask()
      await until(() => raw.text.includes("\r\n\r\n"))
      expect(raw.text.slice(0, 12)).toBe(head.slice(0, 12))
    }
  })

  it("keeps the client's connection for the next request after every kind of answer", async () => {
    const raw = client()
    const answers = [plain("one"), `${chunkedHead}${frame("two")}0\r\n\r\n`, "HTTP/1.1 204 No Content\r\n\r\n", plain("x".repeat(100_000))]
    for (const [i, bytes] of answers.entries()) {
      backend.says(bytes)
      raw.ask()
      await until(() => front.carried.length === i + 1 && last()?.response.writableFinished === true)
    }
    backend.says(plain("the end"))
    raw.ask()
    await until(() => raw.text.endsWith("the end"))
    expect(raw.closed).toBe(false)
  })

  it("answers pipelined requests in their order", async () => {
    backend.answer = (socket, asked) => {
      const path = asked.head.split(" ")[1] ?? ""
      socket.write(chunkedHead.replace("\r\n\r\n", `\r\nX-Path: ${path}\r\n\r\n`))
      setTimeout(() => socket.write(`${frame(`answer ${path}`)}0\r\n\r\n`), path === "/1" ? 60 : 5)
    }
    const raw = client().ask("POST", "/1").ask("POST", "/2").ask("POST", "/3")
    const ends = () => raw.text.split(/\r\n0\r\n\r\n/).length - 1
    await until(() => ends() === 3)
    const paths = [...raw.text.matchAll(/HTTP\/1\.1 200 OK[\s\S]*?X-Path: (\S+)[\s\S]*?answer (\S+)/gi)].map(([, head, body]) => [
      head,
      body
    ])
    expect(paths).toEqual([
      ["/1", "/1"],
      ["/2", "/2"],
      ["/3", "/3"]
    ])
  })

  it.each([
    ["chunks", `${chunkedHead}${frame("hello")}`],
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"],
    ["a large length", `HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n${"x".repeat(200_000)}`]
  ])("delivers what came of an answer in %s that breaks off, and cuts the connection", async (_what, bytes) => {
    let cut = () => {}
    backend.answer = (socket) => {
      socket.write(bytes)
      cut = () => socket.destroy()
    }
    const raw = client().ask()
    const came = bytes.slice(bytes.indexOf("\r\n\r\n") + 4)
    await until(() => raw.body.length === came.length)
    cut()
    await until(() => raw.closed && front.carried.length === 1)
    expect(raw.body).toBe(came)
    const { exit, attempt } = front.carried[0] as (typeof front.carried)[0]
    expect(exit).toMatchObject({ _tag: "Failure" })
    expect(attempt).toMatchObject({ status: 200, bytes: bytes.startsWith(chunkedHead) ? 5 : came.length })
  })

  it("delivers what came in one piece with the fault", async () => {
    backend.says(`${chunkedHead}${frame("hello")}nonsense`)
    const raw = client().ask()
    await until(() => raw.closed)
    expect(raw.body).toBe(frame("hello"))
  })

  it.each([
    ["chunks", true],
    ["a length", false]
  ])("holds the backend back for a client that does not read %s, and goes on when it does", async (_what, chunked) => {
    let written = 0
    const total = 24 * 1024 * 1024
    backend.answer = (socket) => {
      socket.write(chunked ? chunkedHead : `HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const block = Buffer.alloc(65_536, 120)
      const wire = chunked ? Buffer.concat([Buffer.from("10000\r\n"), block, Buffer.from("\r\n")]) : block
      const more = () => {
        while (written < total) {
          written += block.length
          if (!socket.write(wire)) return void socket.once("drain", more)
        }
        if (chunked) socket.write("0\r\n\r\n")
      }
      // The head alone first: the body meets a response that has begun.
      setTimeout(more, 10)
    }
    const raw = client()
    let got = 0
    raw.socket.removeAllListeners("data")
    raw.ask()
    raw.socket.pause()
    await until(() => written > 0)
    await new Promise((resolve) => setTimeout(resolve, 150))
    const held = written
    expect(held).toBeLessThan(total / 2)
    raw.socket.on("data", (part: Buffer) => {
      got += part.length
    })
    raw.socket.resume()
    await until(() => front.carried.length === 1)
    expect(front.carried[0]?.exit._tag).toBe("Success")
    await until(() => got >= total)
  })

  describe("coalescing", () => {
    beforeEach(() => {
      front.over = { flushes: () => false }
    })

    it("keeps the backend's length where it gave one", async () => {
      backend.says(plain("x".repeat(10_000)))
      const answer = await viaNode()
      expect([answer.whole, answer.body.length]).toEqual([true, 10_000])
    })

    it("has an answer without a body as well", async () => {
      backend.says(`${chunkedHead}0\r\n\r\n`)
      const answer = await viaNode()
      expect([answer.whole, answer.body.length]).toEqual([true, 0])
    })
  })

  describe("what is kept for usage figures", () => {
    const kept = () => {
      const { head, tail, contentType } = (last() as NonNullable<ReturnType<typeof last>>).exchange.kept
      return { head: Buffer.from(head ?? []).toString(), tail: Buffer.concat(tail).toString(), contentType }
    }

    it("is the content of frames, not the frames", async () => {
      backend.says(`${chunkedHead}${frame("data: 1\n\n")}${frame("data: 2\n\n")}0\r\n\r\n`)
      await viaNode()
      expect(kept()).toEqual({ head: "data: 1\n\n", tail: "data: 1\n\ndata: 2\n\n", contentType: "text/event-stream" })
    })

    it("is bounded, and reaches 8 KiB back at least", async () => {
      const lines = Array.from({ length: 4_000 }, (_, i) => `data: ${i}\n\n`)
      backend.says(`${chunkedHead}${lines.map(frame).join("")}0\r\n\r\n`)
      await viaNode()
      const { tail } = kept()
      expect(tail.length).toBeGreaterThanOrEqual(8_192)
      expect(tail.length).toBeLessThan(9_000)
      expect(lines.join("").endsWith(tail)).toBe(true)
    })
  })
})

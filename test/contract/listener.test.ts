/** What is not quite HTTP, or comes too slowly, on a raw socket. */
import { connect } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, quickest, rareChecks, startDaemon } from "./daemon.ts"

let backend: SimulatedBackend
let daemon: Daemon

beforeAll(async () => {
  backend = await startBackend({ kind: "vllm", models: ["m"] })
  daemon = await startDaemon(endpointsYaml([{ name: "v", backend }], rareChecks), {
    server: "  read_timeout: 1s\n  request_limits: {max_header_size: 4096}\n"
  })
})

afterAll(async () => {
  await daemon?.stop()
  await backend?.stop()
})

/** Everything that comes until the daemon closes. */
const say = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = ""
    const socket = connect(daemon.port, "127.0.0.1", () => socket.write(text))
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1")
    })
    socket.on("error", reject)
    socket.on("close", () => resolve(answer))
  })

describe.concurrent("the listener", () => {
  it.each([
    ["nothing but words", "HELLO\r\n\r\n", 400],
    ["no Host in HTTP/1.1", "GET /internal/health HTTP/1.1\r\n\r\n", 400],
    ["two Hosts", "GET /internal/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["an unknown transfer encoding", "POST /internal/health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501],
    ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["a header block beyond the limit", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(10_000)}\r\n\r\n`, 431]
  ])("answers %s in a line of text and hangs up", async (_name, text, status) => {
    const answer = await say(text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toMatch(/\r\nContent-Type: text\/plain; charset=utf-8\r\n/i)
    expect(answer).toMatch(/\r\nConnection: close\r\n/i)
    expect(answer).toMatch(/\r\nX-Olla-Request-ID: [a-z]+-[a-z]+-[0-9a-f]{8}\r\n/i)
    expect(answer).toMatch(/\r\n\r\n[^\r\n]+\n$/)
    const id = /X-Olla-Request-ID: (\S+)/i.exec(answer)?.[1] ?? ""
    const record = await eventually(
      () =>
        daemon
          .output()
          .split("\n")
          .find((line) => line.includes("Access log") && line.includes(id)),
      (line) => line !== undefined
    )
    expect(JSON.parse(record ?? "")).toMatchObject({ status, request_id: id, remote_addr: expect.stringMatching(/^127\.0\.0\.1:\d+$/) })
  })

  it("takes a body that takes longer than server.read_timeout, as long as it keeps coming", async () => {
    const filling = Buffer.alloc(32 * 1024, "x")
    const parts = 20
    const body = `{"model":"m","messages":[{"role":"user","content":"${filling.toString().repeat(parts)}"}]}`
    const answer = await new Promise<string>((resolve, reject) => {
      let said = ""
      let at = 0
      const socket = connect(daemon.port, "127.0.0.1", () => {
        socket.write(
          `POST /olla/proxy/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`
        )
        const timer = setInterval(() => {
          socket.write(body.slice(at, at + filling.length))
          at += filling.length
          if (at >= body.length) clearInterval(timer)
        }, 125)
      })
      socket.on("data", (chunk) => {
        said += chunk.toString("latin1")
      })
      socket.on("error", reject)
      socket.on("close", () => resolve(said))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  it("serves HTTP/1.0 without a Host, and hangs up", async () => {
    const answer = await say("GET /internal/health HTTP/1.0\r\n\r\n")
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toMatch(/\{"status":"healthy"\}$/)
  })

  it.each([
    ["headers", "POST /olla/proxy/v1/chat/completions HTTP/1.1\r\nHost: a\r\n"],
    ["a body", "POST /olla/proxy/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"],
    ["a body in chunks", "POST /olla/anthropic/v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
  ])("gives up on %s that stop coming, within two seconds of server.read_timeout", async (_name, text) => {
    const givesUp = async () => {
      const began = performance.now()
      expect(await say(text)).toMatch(/^HTTP\/1\.1 408 /)
      const took = performance.now() - began
      expect(took).toBeGreaterThan(900)
      return took
    }
    expect(await quickest(3_200, givesUp)).toBeLessThan(3_200)
    // Nothing of it went to a backend: those that did have been longer.
    expect(backend.inference().filter(({ body }) => body.length < 1_000)).toEqual([])
  })
})

/** A long body's memory is given back as soon as nobody reads it any more: never before, whatever client and backend do. */
import { once } from "node:events"
import { createServer, type Server } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"

/** No two bodies share a stretch, and a stretch of one fits nowhere else in it. */
const bodyOf = (seed: number, size: number): Buffer => {
  const body = Buffer.alloc(size)
  let state = seed * 2_654_435_761
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    body[at] = state >>> 24
  }
  return body
}

const requestOf = (name: string, body: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST /olla/openai/v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nX-Name: ${name}\r\nContent-Length: ${body.length}\r\n\r\n`
    ),
    body
  ])

/** Writes everything in one go and reads until so many answers have come. */
const askAll = (port: number, requests: ReadonlyArray<Buffer>): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(Buffer.concat(requests)))
    let said = ""
    socket.on("data", (part) => {
      said += part.toString("latin1")
      if (said.split("answer to ").length > requests.length) socket.destroy()
    })
    socket.on("error", () => {})
    socket.on("close", () => resolve(said))
  })

const answersIn = (said: string): ReadonlyArray<string> => [...said.matchAll(/answer to (\w+)\./g)].map(([, name]) => name as string)

describe("a long body", () => {
  let backend: Server
  let daemon: Daemon
  const got = new Map<string, Array<Buffer>>()
  const whole = new Set<string>()

  beforeAll(async () => {
    backend = createServer((req, res) => {
      if (req.method === "GET") {
        res.end('{"object":"list","data":[{"id":"m","object":"model"}]}')
        return
      }
      const name = String(req.headers["x-name"])
      const parts: Array<Buffer> = []
      got.set(name, parts)
      const answer = () => res.end(`answer to ${name}.`)
      // Before it has read anything: most of the body is then still on its way.
      if (name.startsWith("early")) answer()
      req.on("error", () => {})
      req.on("data", (part: Buffer) => parts.push(Buffer.from(part)))
      req.on("end", () => {
        whole.add(name)
        if (!name.startsWith("early")) answer()
      })
    }).listen(0, "127.0.0.1")
    await once(backend, "listening")
    const { port } = backend.address() as AddressInfo
    daemon = await startDaemon(
      `discovery:\n  static:\n    endpoints:\n      - {url: "http://127.0.0.1:${port}", name: one, type: vllm, ${rareChecks}}\n`
    )
  })

  afterAll(async () => {
    await daemon.stop()
    backend.closeAllConnections()
    backend.close()
  })

  it("arrives byte for byte, however many are pipelined behind it", async () => {
    const bodies = Array.from({ length: 8 }, (_, i) => ({ name: `piped${i}`, body: bodyOf(i + 1, 200_000 + i * 33_333) }))
    const said = await askAll(
      daemon.port,
      bodies.map(({ name, body }) => requestOf(name, body))
    )
    expect(answersIn(said)).toEqual(bodies.map(({ name }) => name))
    for (const { name, body } of bodies) expect(Buffer.concat(got.get(name) ?? []).equals(body), name).toBe(true)
  })

  it("is not touched while it is still going out to a backend that has answered already", async () => {
    const bodies = Array.from({ length: 6 }, (_, i) => ({ name: `early${i}`, body: bodyOf(i + 100, 6_000_000) }))
    const saids = await Promise.all(bodies.map(({ name, body }) => askAll(daemon.port, [requestOf(name, body)])))
    expect(saids.flatMap(answersIn)).toEqual(bodies.map(({ name }) => name))
    // Others use the memory that was given back.
    const later = bodyOf(999, 1_000_000)
    expect(answersIn(await askAll(daemon.port, [requestOf("later", later)]))).toEqual(["later"])
    await eventually(
      () => whole.has("later"),
      (arrived) => arrived
    )
    expect(Buffer.concat(got.get("later") ?? []).equals(later)).toBe(true)
    for (const { name, body } of bodies) {
      const arrived = Buffer.concat(got.get(name) ?? [])
      // Whole, or cut where the connection ended; what came is what was sent.
      expect(arrived.equals(body.subarray(0, arrived.length)), name).toBe(true)
    }
  })
})

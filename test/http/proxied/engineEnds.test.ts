/**
 * Ends of an exchange that the table of `ProxiedExchange.test.ts` does not have, with each engine. The listener, the walk, the
 * carrier and the engines are the real ones.
 */
import { once } from "node:events"
import net from "node:net"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type { Exchange } from "../../../src/exchange/Exchange.ts"
import { PlainSurface } from "../../../src/http/proxied/PlainSurface.ts"
import { ProxiedExchange } from "../../../src/http/proxied/ProxiedExchange.ts"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { chunk, plain, type RawBackend, rawBackend, sse } from "../../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "../serving.ts"

type Say = (socket: net.Socket) => void

/** One that does without an answer some time, and soon on `/hurried`. */
class Hurried extends PlainSurface {
  override plan(...given: Parameters<PlainSurface["plan"]>) {
    const plan = super.plan(...given)
    return plan === undefined ? undefined : { ...plan, within: this.context.exchange.path === "/hurried" ? 30 : 60_000 }
  }

  override refused(): void {
    this.context.answer(200, "text/plain", "without it")
  }
}

describe.each(["olla", "undici", "sherpa"] as const)("an exchange of the %s engine", (variant) => {
  /** Ends before an engine has any part in them. */
  const early = it.runIf(variant === "olla")
  let rooms: Rooms
  let ended: Array<Exchange>
  let listening: Listening
  let fleet: ListedFleet
  let backend: RawBackend
  let say: Say

  const port = () => listening.port
  const logged = () => rooms.records().filter(({ msg }) => msg === "Access log")

  beforeAll(async () => {
    backend = await rawBackend((socket) => say(socket))
    fleet = new ListedFleet()
    rooms = await openRooms(
      fleet,
      variant,
      "proxy: { response_header_timeout: 300ms, read_timeout: 300ms }\nserver: { request_limits: { max_body_size: 1KB } }\n"
    )
    ended = rooms.ended
    const { services } = rooms
    listening = await listen(rooms, [
      {
        handle: (_services, context, path) => {
          if (path === "/local") context.answer(200, "text/plain", "here")
          else {
            const target = { scope: undefined, target: path, path }
            const surface = path !== "/x" ? new Hurried(services, context, target) : new PlainSurface(services, context, target)
            new ProxiedExchange(services, context, surface).start()
          }
          return true
        }
      }
    ])
  })
  beforeEach(() => {
    rooms.reset()
    say = (socket) => socket.write(plain("{}"))
    fleet.endpoints.length = 0
    fleet.add("one", { url: `http://127.0.0.1:${backend.port}` })
  })
  afterEach(() => {
    for (const socket of backend.sockets.splice(0)) socket.destroy()
  })
  afterAll(async () => {
    await listening.stop(0)
    await backend.stop()
    await rooms.close()
  })

  const head = (more = "Content-Length: 0\r\n") => `POST /x HTTP/1.1\r\nHost: front\r\n${more}\r\n`
  /** A client that says `text`, and leaves when `leave` resolves; resolves when its connection is gone. */
  const client = async (text: string, leave?: (socket: net.Socket) => Promise<unknown>): Promise<string> => {
    const socket = net.connect(port(), "127.0.0.1")
    let said = ""
    socket.on("data", (bytes: Buffer) => {
      said += bytes.toString("latin1")
    })
    socket.on("error", () => {})
    socket.write(text)
    const gone = once(socket, "close")
    if (leave !== undefined) {
      await leave(socket)
      socket.destroy()
    }
    await gone
    return said
  }
  const close = "Connection: close\r\n"
  const asked = async () => {
    const before = backend.heard.length
    while (backend.heard.length === before) await new Promise((resolve) => setImmediate(resolve))
  }
  /** Its end, once, and nothing after it: as long as another request takes. */
  const endOf = async (): Promise<Exchange> => {
    while (ended.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await client(`GET /local HTTP/1.1\r\nHost: front\r\n${close}\r\n`)
    expect(ended.length).toBe(1)
    const [exchange] = ended as [Exchange]
    const { accepted, received, routed, settled, ended: gone } = exchange.timings
    const attempts = exchange.attempts.flatMap(({ timings: { leased, started, connected, sent, headers, firstByte, lastByte } }) => [
      leased,
      ...(connected === leased ? [connected, started] : [started, connected]),
      sent,
      headers,
      firstByte,
      lastByte
    ])
    const reached = [accepted, received, routed, ...attempts, settled].filter((time) => time > 0)
    expect(reached).toEqual([...reached].sort((a, b) => a - b))
    expect(gone).toBeGreaterThan(accepted)
    return exchange
  }

  it.each<readonly [string, Say, string]>([
    ["completed", (socket) => socket.write(plain("{}")), "completed 200"],
    ["completed with an error of the backend", (socket) => socket.write("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"), "completed 503"],
    ["failed, since the backend hung up", (socket) => socket.end(), "failed 502"],
    ["failed, since the backend is silent", () => {}, "failed 504"],
    ["failed in the middle", (socket) => socket.end(`${sse}${chunk("a")}`), "failed 200 committed"],
    ["failed by silence in the middle", (socket) => socket.write(`${sse}${chunk("a")}`), "failed 200 committed"]
  ])("that %s ends once", async (_what, answer, wanted) => {
    say = answer
    await client(`${head(`Content-Length: 2\r\n${close}`)}{}`)
    const { outcome, timings, lastAttempt } = await endOf()
    expect(`${outcome?._tag} ${outcome?.status}${outcome?._tag === "failed" && outcome.committed ? " committed" : ""}`).toBe(wanted)
    const { accepted, received, routed, settled } = timings
    const { leased, connected, sent } = lastAttempt?.timings ?? { leased: 0, connected: 0, sent: 0 }
    expect([accepted, received, routed, leased, connected, sent, settled, timings.ended].every((time) => time > 0)).toBe(true)
  })

  early("that nobody could be found for ends once", async () => {
    fleet.endpoints.length = 0
    expect(await client(head(`Content-Length: 0\r\n${close}`))).toMatch(/^HTTP\/1.1 503/)
    expect((await endOf()).outcome).toMatchObject({ _tag: "rejected", status: 503 })
  })

  early.each([
    ["with a length", "Content-Length: 9999\r\n", ""],
    ["in chunks", "Transfer-Encoding: chunked\r\n", `fff\r\n${"x".repeat(0xfff)}\r\n`]
  ])("that is too large, %s, ends once", async (_what, framing, body) => {
    expect(await client(head(framing + close) + body)).toMatch(/^HTTP\/1.1 413/)
    expect((await endOf()).outcome).toMatchObject({ _tag: "rejected", status: 413 })
  })

  early.each([
    ["with a length", "Content-Length: 999999\r\n", ""],
    ["in chunks", "Transfer-Encoding: chunked\r\n", `fff\r\n${"x".repeat(0xfff)}\r\n`]
  ])(
    "that is refused while its client goes on sending (%s) has ended when the refusal is out, and is logged",
    async (_what, framing, body) => {
      const socket = net.connect(port(), "127.0.0.1")
      socket.write(head(framing) + body)
      const [said] = (await once(socket, "data")) as [Buffer]
      expect(said.toString("latin1")).toMatch(/^HTTP\/1.1 413/)
      expect(ended.map(({ outcome }) => outcome)).toMatchObject([{ _tag: "rejected", status: 413 }])
      expect(logged()).toMatchObject([{ status: 413 }])
      expect(socket.readyState).toBe("open")
      socket.destroy()
      await endOf()
    }
  )

  early("that is no HTTP any more ends once", async () => {
    expect(await client(`${head(`Transfer-Encoding: chunked\r\n${close}`)}zz\r\n`)).toMatch(/^HTTP\/1.1 400/)
    expect((await endOf()).outcome).toMatchObject({ _tag: "rejected", status: 400 })
  })

  describe("that is not waited for", () => {
    it("ends once, leaves its backend, and is logged with what its client got", async () => {
      say = () => {}
      const left = asked().then(() => once(backend.sockets.at(-1) as net.Socket, "close"))
      expect(await client(`GET /hurried HTTP/1.1\r\nHost: front\r\n${close}\r\n`)).toMatch(/^HTTP\/1.1 200 [\s\S]*without it$/)
      expect((await endOf()).outcome).toMatchObject({ _tag: "failed", status: 504, committed: false })
      await left
      expect(logged()[0]).toMatchObject({ status: 200, response_bytes: 10 })
    })

    it("is left alone when it answers in time", async () => {
      expect(await client(`GET /patient HTTP/1.1\r\nHost: front\r\n${close}\r\n`)).toMatch(/^HTTP\/1.1 200 [\s\S]*\{\}$/)
      expect((await endOf()).outcome).toMatchObject({ _tag: "completed", status: 200 })
      expect(logged()[0]).toMatchObject({ status: 200, response_bytes: 2 })
    })
  })

  early("of Olla's own is logged with what its client got, also where that is no body", async () => {
    for (const [method, bytes] of [
      ["GET", 4],
      ["HEAD", 0]
    ] as const) {
      rooms.reset()
      await client(`${method} /local HTTP/1.1\r\nHost: front\r\n${close}\r\n`)
      let record = logged()[0]
      for (; record === undefined; record = logged()[0]) await new Promise((resolve) => setImmediate(resolve))
      expect(record["response_bytes"], method).toBe(bytes)
    }
  })
})

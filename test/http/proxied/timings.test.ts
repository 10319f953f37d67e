/**
 * The times of a request against the truth: backends and a client that note, by the same clock, when they did what. With each way in
 * which bytes reach a backend.
 */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createServer as createSecure } from "node:https"
import net from "node:net"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Attempt, Exchange } from "../../../src/exchange/Exchange.ts"
import { attemptPhases, phasesOf } from "../../../src/exchange/Phases.ts"
import { PlainSurface } from "../../../src/http/proxied/PlainSurface.ts"
import { ProxiedExchange } from "../../../src/http/proxied/ProxiedExchange.ts"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { type EngineName, type Listening, listen, openRooms, type Rooms } from "../serving.ts"

const pem = (name: string) => readFileSync(join(import.meta.dirname, "..", "..", "endpoint", "tls", name))
const after = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** When a backend did what. */
interface Truth {
  readonly connection: number
  resumed: number
  requested: number
  head: number
  first: number
  last: number
}

const event = (delta: object) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`
const whole = JSON.stringify({
  choices: [{ index: 0, message: { role: "assistant", content: "x".repeat(8 * 1024 * 1024) }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1 }
})

class TimedBackend {
  readonly truths: Array<Truth> = []
  readonly #server: Server
  /** Delays each connection, which to a client of TLS is a slow handshake. */
  readonly #door: net.Server
  readonly #scheme: string
  readonly connects: number
  dies = false

  constructor(secure: boolean) {
    this.#scheme = secure ? "https" : "http"
    this.connects = secure ? 30 : 0
    let connection = 0
    const handle = (req: IncomingMessage, res: ServerResponse) => void this.#answer(req, res, connection)
    this.#server = secure
      ? createSecure({ cert: pem("server.pem"), key: pem("server.key") }, handle)
      : createServer({ noDelay: true }, handle)
    this.#door = net.createServer({ noDelay: true }, (outer) => {
      connection++
      outer.on("error", () => {})
      setTimeout(() => {
        const { port } = this.#server.address() as net.AddressInfo
        const inner = net.connect({ port, host: "127.0.0.1", noDelay: true })
        inner.on("error", () => {}).on("close", () => outer.destroy())
        outer.on("close", () => inner.destroy())
        outer.pipe(inner).pipe(outer)
      }, this.connects)
    })
  }

  async #answer(req: IncomingMessage, res: ServerResponse, connection: number): Promise<void> {
    const truth: Truth = { connection, resumed: performance.now(), requested: 0, head: 0, first: 0, last: 0 }
    this.truths.push(truth)
    if (Number(req.headers["content-length"]) > 100_000) {
      req.pause()
      await after(40)
      truth.resumed = performance.now()
      req.resume()
    }
    let body = ""
    req.on("data", (part: Buffer) => {
      if (body.length < 1_000) body += part.toString()
    })
    await once(req, "end")
    truth.requested = performance.now()
    await after(40)
    truth.head = performance.now()
    if (this.dies) return void req.socket.destroy()
    if (!body.includes('"stream":true')) {
      res.writeHead(200, { "content-type": "application/json", "content-length": whole.length }).flushHeaders()
      truth.first = performance.now()
      res.end(whole)
      return
    }
    res.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
    await after(30)
    truth.first = performance.now()
    res.write(event({ content: "a" }))
    await after(50)
    truth.last = performance.now()
    res.end(`${event({ content: "b" })}data: [DONE]\n\n`)
  }

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1")
    this.#door.listen(0, "127.0.0.1")
    await Promise.all([once(this.#server, "listening"), once(this.#door, "listening")])
    return `${this.#scheme}://127.0.0.1:${(this.#door.address() as net.AddressInfo).port}`
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
    this.#door.close()
  }
}

/** What a client saw, and how long it let its answer wait. */
interface Client {
  readonly began: number
  readonly uploaded: number
  readonly gone: number
  readonly answer: string
}

const ask = async (port: number, path: string, body: string, { uploads = 0, reads = 0 } = {}): Promise<Client> => {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
  await once(socket, "connect")
  const began = performance.now()
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: front\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
  )
  if (uploads > 0) await after(uploads)
  const uploaded = performance.now()
  socket.write(body)
  const parts: Array<Buffer> = []
  socket.on("data", (part: Buffer) => {
    parts.push(part)
    if (reads === 0 || parts.length > 1) return
    socket.pause()
    setTimeout(() => socket.resume(), reads)
  })
  await once(socket, "close")
  return { began, uploaded, gone: performance.now(), answer: Buffer.concat(parts).toString() }
}

/** Within 5 ms or 2 %, and what the loop stood still meanwhile, since the machine may be busy with something else. */
const near = (measured: number, truth: number, stall: number): boolean => Math.abs(measured - truth) <= Math.max(5, truth * 0.02) + stall

/** At one of five tries. */
const measured = async (run: () => Promise<Readonly<Record<string, readonly [measured: number, truth: number]>>>): Promise<void> => {
  for (let n = 0; ; n++) {
    const loop = monitorEventLoopDelay({ resolution: 1 })
    loop.enable()
    const pairs = await run()
    loop.disable()
    const off = Object.entries(pairs).filter(([, [is, was]]) => !near(is, was, loop.max / 1e6))
    if (off.length === 0) return
    if (n === 4) expect(Object.fromEntries(off)).toEqual({})
  }
}

const ways: ReadonlyArray<readonly [EngineName, boolean]> = [
  ["olla", false],
  ["olla", true],
  ["undici", false],
  ["sherpa", false],
  ["sherpa", true]
]

describe.each(ways)("through %s (TLS: %s), the times of a request are the real ones", (engine, secure) => {
  const [one, two] = [new TimedBackend(secure), new TimedBackend(secure)]
  const fleet = new ListedFleet()
  let rooms: Rooms
  let listening: Listening

  beforeAll(async () => {
    const tls = secure ? { rejectUnauthorized: false } : undefined
    fleet.with("one", "openai-compatible", ["m", "only"], { url: await one.start(), priority: 200, tls: tls as never })
    fleet.with("two", "openai-compatible", ["m"], { url: await two.start(), priority: 100, tls: tls as never })
    rooms = await openRooms(fleet, engine, "proxy: { load_balancer: priority }\n")
    listening = await listen(rooms, [
      {
        handle: (services, context, path) => {
          if (path !== "/v1/chat/completions") return false
          new ProxiedExchange(services, context, new PlainSurface(services, context, { scope: undefined, target: path, path })).start()
          return true
        }
      }
    ])
  })
  afterAll(async () => {
    await listening.stop(0)
    one.stop()
    two.stop()
    await rooms.close()
  })

  const plain = "/v1/chat/completions"
  const translated = "/olla/anthropic/v1/messages"
  const stream = (model: string) => `{"model":"${model}","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`
  const asked = async (...given: [string, string, { uploads?: number; reads?: number }?]) => {
    rooms.reset()
    one.truths.length = two.truths.length = 0
    for (const endpoint of fleet.endpoints) (endpoint as unknown as { become: (to: string) => void }).become("healthy")
    const client = await ask(listening.port, ...given)
    while (rooms.ended.length === 0) await new Promise((resolve) => setImmediate(resolve))
    return { client, exchange: rooms.ended[0] as Exchange, phases: phasesOf(rooms.ended[0] as Exchange) }
  }
  const sum = ({ receive, queue, connect, send, wait, first, stream, deliver, overhead }: ReturnType<typeof phasesOf>) =>
    receive + queue + connect + send + wait + first + stream + deliver + overhead

  it.each([
    ["as it came", plain],
    ["translated", translated]
  ])("of a stream, %s, on a new connection and a kept one", async (_what, path) => {
    await measured(async () => {
      const { client, exchange, phases } = await asked(path, stream("only"), { uploads: 25 })
      const [truth] = one.truths as [Truth]
      const { isReused } = exchange.attempts[0] as Attempt
      return {
        attempts: [exchange.attempts.length, 1],
        receive: [phases.receive, client.uploaded - client.began],
        connect: [phases.connect, isReused ? 0 : one.connects],
        send: [phases.send, 0],
        wait: [phases.wait, truth.head - truth.requested],
        first: [phases.first, truth.first - truth.head],
        stream: [phases.stream, truth.last - truth.first],
        deliver: [phases.deliver, 0],
        total: [phases.total, client.gone - client.began],
        sum: [sum(phases), phases.total]
      }
    })
  })

  /** Of the five ways those that differ in how they write much. */
  const large = it.runIf(engine === "olla" || (engine === "sherpa" && !secure))

  large("of a backend that is slow to take its request", async () => {
    await measured(async () => {
      const { exchange, phases } = await asked(plain, stream("only").replace("hi", "x".repeat(16 * 1024 * 1024)))
      const [truth] = one.truths as [Truth]
      const { sent } = (exchange.attempts[0] as Attempt).timings
      // Between its first read and its last one the system took the last byte.
      const within = Math.min(Math.max(sent, truth.resumed), truth.requested)
      return { sent: [sent, within], wait: [phases.wait, truth.head - within], sum: [sum(phases), phases.total] }
    })
  })

  it("of a failover, each attempt its own", async () => {
    one.dies = true
    await measured(async () => {
      const { client, exchange, phases } = await asked(plain, stream("m"))
      const [dead, good] = [one.truths[0] as Truth, two.truths[0] as Truth]
      const [first, second] = exchange.attempts.map(attemptPhases) as [ReturnType<typeof attemptPhases>, ReturnType<typeof attemptPhases>]
      return {
        attempts: [exchange.attempts.length, 2],
        died: [first.wait, dead.head - dead.requested],
        wait: [second.wait, good.head - good.requested],
        first: [second.first, good.first - good.head],
        stream: [second.stream, good.last - good.first],
        total: [phases.total, client.gone - client.began],
        overhead: [phases.overhead, 0],
        sum: [sum(phases), phases.total]
      }
    })
    one.dies = false
  })

  large("of a client that is slow to take an answer that is there", async () => {
    await measured(async () => {
      const { client, exchange, phases } = await asked(translated, stream("only").replace("true", "false"), { reads: 60 })
      const { ended } = exchange.attempts[0] as Attempt
      expect(client.answer.length).toBeGreaterThan(8 * 1024 * 1024)
      return {
        deliver: [phases.deliver, client.gone - ended],
        total: [phases.total, client.gone - client.began],
        sum: [sum(phases), phases.total],
        isSlow: [Number(phases.deliver > 50), 1]
      }
    })
  })
})

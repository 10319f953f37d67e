/** Real sockets around one engine: a backend that says exactly the bytes a test gives it, a front that carries, a raw client. */
import { EventEmitter, once } from "node:events"
import { createServer as createHttpServer, type Server } from "node:http"
import net from "node:net"
import { Worker } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Attempt, Exchange } from "../../src/exchange/Exchange.ts"
import type { Failure } from "../../src/exchange/Failure.ts"
import type { Spoken } from "../../src/proxy/Dialect.ts"
import type { Engine, Sending } from "../../src/proxy/Engine.ts"
import { replyHead } from "../../src/proxy/ReplyHeaders.ts"
import { type FakeEndpoint, type FakeFields, FakeFleet } from "../balancing/fakes.ts"
import { sent } from "./attempt.ts"

export interface Heard {
  readonly line: string
  /** As received, in order. */
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: Buffer
  /** Which connection of this backend, from 1. */
  readonly connection: number
}

export interface RawBackend {
  readonly port: number
  readonly heard: Array<Heard>
  readonly sockets: Array<net.Socket>
  /** Emits `closed` with the connection's number. */
  readonly events: EventEmitter
  readonly stop: () => Promise<void>
}

/** `answer` is called for each request that is in, whole. */
export const rawBackend = async (answer: (socket: net.Socket, heard: Heard, nth: number) => void): Promise<RawBackend> => {
  const heard: Array<Heard> = []
  const sockets: Array<net.Socket> = []
  const events = new EventEmitter()
  const server = net.createServer({ noDelay: true }, (socket) => {
    const connection = sockets.push(socket)
    let pending = Buffer.alloc(0)
    socket.on("error", () => {})
    socket.on("close", () => events.emit("closed", connection))
    socket.on("data", (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes])
      for (;;) {
        const end = pending.indexOf("\r\n\r\n")
        if (end < 0) return
        const [line = "", ...rest] = pending.toString("latin1", 0, end).split("\r\n")
        const headers = rest.map((each) => [each.slice(0, each.indexOf(":")), each.slice(each.indexOf(":") + 1).trim()] as const)
        const length = Number(headers.find(([name]) => name.toLowerCase() === "content-length")?.[1] ?? 0)
        if (pending.length < end + 4 + length) return
        const request = { line, headers, body: pending.subarray(end + 4, end + 4 + length), connection }
        pending = pending.subarray(end + 4 + length)
        heard.push(request)
        answer(socket, request, heard.length)
      }
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as net.AddressInfo).port,
    heard,
    sockets,
    events,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      if (server.listening) await once(server, "close")
    }
  }
}

export interface Carried {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly exit: Exit.Exit<Spoken | undefined, Failure>
}

/** An HTTP server whose every request is one attempt of the engine. */
export class Front {
  readonly #engine: Engine
  readonly #server: Server
  #endpoint: { readonly url: string; readonly tls: FakeFields["tls"]; readonly made: FakeEndpoint } | undefined
  /** Who waits for the next requests that arrive. */
  readonly #waiting: Array<(carried: Carried) => void> = []
  /** For the next requests. */
  target: Partial<Sending> & { readonly url?: string; readonly tls?: FakeFields["tls"] } = {}

  constructor(engine: Engine) {
    this.#engine = engine
    this.#server = createHttpServer((req, res) => {
      const chunks: Array<Buffer> = []
      const tell = this.#waiting.shift()
      req.on("data", (chunk) => chunks.push(chunk))
      req.on("end", () => {
        const body = chunks
        const size = body.reduce((sum, chunk) => sum + chunk.length, 0)
        const endpoint = this.#endpointOf(this.target.url ?? "http://127.0.0.1:1", this.target.tls)
        const exchange = new Exchange({
          id: "an-id",
          method: req.method ?? "",
          path: req.url ?? "",
          query: "",
          peer: "127.0.0.1",
          clientIp: "127.0.0.1",
          startedAt: Date.now(),
          accepted: performance.now()
        })
        const attempt = new Attempt(
          {
            endpoint,
            endpointName: endpoint.name,
            endpointType: "",
            profileName: "",
            model: ""
          },
          performance.now()
        )
        const sending: Sending = {
          exchange,
          attempt,
          endpoint,
          method: req.method ?? "",
          path: req.url ?? "",
          headers: `Host: ${endpoint.origin.authority}\r\n${size > 0 || req.method === "POST" ? `Content-Length: ${size}\r\n` : ""}`,
          body,
          bodySize: size,
          timeouts: { connect: 2_000, tls: 2_000, headers: 5_000, response: 0, firstByte: 0, hold: 5_000, idle: 5_000, keepAlive: 30_000 },
          reply: (raw) => replyHead(exchange, endpoint, raw, [], false),
          answered: () => {},
          bodyTaken: () => {},
          relayed: () => {},
          needsBody: false,
          flushes: () => true,
          translator: undefined,
          translatorOf() {
            return this.translator
          },
          response: res,
          bufferSize: 0,
          ...this.target
        }
        const fiber = Effect.runFork(sent(this.#engine, sending))
        res.on("close", () => {
          if (!res.writableFinished) fiber.interruptUnsafe()
        })
        fiber.addObserver((exit) => {
          tell?.({ exchange, attempt, exit })
          if (Exit.isFailure(exit) && !res.headersSent && !res.destroyed) {
            const failed = failureOf(exit)
            res.writeHead(502, { "content-type": "text/plain", "x-kind": failed?.kind ?? "none" }).end(failed?.kind ?? "none")
          }
        })
      })
      req.on("error", () => {})
    })
    this.#server.keepAliveTimeout = 0
  }

  /** The same object for the same backend: connections are kept by its origin. */
  #endpointOf(url: string, tls: FakeFields["tls"]): FakeEndpoint {
    if (this.#endpoint?.url !== url || this.#endpoint.tls !== tls)
      this.#endpoint = { url, tls, made: new FakeFleet().add("one", { url, tls }) }
    return this.#endpoint.made
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    if (this.#server.listening) await once(this.#server, "close")
  }

  /** How the next request that arrives will have ended. */
  carried(): Promise<Carried> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

export const failureOf = (exit: Exit.Exit<unknown, Failure>): Failure | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}

export interface Answer {
  readonly status: number
  /** Lower-cased names, in order. */
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly header: (name: string) => string | undefined
  /** Of what came, without chunk frames. */
  readonly body: Buffer
  /** Everything that was promised came. */
  readonly complete: boolean
  /** The connection was reset. */
  readonly reset: boolean
}

const parse = (bytes: Buffer, method: string): Omit<Answer, "reset"> | undefined => {
  const end = bytes.indexOf("\r\n\r\n")
  if (end < 0) return undefined
  const [line = "", ...rest] = bytes.toString("latin1", 0, end).split("\r\n")
  const headers = rest.map((each) => [each.slice(0, each.indexOf(":")).toLowerCase(), each.slice(each.indexOf(":") + 1).trim()] as const)
  const header = (name: string) => headers.find(([key]) => key === name)?.[1]
  const status = Number(line.split(" ")[1])
  const raw = bytes.subarray(end + 4)
  const none = method === "HEAD" || status === 204 || status === 304
  if (none) return { status, headers, header, body: raw, complete: true }
  if (header("transfer-encoding") === "chunked") {
    const parts: Array<Buffer> = []
    let at = 0
    for (;;) {
      const eol = raw.indexOf("\r\n", at)
      if (eol < 0) return { status, headers, header, body: Buffer.concat(parts), complete: false }
      const size = Number.parseInt(raw.toString("latin1", at, eol), 16)
      parts.push(raw.subarray(eol + 2, eol + 2 + size))
      if (raw.length < eol + 2 + size + 2) return { status, headers, header, body: Buffer.concat(parts), complete: false }
      if (size === 0) return { status, headers, header, body: Buffer.concat(parts), complete: raw.toString("latin1", eol + 2) === "\r\n" }
      at = eol + 2 + size + 2
    }
  }
  const length = header("content-length")
  return { status, headers, header, body: raw, complete: length !== undefined && Number(length) === raw.length }
}

/** One request on a connection of its own; resolves when the answer is whole or the connection is gone. */
export const ask = (
  port: number,
  options: {
    readonly method?: string
    readonly path?: string
    readonly headers?: ReadonlyArray<string>
    readonly body?: string | Buffer
    readonly version?: "1.0" | "1.1"
    /** Reads a little, and then nothing for a while. */
    readonly slow?: boolean
    readonly onSocket?: (socket: net.Socket) => void
    readonly onBytes?: (soFar: Buffer) => void
  } = {}
): Promise<Answer | undefined> =>
  new Promise((resolve) => {
    const { method = "GET", path = "/", headers = [], body = "", version = "1.1", slow = false } = options
    const socket = net.connect(port, "127.0.0.1")
    if (slow)
      socket.once("data", () => {
        socket.pause()
        setTimeout(() => socket.resume(), 3)
      })
    let parts: Array<Buffer> = []
    let size = 0
    let need = 0
    const got = () => {
      if (parts.length > 1) parts = [Buffer.concat(parts)]
      return parts[0] ?? Buffer.alloc(0)
    }
    let reset = false
    const answered = (answer: Omit<Answer, "reset"> | undefined) => resolve(answer === undefined ? undefined : { ...answer, reset })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      reset = error.code === "ECONNRESET"
    })
    socket.on("close", () => answered(parse(got(), method)))
    socket.on("data", (bytes: Buffer) => {
      parts.push(bytes)
      size += bytes.length
      if (options.onBytes !== undefined) options.onBytes(got())
      // A large answer is not put together for each read.
      if (options.onSocket !== undefined || size < need) return
      const answer = parse(got(), method)
      if (answer?.complete !== true) {
        need = Number(answer?.header("content-length") ?? 0)
        return
      }
      socket.destroy()
      answered(answer)
    })
    const length = Buffer.byteLength(body)
    const framing = length > 0 || method === "POST" ? `Content-Length: ${length}\r\n` : ""
    socket.write(
      `${method} ${path} HTTP/${version}\r\nHost: front\r\n${headers.map((each) => `${each}\r\n`).join("")}${framing}\r\n`,
      "latin1"
    )
    if (length > 0) socket.write(body)
    options.onSocket?.(socket)
  })

/** Builds the engine in a scope of its own. */
export const withEngine = async (
  make: Effect.Effect<Engine, never, Scope.Scope>
): Promise<{ readonly engine: Engine; readonly close: () => Promise<void> }> => {
  const scope = await Effect.runPromise(Scope.make())
  const engine = await Effect.runPromise(Effect.provideService(make, Scope.Scope, scope))
  return { engine, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export const settle = (fiber: Fiber.Fiber<unknown, unknown>): Promise<unknown> => Effect.runPromise(Fiber.await(fiber))

export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
export const sse = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
export const plain = (body: string, more = ""): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`

/** The loop has looked at its sockets a few times: what had arrived by now has been read. */
export const looked = async (): Promise<void> => {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve))
}

/** A port whose handshakes are not completed: its queue is full, and nobody accepts. */
export const unaccepting = async (): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> => {
  const worker = new Worker(
    `const net = require("node:net"); const { parentPort } = require("node:worker_threads")
     const server = net.createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
     })`,
    { eval: true }
  )
  const [port] = (await once(worker, "message")) as [number]
  const fillers: Array<net.Socket> = []
  // The queue is full when one more connection does not come about.
  for (let filled = false; !filled; ) {
    const socket = net.connect(port, "127.0.0.1")
    socket.on("error", () => {})
    fillers.push(socket)
    filled = await Promise.race([
      once(socket, "connect").then(() => false),
      new Promise((resolve) => setTimeout(resolve, 150)).then(looked).then(() => true)
    ])
  }
  return {
    port,
    stop: async () => {
      for (const socket of fillers) socket.destroy()
      await worker.terminate()
    }
  }
}

/** Nothing of this thread runs meanwhile: neither timers nor sockets. */
export const holdUp = (millis: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

/** A backend in a thread of its own, which goes on while this one is held up: it answers `after` milliseconds after a request. */
export const independentBackend = async (
  parts: ReadonlyArray<string>,
  after: number
): Promise<{ readonly port: number; readonly asked: () => Promise<unknown>; readonly stop: () => Promise<void> }> => {
  const worker = new Worker(
    `const net = require("node:net"); const { parentPort, workerData: { parts, after } } = require("node:worker_threads")
     const server = net.createServer({ noDelay: true }, (socket) => {
       socket.on("error", () => {})
       socket.once("data", () => {
         socket.write(parts[0])
         setTimeout(() => socket.write(parts[1]), after)
         parentPort.postMessage("asked")
       })
     }).listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))`,
    { eval: true, workerData: { parts, after } }
  )
  const [port] = (await once(worker, "message")) as [number]
  return { port, asked: () => once(worker, "message"), stop: async () => void (await worker.terminate()) }
}

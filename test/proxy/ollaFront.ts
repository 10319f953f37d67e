/** An HTTP server whose every request is one attempt of the `olla` engine, and a client that sees the bytes as they come. */
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import net, { type AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { Attempt, Exchange } from "../../src/exchange/Exchange.ts"
import type { Failure } from "../../src/exchange/Failure.ts"
import { headerValue } from "../../src/exchange/RawHeaders.ts"
import type { Transport } from "../../src/proxy/client/Transport.ts"
import type { Spoken } from "../../src/proxy/Dialect.ts"
import type { Engine, Sending } from "../../src/proxy/Engine.ts"
import { linesOf } from "../../src/proxy/HeaderLines.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { FakeFleet } from "../balancing/fakes.ts"
import { sent } from "./attempt.ts"

const hop = new Set(["content-length", "connection", "keep-alive", "transfer-encoding", "trailer", "upgrade"])

/** A backend on the loopback; the same object for the same port, since connections are kept by its origin. */
const endpoints = new Map<number, Endpoint>()
const endpointAt = (port: number): Endpoint => {
  const endpoint = endpoints.get(port) ?? new FakeFleet().add("one", { url: `http://127.0.0.1:${port}`, type: "openai" })
  endpoints.set(port, endpoint)
  return endpoint
}

export interface Carried {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly exit: Exit.Exit<Spoken | undefined, Failure>
  readonly response: ServerResponse
}

export class OllaFront {
  readonly carried: Array<Carried> = []
  readonly engine: Engine
  readonly #server = createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (req, res) => {
    const body: Array<Buffer> = []
    req.on("error", () => {})
    req.on("data", (part: Buffer) => body.push(part))
    req.on("end", () => this.#carry(req.method ?? "", req.url ?? "", body, res))
  })
  /** For the next requests. */
  over: Partial<Sending> = {}
  backendPort = 0

  constructor(transport: Transport) {
    this.engine = makeOllaEngine(transport, transport)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, "close")
  }

  #carry(method: string, path: string, body: ReadonlyArray<Buffer>, response: ServerResponse): void {
    const bodySize = body.reduce((sum, part) => sum + part.length, 0)
    const exchange = new Exchange({
      id: "an-id",
      method,
      path,
      query: "",
      peer: "127.0.0.1",
      clientIp: "127.0.0.1",
      startedAt: Date.now(),
      accepted: performance.now()
    })
    const attempt = new Attempt(
      {
        endpoint: { url: "", name: "one" },
        endpointName: "one",
        endpointType: "",
        profileName: "",
        model: ""
      },
      performance.now()
    )
    const sending: Sending = {
      exchange,
      attempt,
      endpoint: endpointAt(this.backendPort),
      method,
      path,
      headers: `Host: 127.0.0.1:${this.backendPort}\r\nContent-Length: ${bodySize}\r\n`,
      body,
      bodySize,
      timeouts: { connect: 5_000, tls: 5_000, headers: 5_000, response: 0, firstByte: 0, hold: 0, idle: 5_000, keepAlive: 30_000 },
      reply: (raw) => ({
        lines: linesOf(raw.flatMap((name, i) => (i % 2 === 0 && !hop.has(name.toLowerCase()) ? [name, raw[i + 1] as string] : []))),
        length: headerValue(raw, "content-length"),
        dated: headerValue(raw, "date") !== ""
      }),
      answered: () => {},
      bodyTaken: () => {},
      relayed: () => {},
      needsBody: false,
      flushes: () => true,
      translator: undefined,
      translatorOf() {
        return this.translator
      },
      response,
      bufferSize: 0,
      ...this.over
    }
    const fiber = Effect.runFork(sent(this.engine, sending))
    response.on("close", () => {
      if (!response.writableFinished) fiber.interruptUnsafe()
    })
    fiber.addObserver((exit) => {
      this.carried.push({ exchange, attempt, exit, response })
      if (exit._tag === "Failure" && !response.headersSent && !response.destroyed) response.writeHead(502).end("failed")
    })
  }
}

/** A client of raw bytes. */
export class RawClient {
  readonly socket: net.Socket
  #bytes = Buffer.alloc(0)
  /** The server closed, well or badly. */
  closed = false

  constructor(port: number) {
    this.socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
    this.socket.on("error", () => {})
    this.socket.on("data", (part: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, part])
    })
    this.socket.on("close", () => {
      this.closed = true
    })
  }

  get text(): string {
    return this.#bytes.toString("latin1")
  }

  /** What follows the first head. */
  get body(): string {
    const end = this.text.indexOf("\r\n\r\n")
    return end < 0 ? "" : this.text.slice(end + 4)
  }

  ask(method = "POST", path = "/", version = "1.1", more = ""): this {
    this.socket.write(`${method} ${path} HTTP/${version}\r\nHost: front\r\n${more}Content-Length: 2\r\n\r\n{}`)
    return this
  }
}

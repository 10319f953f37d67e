/** One client against a backend that says exactly the bytes it is told, at the moments it is told. */

import { once } from "node:events"
import net, { type AddressInfo } from "node:net"
import type { Origin } from "../../../src/endpoint/Endpoint.ts"
import type { Failure } from "../../../src/exchange/Failure.ts"
import type { ResponseHead } from "../../../src/proxy/client/ResponseHead.ts"
import type { Deadlines, Outgoing, Relay, Sent, Transport } from "../../../src/proxy/client/Transport.ts"
import { linesOf } from "../../../src/proxy/HeaderLines.ts"
import { looked } from "../rig.ts"

export interface Asked {
  readonly head: string
  readonly body: Buffer
  /** Which connection, from 1. */
  readonly connection: number
}

export class ScriptedBackend {
  readonly asked: Array<Asked> = []
  readonly sockets: Array<net.Socket> = []
  readonly #server: net.Server
  /** Called for every request that is in, whole. */
  answer: (socket: net.Socket, asked: Asked, nth: number) => void = () => {}
  /** Called for every connection; true: nothing is read from it. */
  accept: (socket: net.Socket, nth: number) => boolean = () => false

  constructor() {
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      const connection = this.sockets.push(socket)
      let pending = Buffer.alloc(0)
      socket.on("error", () => {})
      if (this.accept(socket, connection)) return
      socket.on("data", (bytes: Buffer) => {
        pending = Buffer.concat([pending, bytes])
        for (let end = pending.indexOf("\r\n\r\n"); end >= 0; end = pending.indexOf("\r\n\r\n")) {
          const head = pending.toString("latin1", 0, end)
          const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
          if (pending.length < end + 4 + length) return
          const asked = { head, body: pending.subarray(end + 4, end + 4 + length), connection }
          pending = pending.subarray(end + 4 + length)
          this.answer(socket, asked, this.asked.push(asked))
        }
      })
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, "close")
  }

  /** Every request gets these bytes; the connection stays open unless told otherwise. */
  says(text: string | Buffer, end: "keep" | "end" | "reset" = "keep"): void {
    this.answer = (socket) => {
      socket.write(text)
      if (end === "end") socket.end()
      // After the bytes are read: a reset overtakes what is not.
      if (end === "reset") setTimeout(() => void looked().then(() => socket.resetAndDestroy()), 20)
    }
  }
}

export interface Told {
  readonly head: ResponseHead | undefined
  /** Payload, or whole frames where those were asked for. */
  readonly bytes: Buffer
  readonly reads: number
  readonly payload: number
  readonly failure: Failure | undefined
  readonly stale: boolean
}

/** Collects one answer. */
export class Recorder implements Relay {
  readonly wantsPayload: boolean
  readonly #frames: boolean
  readonly #parts: Array<Buffer> = []
  readonly payloadParts: Array<Buffer> = []
  readonly heads: Array<ResponseHead> = []
  ends = 0
  readonly told: Promise<Told>
  #settle: (told: Told) => void = () => {}
  /** What `onBytes` says. */
  goOn: (bytes: Buffer) => boolean = () => true

  constructor(options: { readonly frames?: boolean; readonly wantsPayload?: boolean } = {}) {
    this.#frames = options.frames ?? false
    this.wantsPayload = options.wantsPayload ?? false
    this.told = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  onReuse(): void {}

  onConnect(): void {}

  onSent(): void {}

  onHead(head: ResponseHead): boolean {
    this.heads.push(head)
    return this.#frames && head.chunked
  }

  onWait(): void {}
  onHeld(): void {}

  onBytes(bytes: Buffer, _last: boolean, payload: ReadonlyArray<Buffer> | undefined): boolean {
    this.#parts.push(Buffer.from(bytes))
    if (payload !== undefined) this.payloadParts.push(...payload.map((part) => Buffer.from(part)))
    return this.goOn(bytes)
  }

  onEnd(payload: number): void {
    this.#end(undefined, false, payload)
  }

  onFail(failure: Failure, stale: boolean, payload: number): void {
    this.#end(failure, stale, payload)
  }

  #end(failure: Failure | undefined, stale: boolean, payload: number): void {
    this.ends++
    this.#settle({ head: this.heads[0], bytes: this.bytes, reads: this.#parts.length, payload, failure, stale })
  }
}

export const patient: Deadlines = {
  connect: 5_000,
  tls: 5_000,
  headers: 5_000,
  response: 0,
  firstByte: 0,
  hold: 0,
  idle: 5_000,
  keepAlive: 30_000
}

export interface Ask {
  readonly method?: string
  readonly path?: string
  readonly body?: ReadonlyArray<Buffer>
  readonly fresh?: boolean
  readonly relay?: Recorder
  readonly deadlines?: Partial<typeof patient>
  readonly hostname?: string
  readonly readSize?: number
}

/** The same object for the same backend: connections are kept by it. */
const origins = new Map<string, Origin>()
const originOf = (hostname: string, port: number, authority: string): Origin => {
  const origin = origins.get(authority) ?? { secure: false, hostname, port, authority, basePath: "", tls: undefined }
  origins.set(authority, origin)
  return origin
}

/** Sends and hands over what is on its way. */
export const send = (transport: Transport, port: number, ask: Ask = {}): { readonly relay: Recorder; readonly sent: Sent } => {
  const { method = "POST", body = [], relay = new Recorder(), hostname = "127.0.0.1" } = ask
  const size = body.reduce((sum, part) => sum + part.length, 0)
  const authority = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`
  const outgoing: Outgoing = {
    origin: originOf(hostname, port, authority),
    method,
    path: ask.path ?? "/v1/chat?x=1",
    headers: linesOf(["Host", authority, "X-One", "1", ...(method === "GET" || method === "HEAD" ? [] : ["Content-Length", String(size)])]),
    body,
    bodySize: size,
    deadlines: { ...patient, ...ask.deadlines },
    readSize: ask.readSize ?? 0,
    at: performance.now()
  }
  return { relay, sent: transport.send(outgoing, ask.fresh ?? false, relay) }
}

export const ask = (transport: Transport, port: number, options: Ask = {}): Promise<Told> => send(transport, port, options).relay.told

export const plain = (body: string, more = ""): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`
export const chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
export const frame = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** Until it holds; the test's own limit ends a wait in vain. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

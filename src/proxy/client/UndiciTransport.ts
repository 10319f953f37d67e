/**
 * undici behind the same face: for TLS, which the own client leaves to it, and as a switch (`OLLA_ENGINE_CLIENT=undici`).
 * One undici `Client` is one connection, kept in a stack for each endpoint: undici's own `Pool` searches all of its clients for
 * an idle one, and does not say whether a connection had been used before. Deadlines are looked at by the sweep, as for
 * the own client.
 */
import type net from "node:net"
import { Client, type Dispatcher } from "undici"
import { type Failure, failure } from "../../exchange/Failure.ts"
import { pairsOf } from "../HeaderLines.ts"
import { hasUnknownCoding } from "../HeaderRules.ts"
import { connectorTo, DialError } from "../sherpa/Dialing.ts"
import type { Relay } from "./Connection.ts"
import { idleFor, maxIdle } from "./ConnectionPool.ts"
import { InterimFilter } from "./InterimFilter.ts"
import { maxHead, type ResponseHead } from "./ResponseHead.ts"
import { Sweeper, type Watched } from "./Sweeper.ts"
import type { Outgoing, Sent, Transport } from "./Transport.ts"
import { undiciFailure } from "./UndiciFailure.ts"
import { unsentOf } from "./UpstreamSocket.ts"

/** One connection. */
interface Link {
  readonly client: Client
  socket: net.Socket | undefined
  filter: InterimFilter | undefined
  /** It has carried an answer before. */
  used: boolean
}

export const undiciTransport = (): Transport => {
  const pools = new Map<string, LinkPool>()
  const sweeper = new Sweeper((gone) => {
    for (const [url, pool] of pools) if (pool === gone && pool.isEmpty) pools.delete(url)
  })
  return {
    send: (outgoing, fresh, relay) => {
      const { endpoint } = outgoing
      let pool = pools.get(endpoint.url)
      if (pool === undefined) {
        pool = new LinkPool()
        pools.set(endpoint.url, pool)
      }
      const flight = new Flight(pool, pool.take(outgoing, fresh, relay), outgoing, relay)
      pool.flights.add(flight)
      sweeper.watch(pool)
      flight.start()
      return flight
    },
    close: () => {
      for (const pool of pools.values()) pool.close()
      pools.clear()
    }
  }
}

/** The connections to one endpoint. */
class LinkPool implements Watched {
  readonly flights = new Set<Flight>()
  readonly #links = new Set<Link>()
  /** The warmest last. */
  readonly #idle: Array<Link> = []

  get isEmpty(): boolean {
    return this.#links.size === 0
  }

  take(outgoing: Outgoing, fresh: boolean, relay: Relay): Link {
    return (fresh ? undefined : this.#idle.pop()) ?? this.#open(outgoing, relay)
  }

  park(link: Link): void {
    if (!this.#links.has(link)) return
    link.used = true
    this.#idle.push(link)
    const oldest = this.#idle.length > maxIdle ? this.#idle.shift() : undefined
    if (oldest !== undefined) this.drop(oldest)
  }

  /** The backend notices at once, also while the connection is being opened. */
  drop(link: Link): void {
    this.#links.delete(link)
    link.client.destroy(new Error("dropped")).catch(() => {})
    link.socket?.destroy()
  }

  sweep(now: number): boolean {
    for (const flight of this.flights) flight.sweep(now)
    return this.flights.size > 0
  }

  close(): void {
    for (const link of this.#links) this.drop(link)
  }

  #open({ endpoint: { origin }, deadlines }: Outgoing, relay: Relay): Link {
    const host = origin.hostname.includes(":") ? `[${origin.hostname}]` : origin.hostname
    const client = new Client(`${origin.secure ? "https" : "http"}://${host}:${origin.port}`, {
      connect: connectorTo(origin, deadlines, (socket) => {
        link.socket = socket
        link.filter = new InterimFilter(socket)
        relay.onConnect()
      }),
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: maxHead,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: idleFor,
      keepAliveMaxTimeout: idleFor,
      keepAliveTimeoutThreshold: 1_000
    })
    const link: Link = { client, socket: undefined, filter: undefined, used: false }
    this.#links.add(link)
    client.on("disconnect", () => {
      link.used = false
      const at = this.#idle.indexOf(link)
      if (at < 0) return
      this.#idle.splice(at, 1)
      this.drop(link)
    })
    return link
  }
}

/** One request on its way. */
class Flight implements Sent, Dispatcher.DispatchHandler {
  readonly #pool: LinkPool
  readonly #link: Link
  readonly #outgoing: Outgoing
  readonly #relay: Relay
  readonly #reused: boolean
  #controller: Dispatcher.DispatchController | undefined
  #over = false
  #sent = false
  #answered = false
  #frames = false
  #paused = false
  #unsent = 0
  #late = false
  /** Begin of the wait that is going on. */
  #since = 0
  payload = 0

  constructor(pool: LinkPool, link: Link, outgoing: Outgoing, relay: Relay) {
    this.#pool = pool
    this.#link = link
    this.#outgoing = outgoing
    this.#relay = relay
    this.#reused = link.used
  }

  start(): void {
    const { method, path, headers, body } = this.#outgoing
    this.#link.filter?.expect()
    // undici has its own idea of a request: what it will not carry is this exchange's failure.
    try {
      this.#link.client.dispatch(
        {
          method: method as Dispatcher.HttpMethod,
          path,
          headers: pairsOf(headers),
          // Several chunks go out as they are: putting a long prompt together costs more than its writes. undici takes any
          // iterable, which its types do not tell.
          body: body.length === 0 ? null : body.length === 1 ? (body[0] as Buffer) : (body as never)
        },
        this
      )
    } catch (error) {
      this.#fail(failure("internal", String(error)), false)
    }
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#since = performance.now()
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#end()) this.#pool.drop(this.#link)
  }

  /** As the own client's: a limit must have passed at two looks. The connector has its own limits. */
  sweep(now: number): void {
    if (this.#paused || this.#over) return
    const { headers, response, idle } = this.#outgoing.deadlines
    const { socket } = this.#link
    const unsent = this.#answered || socket === undefined ? 0 : unsentOf(socket)
    if (unsent !== this.#unsent) {
      this.#unsent = unsent
      this.#since = now
    }
    const limit = this.#answered ? idle : this.#sent ? headers : 0
    const expired = limit > 0 && now - this.#since >= limit
    const tooLong = !this.#answered && response > 0 && now >= response
    if (!(expired || tooLong) || !this.#late) {
      this.#late = expired || tooLong
      return
    }
    if (tooLong) this.#fail(failure("response_timeout", "no response headers in time"), false)
    else if (this.#answered) this.#fail(failure("idle_timeout", "the backend fell silent", idle), false)
    else this.#fail(failure("header_timeout", "no response headers in time", headers), false)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }

  onRequestSent(): void {
    this.#sent = true
    this.#since = performance.now()
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#over) return
    this.#answered = true
    this.#sent = true
    this.#since = performance.now()
    this.#guarded(() => {
      const head = headOf(controller, status, this.#outgoing.method)
      if (hasUnknownCoding(head.raw)) {
        this.#fail(failure("malformed", "the response has an unknown transfer coding"), false)
        return
      }
      this.#frames = this.#relay.onHead(head)
      // undici does not say whether more came with the head; if so, it tells before this.
      queueMicrotask(() => {
        if (!this.#over && this.payload === 0) this.#relay.onWait()
      })
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici goes on after a pause with a piece that may be empty, and a frame around nothing is the last one.
    if (this.#over || chunk.length === 0) return
    this.#since = performance.now()
    this.payload += chunk.length
    this.#guarded(() => {
      const on = this.#frames
        ? this.#relay.onBytes(framed(chunk), false, this.#relay.wantsPayload ? [chunk] : undefined)
        : this.#relay.onBytes(chunk, false, undefined)
      if (on || this.#over) return
      this.#paused = true
      controller.pause()
    })
  }

  onResponseEnd(): void {
    if (!this.#end()) return
    this.#pool.park(this.#link)
    try {
      this.#relay.onEnd(this.payload, false)
    } catch (error) {
      this.#relay.onFail(failure("internal", String(error)), false, this.payload)
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return
    const why = undiciFailure(error, this.#answered)
    this.#fail(why, why.kind === "closed" && this.#reused && this.#link.filter?.heard !== true && !(error instanceof DialError))
  }

  #guarded(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#fail(failure("internal", error instanceof Error ? (error.stack ?? error.message) : String(error)), false)
    }
  }

  #fail(why: Failure, stale: boolean): void {
    if (!this.#end()) return
    this.#pool.drop(this.#link)
    this.#relay.onFail(why, stale, this.payload)
  }

  /** False: it was over already. */
  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#pool.flights.delete(this)
    return true
  }
}

/** One write for the client's socket: frame and payload. */
const framed = (chunk: Buffer): Buffer => {
  const size = `${chunk.length.toString(16)}\r\n`
  const frame = Buffer.allocUnsafe(size.length + chunk.length + 2)
  frame.write(size, 0, "latin1")
  chunk.copy(frame, size.length)
  frame.write("\r\n", frame.length - 2, "latin1")
  return frame
}

const headOf = (controller: Dispatcher.DispatchController, status: number, method: string): ResponseHead => {
  const given = (controller.rawHeaders ?? []) as ReadonlyArray<Buffer | string>
  const raw: Array<string> = []
  let length = -1
  let chunked = false
  for (let i = 0; i + 1 < given.length; i += 2) {
    const name = textOf(given[i] as Buffer | string)
    const value = textOf(given[i + 1] as Buffer | string)
    raw.push(name, value)
    const low = name.toLowerCase()
    if (low === "content-length") length = Number(value)
    else if (low === "transfer-encoding") chunked = true
  }
  const bare = method === "HEAD" || status === 204 || status === 304
  return { status, raw, chunked: chunked && !bare, length: bare ? 0 : chunked ? -1 : length, keep: true, keepFor: -1 }
}

const textOf = (part: Buffer | string): string => (typeof part === "string" ? part : part.toString("latin1"))

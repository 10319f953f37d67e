/**
 * The dispatcher under the platform's HTTP client: one undici `Client` is one connection, kept and used again by the rules of
 * proxying.md 3. The platform's client knows headers as a record and an address as a URL; what must stay as it is (repeated
 * headers, spellings, the exact path) goes around that in a `Ticket`, and so does what an engine must know of the end:
 * whether the connection had been used before, and why an answer broke off.
 */
import type net from "node:net"
import { performance } from "node:perf_hooks"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { Client, Dispatcher } from "undici"
import { InterimFilter } from "../client/InterimFilter.ts"
import type { Sending } from "../Engine.ts"
import { pairsOf } from "../HeaderLines.ts"
import { connectorTo } from "./Dialing.ts"

/** Idle connections kept, for one backend and for all together, and for how long in milliseconds. */
const idleEach = 5
const idleAll = 20
const idleFor = 90_000

/** Largest header block of an answer, bytes. */
const maxHead = 10 * 1024 * 1024

/** One connection. */
interface Link {
  readonly url: string
  readonly client: Client
  socket: net.Socket | undefined
  filter: InterimFilter | undefined
  /** It has carried an answer before. */
  used: boolean
}

/** One request on its way: travels as undici's `opaque`. */
export class Ticket {
  readonly sending: Sending
  /** Not on a kept connection. */
  readonly fresh: boolean
  /** The request's last byte has been handed to the system. */
  readonly sent = Deferred.makeUnsafe<void>()
  link: Link | undefined
  reused = false
  /** Flat name/value pairs of the answer. */
  raw: ReadonlyArray<string> = []
  /** Why there was no answer. */
  error: Error | undefined
  /** Why the answer ended too early: its body is delivered as far as it came, and ends like any other. */
  broke: Error | undefined
  over = false

  constructor(sending: Sending, fresh: boolean) {
    this.sending = sending
    this.fresh = fresh
  }

  /** The backend must notice at once, in whatever phase this is. Nothing happens after the end. */
  abort(): void {
    if (this.over) return
    this.over = true
    this.link?.client.destroy(new Error("aborted")).catch(() => {})
    this.link?.socket?.destroy()
  }
}

export class KeptClients extends Dispatcher {
  readonly #links = new Set<Link>()
  /** Oldest first. */
  readonly #idle: Array<Link> = []

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const ticket = (options as { readonly opaque?: unknown }).opaque
    if (!(ticket instanceof Ticket)) throw new TypeError("a request without a ticket")
    const { sending } = ticket
    const link = (ticket.fresh ? undefined : this.#takeIdle(sending.endpoint.url)) ?? this.#open(sending)
    ticket.link = link
    ticket.reused = link.used
    link.filter?.expect()
    return link.client.dispatch(
      // Time limits are the engine's.
      { ...options, path: sending.path, headers: withoutLength(pairsOf(sending.headers)), headersTimeout: 0, bodyTimeout: 0 },
      this.#watching(ticket, link, handler)
    )
  }

  override async close(): Promise<void> {
    await this.destroy()
  }

  override async destroy(): Promise<void> {
    this.#idle.length = 0
    await Promise.all([...this.#links].map((link) => link.client.destroy()))
  }

  /** The warmest goes first. */
  #takeIdle(url: string): Link | undefined {
    const at = this.#idle.findLastIndex((link) => link.url === url)
    return at < 0 ? undefined : this.#idle.splice(at, 1)[0]
  }

  #open({ endpoint, timeouts, attempt }: Sending): Link {
    const { origin, url } = endpoint
    const host = origin.hostname.includes(":") ? `[${origin.hostname}]` : origin.hostname
    const client = new Client(`${origin.secure ? "https" : "http"}://${host}:${origin.port}`, {
      connect: connectorTo(origin, timeouts, (socket) => {
        link.socket = socket
        link.filter = new InterimFilter(socket)
        attempt.timings.connected = performance.now()
      }),
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: maxHead,
      keepAliveTimeout: idleFor,
      keepAliveMaxTimeout: idleFor,
      keepAliveTimeoutThreshold: 1_000
    })
    const link: Link = { url, client, socket: undefined, filter: undefined, used: false }
    this.#links.add(link)
    client.on("disconnect", () => {
      link.used = false
      const at = this.#idle.indexOf(link)
      if (at < 0) return
      this.#idle.splice(at, 1)
      this.#drop(link)
    })
    return link
  }

  #drop(link: Link): void {
    this.#links.delete(link)
    link.client.destroy().catch(() => {})
  }

  #park(link: Link): void {
    link.used = true
    this.#idle.push(link)
    const same = this.#idle.filter(({ url }) => url === link.url)
    const tooOld = same.length > idleEach ? same[0] : this.#idle.length > idleAll ? this.#idle[0] : undefined
    if (tooOld === undefined) return
    this.#idle.splice(this.#idle.indexOf(tooOld), 1)
    this.#drop(tooOld)
  }

  #watching(ticket: Ticket, link: Link, inner: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler & { onRequestSent(): void } {
    let answered = false
    return {
      onRequestStart: (controller, context) => inner.onRequestStart?.(controller, context),
      onRequestSent: () => {
        const { socket } = link
        const sent = () => Deferred.doneUnsafe(ticket.sent, Effect.void)
        // A long prompt that is still going out is progress, not silence.
        if (socket?.writableNeedDrain === true) socket.once("drain", sent)
        else sent()
      },
      onResponseStart: (controller, status, headers, text) => {
        if (status >= 200) {
          answered = true
          ticket.raw = rawOf(controller)
        }
        inner.onResponseStart?.(controller, status, headers, text)
      },
      onResponseData: (controller, chunk) => inner.onResponseData?.(controller, chunk),
      onResponseEnd: (controller, trailers) => {
        ticket.over = true
        this.#park(link)
        inner.onResponseEnd?.(controller, trailers)
      },
      onResponseError: (controller, error) => {
        ticket.over = true
        this.#drop(link)
        if (!answered) {
          ticket.error = error
          inner.onResponseError?.(controller, error)
          return
        }
        ticket.broke = error
        inner.onResponseEnd?.(controller, {})
      }
    }
  }
}

/** undici says the length of a body itself. */
const withoutLength = (headers: ReadonlyArray<string>): Array<string> => {
  const out: Array<string> = []
  for (let i = 0; i + 1 < headers.length; i += 2)
    if ((headers[i] as string).toLowerCase() !== "content-length") out.push(headers[i] as string, headers[i + 1] as string)
  return out
}

const rawOf = (controller: Dispatcher.DispatchController): Array<string> => {
  const raw = (controller.rawHeaders ?? []) as ReadonlyArray<Buffer | string>
  return raw.map((part) => (typeof part === "string" ? part : part.toString("latin1")))
}

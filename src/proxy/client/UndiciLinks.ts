/**
 * undici's connections. One undici `Client` is one connection, kept in a stack for each origin: undici's own `Pool` searches all of its
 * clients for an idle one, and does not say whether a connection had been used before.
 */
import type net from "node:net"
import { Client } from "undici"
import type { Origin } from "../../endpoint/Endpoint.ts"
import { AnswerWatch } from "./AnswerWatch.ts"
import { connectorTo } from "./Dialing.ts"
import { maxHead } from "./ResponseHead.ts"
import type { Deadlines } from "./Transport.ts"

/** Idle connections kept. */
export interface KeptLimits {
  readonly each: number
  readonly all: number
  /** Milliseconds. */
  readonly time: number
}

/** One connection. */
export class UndiciLink {
  readonly origin: Origin
  readonly client: Client
  socket: net.Socket | undefined
  watch: AnswerWatch | undefined
  /** It has carried an answer before. */
  used = false
  /** Told when its connection has been made, TLS included. */
  onConnect: () => void = () => {}

  constructor(origin: Origin, limits: Deadlines, keptFor: number) {
    const host = origin.hostname.includes(":") ? `[${origin.hostname}]` : origin.hostname
    this.origin = origin
    const connect = connectorTo(origin, limits, (socket) => {
      this.socket = socket
      this.watch = new AnswerWatch(socket)
    })
    this.client = new Client(`${origin.secure ? "https" : "http"}://${host}:${origin.port}`, {
      connect: (options, callback) =>
        connect(options, (...result) => {
          if (result[0] === null) this.onConnect()
          callback(...result)
        }),
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: maxHead,
      // Time limits are looked at by the transport's sweep.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keptFor,
      keepAliveMaxTimeout: keptFor,
      keepAliveTimeoutThreshold: 1_000
    })
  }

  /** Its connection stands, as far as has been read from it. */
  get stands(): boolean {
    return this.socket !== undefined && !this.socket.destroyed && !this.socket.readableEnded
  }

  /** The backend notices at once, also while the connection is being opened. */
  destroy(): void {
    this.client.destroy(new Error("dropped")).catch(() => {})
    this.socket?.destroy()
  }
}

export class UndiciLinks {
  readonly #limits: KeptLimits
  readonly #links = new Set<UndiciLink>()
  /** By origin, the warmest last. */
  readonly #stacks = new Map<Origin, Array<UndiciLink>>()
  /** All that are idle, the oldest first. */
  readonly #idle = new Set<UndiciLink>()
  /** Nothing is kept for them any more. */
  readonly #retired = new WeakSet<Origin>()

  constructor(limits: KeptLimits) {
    this.#limits = limits
  }

  /** A kept connection, the warmest first, or a new one; `fresh` insists on a new one. */
  take(origin: Origin, limits: Deadlines, fresh: boolean): UndiciLink {
    const kept = fresh ? undefined : this.#stacks.get(origin)?.at(-1)
    if (kept !== undefined) {
      this.#unpark(kept)
      return kept
    }
    const link = new UndiciLink(origin, limits, this.#limits.time)
    this.#links.add(link)
    link.client.on("disconnect", () => {
      link.used = false
      if (this.#unpark(link)) this.drop(link)
    })
    return link
  }

  /** Its answer is complete: it may carry another. */
  park(link: UndiciLink): void {
    if (!this.#links.has(link)) return
    if (this.#retired.has(link.origin)) {
      this.drop(link)
      return
    }
    link.used = true
    const stack = this.#stacks.get(link.origin) ?? []
    stack.push(link)
    this.#stacks.set(link.origin, stack)
    this.#idle.add(link)
    const { each, all } = this.#limits
    const [oldest] = this.#idle
    const tooMany = stack.length > each ? stack[0] : this.#idle.size > all ? oldest : undefined
    if (tooMany !== undefined) this.drop(tooMany)
  }

  drop(link: UndiciLink): void {
    this.#unpark(link)
    this.#links.delete(link)
    link.destroy()
  }

  retire(origin: Origin): void {
    this.#retired.add(origin)
    for (const link of [...(this.#stacks.get(origin) ?? [])]) this.drop(link)
  }

  close(): void {
    for (const link of this.#links) this.drop(link)
  }

  /** False: it was not idle. */
  #unpark(link: UndiciLink): boolean {
    if (!this.#idle.delete(link)) return false
    const stack = this.#stacks.get(link.origin) as Array<UndiciLink>
    if (stack.at(-1) === link) stack.pop()
    else stack.splice(stack.indexOf(link), 1)
    if (stack.length === 0) this.#stacks.delete(link.origin)
    return true
  }
}

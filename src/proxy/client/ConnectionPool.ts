/**
 * The connections to one endpoint: idle ones in a stack, so that the warmest goes first, active ones in a set for the
 * sweep. Nothing caps the active ones: a backend that batches takes hundreds of streams at once.
 */
import { performance } from "node:perf_hooks"
import type { Origin } from "../../endpoint/Endpoint.ts"
import { ActiveSet } from "../../exchange/ActiveSet.ts"
import { Connection, type Home } from "./Connection.ts"
import { parseHead, type ResponseHead } from "./ResponseHead.ts"
import type { Sweeper, Watched } from "./Sweeper.ts"
import type { Outgoing } from "./Transport.ts"

/** Idle connections kept for an endpoint, and for how long at most, in milliseconds. */
export const maxIdle = 25
export const idleFor = 90_000

/** Milliseconds for which a connection may idle; `keepFor`: seconds that the backend keeps it, -1 unknown; one second earlier is ours. */
export const idleTime = (keepFor: number): number => (keepFor < 0 ? idleFor : Math.min(idleFor, (keepFor - 1) * 1000))

/** Characters of a head that is compared with the next one. */
const longestRemembered = 2_048

export class ConnectionPool implements Watched, Home {
  readonly origin: Origin
  readonly #idle: Array<Connection> = []
  readonly #active = new ActiveSet<Connection>()
  readonly #sweeper: Sweeper
  #retired = false

  /** The last head that was read: many a backend says the same again, within the second of its `Date`. */
  #lastText = ""
  #lastMethod = ""
  #lastHead: ResponseHead | undefined = undefined

  constructor(origin: Origin, sweeper: Sweeper) {
    this.origin = origin
    this.#sweeper = sweeper
  }

  /** The coarse clock of reads: a call of `performance.now()` per token would cost more than it tells. */
  get now(): number {
    return this.#sweeper.now
  }

  /** As `parseHead` has it. */
  headOf(text: string, method: string): ResponseHead | undefined {
    if (text === this.#lastText && method === this.#lastMethod) return this.#lastHead
    const head = parseHead(text, method)
    if (text.length <= longestRemembered) {
      this.#lastText = text
      this.#lastMethod = method
      this.#lastHead = head
    }
    return head
  }

  /** A kept connection, or a new one; `fresh` insists on a new one. */
  take(fresh: boolean, { at, deadlines, readSize }: Outgoing): Connection {
    if (!fresh) {
      for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
        if (connection.usable && connection.idleUntil > at) return connection
        connection.socket.destroy()
      }
    }
    return new Connection(this, deadlines.keepAlive, readSize)
  }

  activate(connection: Connection): void {
    this.#active.add(connection)
    this.#sweeper.watch(this)
  }

  deactivate(connection: Connection): void {
    this.#active.delete(connection)
  }

  park(connection: Connection, keepFor: number): void {
    const lifetime = idleTime(keepFor)
    if (lifetime <= 0 || this.#retired) {
      connection.socket.destroy()
      return
    }
    connection.idleUntil = performance.now() + lifetime
    this.#idle.push(connection)
    if (this.#idle.length > maxIdle) this.#idle.shift()?.socket.destroy()
  }

  forget(connection: Connection): void {
    this.#active.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** False: nothing is left to look after, and the pool may be dropped. */
  sweep(now: number): boolean {
    for (const connection of this.#active) connection.sweep(now)
    // Backends promise different times, so the oldest is not always the first to go.
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const connection = this.#idle[i] as Connection
      if (connection.idleUntil > now) continue
      this.#idle.splice(i, 1)
      connection.socket.destroy()
    }
    return this.#active.size > 0 || this.#idle.length > 0
  }

  /** No connection is kept any more. */
  retire(): void {
    this.#retired = true
    for (const connection of this.#idle.splice(0)) connection.socket.destroy()
  }

  close(): void {
    for (const connection of [...this.#idle, ...this.#active]) connection.socket.destroy()
  }
}

/**
 * The connections to one endpoint: idle ones in a stack, so that the warmest goes first, active ones in a set for the
 * sweep. Nothing caps the active ones (README ruling 11).
 */
import type { Origin } from "../../endpoint/Endpoint.ts"
import { Connection } from "./Connection.ts"

/** Idle connections kept for an endpoint, and for how long at most, in milliseconds (proxying.md 3). */
const maxIdle = 25
const idleFor = 90_000

/** How often deadlines are looked at, in milliseconds. */
const sweepEvery = 200

export class ConnectionPool {
  readonly origin: Origin
  readonly #idle: Array<Connection> = []
  readonly #active = new Set<Connection>()
  readonly #sweeper: Sweeper

  constructor(origin: Origin, sweeper: Sweeper) {
    this.origin = origin
    this.#sweeper = sweeper
  }

  /** The coarse clock of reads: a call of `performance.now()` per token would cost more than it tells. */
  get now(): number {
    return this.#sweeper.now
  }

  /** A kept connection, or a new one; `fresh` insists on a new one. */
  take(fresh: boolean, keepAliveInterval: number): Connection {
    if (!fresh) {
      const now = performance.now()
      for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
        if (connection.usable && connection.idleUntil > now) return connection
        connection.socket.destroy()
      }
    }
    return new Connection(this, keepAliveInterval)
  }

  activate(connection: Connection): void {
    this.#active.add(connection)
    this.#sweeper.watch(this)
  }

  deactivate(connection: Connection): void {
    this.#active.delete(connection)
  }

  /** `keepFor`: seconds that the backend keeps it, -1 unknown; one second earlier is ours. */
  park(connection: Connection, keepFor: number): void {
    const lifetime = keepFor < 0 ? idleFor : Math.min(idleFor, (keepFor - 1) * 1000)
    if (lifetime <= 0) {
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

  /** False: nothing is left to look after. */
  sweep(now: number): boolean {
    for (const connection of this.#active) connection.sweep(now)
    while (this.#idle[0] !== undefined && this.#idle[0].idleUntil <= now) this.#idle.shift()?.socket.destroy()
    return this.#active.size > 0 || this.#idle.length > 0
  }

  close(): void {
    for (const connection of [...this.#idle, ...this.#active]) connection.socket.destroy()
  }
}

/** One timer for all pools; it runs only while there is something to watch. */
export class Sweeper {
  now = performance.now()
  readonly #pools = new Set<ConnectionPool>()
  #timer: NodeJS.Timeout | undefined

  watch(pool: ConnectionPool): void {
    this.#pools.add(pool)
    if (this.#timer !== undefined) return
    this.now = performance.now()
    this.#timer = setInterval(() => this.#sweep(), sweepEvery)
    this.#timer.unref()
  }

  #sweep(): void {
    this.now = performance.now()
    for (const pool of this.#pools) if (!pool.sweep(this.now)) this.#pools.delete(pool)
    if (this.#pools.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/**
 * Who waits, and who is next: by class, then by fair share, then by arrival. Pure but for what it holds: it has no clock, starts no
 * timer and knows nothing of what is waited for.
 *
 * Shares are those of start-time fair queueing, in tokens: a ticket starts where the last one of its client ends, or at the virtual time
 * of the line, and the one that starts first is served first. So two clients that both wait never get further apart than their two
 * largest requests, however many tickets one of them has.
 */
import { classes } from "../config/TrafficSchema.ts"

export type Urgency = (typeof classes)[number]

/** Where a class stands: 0 is the most urgent. */
export const rankOf = (urgency: Urgency): number => classes.indexOf(urgency)

/** Milliseconds of waiting after which a ticket counts as one class more urgent. */
export const risesAfter = 10_000
/** Bytes of all bodies that wait. */
export const mostBytes = 256 * 1024 * 1024
/** Clients without a ticket whose share is remembered while anybody waits. */
const mostClients = 10_000

/** What a request brings to the line. */
export interface Wish {
  /** Whose share it takes. */
  readonly client: string
  readonly urgency: Urgency
  /** Tokens. */
  readonly cost: number
  /** Of its body. */
  readonly bytes: number
}

export interface LineLimits {
  readonly mostWaiting: number
  readonly mostOfClient: number
}

export type LineRefusal = "queue_full" | "client_queue_full"

/** One request's place. Kept by whoever waits again after an attempt failed. */
export class Ticket<T> {
  readonly holder: T
  readonly wish: Wish
  /** When it joined, milliseconds of the monotonic clock. */
  readonly since: number
  /** Order of arrival. */
  readonly number: number
  readonly rank: number
  /** Where it starts, in tokens of the line's virtual time. */
  start = 0
  /** The virtual time when it joined: it starts no earlier. */
  readonly earliest: number
  isWaiting = false

  constructor(holder: T, wish: Wish, since: number, number: number, earliest: number) {
    this.holder = holder
    this.wish = wish
    this.since = since
    this.number = number
    this.rank = rankOf(wish.urgency)
    this.earliest = earliest
  }

  /** How high it lifts its class by now, having waited. */
  rankAt(now: number): number {
    return Math.max(0, this.rank - Math.floor((now - this.since) / risesAfter))
  }
}

interface Client<T> {
  /** End of its last ticket, in tokens of the line's virtual time. */
  finish: number
  /** In order of arrival. */
  readonly tickets: Array<Ticket<T>>
}

export class WaitingLine<T> {
  readonly #limits: () => LineLimits
  readonly #tickets = new Set<Ticket<T>>()
  readonly #clients = new Map<string, Client<T>>()
  #bytes = 0
  #virtual = 0
  #number = 0

  constructor(limits: () => LineLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#tickets.size
  }
  /** Of all bodies that wait. */
  get bytes(): number {
    return this.#bytes
  }
  get tickets(): Iterable<Ticket<T>> {
    return this.#tickets
  }
  sizeOf(client: string): number {
    return this.#clients.get(client)?.tickets.length ?? 0
  }
  /** Clients that are remembered. */
  get clients(): number {
    return this.#clients.size
  }

  /** `now`: milliseconds of the monotonic clock. */
  join(holder: T, wish: Wish, now: number): Ticket<T> | LineRefusal {
    const { mostWaiting, mostOfClient } = this.#limits()
    if (this.sizeOf(wish.client) >= mostOfClient) return "client_queue_full"
    if (this.size >= mostWaiting || this.#bytes + wish.bytes > mostBytes) return "queue_full"
    const ticket = new Ticket(holder, wish, now, ++this.#number, this.#virtual)
    const client = this.#clientOf(wish.client)
    ticket.start = Math.max(ticket.earliest, client.finish)
    client.finish = ticket.start + wish.cost
    client.tickets.push(ticket)
    this.#enter(ticket)
    return ticket
  }

  /** Once more, at its place and age: its turn came to nothing. It has been let in before, and is let in again. */
  rejoin(ticket: Ticket<T>): void {
    if (ticket.isWaiting) return
    const { tickets } = this.#clientOf(ticket.wish.client)
    const at = tickets.findIndex(({ number }) => number > ticket.number)
    tickets.splice(at < 0 ? tickets.length : at, 0, ticket)
    this.#enter(ticket)
  }

  /** All of them, whose turn it is first. `isLater`: comes after the others of its class, but for who has waited long. */
  inOrder(now: number, isLater: (holder: T) => boolean = () => false): ReadonlyArray<Ticket<T>> {
    const standing = this.#standing(now)
    const later = new Set<Ticket<T>>()
    for (const ticket of this.#tickets) if (now - ticket.since < risesAfter && isLater(ticket.holder)) later.add(ticket)
    const place = (ticket: Ticket<T>): number => 2 * (standing[ticket.rank] as number) + (later.has(ticket) ? 1 : 0)
    return [...this.#tickets].sort((a, b) => (later.size === 0 ? 0 : place(a) - place(b)) || before(a, b, standing))
  }

  /** It is its turn. */
  serve(ticket: Ticket<T>): void {
    if (!this.#remove(ticket)) return
    this.#virtual = Math.max(this.#virtual, ticket.start)
    this.#forget()
  }

  /** It is waited for no longer, and its client's share is given back: what came after it moves up. */
  leave(ticket: Ticket<T>): void {
    const client = this.#clients.get(ticket.wish.client)
    if (client === undefined || !this.#remove(ticket)) return
    const { number, wish } = ticket
    let finish = ticket.start
    for (const later of client.tickets) {
      if (later.number < number) continue
      // Those in between may have been served before it: their share stays taken.
      later.start = Math.max(later.earliest, finish, later.start - wish.cost)
      finish = later.start + later.wish.cost
    }
    client.finish = Math.max(finish, client.finish - wish.cost)
    this.#forget()
  }

  /** How many are served before it as things stand. */
  ahead(ticket: Ticket<T>, now: number): number {
    const standing = this.#standing(now)
    let ahead = 0
    for (const other of this.#tickets) if (other !== ticket && before(other, ticket, standing) < 0) ahead++
    return ahead
  }

  /**
   * Where each class stands: as high as its oldest ticket has risen. Tickets do not rise one by one, or whoever keeps many waiting would
   * always have some that stand above what another client has just brought, whatever their shares.
   */
  #standing(now: number): ReadonlyArray<number> {
    const standing = classes.map((_, rank) => rank)
    for (const ticket of this.#tickets) {
      const rank = ticket.rankAt(now)
      if (rank < (standing[ticket.rank] as number)) standing[ticket.rank] = rank
    }
    return standing
  }

  #clientOf(name: string): Client<T> {
    let client = this.#clients.get(name)
    if (client === undefined) {
      client = { finish: this.#virtual, tickets: [] }
      this.#clients.set(name, client)
    }
    return client
  }

  #enter(ticket: Ticket<T>): void {
    ticket.isWaiting = true
    this.#tickets.add(ticket)
    this.#bytes += ticket.wish.bytes
  }

  #remove(ticket: Ticket<T>): boolean {
    if (!this.#tickets.delete(ticket)) return false
    ticket.isWaiting = false
    this.#bytes -= ticket.wish.bytes
    const tickets = this.#clients.get(ticket.wish.client)?.tickets
    tickets?.splice(tickets.indexOf(ticket), 1)
    return true
  }

  /** Shares matter only beside somebody who waits. */
  #forget(): void {
    if (this.#tickets.size === 0) this.#clients.clear()
    else if (this.#clients.size > mostClients + this.#tickets.size)
      for (const [name, { tickets }] of this.#clients) {
        if (tickets.length === 0) this.#clients.delete(name)
        if (this.#clients.size <= mostClients) break
      }
  }
}

/** Negative: `a` is served before `b`. */
const before = <T>(a: Ticket<T>, b: Ticket<T>, standing: ReadonlyArray<number>): number =>
  (standing[a.rank] as number) - (standing[b.rank] as number) || a.start - b.start || a.number - b.number

/** A moment in which so many tickets get their turn, in whole seconds that a client may be told: from 1 to 60. `perSecond`: turns. */
export const secondsUntilTurn = (ahead: number, perSecond: number, less = 0): number =>
  clampSeconds(perSecond > 0 ? ahead / perSecond - less : Number.POSITIVE_INFINITY)

export const clampSeconds = (seconds: number): number => Math.min(60, Math.max(1, Math.ceil(seconds)))

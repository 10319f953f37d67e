/**
 * Requests that nobody can take now. Each has a ticket until somebody can, its time is over or its client leaves; whom it gets is
 * decided at its turn, not before, so that nobody idles while somebody waits for him. One timer for all of them, and none while nobody
 * waits.
 */
import type { Host } from "../endpoint/Host.ts"
import type { Outlook } from "./Outlook.ts"
import { clampSeconds, type LineLimits, secondsUntilTurn, Ticket, type Urgency, WaitingLine, type Wish } from "./WaitingLine.ts"

/** What changes by time alone (a trial that ends, a breaker that admits again) is looked for this often while anybody waits, in milliseconds. */
const lookEvery = 1_000

export interface QueueRefusal {
  /** `nobody`: there is nobody to wait for. */
  readonly code: "queue_timeout" | "queue_full" | "client_queue_full" | "all_paused" | "nobody"
  /** Whole seconds after which asking again makes sense. */
  readonly retryAfter: number
}

/** A request that waits, as the queue sees it. All of it is synchronous. */
export interface Waiter {
  readonly wish: Wish
  /** As it is counted: what was asked for. */
  readonly model: string
  /** Milliseconds that it may still wait for room, and for somebody to come back; counted down by the queue. */
  patience: number
  hold: number
  /** Others may be able to serve it by now than before; asked every second at least. */
  readonly renew: () => void
  /** Nobody could take it without a load that pushes another model out: within a class it comes after those whose model is there. */
  readonly pushesOut?: () => boolean
  /** Takes whoever can be asked now. False: nobody. */
  readonly take: () => boolean
  readonly outlook: () => Outlook
  /** Servers that it waits for. */
  readonly hosts: () => ReadonlySet<Host>
  /** Turns that those whom it waits for end in a second. */
  readonly rate: () => number
  /** It is its turn; told in a later step than `wait`. */
  readonly served: () => void
  /** It is waited for no longer; told in a later step than `wait`. */
  readonly refused: (refusal: QueueRefusal) => void
}

export interface QueueParts {
  readonly limits: () => LineLimits
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  /** Calls once after so many milliseconds. Returns what calls it off. */
  readonly after: (milliseconds: number, call: () => void) => () => void
  /** Calls when what is under way is through, in the same turn of the event loop. */
  readonly soon: (call: () => void) => void
}

type Kind = Outlook["_tag"]

/** A place in the queue. Kept by its holder, who may wait again. */
export class Place {
  readonly waiter: Waiter
  ticket: Ticket<Place> | undefined
  /** What it waits for, since when, and until when, milliseconds of the monotonic clock. */
  kind: Kind = "slot"
  since: number | undefined
  deadline = 0

  constructor(waiter: Waiter) {
    this.waiter = waiter
  }

  /** From now on it waits for something else: each has a time of its own. */
  turn(kind: Kind, now: number): void {
    this.spend(now)
    this.kind = kind
    this.deadline = now + (kind === "nobody" ? this.waiter.hold : this.waiter.patience)
  }

  /** Until now it has waited. */
  spend(now: number): void {
    const spent = this.since === undefined ? 0 : now - this.since
    this.since = now
    if (this.kind === "nobody") this.waiter.hold = Math.max(0, this.waiter.hold - spent)
    else this.waiter.patience = Math.max(0, this.waiter.patience - spent)
  }
}

export interface QueueView {
  readonly waiting: number
  readonly oldestMs: number
  readonly byClass: Readonly<Record<Urgency, number>>
  readonly byModel: ReadonlyMap<string, number>
  readonly byModelAndClass: ReadonlyMap<string, Readonly<Record<Urgency, number>>>
  /** Of all bodies that wait. */
  readonly bytes: number
}

export class Queue {
  readonly #parts: QueueParts
  readonly #line: WaitingLine<Place>
  /** Where room may be since tickets were looked at last. */
  readonly #freed = new Set<Host>()
  #all = false
  #isComing = false
  #stop: (() => void) | undefined
  #wakesAt = Number.POSITIVE_INFINITY

  constructor(parts: QueueParts) {
    this.#parts = parts
    this.#line = new WaitingLine(parts.limits)
  }

  get size(): number {
    return this.#line.size
  }

  /** Those who wait have their turn before a newcomer looks for somebody: what is left then is for nobody else. */
  settle(): void {
    if (this.#isComing) this.#serve()
  }

  /** May it wait? Nothing is changed by the question. `undefined`: yes. */
  judge(waiter: Waiter, outlook = waiter.outlook()): QueueRefusal | undefined {
    if (outlook._tag === "nobody") return waiter.hold > 0 ? undefined : { code: "nobody", retryAfter: 1 }
    const now = this.#parts.now()
    if (outlook._tag === "pause" && outlook.until > now + waiter.patience)
      return { code: "all_paused", retryAfter: clampSeconds((outlook.until - now) / 1000) }
    if (waiter.patience > 0) return undefined
    return { code: "queue_timeout", retryAfter: secondsUntilTurn(this.#rivals(waiter), waiter.rate()) }
  }

  /** It waits from now on, or why it does not. `place`: the one that it had before. */
  wait(place: Place): QueueRefusal | undefined {
    const { waiter } = place
    const outlook = waiter.outlook()
    const refusal = this.judge(waiter, outlook) ?? this.#join(place)
    if (refusal !== undefined) return refusal
    const now = this.#parts.now()
    place.since = undefined
    place.turn(outlook._tag, now)
    this.#wakeBy(Math.min(place.deadline, outlook.until, now + lookEvery))
    return undefined
  }

  /** Its client is gone, or somebody else has answered. */
  cancel({ ticket }: Place): void {
    if (ticket === undefined) return
    this.#line.leave(ticket)
    if (this.#line.size === 0) this.#sleep()
  }

  /** An attempt there has ended. */
  freed(host: Host): void {
    if (this.#line.size === 0) return
    this.#freed.add(host)
    this.#come()
  }

  /** Anything may be otherwise than before: who serves, what is configured, how many may run. */
  changed(): void {
    if (this.#line.size === 0) return
    this.#all = true
    this.#come()
  }

  view(): QueueView {
    const now = this.#parts.now()
    const byClass = { high: 0, normal: 0, low: 0 }
    const byModel = new Map<string, number>()
    const byModelAndClass = new Map<string, Record<Urgency, number>>()
    let oldest = now
    for (const { holder, wish, since } of this.#line.tickets) {
      byClass[wish.urgency]++
      const { model } = holder.waiter
      byModel.set(model, (byModel.get(model) ?? 0) + 1)
      const classes = byModelAndClass.get(model) ?? { high: 0, normal: 0, low: 0 }
      classes[wish.urgency]++
      byModelAndClass.set(model, classes)
      oldest = Math.min(oldest, since)
    }
    return { waiting: this.#line.size, oldestMs: now - oldest, byClass, byModel, byModelAndClass, bytes: this.#line.bytes }
  }

  /** How many are served before it, as things stand. */
  position({ ticket }: Place): number {
    return ticket === undefined || !ticket.isWaiting ? 0 : this.#line.ahead(ticket, this.#parts.now())
  }

  #join(place: Place): QueueRefusal | undefined {
    const { waiter, ticket } = place
    if (ticket !== undefined) {
      this.#line.rejoin(ticket)
      return undefined
    }
    const joined = this.#line.join(place, waiter.wish, this.#parts.now())
    if (joined instanceof Ticket) {
      place.ticket = joined
      return undefined
    }
    const rate = waiter.rate()
    const retryAfter =
      joined === "queue_full"
        ? secondsUntilTurn(this.#rivals(waiter), rate, waiter.patience / 1000)
        : secondsUntilTurn(this.#line.sizeOf(waiter.wish.client), rate)
    return { code: joined, retryAfter }
  }

  /** Tickets that wait for somebody whom this one could have, before `ticket` where that is in line. */
  #rivals(waiter: Waiter, before?: Ticket<Place>): number {
    const hosts = waiter.hosts()
    let rivals = 0
    for (const { holder } of this.#line.inOrder(this.#parts.now())) {
      if (holder.ticket === before) break
      if (some(holder.waiter.hosts(), (host) => hosts.has(host))) rivals++
    }
    return rivals
  }

  #come(): void {
    if (this.#isComing) return
    this.#isComing = true
    this.#parts.soon(() => {
      if (this.#isComing) this.#serve()
    })
  }

  /** Everybody who can be served is, in order; whoever has nothing to wait for any more is told. */
  #serve(): void {
    this.#isComing = false
    const all = this.#all
    this.#all = false
    const freed = new Set(this.#freed)
    this.#freed.clear()
    const now = this.#parts.now()
    for (const ticket of this.#line.inOrder(now, (place) => place.waiter.pushesOut?.() === true)) {
      if (!all && freed.size === 0) break
      if (!ticket.isWaiting) continue
      const { waiter } = ticket.holder
      if (!all && !some(freed, (host) => waiter.hosts().has(host))) continue
      if (all) waiter.renew()
      if (waiter.take()) {
        ticket.holder.spend(now)
        this.#line.serve(ticket)
        waiter.served()
        for (const host of freed) if (host.isFull) freed.delete(host)
      } else if (all) this.#review(ticket, now)
    }
    this.#arm(all)
  }

  /** It was not its turn: is there still something to wait for? */
  #review(ticket: Ticket<Place>, now: number): void {
    const { holder } = ticket
    const { waiter } = holder
    const outlook = waiter.outlook()
    if (outlook._tag !== holder.kind) holder.turn(outlook._tag, now)
    const isLate = now >= holder.deadline
    let refusal: QueueRefusal | undefined
    if (outlook._tag === "nobody") refusal = isLate ? { code: "nobody", retryAfter: 1 } : undefined
    else if (outlook._tag === "pause" && outlook.until > holder.deadline)
      refusal = { code: "all_paused", retryAfter: clampSeconds((outlook.until - now) / 1000) }
    else if (isLate) refusal = { code: "queue_timeout", retryAfter: secondsUntilTurn(this.#rivals(waiter, ticket), waiter.rate()) }
    if (refusal === undefined) return
    holder.spend(now)
    this.#line.leave(ticket)
    waiter.refused(refusal)
  }

  #onTimer(): void {
    this.#stop = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
    this.#all = true
    this.#serve()
  }

  /** `fully`: after all of them were looked at. */
  #arm(fully: boolean): void {
    if (this.#line.size === 0) {
      this.#sleep()
      return
    }
    if (!fully && this.#stop !== undefined) return
    let at = this.#parts.now() + lookEvery
    for (const { holder } of this.#line.tickets) at = Math.min(at, holder.deadline, holder.waiter.outlook().until)
    this.#wakeBy(at)
  }

  #wakeBy(at: number): void {
    if (at >= this.#wakesAt) return
    this.#stop?.()
    this.#wakesAt = at
    this.#stop = this.#parts.after(Math.max(1, at - this.#parts.now()), () => this.#onTimer())
  }

  #sleep(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
  }
}

const some = <T>(all: Iterable<T>, is: (each: T) => boolean): boolean => {
  for (const each of all) if (is(each)) return true
  return false
}

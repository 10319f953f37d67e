/**
 * Tells observers of requests that ended well a few milliseconds later, many together. What is counted and written of a request is little
 * work, but done between two requests it finds none of its code and figures at hand: in one go it costs less than half. What did not
 * end well, and what somebody's limits wait for, is told at once.
 */
import type { Exchange } from "./Exchange.ts"
import type { ExchangeObserver } from "./Observer.ts"

/** Milliseconds that an end waits at most for company, and how many wait at most. */
const longest = 10
const most = 128
/** An answer longer than this is not kept in memory for it, in bytes. */
const largest = 64 * 1024

const isQuiet = ({ client, outcome, lastAttempt }: Exchange): boolean =>
  client === undefined && outcome?._tag === "completed" && outcome.status < 400 && (lastAttempt?.bytes ?? 0) <= largest

export class GatheredEnds implements ExchangeObserver {
  readonly #inner: ExchangeObserver
  readonly #inOrder: () => boolean
  #waiting: Array<Exchange> = []
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  readonly dispatched: ExchangeObserver["dispatched"]
  readonly attemptEnded: ExchangeObserver["attemptEnded"]
  readonly movedOn: NonNullable<ExchangeObserver["movedOn"]>

  /** `inOrder`: somebody wants to read of each step when it was done. */
  constructor(inner: ExchangeObserver, inOrder: () => boolean) {
    this.#inner = inner
    this.#inOrder = inOrder
    this.dispatched = inner.dispatched
    this.attemptEnded = inner.attemptEnded
    this.movedOn = (exchange, move) => inner.movedOn?.(exchange, move)
  }

  readonly ended = (exchange: Exchange): void => {
    if (this.#isClosed || this.#inOrder() || !isQuiet(exchange)) {
      this.settle()
      this.#inner.ended(exchange)
      return
    }
    const waiting = this.#waiting.push(exchange)
    if (waiting === most) this.settle()
    else this.#timer ??= setTimeout(this.#due, longest)
  }

  /** All that has ended is told of now: for whoever reads what was counted. */
  readonly settle = (): void => {
    if (this.#waiting.length === 0) return
    const all = this.#waiting
    this.#waiting = []
    for (let i = 0; i < all.length; i++) this.#inner.ended(all[i] as Exchange)
  }

  /** Nothing waits from now on. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.settle()
  }

  readonly #due = (): void => {
    this.#timer = undefined
    this.settle()
  }
}

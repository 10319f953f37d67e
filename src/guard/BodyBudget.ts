/**
 * One budget of memory for the request bodies of all clients: `server.request_limits.max_buffered`. What a client declares is reserved
 * before it is read, anything else as it grows, and given back by whoever knows that the body is needed no more. A part of it is kept
 * for small bodies: a few clients that declare much and send nothing must not take everybody else's chat away.
 */
import { totalmem } from "node:os"

const mostByDefault = 1024 * 1024 * 1024
/** Of the machine's memory, or of the container's where that is less. */
const shareOfMemory = 1 / 4

/** Bytes of a body that is small: a conversation, also one that is counted three times. */
const smallBody = 2 * 1024 * 1024
/** Of a gigabyte, sixteen megabytes: hundreds of conversations. */
const keptForSmall = 1 / 64

const memory = (): number => {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

let byDefault: number | undefined

/** `max_buffered` as it takes effect, in bytes. `undefined`: nobody set it. */
export const effectiveBudget = (configured: number | undefined): number => {
  if (configured !== undefined) return configured <= 0 ? Number.POSITIVE_INFINITY : configured
  byDefault ??= Math.min(mostByDefault, Math.floor(memory() * shareOfMemory))
  return byDefault
}

/** What larger bodies may take of a budget together. */
export const roomForLarge = (budget: number): number => Math.max(Math.min(budget, smallBody), Math.floor(budget * (1 - keptForSmall)))

export class BodyBudget {
  readonly #limit: () => number
  #held = 0
  #largest = 0
  #recent = 0
  #refused = 0

  /** `limit`: asked for at each use, since a reload may change it. */
  constructor(limit: () => number) {
    this.#limit = limit
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held
  }

  /** The most that were held at a time. */
  get largest(): number {
    return this.#largest
  }

  /** The most that were held at a time since this was asked last. */
  takeRecent(): number {
    const most = this.#recent
    this.#recent = this.#held
    return most
  }

  /** How often there was no room. */
  get refused(): number {
    return this.#refused
  }

  /** `Infinity`: there is none. */
  get limit(): number {
    return this.#limit()
  }

  /** False, and nothing has changed: there is no room for so many more, of a body that has so many in all then. */
  take(more: number, inAll: number): boolean {
    const limit = this.#limit()
    if (more > 0 && this.#held + more > (inAll > smallBody ? roomForLarge(limit) : limit)) {
      this.#refused++
      return false
    }
    this.#held += more
    if (this.#held > this.#largest) this.#largest = this.#held
    if (this.#held > this.#recent) this.#recent = this.#held
    return true
  }
}

/** What one request holds of the budget. */
export class BodyShare {
  readonly #budget: BodyBudget
  #bytes = 0
  #over = false

  constructor(budget: BodyBudget) {
    this.#budget = budget
  }

  /** At least so many bytes in all. False, and nothing has changed: there is no room. */
  reserve(bytes: number): boolean {
    if (bytes <= this.#bytes || this.#over) return true
    if (!this.#budget.take(bytes - this.#bytes, bytes)) return false
    this.#bytes = bytes
    return true
  }

  /** No more than these are needed after all. */
  shrink(bytes: number): void {
    if (bytes >= this.#bytes) return
    this.#budget.take(bytes - this.#bytes, bytes)
    this.#bytes = bytes
  }

  /** Nothing is needed any more, now or later. */
  release(): void {
    this.#over = true
    this.shrink(0)
  }
}

/** Which models a machine holds: loaded when first asked for, and pushed out, the one longest unused first, when there is no room. */
import type { Timers } from "./Timers.ts"

export interface ModelMemoryOptions {
  /** Milliseconds that a load takes. */
  readonly loadMillis: number
  /** Models at once; undefined: all that it serves are there from the start. */
  readonly maxResident: number | undefined
}

interface Held {
  loaded: boolean
  /** Milliseconds; when a load will be through. */
  readyAt: number
  usedAt: number
  callOff: () => void
}

/** `full`: every model that could go is at work. */
export type Presence = "resident" | "loading" | "full"

export class ModelMemory {
  readonly #timers: Timers
  readonly #options: ModelMemoryOptions
  readonly #held = new Map<string, Held>()
  /** Loads that were begun. */
  loads = 0

  constructor(timers: Timers, options: ModelMemoryOptions) {
    this.#timers = timers
    this.#options = options
  }

  /** Those in memory, a model that is still loading too: servers list it at once. */
  get listed(): ReadonlyArray<string> {
    return [...this.#held.keys()]
  }

  isResident(model: string): boolean {
    return this.#options.maxResident === undefined || this.#held.get(model)?.loaded === true
  }

  isLoading(model: string): boolean {
    return this.#held.get(model)?.loaded === false
  }

  /** Milliseconds until it could answer, were it asked for now; 0: it can. */
  untilReady(model: string): number {
    if (this.isResident(model)) return 0
    const held = this.#held.get(model)
    return held === undefined ? this.#options.loadMillis : Math.max(0, held.readyAt - this.#timers.now())
  }

  get hasRoom(): boolean {
    return this.#options.maxResident === undefined || this.#held.size < this.#options.maxResident
  }

  /** Begins a load where it has to. `isBusy`: models that answer somebody; they stay. */
  want(model: string, isBusy: (model: string) => boolean, onLoaded: () => void): Presence {
    if (this.#options.maxResident === undefined) return "resident"
    const known = this.#held.get(model)
    if (known !== undefined) {
      known.usedAt = this.#timers.now()
      return known.loaded ? "resident" : "loading"
    }
    if (!this.hasRoom) {
      let oldest: string | undefined
      let oldestAt = Number.POSITIVE_INFINITY
      for (const [name, held] of this.#held)
        if (held.loaded && !isBusy(name) && held.usedAt < oldestAt) {
          oldest = name
          oldestAt = held.usedAt
        }
      if (oldest === undefined) return "full"
      this.#held.delete(oldest)
    }
    this.loads++
    const now = this.#timers.now()
    const held: Held = { loaded: false, readyAt: now + this.#options.loadMillis, usedAt: now, callOff: () => {} }
    held.callOff = this.#timers.after(this.#options.loadMillis, () => {
      held.loaded = true
      onLoaded()
    })
    this.#held.set(model, held)
    return "loading"
  }

  /** As after a crash. */
  clear(): void {
    for (const held of this.#held.values()) held.callOff()
    this.#held.clear()
  }
}

/** One coarse timer for the deadlines of all connections; it runs only while there is something to watch. */

/** How often deadlines are looked at, in milliseconds: an expiry comes at most this late. */
const sweepEvery = 200

export interface Watched {
  /** Looks at deadlines; `now` is `performance.now()`. False: nothing is left to look after. */
  readonly sweep: (now: number) => boolean
}

export class Sweeper {
  /** `performance.now()` at the last look. */
  now = performance.now()
  readonly #watched = new Set<Watched>()
  readonly #gone: (watched: Watched) => void
  #timer: NodeJS.Timeout | undefined

  /** `gone` is told of those that have nothing left to look after. */
  constructor(gone: (watched: Watched) => void) {
    this.#gone = gone
  }

  watch(watched: Watched): void {
    this.#watched.add(watched)
    if (this.#timer !== undefined) return
    this.now = performance.now()
    this.#timer = setInterval(() => this.#sweep(), sweepEvery)
    this.#timer.unref()
  }

  #sweep(): void {
    this.now = performance.now()
    for (const watched of this.#watched) {
      if (watched.sweep(this.now)) continue
      this.#watched.delete(watched)
      this.#gone(watched)
    }
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/**
 * Paths that a backend has said it does not serve, whatever its kind's profile lists. Forgotten after a while and with whatever says
 * that another server, or another version of it, may stand there now.
 */

/** Milliseconds. */
const rememberedFor = 15 * 60_000
/** Clients choose paths: the oldest of more than these goes, and longer ones, in characters, are not remembered. */
const maxPaths = 64
const longestPath = 200

export class UnservedPaths {
  readonly #now: () => number
  /** To when each is forgotten. */
  readonly #until = new Map<string, number>()

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now
  }

  get isEmpty(): boolean {
    return this.#until.size === 0
  }

  /** `model`: only for this one, by the backend's own name; empty: whatever the model. */
  add(method: string, path: string, model: string): void {
    if (path.length > longestPath || model.length > longestPath) return
    const key = keyOf(method, path, model)
    this.#until.delete(key)
    this.#until.set(key, this.#now() + rememberedFor)
    if (this.#until.size > maxPaths) this.#until.delete(this.#until.keys().next().value as string)
  }

  has(method: string, path: string, model: string): boolean {
    return this.#holds(keyOf(method, path, "")) || (model !== "" && this.#holds(keyOf(method, path, model)))
  }

  clear(): void {
    this.#until.clear()
  }

  #holds(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > this.#now()) return true
    this.#until.delete(key)
    return false
  }
}

/** Neither a method nor a path holds a blank. */
const keyOf = (method: string, path: string, model: string): string => `${method} ${path} ${model}`

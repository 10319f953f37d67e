/**
 * Paths that a backend has said it does not serve, whatever its kind's profile lists. Forgotten after a while and with whatever says
 * that another server, or another version of it, may stand there now. A path that it has served lately is none of them, whatever it
 * says now: that is about one request, and one client must not take a server away from all others.
 */

/** Milliseconds; of a refusal for one model, which may have been about what one request asked for. */
const rememberedFor = 15 * 60_000
const rememberedForModel = 60_000
/** Clients choose paths: the oldest of more than these goes, and longer ones, in characters, are not remembered. */
const maxPaths = 64
const maxServed = 256
const longestPath = 200

export class UnservedPaths {
  readonly #now: () => number
  /** To when each is forgotten. */
  readonly #until = new Map<string, number>()
  /** When each was answered well last, with its model and without. */
  readonly #served = new Map<string, number>()

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
    if (this.#isServed(key)) return
    this.#until.delete(key)
    this.#until.set(key, this.#now() + (model === "" ? rememberedFor : rememberedForModel))
    if (this.#until.size > maxPaths) this.#until.delete(this.#until.keys().next().value as string)
  }

  /** What an answer of this status says for a while; 501 may hold for the one model only (a feature that it lacks). */
  refused(status: number, method: string, path: string, model: string): void {
    if (status !== 501) this.add(method, path, "")
    else if (model !== "") this.add(method, path, model)
  }

  /** It has answered well. Called for each such answer. */
  served(method: string, path: string, model: string): void {
    if (path.length > longestPath || model.length > longestPath) return
    this.#note(keyOf(method, path, model))
    if (model !== "") this.#note(keyOf(method, path, ""))
  }

  has(method: string, path: string, model: string): boolean {
    return this.#holds(keyOf(method, path, "")) || (model !== "" && this.#holds(keyOf(method, path, model)))
  }

  clear(): void {
    this.#until.clear()
    this.#served.clear()
  }

  #note(key: string): void {
    this.#served.set(key, this.#now())
    this.#until.delete(key)
    if (this.#served.size > maxServed) this.#served.delete(this.#served.keys().next().value as string)
  }

  #isServed(key: string): boolean {
    const at = this.#served.get(key)
    return at !== undefined && this.#now() - at < rememberedFor
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

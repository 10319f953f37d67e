/** Sessions and the endpoints they are pinned to: least recently used first out, sliding expiry, all in memory. */

interface Session<A> {
  endpoint: A
  /** Milliseconds; Infinity: never. */
  expires: number
}

export class SessionStore<A> {
  readonly #sessions = new Map<string, Session<A>>()
  readonly #capacity: () => number
  readonly #ttl: () => number
  readonly #now: () => number
  insertions = 0
  hits = 0
  misses = 0
  evictions = 0

  /** `capacity` 0: unlimited. `ttl` in milliseconds, 0 or less: none. Both are asked for at each use. */
  constructor(capacity: () => number, ttl: () => number, now: () => number) {
    this.#capacity = capacity
    this.#ttl = () => (ttl() > 0 ? ttl() : Number.POSITIVE_INFINITY)
    this.#now = now
  }

  /** The endpoint of a session; the look renews it. */
  find(key: string): A | undefined {
    const session = this.#sessions.get(key)
    if (session === undefined || session.expires <= this.#now()) {
      if (session !== undefined) this.#drop(key)
      this.misses++
      return undefined
    }
    this.hits++
    this.#touch(key, session)
    return session.endpoint
  }

  pin(key: string, endpoint: A): void {
    const session = this.#sessions.get(key)
    if (session !== undefined) {
      session.endpoint = endpoint
      this.#touch(key, session)
      return
    }
    this.insertions++
    this.#sessions.set(key, { endpoint, expires: this.#now() + this.#ttl() })
    while (this.#capacity() > 0 && this.#sessions.size > this.#capacity()) {
      const oldest = this.#sessions.keys().next().value
      if (oldest !== undefined) this.#drop(oldest)
    }
  }

  /** Removes every session of this endpoint. */
  purge(endpoint: A): void {
    for (const [key, session] of this.#sessions) if (session.endpoint === endpoint) this.#drop(key)
  }

  clear(): void {
    for (const key of this.#sessions.keys()) this.#drop(key)
  }

  /** Sessions that have not expired. */
  get active(): number {
    const now = this.#now()
    // Ordered by last use with one lifetime for all: the expired ones are at the front.
    for (const [key, session] of this.#sessions) {
      if (session.expires > now) break
      this.#drop(key)
    }
    return this.#sessions.size
  }

  #touch(key: string, session: Session<A>): void {
    session.expires = this.#now() + this.#ttl()
    this.#sessions.delete(key)
    this.#sessions.set(key, session)
  }

  #drop(key: string): void {
    this.#sessions.delete(key)
    this.evictions++
  }
}

/** The certificates that new handshakes get, and what is told of them. Open connections keep theirs. */
import type { Certificates } from "./Certificates.ts"

export class CertificateStore {
  #current: Certificates
  readonly #listeners = new Set<(certificates: Certificates) => void>()
  /** Epoch milliseconds. */
  loadedAt: number
  /** Why the files as they are now do not serve. */
  lastError: string | undefined = undefined
  /** Handshakes that came to nothing, by reason. */
  readonly failures = new Map<string, number>()

  constructor(first: Certificates, now: number) {
    this.#current = first
    this.loadedAt = now
  }

  get current(): Certificates {
    return this.#current
  }

  replace(next: Certificates, now: number): void {
    this.lastError = undefined
    if (next.print === this.#current.print) return
    this.#current = next
    this.loadedAt = now
    for (const listener of this.#listeners) listener(next)
  }

  onReplace(listener: (certificates: Certificates) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  failed(reason: string): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1)
  }
}

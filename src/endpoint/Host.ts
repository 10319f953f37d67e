/**
 * One server that several endpoints stand for: they have scheme, host and port in common. What is under way at one of them takes
 * room from the others.
 */
import type { EndpointSpec } from "./EndpointSpec.ts"

export interface HostMember {
  readonly spec: EndpointSpec
}

export class Host {
  readonly #members = new Set<HostMember>()
  /** Attempts under way at all its endpoints. */
  inFlight = 0

  get isShared(): boolean {
    return this.#members.size > 1
  }

  /** No room for another attempt: the largest limit of its endpoints is reached. */
  get isFull(): boolean {
    let limit = 0
    for (const { spec } of this.#members) if (spec.maxConcurrent > limit) limit = spec.maxConcurrent
    return limit > 0 && this.inFlight >= limit
  }

  /** How many endpoints it has. */
  get size(): number {
    return this.#members.size
  }

  join(member: HostMember): void {
    this.#members.add(member)
  }

  leave(member: HostMember): void {
    this.#members.delete(member)
  }
}

/** The hosts of a fleet. */
export class Hosts {
  readonly #byKey = new Map<string, Host>()

  /** The same object for all endpoints of one server, for as long as it has any. */
  of({ origin }: EndpointSpec): Host {
    const key = keyOf(origin)
    let host = this.#byKey.get(key)
    if (host === undefined) {
      host = new Host()
      this.#byKey.set(key, host)
    }
    return host
  }

  /** It is gone for good. */
  leave(member: HostMember & { readonly host: Host }): void {
    const { host, spec } = member
    host.leave(member)
    const key = keyOf(spec.origin)
    if (host.size === 0 && this.#byKey.get(key) === host) this.#byKey.delete(key)
  }

  get size(): number {
    return this.#byKey.size
  }
}

const keyOf = ({ secure, hostname, port }: EndpointSpec["origin"]): string => `${secure ? "s" : "p"} ${port} ${hostname.toLowerCase()}`

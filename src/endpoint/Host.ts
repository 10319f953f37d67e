/**
 * One server that several endpoints stand for: they have scheme, host and port in common. What is under way at one of them takes
 * room from the others.
 */
import type { EndpointSpec } from "./EndpointSpec.ts"
import { goesFirst, type Occupancy, type Occupant, pushesOut, type Resident, residentsOf, Swap } from "./lane/Swap.ts"

/** A model on one endpoint. */
export interface HostLane extends Resident {
  readonly work: Resident["work"] & { readonly reported: (isLoaded: boolean, askedAt: number) => void }
}

export interface HostMember {
  readonly spec: EndpointSpec
  readonly lanes: Iterable<HostLane>
}

export class Host {
  readonly #swap = new Swap()
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

  /** May an attempt for this model begin, as far as the server's memory goes? `now`: milliseconds of the monotonic clock. */
  admits(model: Occupant, now: number): boolean {
    return this.#swap.admits(model, this.#occupancy(this.#mostResident), now)
  }

  /** Nobody says how many models fit into its memory. */
  get holdsAll(): boolean {
    return this.#mostResident === 0
  }

  /** Its load would push another model out. */
  pushesOut(model: Occupant): boolean {
    const most = this.#mostResident
    return most > 0 && pushesOut(model, this.#occupancy(most))
  }

  /** Somebody waits for this model, and nobody else can serve him. */
  want(model: Occupant, now: number): void {
    if (this.pushesOut(model)) this.#swap.want(model, now)
  }

  /**
   * An attempt for this model begins. The one that its load pushes out is known to be gone before the server says so: its requests
   * would go there and wait for the load, and for its own after it.
   */
  begins(model: Occupant, now: number): void {
    if (!this.pushesOut(model)) return
    const name = goesFirst(this.#lanes())
    for (const lane of this.#lanes()) if (lane.model === name) lane.work.reported(false, now)
  }

  /** Models that fit into its memory, by what its endpoints say; 0: none does. */
  get #mostResident(): number {
    let most = 0
    for (const { spec } of this.#members) if (spec.maxResident > most) most = spec.maxResident
    return most
  }

  #occupancy(most: number): Occupancy {
    return { most, inFlight: this.inFlight, residents: residentsOf(this.#lanes()) }
  }

  /** Of all its endpoints. */
  *#lanes(): Generator<HostLane> {
    for (const { lanes } of this.#members) yield* lanes
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

/**
 * Those that are under way right now. A `Set` would do, but for what lives as briefly as a request: each growth leaves an old
 * table behind that points to the next one, and once one of them has grown old, all later ones and the requests in them
 * stay until a full collection. Here nothing is left behind: the last takes the place of the one that goes.
 */
export interface Placed {
  /** Where it stands; -1: nowhere. Only the roster writes it. */
  place: number
}

export class Roster<A extends Placed> {
  readonly #members: Array<A> = []

  get size(): number {
    return this.#members.length
  }

  add(member: A): void {
    if (member.place < 0) member.place = this.#members.push(member) - 1
  }

  has(member: A): boolean {
    return member.place >= 0
  }

  delete(member: A): void {
    const { place } = member
    if (place < 0) return
    member.place = -1
    const last = this.#members.pop() as A
    if (last === member) return
    this.#members[place] = last
    last.place = place
  }

  /** As they are now: who comes or goes meanwhile changes nothing. */
  [Symbol.iterator](): IterableIterator<A> {
    return this.#members.slice()[Symbol.iterator]()
  }
}

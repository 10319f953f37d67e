/** A set of what is under way right now. */
export interface Member {
  /** Its index in the set; -1: it is in none. Only the set writes it. */
  place: number
}

/**
 * Cheaper than a `Set` for members that live as briefly as a request: a `Set` that grows leaves its old table behind, which points to
 * the next one and keeps it and its members alive until a full collection. Here the last member takes the place of the one that goes.
 */
export class ActiveSet<A extends Member> {
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

  /** Over a copy: members may come and go meanwhile. */
  [Symbol.iterator](): IterableIterator<A> {
    return this.#members.slice()[Symbol.iterator]()
  }
}

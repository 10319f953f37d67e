/** How often things of two kinds happened within the last while: counted in slices of it, without a list of them. */

/** In how many slices a span is counted: what is older than the span is forgotten one of them at a time. */
const slices = 10

export class RecentCounts {
  readonly #slice: number
  readonly #firsts: Array<number> = new Array(slices).fill(0)
  readonly #seconds: Array<number> = new Array(slices).fill(0)
  /** Number of the current slice since the clock's zero. */
  #at = 0

  /** `span`: milliseconds that are looked back. */
  constructor(span: number) {
    this.#slice = span / slices
  }

  /** `now`: milliseconds of the monotonic clock. */
  count(now: number, first: number, second: number): void {
    this.#turn(now)
    const at = this.#at % slices
    this.#firsts[at] = (this.#firsts[at] as number) + first
    this.#seconds[at] = (this.#seconds[at] as number) + second
  }

  first(now: number): number {
    return this.#sum(this.#firsts, now)
  }

  second(now: number): number {
    return this.#sum(this.#seconds, now)
  }

  #sum(counts: ReadonlyArray<number>, now: number): number {
    this.#turn(now)
    let sum = 0
    for (const each of counts) sum += each
    return sum
  }

  #turn(now: number): void {
    const at = Math.floor(now / this.#slice)
    if (at === this.#at) return
    for (let i = Math.max(this.#at + 1, at - slices + 1); i <= at; i++) {
      this.#firsts[i % slices] = 0
      this.#seconds[i % slices] = 0
    }
    this.#at = at
  }
}

/** How many attempts ended, and how many of them failed, within the last half minute: counted in slices, without a list of them. */
import { recentFor } from "./LaneCondition.ts"

const slices = 10
const slice = recentFor / slices

export class RecentEnds {
  readonly #ended: Array<number> = new Array(slices).fill(0)
  readonly #failed: Array<number> = new Array(slices).fill(0)
  /** Number of the current slice since the clock's zero. */
  #at = 0

  /** `now`: milliseconds of the monotonic clock. */
  count(now: number, failed: boolean): void {
    this.#turn(now)
    const at = this.#at % slices
    this.#ended[at] = (this.#ended[at] as number) + 1
    if (failed) this.#failed[at] = (this.#failed[at] as number) + 1
  }

  within(now: number): { readonly ended: number; readonly failed: number } {
    this.#turn(now)
    const sum = (counts: ReadonlyArray<number>) => counts.reduce((all, each) => all + each, 0)
    return { ended: sum(this.#ended), failed: sum(this.#failed) }
  }

  #turn(now: number): void {
    const at = Math.floor(now / slice)
    if (at === this.#at) return
    for (let i = Math.max(this.#at + 1, at - slices + 1); i <= at; i++) {
      this.#ended[i % slices] = 0
      this.#failed[i % slices] = 0
    }
    this.#at = at
  }
}

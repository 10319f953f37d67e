/** Time that jumps from one thing that is due to the next: hours of load in seconds, and the same on every run. */
import type { Timers } from "./Timers.ts"

interface Due {
  readonly at: number
  /** Of two that are due at once the one that was asked for first runs first. */
  readonly order: number
  run: (() => void) | undefined
}

export class VirtualTime implements Timers {
  /** A heap: no entry is due before its parent. */
  readonly #due: Array<Due> = []
  #order = 0
  #now = 0

  readonly now = (): number => this.#now

  readonly after = (millis: number, run: () => void): (() => void) => {
    const due: Due = { at: this.#now + Math.max(0, millis), order: this.#order++, run }
    this.#push(due)
    return () => {
      due.run = undefined
    }
  }

  /** Until nothing is due any more, or `until` (milliseconds) is reached. */
  run(until = Number.POSITIVE_INFINITY): void {
    for (;;) {
      const first = this.#due[0]
      if (first === undefined || first.at > until) break
      this.#pop()
      if (first.run === undefined) continue
      this.#now = first.at
      first.run()
    }
    if (Number.isFinite(until)) this.#now = Math.max(this.#now, until)
  }

  #push(due: Due): void {
    const heap = this.#due
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(due, heap[parent] as Due)) break
      heap[at] = heap[parent] as Due
      at = parent
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#due
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child++
      if (!isBefore(heap[child] as Due, last)) break
      heap[at] = heap[child] as Due
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** The order of model lists: ascending by the UTF-8 bytes of the name that is shown. */
import type { UnifiedModel } from "./Snapshot.ts"

/** Ascending by UTF-8 bytes, without encoding: only surrogates sort differently as UTF-16. */
export const compareBytes = (a: string, b: string): number => {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? rank(x) - rank(y) : x - y
  }
  return a.length - b.length
}

/** Surrogates stand for characters above all others. */
const rank = (unit: number): number => (unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

/** The name that listings show and clients can send. */
export const displayId = (model: UnifiedModel): string => model.aliases[0]?.name ?? model.id

/** Elements in one run of the sort: about a millisecond. */
const run = 512
/** Elements merged between two steps. */
const mergedPerStep = 1024

/** A stable merge sort that gives the loop back between runs; a plain sort of a hundred thousand names would hold it. */
export function* sortInSteps<A>(items: ReadonlyArray<A>, compare: (a: A, b: A) => number): Generator<void, Array<A>> {
  let from = [...items]
  for (let start = 0; start < from.length; start += run) {
    const sorted = from.slice(start, start + run).sort(compare)
    for (let i = 0; i < sorted.length; i++) from[start + i] = sorted[i] as A
    yield
  }
  for (let width = run; width < from.length; width *= 2) {
    const to: Array<A> = []
    for (let start = 0; start < from.length; start += 2 * width) {
      let left = start
      let right = Math.min(start + width, from.length)
      const middle = right
      const end = Math.min(start + 2 * width, from.length)
      while (left < middle || right < end) {
        const takeLeft = right >= end || (left < middle && compare(from[left] as A, from[right] as A) <= 0)
        to.push(from[takeLeft ? left++ : right++] as A)
        if (to.length % mergedPerStep === 0) yield
      }
    }
    from = to
  }
  return from
}

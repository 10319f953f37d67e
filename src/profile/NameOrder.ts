/** The order of model lists: ascending by the UTF-8 bytes of the names; and a sort that does not hold up the loop. */

/** Without encoding: only surrogates sort differently as UTF-16. */
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
  // Two lists in turn: one that grows for each width would be a multiple of all names.
  let to = from.slice()
  for (let width = run; width < from.length; width *= 2) {
    let at = 0
    for (let start = 0; start < from.length; start += 2 * width) {
      let left = start
      let right = Math.min(start + width, from.length)
      const middle = right
      const end = Math.min(start + 2 * width, from.length)
      while (left < middle || right < end) {
        const takeLeft = right >= end || (left < middle && compare(from[left] as A, from[right] as A) <= 0)
        to[at++] = from[takeLeft ? left++ : right++] as A
        if (at % mergedPerStep === 0) yield
      }
    }
    const done = to
    to = from
    from = done
  }
  return from
}

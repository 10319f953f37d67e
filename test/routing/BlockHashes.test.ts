import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { blockHashes, blockSize } from "../../src/routing/BlockHashes.ts"
import { runs } from "../propertyRuns.ts"
import { cut, cuts } from "./bodies.ts"

const seed = [7, 11] as const

/** A long text without a pattern: a linear congruential generator's bytes. */
const textOf = (size: number, start: number): Buffer => {
  const out = Buffer.alloc(size)
  let state = start >>> 0
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out[i] = state >>> 24
  }
  return out
}

const hashesOf = (text: Buffer, most = 1024): ReadonlyArray<string> => named(blockHashes([text], [[0, text.length]], seed, most))

const named = (hashes: Uint32Array): ReadonlyArray<string> =>
  Array.from({ length: hashes.length / 2 }, (_, n) => `${hashes[2 * n]}:${hashes[2 * n + 1]}`)

describe("the chain of a text's blocks", () => {
  it("is the same however the text is cut into chunks and ranges", () => {
    const lengths = fc.nat({ max: 140 * 1024 })
    fc.assert(
      fc.property(
        lengths,
        fc.nat({ max: 3000 }),
        fc.array(fc.nat({ max: 140 * 1024 }), { maxLength: 5 }),
        cuts,
        (size, before, at, more) => {
          const text = textOf(size, 1)
          const body = Buffer.concat([textOf(before, 2), text, textOf(100, 3)])
          const inner = [...new Set([0, ...at.filter((n) => n < size), size])].sort((a, b) => a - b)
          const spans = inner.slice(1).map((end, n) => [before + (inner[n] as number), before + end] as const)
          expect(named(blockHashes(cut(body, [...at, ...more]), spans, seed, 1024))).toEqual(hashesOf(text))
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("has one hash for each full block, no more than wanted", () => {
    expect(hashesOf(textOf(blockSize - 1, 1))).toHaveLength(0)
    expect(hashesOf(textOf(blockSize, 1))).toHaveLength(1)
    expect(hashesOf(textOf(70 * blockSize + 5, 1))).toHaveLength(70)
    expect(hashesOf(textOf(70 * blockSize, 1), 65)).toEqual(hashesOf(textOf(70 * blockSize, 1)).slice(0, 65))
  })

  it("differs from the first other byte on, and in each block after it", () => {
    fc.assert(
      fc.property(fc.nat({ max: 70 * blockSize - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const one = textOf(70 * blockSize, 1)
        const other = Buffer.from(one)
        other[at] = (other[at] as number) ^ change
        const [a, b] = [hashesOf(one), hashesOf(other)]
        const same = Math.floor(at / blockSize)
        expect(a.map((hash, n) => hash === b[n])).toEqual(a.map((_, n) => n < same))
      }),
      { numRuns: runs(500) }
    )
  })

  it("depends on the seed", () => {
    const text = textOf(4 * blockSize, 1)
    const other = named(blockHashes([text], [[0, text.length]], [8, 11], 1024))
    expect(other.some((hash) => hashesOf(text).includes(hash))).toBe(false)
  })

  it("spreads: no two of thirty thousand blocks of similar texts are alike, in either half too seldom to matter", () => {
    const seen = new Set<string>()
    const high = new Set<number>()
    for (let n = 0; n < 300; n++) {
      const text = Buffer.alloc(100 * blockSize, `{"role":"user","content":"question ${n}"},`)
      const hashes = blockHashes([text], [[0, text.length]], seed, 1024)
      for (const each of named(hashes)) seen.add(each)
      for (let i = 1; i < hashes.length; i += 2) high.add(hashes[i] as number)
    }
    expect(seen.size).toBe(30_000)
    expect(high.size).toBeGreaterThan(29_990)
  })
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type PrefixBlocks, PrefixTable } from "../../../src/endpoint/lane/PrefixTable.ts"
import { runs } from "../../propertyRuns.ts"

const mebibyte = 1024 * 1024

/** Blocks of a prompt by their texts: equal beginnings are equal blocks, and nothing behind the first difference is. */
const chain = (...words: ReadonlyArray<number>): Uint32Array => {
  let hash = 17
  return Uint32Array.from(
    words.flatMap((word) => {
      hash = (Math.imul(hash ^ (word + 1), 0x9e3779b1) ^ (hash >>> 13)) >>> 0
      return [hash, (hash ^ 0x55555555) >>> 0]
    })
  )
}

/** What a lane does, without a table: blocks by their names, the youngest last. */
class Model {
  readonly #held = new Map<string, number>()
  #capacity: number
  constructor(capacity: number) {
    this.#capacity = capacity
  }
  add(hashes: Uint32Array): void {
    for (let n = Math.min(hashes.length / 2, this.#capacity) - 1; n >= 0; n--) {
      const name = `${hashes[2 * n]}:${hashes[2 * n + 1]}`
      this.#held.delete(name)
      this.#held.set(name, n)
      if (this.#held.size > this.#capacity) this.#held.delete(this.#held.keys().next().value as string)
    }
  }
  matching(hashes: Uint32Array): number {
    let n = 0
    while (n < hashes.length / 2 && this.#held.has(`${hashes[2 * n]}:${hashes[2 * n + 1]}`)) n++
    return n
  }
  clear(): void {
    this.#held.clear()
  }
}

const prompts = fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 12 })

describe("the table of prompts' blocks", () => {
  it("holds for each lane the blocks that it used last, and counts leading ones alone", () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 2 }), prompts, fc.boolean()), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (sent) => {
        const table = new PrefixTable(() => mebibyte)
        const capacities = [3, 10, 1000]
        const lanes = capacities.map((capacity) => table.lane(capacity))
        const models = capacities.map((capacity) => new Model(capacity))
        for (const [at, words, forgets] of sent) {
          const hashes = chain(...words)
          const lane = lanes[at] as PrefixBlocks
          const model = models[at] as Model
          expect(lane.matching(hashes)).toBe(model.matching(hashes))
          if (forgets && words.length > 10) {
            lane.clear()
            model.clear()
          } else {
            lane.add(hashes)
            model.add(hashes)
          }
          expect(lane.matching(hashes)).toBe(model.matching(hashes))
          expect(lane.count).toBeLessThanOrEqual(lane.capacity)
        }
        expect(table.blocks).toBe(lanes.reduce((sum, { count }) => sum + count, 0))
      }),
      { numRuns: runs(2000) }
    )
  })

  it("never takes more memory than it may, and gives the oldest block of whatever lane for a new one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2000 }), fc.array(fc.tuple(fc.nat({ max: 3 }), prompts), { maxLength: 80 }), (limit, sent) => {
        const table = new PrefixTable(() => limit)
        const lanes = [0, 1, 2, 3].map(() => table.lane(1000))
        for (const [at, words] of sent) {
          const hashes = chain(...words)
          const lane = lanes[at] as PrefixBlocks
          lane.add(hashes)
          expect(table.bytes).toBeLessThanOrEqual(limit)
          expect(table.blocks).toBe(lanes.reduce((sum, { count }) => sum + count, 0))
          expect(lane.matching(hashes)).toBe(Math.min(words.length, Math.max(0, Math.floor(limit / 48) - 1)))
          // No block is held without those before it.
          for (const each of lanes)
            for (const [, other] of sent) {
              const held = chain(...other)
              const first = each.matching(held)
              for (let n = first; n < other.length; n++)
                expect(table.has(each, held[2 * n] as number, held[2 * n + 1] as number)).toBe(false)
            }
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("gives away what no lane has used for the longest time, whoever has it", () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 2 }), prompts), { maxLength: 60 })
    fc.assert(
      fc.property(fc.integer({ min: 12, max: 40 }), steps, (size, sent) => {
        const table = new PrefixTable(() => 48 * (size + 1))
        const lanes = [4, 1000, 1000].map((capacity) => table.lane(capacity))
        const model: Array<string> = []
        const namesOf = (at: number, hashes: Uint32Array) =>
          Array.from({ length: hashes.length / 2 }, (_, n) => `${at}:${hashes[2 * n]}:${hashes[2 * n + 1]}`)
        const drop = (at: number) => {
          if (at >= 0) model.splice(at, 1)
        }
        for (const [at, words] of sent) {
          const lane = lanes[at] as PrefixBlocks
          lane.add(chain(...words))
          for (const name of namesOf(at, chain(...words))
            .slice(0, lane.capacity)
            .reverse()) {
            drop(model.indexOf(name))
            const own = model.filter((other) => other.startsWith(`${at}:`))
            if (own.length === lane.capacity) drop(model.indexOf(own[0] as string))
            if (model.length === size) drop(0)
            model.push(name)
          }
          for (const [other, words] of sent) {
            const hashes = chain(...words)
            const names = namesOf(other, hashes)
            const first = names.findIndex((name) => !model.includes(name))
            expect((lanes[other] as PrefixBlocks).matching(hashes)).toBe(first < 0 ? names.length : first)
          }
          expect(table.blocks).toBe(model.length)
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("keeps nothing for a lane that is gone", () => {
    const table = new PrefixTable(() => 11 * 48)
    const lane = table.lane(100)
    lane.add(chain(1, 2, 3))
    lane.release()
    lane.add(chain(1, 2, 3))
    expect([table.blocks, lane.matching(chain(1, 2, 3))]).toEqual([0, 0])
  })

  it("is emptied by another limit, and keeps nothing with none", () => {
    let limit = 4096
    const table = new PrefixTable(() => limit)
    const lane = table.lane(100)
    lane.add(chain(1, 2, 3))
    expect(lane.matching(chain(1, 2))).toBe(2)
    limit = 8192
    lane.add(chain(1, 2))
    expect(lane.matching(chain(1, 2, 3))).toBe(2)
    limit = 0
    lane.add(chain(1, 2))
    expect([lane.matching(chain(1, 2)), table.bytes, table.blocks]).toEqual([0, 0, 0])
  })

  it("gives the blocks of a lane that is gone to others", () => {
    const table = new PrefixTable(() => 11 * 48)
    const [one, other] = [table.lane(100), table.lane(100)]
    one.add(chain(1, 2, 3, 4, 5, 6, 7))
    one.release()
    expect(table.blocks).toBe(0)
    other.add(chain(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    expect(other.matching(chain(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))).toBe(10)
  })

  it("holds no more of a lane whose backend keeps less than was thought", () => {
    const table = new PrefixTable(() => mebibyte)
    const lane = table.lane(100)
    lane.add(chain(1, 2, 3, 4, 5))
    lane.capacity = 2
    expect(lane.matching(chain(1, 2, 3, 4, 5))).toBe(2)
    lane.capacity = 0
    lane.add(chain(1, 2))
    expect(lane.count).toBe(0)
  })
})

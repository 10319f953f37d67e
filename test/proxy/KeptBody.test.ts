import fc from "fast-check"
import { expect, it } from "vitest"
import type { Exchange } from "../../src/exchange/Exchange.ts"
import { KeptBody } from "../../src/proxy/KeptBody.ts"

const keep = (contentType: string, pieces: ReadonlyArray<Buffer>): Exchange["kept"] => {
  const kept: Exchange["kept"] = { head: undefined, tail: [], headers: [], contentType: "" }
  const body = new KeptBody(kept, ["Content-Type", contentType])
  for (const piece of pieces) body.push(piece)
  return kept
}
const total = (parts: ReadonlyArray<Uint8Array>): number => parts.reduce((sum, part) => sum + part.length, 0)
const pieces = (count: number, size: number) => Array.from({ length: count }, (_, i) => Buffer.alloc(size, i))

it("a JSON document is kept whole up to a megabyte, since its figures stand at its end", () => {
  const all = pieces(64, 16 * 1024)
  expect(keep("application/json; charset=utf-8", all).tail).toEqual(all)
  expect(keep("application/problem+json", all).tail).toEqual(all)
})

it.each([65, 90, 128, 500])("of a longer one no more is kept than of a stream, however long: %i pieces", (count) => {
  expect(total(keep("application/json", pieces(count, 16 * 1024)).tail)).toBeLessThanOrEqual(80 * 1024)
})

it("a stream's last words are kept whole where they come in large reads", () => {
  const last = pieces(8, 8_000)
  expect(keep("text/event-stream", [...pieces(500, 200), ...last]).tail.slice(-8)).toEqual(last)
})

it("whatever comes, beginning and end are kept, and little more", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 200 }), (sizes) => {
      const all = sizes.map((size, i) => Buffer.alloc(size, i))
      const { head, tail } = keep("text/event-stream", all)
      expect(head).toBe(all[0])
      expect(tail).toEqual(all.slice(-tail.length))
      expect(total(tail)).toBeGreaterThanOrEqual(Math.min(8 * 1024, total(all)))
      expect(total(tail)).toBeLessThan(64 * 1024 + 2 * 20_000)
    })
  )
})

/** Small pieces of an answer are gathered, none is lost, and none waits long. */
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Coalescing } from "../../src/proxy/Coalescing.ts"

describe("pieces that are gathered", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const gathering = () => {
    const out: Array<number> = []
    const coalescing = new Coalescing((bytes) => out.push(bytes.length))
    const push = (size: number, last = false) => {
      const now = coalescing.push(Buffer.alloc(size), last)
      if (now !== undefined) out.push(now.length)
    }
    return { out, coalescing, push }
  }

  it("go out in a step of 2 KiB, then in steps of 4 KiB, and the rest at the end", () => {
    const { out, coalescing, push } = gathering()
    for (let i = 0; i < 9; i++) push(1024)
    expect(out).toEqual([2048, 4096])
    expect(coalescing.rest()?.length).toBe(3072)
    expect(coalescing.rest()).toBeUndefined()
  })

  it("go out after 100 ms of silence, which each piece begins anew", () => {
    const { out, push } = gathering()
    push(10)
    vi.advanceTimersByTime(60)
    push(20)
    vi.advanceTimersByTime(60)
    expect(out).toEqual([])
    vi.advanceTimersByTime(60)
    expect(out).toEqual([30])
    vi.advanceTimersByTime(1_000)
    expect(out).toEqual([30])
  })

  it("wait for the end where it is known that this was the last, and nothing goes out behind it", () => {
    const { out, coalescing, push } = gathering()
    push(5_000, true)
    expect(out).toEqual([])
    expect(coalescing.rest()?.length).toBe(5_000)
    vi.advanceTimersByTime(1_000)
    expect([out, vi.getTimerCount()]).toEqual([[], 0])
  })

  it("are all there in the end, whatever their sizes and pauses", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 0, max: 150 }))), (pieces) => {
        const { out, coalescing, push } = gathering()
        for (const [size, pause] of pieces) {
          push(size)
          vi.advanceTimersByTime(pause)
        }
        const rest = coalescing.rest()?.length ?? 0
        const all = pieces.reduce((sum, [size]) => sum + size, 0)
        expect(out.reduce((sum, size) => sum + size, 0) + rest).toBe(all)
        vi.advanceTimersByTime(1_000)
        expect(vi.getTimerCount()).toBe(0)
      })
    )
  })
})

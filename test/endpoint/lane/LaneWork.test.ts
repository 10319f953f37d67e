import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LaneWork, type Stint } from "../../../src/endpoint/lane/LaneWork.ts"
import { PrefixTable } from "../../../src/endpoint/lane/PrefixTable.ts"

const make = (size?: number) => {
  const clock = { now: 1000, loads: 0 }
  const work = new LaneWork({ now: () => clock.now, size: () => size, loaded: () => clock.loads++ })
  return { clock, work }
}

describe("a lane's work", () => {
  it("is back at nothing after any order of beginnings, first bytes and ends", () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 9 }), fc.nat({ max: 400_000 }), fc.boolean()), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (of) => {
        const { clock, work } = make()
        const stints: Array<Stint> = []
        for (const [what, which, bytes, yes] of of) {
          clock.now += which
          const stint = stints[which % Math.max(1, stints.length)]
          if (what <= 1 || stint === undefined) stints.push(work.begin(bytes / 4, bytes % 300, yes))
          else if (what === 2) stint.firstByte(yes)
          else stint.end(yes)
          expect(work.waiting).toBeGreaterThanOrEqual(0)
          expect(work.unread).toBeGreaterThanOrEqual(512 * work.waiting)
          expect(work.outstanding).toBeGreaterThanOrEqual(0)
        }
        for (const stint of stints) stint.end(false)
        expect([work.waiting, work.unread, work.outstanding]).toEqual([0, 0, 0])
      })
    )
  })

  it("learns its pace with the queue that stood before a first byte, of streams and whole answers apart", () => {
    const { clock, work } = make()
    const first = work.begin(1000, 100, true)
    const second = work.begin(1000, 100, true)
    clock.now += 500
    first.firstByte(true)
    expect(work.streamed.base).toBe(500)
    clock.now += 500
    second.firstByte(true)
    expect(work.streamed.base).toBe(500)
    expect(work.whole.isMeasured).toBe(false)
  })

  it("learns nothing from errors, failures and clients that leave", () => {
    const { clock, work } = make()
    work.begin(1000, 100, true).firstByte(false)
    work.begin(1000, 100, true).end(false)
    clock.now += 10
    expect(work.streamed.isMeasured).toBe(false)
    expect(work.turn).toBe(5000)
  })

  it("learns how long an attempt takes", () => {
    const { clock, work } = make()
    const stint = work.begin(1000, 100, true)
    clock.now += 1000
    stint.end(true)
    expect(work.turn).toBe(4600)
    expect(work.streamed.base).toBe(1000)
  })

  it("learns how long an answer is, where the backend says so", () => {
    const { work } = make()
    const stint = work.begin(1000, 100, true)
    stint.end(true)
    stint.wrote(1256)
    expect(work.answer).toBe(356)
  })

  it("learns a load from the attempt that began it, not from those that joined, and no pace from either", () => {
    const { clock, work } = make(5e9)
    work.reported(false, clock.now)
    expect([work.residency, work.loadWait(clock.now)]).toEqual(["cold", 16_000])
    const first = work.begin(1000, 100, true)
    clock.now += 6000
    const second = work.begin(1000, 100, true)
    expect([work.residency, work.loadWait(clock.now)]).toEqual(["loading", 2000])
    clock.now += 12_000
    first.firstByte(true)
    second.firstByte(true)
    expect([work.residency, work.loadWait(clock.now)]).toEqual(["resident", 0])
    expect(work.loadTime).toBe(8000 + 0.3 * 10_000)
    expect([work.loads, clock.loads]).toEqual([1, 1])
    expect(work.streamed.isMeasured).toBe(false)
  })

  it("is cold again when the load comes to nothing, whatever an older report says", () => {
    const { clock, work } = make()
    work.reported(false, clock.now)
    const asked = clock.now
    clock.now += 10
    const stint = work.begin(1000, 100, true)
    clock.now += 10
    stint.end(false)
    expect(work.residency).toBe("cold")
    work.reported(true, asked + 5)
    expect(work.residency).toBe("cold")
    work.reported(true, clock.now)
    expect(work.residency).toBe("resident")
  })

  it("says nothing of memory where nobody reports it", () => {
    const { work } = make()
    work.begin(1000, 100, true).firstByte(true)
    expect(work.residency).toBe("unknown")
  })

  it("has kept nothing of prompts once the model is out of memory", () => {
    const { clock, work } = make()
    work.prefix = new PrefixTable(() => 4096).lane(10)
    work.prefix.add(Uint32Array.of(1, 2, 3, 4))
    work.reported(true, clock.now)
    expect(work.prefix.count).toBe(2)
    work.reported(false, clock.now + 1)
    expect(work.prefix.count).toBe(0)
  })
})

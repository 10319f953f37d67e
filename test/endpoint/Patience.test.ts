import { describe, expect, it } from "vitest"
import { Patience } from "../../src/endpoint/Patience.ts"

const waiting = (count: number) => {
  const patience = new Patience()
  const ended: Array<boolean> = []
  const waiters = Array.from({ length: count }, () => ({
    place: -1,
    giveUp: (isLate: boolean) => {
      ended.push(isLate)
    }
  }))
  for (const waiter of waiters) patience.add(waiter)
  return { patience, waiters, ended }
}

const answered = [true, false] as const
const refused = [false, false] as const
const late = [false, true] as const

describe("attempts that wait for a head", () => {
  it("wait as long as probes are answered", () => {
    const { patience, ended } = waiting(2)
    for (let now = 0; now < 600_000; now += 5_000) expect(patience.probed(...answered, 2, now)).toBeUndefined()
    expect(ended).toEqual([])
  })

  it.each([
    ["refused", refused, false],
    ["late", late, true]
  ] as const)("end with the second probe in a row that is not: %s", (_, [alive, byTime], isLate) => {
    const { patience, ended } = waiting(2)
    expect(patience.probed(alive, byTime, 2, 0)).toBe("probe")
    expect([patience.isDoubted, ended]).toEqual([true, []])
    expect(patience.probed(alive, byTime, 2, 0)).toBeUndefined()
    expect(ended).toEqual([isLate, isLate])
  })

  it("do not end with two that are not in a row", () => {
    const { patience, ended } = waiting(1)
    for (let n = 0; n < 5; n++) {
      expect(patience.probed(...refused, 1, 0)).toBe("probe")
      expect(patience.probed(...answered, 1, 0)).toBeUndefined()
    }
    expect(ended).toEqual([])
  })

  it("are those that still wait: nobody is told who has a head, and without anybody no probe is asked for", () => {
    const { patience, waiters, ended } = waiting(2)
    patience.probed(...refused, 2, 0)
    for (const waiter of waiters) patience.delete(waiter)
    expect(patience.probed(...refused, 0, 0)).toBeUndefined()
    patience.add(waiters[0] as never)
    expect(patience.probed(...refused, 1, 0)).toBe("probe")
    expect(ended).toEqual([])
  })

  it("have the list of models asked for when many wait and nothing at all has come for a minute, and end when that fails", () => {
    const { patience, ended } = waiting(3)
    patience.answered(1_000)
    expect(patience.probed(...answered, 3, 60_999)).toBeUndefined()
    // One of the attempts has a head, and may be getting its answer.
    expect(patience.probed(...answered, 4, 61_000)).toBeUndefined()
    expect(patience.probed(...answered, 3, 61_000)).toBe("list")
    expect(patience.probed(...answered, 3, 66_000)).toBeUndefined()
    patience.listed(true, 66_000)
    expect(patience.probed(...answered, 3, 120_000)).toBeUndefined()
    expect(patience.probed(...answered, 3, 126_000)).toBe("list")
    expect(ended).toEqual([])
    patience.listed(false, 127_000)
    expect(ended).toEqual([false, false, false])
  })

  it("do not end by a list that somebody else had asked for", () => {
    const { patience, ended } = waiting(3)
    patience.listed(false, 90_000)
    expect(ended).toEqual([])
  })
})

import { describe, expect, it } from "vitest"
import { SignalWatch } from "../../src/endpoint/SignalWatch.ts"
import type { SignalReport } from "../../src/profile/SignalReading.ts"

const reportOf = (running: number): SignalReport => ({
  all: { running, waiting: 0, kvUsed: undefined, slots: undefined, cacheTokens: undefined },
  byModel: new Map(),
  loaded: undefined,
  isAsleep: undefined
})

const tell = (watch: SignalWatch, now: number, running = 1, ended = 0, interval = 2000): void =>
  watch.told(reportOf(running), { askedAt: now - 5, now, interval }, ended, 0)

describe("a place where a backend tells of its load", () => {
  it("is looked at an interval later, a tenth more or less", () => {
    const watch = new SignalWatch()
    expect(watch.dueAt).toBe(0)
    tell(watch, 1000)
    expect(watch.dueAt).toBe(3000)
    watch.told(reportOf(1), { askedAt: 995, now: 1000, interval: 2000 }, 0, 1)
    expect(watch.dueAt).toBe(3200)
    watch.told(reportOf(1), { askedAt: 995, now: 1000, interval: 2000 }, 0, -1)
    expect(watch.dueAt).toBe(2800)
  })

  it("counts for three intervals", () => {
    const watch = new SignalWatch()
    expect(watch.reportAt(0)).toBeUndefined()
    tell(watch, 1000)
    expect(watch.reportAt(7000)).toEqual(reportOf(1))
    expect(watch.reportAt(7001)).toBeUndefined()
  })

  it("is looked at half as often with each failure, at least every half minute, and as before once it answers", () => {
    const watch = new SignalWatch()
    const pauses = [1, 2, 3, 4, 5, 6].map(() => {
      watch.missed(0, 2000, 0)
      return watch.dueAt
    })
    expect(pauses).toEqual([4000, 8000, 16_000, 30_000, 30_000, 30_000])
    tell(watch, 0)
    expect([watch.dueAt, watch.failures]).toEqual([2000, 0])
    watch.missed(0, 60_000, 0)
    expect(watch.dueAt).toBe(60_000)
  })

  it("keeps what it said through a failure, while that counts", () => {
    const watch = new SignalWatch()
    tell(watch, 1000)
    watch.missed(3000, 2000, 0)
    expect(watch.reportAt(5000)).toEqual(reportOf(1))
  })

  it("is frozen when it says the same ten times more while ten attempts end, until it says something else", () => {
    const watch = new SignalWatch()
    tell(watch, 0, 1, 100)
    for (let n = 1; n <= 9; n++) tell(watch, n, 1, 200)
    expect(watch.isFrozen).toBe(false)
    tell(watch, 10, 1, 200)
    expect(watch.isFrozen).toBe(true)
    tell(watch, 11, 1, 200)
    expect(watch.isFrozen).toBe(true)
    tell(watch, 12, 2, 200)
    expect(watch.isFrozen).toBe(false)
  })

  it("is not frozen while hardly anything ends there", () => {
    const watch = new SignalWatch()
    tell(watch, 0, 1, 0)
    for (let n = 1; n <= 50; n++) tell(watch, n, 1, 9)
    expect(watch.isFrozen).toBe(false)
    tell(watch, 51, 1, 10)
    expect(watch.isFrozen).toBe(true)
  })

  it("forgets what another server said", () => {
    const watch = new SignalWatch()
    tell(watch, 1000)
    watch.forget()
    expect([watch.reportAt(1000), watch.dueAt]).toEqual([undefined, 0])
  })
})

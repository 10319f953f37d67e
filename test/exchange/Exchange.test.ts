import { describe, expect, it } from "vitest"
import { Attempt, Exchange } from "../../src/exchange/Exchange.ts"

const exchange = () =>
  new Exchange({ id: "an-id", method: "POST", path: "/", query: "", peer: "", clientIp: "", startedAt: 0, accepted: performance.now() })

describe("an exchange", () => {
  it("is settled by the first end that it meets, and keeps its time", () => {
    const one = exchange()
    expect(one.outcome).toBeUndefined()
    expect(one.settle({ _tag: "completed", status: 200 })).toBe(true)
    const { settled } = one.timings
    expect(settled).toBeGreaterThanOrEqual(one.timings.accepted)
    expect(one.settle({ _tag: "cancelled", status: 499, committed: false })).toBe(false)
    expect(one.outcome).toEqual({ _tag: "completed", status: 200 })
    expect(one.timings.settled).toBe(settled)
  })
})

describe("an attempt", () => {
  const attempt = () =>
    new Attempt({ endpoint: { url: "", name: "one" }, endpointName: "one", endpointType: "", profileName: "", model: "" }, 7)

  it("has times of its own: the next one changes nothing about them", () => {
    const [first, second] = [attempt(), attempt()]
    second.timings.sent = 9
    expect(first.timings).toEqual({ leased: 7, started: 0, connected: 0, sent: 0, headers: 0, firstByte: 0, lastByte: 0 })
  })

  it("that asks once more in other words keeps nothing of the answer that it did not relay", () => {
    const one = attempt()
    Object.assign(one.timings, { sent: 8, connected: 9, headers: 10, firstByte: 11, lastByte: 12 })
    Object.assign(one, { status: 400, bytes: 3 })
    one.restart()
    expect(one.timings).toEqual({ leased: 7, started: 0, connected: 9, sent: 8, headers: 0, firstByte: 0, lastByte: 0 })
    expect([one.status, one.bytes]).toEqual([0, 0])
  })
})

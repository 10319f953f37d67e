import { describe, expect, it } from "vitest"
import { Attempt } from "../../src/exchange/Exchange.ts"
import { pairsOfReply } from "../../src/proxy/HeaderLines.ts"
import { replyHead } from "../../src/proxy/ReplyHeaders.ts"
import { serverTiming } from "../../src/proxy/ServerTiming.ts"
import { Scene } from "./carrying.ts"

const scene = new Scene()
const endpoint = scene.add("a", {})
const exchange = () => {
  const { exchange: made } = scene.request({})
  Object.assign(made.timings, { accepted: 1_000, received: 1_100, routed: 1_101 })
  const attempt = (leased: number, ended: number, marks: object) => {
    const one = new Attempt({ endpoint, endpointName: "a", endpointType: "", profileName: "", model: "" }, leased)
    Object.assign(one.timings, marks)
    one.ended = ended
    made.attempts.push(one)
  }
  attempt(1_102, 1_202, {})
  attempt(1_204, 0, { connected: 1_209, sent: 1_210, headers: 1_504 })
  return made
}

describe("Server-Timing", () => {
  it("says whose time it was until the head was there, the failed attempt's apart", () => {
    expect(serverTiming(exchange())).toBe('olla;dur=4, queue;dur=0, connect;dur=5, backend;dur=295, attempts;desc="2"')
  })

  it("tells waiting for somebody apart from Olla's own time", () => {
    const waited = exchange()
    waited.beginWait(1_202)
    waited.endWait(1_204)
    expect(serverTiming(waited)).toContain("olla;dur=2, queue;dur=2, ")
    waited.attempts.length = 0
    expect(serverTiming(waited, 1_209)).toBe("olla;dur=107, queue;dur=2")
  })

  it("says what is known where there is no head, and no attempt", () => {
    const waiting = exchange()
    Object.assign(waiting.timings, { accepted: 1_000 })
    const last = waiting.lastAttempt as Attempt
    last.timings.headers = last.timings.sent = last.timings.connected = 0
    expect(serverTiming(waiting, 1_304)).toBe('olla;dur=4, queue;dur=0, connect;dur=100, backend;dur=0, attempts;desc="2"')
    waiting.attempts.length = 0
    expect(serverTiming(waiting, 1_107)).toBe("olla;dur=7")
  })

  it("stands behind a backend's own, and only where it is asked for", () => {
    const lines = (timed: boolean) => {
      const flat = pairsOfReply(replyHead(exchange(), endpoint, ["Server-Timing", "gpu;dur=3"], [], false, timed))
      return flat.filter((_, i) => i % 2 === 1 && flat[i - 1] === "Server-Timing")
    }
    expect(lines(true)).toEqual(["gpu;dur=3", expect.stringMatching(/^olla;dur=/)])
    expect(lines(false)).toEqual(["gpu;dur=3"])
  })
})

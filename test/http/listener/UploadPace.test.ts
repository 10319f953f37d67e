import type { IncomingMessage, ServerResponse } from "node:http"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { leastPace, longestUpload, watchUploads } from "../../../src/http/listener/UploadPace.ts"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }))
afterEach(() => void vi.useRealTimers())

const limit = 2_000

/** Open requests under watch; each brings `perSecond` bytes a second until `stops`, in seconds, or until its body is whole. */
const watched = (perSecond: number, stops = Number.POSITIVE_INFINITY, whole = Number.POSITIVE_INFINITY) => {
  const socket = { bytesRead: 500, destroyed: false }
  const req = { complete: false, socket }
  const res = { req } as unknown as ServerResponse<IncomingMessage>
  let ended = 0
  let now = 0
  const end = watchUploads(
    [res],
    () => limit,
    () => {
      ended ||= now
      socket.destroyed = true
    }
  )
  return {
    /** Second in which it was ended; 0: it was not. */
    after: (seconds: number): number => {
      for (; now < seconds; ) {
        now += 0.1
        if (now <= stops) socket.bytesRead += perSecond / 10
        req.complete = now >= whole
        vi.advanceTimersByTime(100)
      }
      end()
      return ended
    }
  }
}

describe("an upload", () => {
  it("that never starts is ended within a second of the limit", () => {
    const ended = watched(0).after(10)
    expect(ended).toBeGreaterThanOrEqual(2)
    expect(ended).toBeLessThanOrEqual(3.1)
  })

  it("that drips is ended just so", () => expect(watched(leastPace * 0.9).after(10)).toBeLessThanOrEqual(3.1))

  it("that keeps its pace may take as long as it takes", () => expect(watched(leastPace * 1.1).after(120)).toBe(0))

  it("that stops on its way is ended within twice the limit of its last bytes, however fast it was", () => {
    const ended = watched(leastPace * 100, 20).after(60)
    expect(ended).toBeGreaterThanOrEqual(20)
    expect(ended).toBeLessThanOrEqual(20 + 2 * 2 + 1.1)
  })

  it("that came in time and only waited to be read goes on", () => {
    const socket = { bytesRead: 500, destroyed: false }
    let ended = 0
    const end = watchUploads(
      [{ req: { complete: false, socket } } as unknown as ServerResponse<IncomingMessage>],
      () => limit,
      () => ended++
    )
    vi.advanceTimersByTime(2_600)
    socket.bytesRead += leastPace * 4
    vi.advanceTimersByTime(1_000)
    end()
    expect(ended).toBe(0)
  })

  it("that is whole is nobody's business any more", () => expect(watched(0, 0, 1).after(10)).toBe(0))
})

describe("the longest upload", () => {
  it.each([
    [30_000, 100 * 1024 * 1024, 30_000 + 3_200_000],
    [30_000, 10_000, 30_306],
    [30_000, 0, 0],
    [0, 1024, 0]
  ])("with a read_timeout of %i ms and %i bytes is %i ms", (readTimeout, body, most) => expect(longestUpload(readTimeout, body)).toBe(most))
})

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { mostPending, standardOutput } from "../../src/telemetry/StandardOutput.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const failing = (code: string) => Object.assign(new Error(code), { code })

/** A descriptor that takes everything, or fails as it is told. */
const descriptor = () => {
  const state: { written: string; fails: string | undefined; calls: number } = { written: "", fails: undefined, calls: 0 }
  const write = (bytes: Buffer): number => {
    state.calls++
    if (state.fails !== undefined) throw failing(state.fails)
    state.written += bytes.toString("utf8")
    return bytes.length
  }
  const lost = (records: number) => `lost ${records}\n`
  return { state, output: standardOutput({ write, lost }) }
}

describe("standard output", () => {
  it.each(["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EAGAIN", "EINTR"])("writes again once %s is over, and nothing is missing", (code) => {
    const { state, output } = descriptor()
    output.write("a\n")
    state.fails = code
    output.write("b\n")
    output.write("c\n")
    state.fails = undefined
    vi.advanceTimersByTime(1_000)
    output.write("d\n")
    expect(state.written).toBe("a\nb\nc\nd\n")
  })

  it.each(["EPIPE", "EBADF"])("asks nobody again who is gone for good (%s)", (code) => {
    const { state, output } = descriptor()
    state.fails = code
    output.write("a\n")
    const { calls } = state
    output.write("b\n")
    vi.advanceTimersByTime(60_000)
    expect(state.calls).toBe(calls)
  })

  it("asks a full disk once a second, however much there is to say", () => {
    const { state, output } = descriptor()
    state.fails = "ENOSPC"
    for (let n = 0; n < 1_000; n++) output.write("a\n")
    vi.advanceTimersByTime(10_000)
    expect(state.calls).toBeLessThanOrEqual(11)
  })

  it("hands over a part at a time and in order, however much waits and however slowly it is taken", () => {
    const asked: Array<number> = []
    let written = ""
    let room = 0
    const output = standardOutput({
      write: (bytes) => {
        if (room === 0) throw failing("EAGAIN")
        const taken = Math.min(room, bytes.length)
        asked.push(bytes.length)
        room -= taken
        written += bytes.toString("latin1", 0, taken)
        return taken
      }
    })
    const lines = Array.from({ length: 500 }, (_, n) => `${n} ${"x".repeat(997 + (n % 7))}\n`)
    for (const line of lines) {
      output.write(line)
      room += 301
      vi.advanceTimersByTime(10)
    }
    room = 1_000_000
    vi.advanceTimersByTime(10)
    expect(written).toBe(lines.join(""))
    expect(Math.max(...asked)).toBeLessThan(66 * 1024)
  })

  it("keeps a bounded rest, and says how many records were dropped beyond it", () => {
    const { state, output } = descriptor()
    state.fails = "ENOSPC"
    const line = `${"x".repeat(mostPending / 4)}\n`
    for (let n = 0; n < 10; n++) output.write(line)
    state.fails = undefined
    vi.advanceTimersByTime(1_000)
    expect(state.written.length).toBeLessThanOrEqual(mostPending + 100)
    expect(state.written.split("\n").at(-2)).toBe("lost 7")
  })

  it("does not hold up the end for a disk that is full", () => {
    const { state, output } = descriptor()
    state.fails = "ENOSPC"
    output.write("a\n")
    const before = state.calls
    output.finish()
    expect(state.calls - before).toBe(1)
  })

  it("goes on from where a write of a part ended", () => {
    let written = ""
    let room = 3
    const output = standardOutput({
      write: (bytes) => {
        if (room === 0) throw failing("ENOSPC")
        const part = bytes.subarray(0, room)
        room -= part.length
        written += part.toString("utf8")
        return part.length
      }
    })
    output.write("abcdef\n")
    room = 100
    vi.advanceTimersByTime(1_000)
    expect(written).toBe("abcdef\n")
  })
})

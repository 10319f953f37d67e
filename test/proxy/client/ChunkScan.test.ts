import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChunkScan } from "../../../src/proxy/client/ChunkScan.ts"
import { decodeByNode } from "./nodeParser.ts"

interface Chunk {
  readonly data: Buffer
  readonly zeros: number
  readonly upper: boolean
  readonly extension: string
}

const chunks = fc.array(
  fc.record({
    data: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    zeros: fc.integer({ min: 0, max: 3 }),
    upper: fc.boolean(),
    extension: fc.constantFrom("", "", ";a", ";a=b", ';a="x y"')
  }),
  { maxLength: 6 }
)
const trailers = fc.constantFrom("", "", "X-Digest: abc\r\n", "A: 1\r\nB: 2\r\n")

const sized = ({ data, zeros, upper, extension }: Chunk): string => {
  const hex = data.length.toString(16)
  return `${"0".repeat(zeros)}${upper ? hex.toUpperCase() : hex}${extension}\r\n`
}
const wireOf = (list: ReadonlyArray<Chunk>): Buffer =>
  Buffer.concat(list.flatMap((chunk) => [Buffer.from(sized(chunk)), chunk.data, Buffer.from("\r\n")]))

/** Cuts at the given places, in any order, empty parts left out. */
const split = (bytes: Buffer, cuts: ReadonlyArray<number>): Array<Buffer> => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).flatMap((to, i) => (to > (places[i] ?? 0) ? [bytes.subarray(places[i], to)] : []))
}

const scanned = (parts: ReadonlyArray<Buffer>) => {
  const scan = new ChunkScan()
  const passed: Array<Buffer> = []
  const payload: Array<Buffer> = []
  for (const part of parts) {
    if (scan.bad || scan.done) break
    passed.push(part.subarray(0, scan.push(part, 0, payload)))
  }
  return { scan, passed: Buffer.concat(passed), payload: Buffer.concat(payload) }
}

describe("walking along a chunked body", () => {
  it("passes any split of any body on whole, and ends at its end", () => {
    fc.assert(
      fc.property(chunks, trailers, fc.array(fc.nat(), { maxLength: 12 }), (list, trailer, cuts) => {
        const frames = wireOf(list)
        const { scan, passed, payload } = scanned(split(Buffer.concat([frames, Buffer.from(`0\r\n${trailer}\r\n`)]), cuts))
        const content = Buffer.concat(list.map(({ data }) => data))
        expect(scan.bad).toBe(false)
        expect(scan.done).toBe(true)
        expect(scan.payload).toBe(content.length)
        expect(payload.equals(content)).toBe(true)
        // What was passed on, ended by somebody else, is the same body again.
        const again = scanned([passed, Buffer.from("0\r\n\r\n")])
        expect(again.scan.done).toBe(true)
        expect(again.payload.equals(content)).toBe(true)
      }),
      { numRuns: 500 }
    )
  })

  it("does so for a stream of events cut at every byte", () => {
    const events = ["data: {}\n\n", "data: [DONE]\n\n", ": ping\n\n"]
    const wire = Buffer.from(`${events.map((event) => `${event.length.toString(16)}\r\n${event}\r\n`).join("")}0\r\n\r\n`)
    for (let cut = 0; cut <= wire.length; cut++) {
      const { scan, passed } = scanned([wire.subarray(0, cut), wire.subarray(cut)])
      expect([scan.done, passed.toString()]).toEqual([true, wire.toString().slice(0, -5)])
    }
    const bytes = scanned([...wire].map((byte) => Buffer.from([byte])))
    expect([bytes.scan.done, bytes.passed.toString()]).toEqual([true, wire.toString().slice(0, -5)])
  })

  it("agrees with node's own parser on what a body says", async () => {
    const samples = fc.sample(fc.tuple(chunks, trailers), 40)
    for (const [list, trailer] of samples) {
      const wire = Buffer.concat([wireOf(list), Buffer.from(`0\r\n${trailer}\r\n`)])
      const byNode = await decodeByNode(wire)
      expect(byNode.body.equals(scanned([wire]).payload)).toBe(true)
    }
  })

  it("refuses whatever node refuses, extensions aside", async () => {
    const bare = chunks.map((list) => list.map((chunk) => ({ ...chunk, extension: "" })))
    const junk = fc.constantFrom("", "\n", "\r", " ", "x", "0", "\0", "\r\n")
    const mutated = fc.tuple(bare, fc.nat(), junk).map(([list, at, more]) => {
      const wire = Buffer.concat([wireOf(list), Buffer.from("0\r\n")])
      const place = at % wire.length
      return Buffer.concat([wire.subarray(0, place), Buffer.from(more), wire.subarray(place + (more === "" ? 1 : 0)), Buffer.from("\r\n")])
    })
    for (const wire of fc.sample(mutated, 60)) {
      const { scan, payload } = scanned([wire])
      if (!scan.done || scan.end !== wire.length) continue
      const byNode = await decodeByNode(wire)
      expect([wire.toString("latin1"), byNode.whole, byNode.body]).toEqual([wire.toString("latin1"), true, payload])
    }
  })

  it.each([
    ["a size that is none", "x\r\n"],
    ["no size", "\r\n"],
    ["a bare LF after the size", "5\nhello"],
    ["a bare LF after the data", "5\r\nhello\n"],
    ["more data than announced", "5\r\nhelloXX"],
    ["nine digits", "123456789\r\n"],
    ["a sign", "-5\r\n"],
    ["blanks before the size", " 5\r\n"],
    ["a bare LF after the last size", "0\n\n"],
    ["a bare LF for a trailer's end", "0\r\nA: b\n"],
    ["a control character in an extension", "5;a\0\r\n"],
    ["an endless extension", `5;${"x".repeat(2_000)}`],
    ["endless trailers", `0\r\n${"a:\r\n".repeat(5_000)}`],
    ["a trailer that is none", "0\r\nabc\r\n\r\n"]
  ])("refuses %s", (_what, text) => {
    expect(scanned([Buffer.from(text)]).scan.bad).toBe(true)
  })

  it("lets through what came before the fault", () => {
    const wire = Buffer.from("5\r\nhello\r\n3\r\nabcXX")
    expect(scanned([wire]).passed.toString()).toBe("5\r\nhello\r\n3\r\nabc")
    expect(scanned([Buffer.from("5\r\nhello\r\n"), Buffer.from("zz\r\n")]).passed.toString()).toBe("5\r\nhello\r\n")
  })

  it("knows when it stands between two frames", () => {
    const scan = new ChunkScan()
    const states = ["5", "\r\nhel", "lo\r", "\n"].map((part) => {
      scan.push(Buffer.from(part), 0)
      return scan.boundary
    })
    expect(states).toEqual([false, false, false, true])
  })
})

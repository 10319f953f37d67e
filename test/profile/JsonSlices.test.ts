import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { atOnce, type JsonBounds, parseInSteps } from "../../src/profile/JsonSlices.ts"
import { setsOffKeyDefect } from "../keyDefect.ts"
import { runs } from "../propertyRuns.ts"

const generous: JsonBounds = { elements: 1e6, part: 1e7 }

const run = (text: string, bounds = generous) => {
  const steps = parseInSteps(text, bounds)
  for (let count = 0; ; count++) {
    const step = steps.next()
    if (step.done === true) return { reading: step.value, count }
  }
}

/** Long enough to be read in steps, whatever it is: blanks change nothing in JSON. */
const long = (text: string): string => text + " ".repeat(atOnce)

const plainly = (text: string): unknown => {
  try {
    return { _tag: "value", value: JSON.parse(text) as unknown }
  } catch {
    return { _tag: "malformed", message: expect.any(String) as string }
  }
}

const document = fc.dictionary(
  fc.oneof(fc.constantFrom("data", "models", "object", "__proto__", ""), fc.string()),
  fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue(), { maxLength: 30 }))
)

describe("a document read in steps", () => {
  it("is what JSON.parse makes of it", () => {
    fc.assert(
      fc.property(fc.oneof(document, fc.jsonValue()), fc.integer({ min: 0, max: 2 }), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        fc.pre(!setsOffKeyDefect(text))
        expect(run(long(text)).reading).toEqual(plainly(text))
      }),
      { numRuns: runs(2_000) }
    )
  })
  it("is malformed where JSON.parse says so, whatever was cut, doubled, put in or taken out", () => {
    const pieces = fc.constantFrom(
      '"',
      "\\",
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      " ",
      "1",
      "-",
      "true",
      "null",
      "\u0000",
      "\u00a0",
      "\\u12",
      '""'
    )
    fc.assert(
      fc.property(document, fc.nat(), fc.nat(10), pieces, (value, where, length, piece) => {
        const text = JSON.stringify(value)
        const at = where % (text.length + 1)
        for (const changed of [
          text.slice(0, at),
          text.slice(0, at) + text.slice(at + length),
          text.slice(0, at) + piece + text.slice(at),
          text + text.slice(at)
        ])
          if (!setsOffKeyDefect(changed)) expect(run(long(changed)).reading).toEqual(plainly(changed))
      }),
      { numRuns: runs(2_000) }
    )
  })
  it.each([
    "{}",
    "{}}",
    "[",
    "[]",
    '{"a":1,}',
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":[1 2]}',
    '{,"a":1}',
    '{"a" 1}',
    '{"a":}',
    "3",
    '"x"',
    "nul"
  ])("%s is judged as by JSON.parse", (text) => expect(run(long(text)).reading).toEqual(plainly(text)))
  it("gives way often: never more than a few entries at a time", () => {
    const entry = { id: "m".repeat(1000), text: 'quoted "]}" and \\ more' }
    const text = JSON.stringify({ object: "list", data: Array.from({ length: 2000 }, () => entry) })
    const { reading, count } = run(text)
    expect(reading).toEqual({ _tag: "value", value: JSON.parse(text) as unknown })
    expect(count).toBeGreaterThan(text.length / 20_000)
  })
  it("that is short is read at once", () => {
    expect(run('{"data":[1,2]}')).toEqual({ reading: { _tag: "value", value: { data: [1, 2] } }, count: 0 })
  })
})

describe("the bounds", () => {
  const bounds: JsonBounds = { elements: 100, part: 1000 }
  it("end a list that has too many elements before the rest is read", () => {
    const text = JSON.stringify({ data: Array.from({ length: 100_000 }, (_, n) => n) })
    const { reading, count } = run(text, bounds)
    expect(reading).toEqual({ _tag: "beyond", bound: "elements" })
    expect(count).toBe(0)
    expect(run(long(JSON.stringify({ data: Array.from({ length: 100 }, (_, n) => n) })), bounds).reading._tag).toBe("value")
  })
  it.each([
    ["an element", { data: [1, "x".repeat(100_000)] }],
    ["a nested element", { data: [[Array.from({ length: 50_000 }, () => 1)]] }],
    ["a member that is no list", { data: [], more: { x: "y".repeat(100_000) } }],
    ["a key", { ["k".repeat(100_000)]: 1 }],
    ["a document that is no object", Array.from({ length: 50_000 }, () => 1)]
  ])("end %s that is too long", (_, value) => {
    expect(run(JSON.stringify(value), bounds).reading).toEqual({ _tag: "beyond", bound: "part" })
  })
})

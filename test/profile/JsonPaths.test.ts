import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { addPath, findPaths, pathTree, stepsOf } from "../../src/profile/JsonPaths.ts"
import type { Value } from "../../src/profile/MetricsExpression.ts"

const found = (text: string, ...paths: ReadonlyArray<string>): ReadonlyArray<Value | undefined> | undefined => {
  const tree = pathTree()
  const places = paths.map((path, i) => addPath(tree, stepsOf(path), i))
  const all: Array<Value | undefined> = paths.map(() => undefined)
  return findPaths(Buffer.from(text), tree, all) ? places.map((place) => all[place]) : undefined
}

const isScalar = (value: unknown): value is Value => typeof value === "number" || typeof value === "string" || typeof value === "boolean"

/** What the same path leads to in the object that JSON.parse makes. */
const parsed = (text: string, path: string): Value | undefined => {
  const value = stepsOf(path).reduce<unknown>(
    (node, name) => (typeof node === "object" && node !== null && Object.hasOwn(node, name) ? Reflect.get(node, name) : undefined),
    JSON.parse(text)
  )
  return isScalar(value) ? value : undefined
}

describe("values at paths", () => {
  it("are found wherever they stand, by any way of writing a path", () => {
    const text = ` {"a": {"b": [ {"c": 1}, {"c": "zwei"} ]}, "d" : -2.5e1 ,"e":true,"f":null}\n`
    expect(found(text, "$.a.b[1].c", "a.b[0]['c']", "$['d']", "$.e", "$.f", "$.a", "$.nowhere")).toEqual([
      "zwei",
      1,
      -25,
      true,
      undefined,
      undefined,
      undefined
    ])
  })

  it("share a place where two paths are the same", () => {
    const tree = pathTree()
    expect([addPath(tree, stepsOf("$.a.b"), 0), addPath(tree, stepsOf("a['b']"), 1)]).toEqual([0, 0])
  })

  it("are not taken from a text's own quotation marks", () => {
    const text = JSON.stringify({ content: 'he said "usage": {"n": 1}\\', usage: { n: 2 }, 'usage": {': 3 })
    expect(found(text, "$.usage.n")).toEqual([2])
  })

  it.each(["", "5", '"text"', '{"a":1', '{"a":1}}', '{"a":1} {"a":2}', '{"a":}', '{"a" 1}', "{a:1}", "[1,2", '{"a":"b}', '{"a":1,}'])(
    "are not there in %j, which is no document",
    (text) => {
      expect(found(text, "$.a")).toBeUndefined()
    }
  )

  it("end at a depth that no backend means", () => {
    const text = `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`
    expect(found(text, `$${".a".repeat(5_000)}`)).toEqual([undefined])
  })

  it("are those that JSON.parse finds, in whatever document", () => {
    const key = fc.constantFrom("a", "b", "usage", "0", "tokens", "ü")
    const document = fc.letrec<{ node: unknown; object: unknown }>((tie) => ({
      object: fc.dictionary(fc.oneof({ weight: 3, arbitrary: key }, fc.string()), tie("node"), { maxKeys: 5 }),
      node: fc.oneof(
        { maxDepth: 5 },
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.integer(),
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          fc.boolean(),
          fc.constant(null)
        ),
        tie("object"),
        fc.array(tie("node"), { maxLength: 4 })
      )
    })).object
    const path = fc.array(key, { minLength: 1, maxLength: 4 }).map((steps) => `$.${steps.join(".")}`)
    fc.assert(
      fc.property(document, fc.array(path, { minLength: 1, maxLength: 6 }), fc.constantFrom(undefined, 1, "\t"), (value, paths, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        expect(found(text, ...paths)).toEqual(paths.map((one) => parsed(text, one)))
      })
    )
  })

  it("are not read beyond whatever was cut off", () => {
    const text = JSON.stringify({ id: "x", choices: [{ text: 'a "b"', finish_reason: "stop" }], usage: { prompt_tokens: 12 } })
    for (let end = 0; end < text.length; end++) expect(found(text.slice(0, end), "$.usage.prompt_tokens")).toBeUndefined()
  })
})

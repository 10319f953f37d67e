import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { inspect } from "../../src/routing/Inspecting.ts"
import { rewriteModel } from "../../src/routing/ModelRewrite.ts"
import { cut, cuts, object } from "./bodies.ts"

const rewritten = (text: string, name: string, at: ReadonlyArray<number> = []): string => {
  const chunks = cut(Buffer.from(text), at)
  return Buffer.concat(rewriteModel(chunks, inspect("application/json", chunks, "/v1/chat/completions"), name)).toString()
}

describe("a rewritten body", () => {
  it.each([
    [
      "keeps order, spaces and numbers",
      '{ "temperature": 1.00,\n\t"model" : "big" , "n":1e0 }',
      '{ "temperature": 1.00,\n\t"model" : "q" , "n":1e0 }'
    ],
    [
      "leaves nested models and text alone",
      '{"a":{"model":"big"},"t":"\\"model\\":\\"big\\"","l":[{"model":"big"}],"model":"big"}',
      '{"a":{"model":"big"},"t":"\\"model\\":\\"big\\"","l":[{"model":"big"}],"model":"q"}'
    ],
    ["has every duplicate renamed", '{"model":"big","x":1,"Model":"other","model":"big"}', '{"model":"q","x":1,"Model":"q","model":"q"}'],
    ["sees a key with escapes", '{"mod\\u0065l":"big"}', '{"mod\\u0065l":"q"}'],
    [
      "renames what only the first message names",
      '{"messages":[ {"content":"hi","model":"big"},{"model":"big"}]}',
      '{"messages":[ {"content":"hi","model":"q"},{"model":"big"}]}'
    ],
    ["is untouched when it is broken", '{"model":"big", <broken>', '{"model":"big", <broken>'],
    ["is untouched when it is a list", '[{"model":"big"}]', '[{"model":"big"}]'],
    ["is untouched when the model is no string", '{"model":{"name":"big"}}', '{"model":{"name":"big"}}'],
    ["is untouched without a model", '{"prompt":"x"}', '{"prompt":"x"}'],
    ["is untouched when empty", "", ""]
  ])("%s", (_, text, expected) => {
    expect(rewritten(text, "q")).toBe(expected)
  })

  it("has the name properly escaped", () => {
    expect(rewritten('{"model":"big"}', 'a"b\\c\n😀')).toBe('{"model":"a\\"b\\\\c\\n😀"}')
  })

  it("differs in its models and in nothing else, wherever it is cut", () => {
    fc.assert(
      fc.property(object, fc.string({ unit: "grapheme", minLength: 1 }), cuts, ({ members, text }, name, at) => {
        const out = rewritten(text, name, at)
        const isNamed = inspect("application/json", [Buffer.from(text)], "").field === "model"
        const isModel = (key: string, value: unknown) =>
          isNamed && key.length === 5 && key.toLowerCase() === "model" && typeof value === "string"
        if (!isNamed && inspect("application/json", [Buffer.from(text)], "").field === "none") {
          expect(out).toBe(text)
          return
        }
        if (!isNamed) return
        const expected = Object.fromEntries(
          members.map(({ key, value }) => [key, isModel(key, JSON.parse(value)) ? name : (JSON.parse(value) as unknown)] as const)
        )
        expect(JSON.parse(out)).toEqual(expected)
        // Byte for byte: with the old values back in place it is the old text.
        const spans = members.filter(({ key, value }) => isModel(key, JSON.parse(value)))
        const pieces = out.split(JSON.stringify(name))
        if (pieces.length === spans.length + 1) {
          const restored = pieces.reduce((sum, piece, i) => sum + (i === 0 ? "" : (spans[i - 1]?.value ?? "")) + piece, "")
          expect(restored).toBe(text)
        }
      }),
      { numRuns: 1_000 }
    )
  })
})

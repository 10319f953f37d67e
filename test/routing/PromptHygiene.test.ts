/** The billing line of Claude Code made equal: nothing else of a body changes, whatever it is and however it comes. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { wantsOwnLine, withoutBillingMark } from "../../src/routing/PromptHygiene.ts"
import { runs } from "../propertyRuns.ts"

const line = "x-anthropic-billing-header: cc_version=2.1.37.a3f; cc_entrypoint=cli; cch=9b1f2;"
const equal = "x-anthropic-billing-header: cc_version=2.1.37.000; cc_entrypoint=cli; cch=00000;"

const cleaned = (body: string): string | undefined => {
  const chunks = withoutBillingMark([Buffer.from(body)])
  return chunks === undefined ? undefined : Buffer.concat(chunks).toString()
}

describe("the billing line", () => {
  it.each([
    ["a system text", (text: string) => ({ model: "m", system: text, messages: [] })],
    ["the first text block", (text: string) => ({ system: [{ type: "image" }, { type: "text", text }, { type: "text", text: line }] })],
    [
      "a first message of the system",
      (text: string) => ({
        messages: [
          { role: "system", content: text },
          { role: "user", content: line }
        ]
      })
    ],
    ["its first text part", (text: string) => ({ messages: [{ content: [{ text, type: "text" }], role: "developer" }] })],
    ["a first message beside an empty list", (text: string) => ({ system: [], messages: [{ role: "system", content: text }] })]
  ])("is made equal in %s", (_, bodyOf) => {
    for (const rest of ["", "\nYou are Claude Code; cch=1", " \\n cch=9"]) {
      const before = bodyOf(line + rest)
      const text = rest.startsWith("\n") ? equal + rest : rest === "" ? equal : `${equal} \\n cch=0`
      expect(cleaned(JSON.stringify(before))).toBe(JSON.stringify(bodyOf(text)))
    }
  })

  it.each([
    ["cch=12ab", "cch=0000"],
    ["cch=; cc_version=1.2.3", undefined],
    ["cc_version=1.2.3.abc.d; cch=x y", "cc_version=1.2.3.000.d; cch=000"],
    ["cc_version=1.2.3.; Xcch=1;not_cc_version=1.2.3.4", undefined],
    ["cc_version=1.2.3.4", "cc_version=1.2.3.0"],
    ["cch=000;cc_version=1.2.3.00", undefined]
  ])("%j becomes %j", (before, after) => {
    const body = (text: string) => JSON.stringify({ system: `x-anthropic-billing-header:${text}\ncch=1` })
    expect(cleaned(body(before))).toBe(after === undefined ? undefined : body(after))
  })

  it.each([
    ["it is not at the beginning", { system: ` ${line}` }],
    [
      "it is in a later block",
      {
        system: [
          { type: "text", text: "hi" },
          { type: "text", text: line }
        ]
      }
    ],
    ["a user says it", { messages: [{ role: "user", content: line }] }],
    [
      "it comes in a later message",
      {
        messages: [
          { role: "user", content: "" },
          { role: "system", content: line }
        ]
      }
    ],
    ["it is deeper", { metadata: { system: line } }],
    ["the system text is another one", { system: "hi", messages: [{ role: "system", content: line }] }]
  ])("stays where %s", (_, body) => {
    expect(cleaned(JSON.stringify(body))).toBeUndefined()
  })

  it("is that of the last `system` where a body has two, as parsers have it", () => {
    expect(cleaned(`{"system":${JSON.stringify(line)},"system":"hi"}`)).toBeUndefined()
    expect(cleaned(`{"system":"hi","system":${JSON.stringify(line)}}`)).toBe(`{"system":"hi","system":${JSON.stringify(equal)}}`)
  })

  it("ends at an escaped newline, however that is written, and at no escaped backslash", () => {
    const of = (text: string) => `{"system":"x-anthropic-billing-header: ${text}"}`
    expect(cleaned(of("cch=12\\u000acch=3"))).toBe(of("cch=00\\u000acch=3"))
    expect(cleaned(of("cch=12\\\\ncch=3"))).toBe(of("cch=0000000000"))
    expect(cleaned(of('cch=1\\"2;'))).toBe(of("cch=0000;"))
  })

  it.each(["", "[]", "{", '{"system":', `{"system":"${line}`, `${line}`, `{"messages":[`, '{"messages":[{"role":"system","content":["'])(
    "is not looked for in %j",
    (body) => {
      expect(cleaned(body)).toBeUndefined()
    }
  )

  it("keeps length and every other byte, wherever the body is cut into chunks", () => {
    const text = fc.string({ unit: "grapheme" })
    const value = fc.stringMatching(/^[0-9a-z\u00e9 "\\]{0,8}$/)
    const billing = fc
      .tuple(value, value, fc.constantFrom("; ", ";", " "))
      .map(([build, sum, gap]) => `x-anthropic-billing-header: cc_version=1.2.3.${build}${gap}cch=${sum}`)
    const first = fc.tuple(fc.oneof(billing, text), text).map(([one, rest]) => `${one}\n${rest}`)
    const body = fc.record(
      {
        model: text,
        tools: fc.array(fc.jsonValue(), { maxLength: 2 }),
        system: fc.oneof(first, fc.array(fc.record({ type: fc.constantFrom("text", "image"), text: first }), { maxLength: 2 })),
        messages: fc.array(fc.record({ role: fc.constantFrom("system", "user"), content: first }), { maxLength: 2 })
      },
      { requiredKeys: [] }
    )
    fc.assert(
      fc.property(body, fc.array(fc.nat(400)), fc.constantFrom(0, 1), (value, cuts, indent) => {
        const whole = Buffer.from(JSON.stringify(value, null, indent))
        const places = [0, ...[...new Set(cuts.map((cut) => Math.min(cut, whole.length)))].sort((a, b) => a - b), whole.length]
        const chunks = places.slice(1).map((end, index) => whole.subarray(places[index], end))
        const kept = Buffer.from(whole)
        const after = Buffer.concat(withoutBillingMark(chunks) ?? chunks)
        expect(whole.equals(kept)).toBe(true)
        expect(after.length).toBe(whole.length)
        for (const [index, byte] of after.entries()) if (byte !== whole[index]) expect(byte).toBe(48)
        // Once more changes nothing, and what is left can be read.
        expect(withoutBillingMark([after])).toBeUndefined()
        expect(Object.keys(JSON.parse(after.toString()))).toEqual(Object.keys(value))
      }),
      { numRuns: runs(300) }
    )
  })
})

describe("endpoints that get the line as it came", () => {
  it.each(["anthropic.com", "api.anthropic.com", "API.Anthropic.COM."])("%s", (host) => expect(wantsOwnLine(host)).toBe(true))
  it.each(["localhost", "notanthropic.com", "anthropic.com.evil.example", "10.0.0.1"])("not %s", (host) =>
    expect(wantsOwnLine(host)).toBe(false)
  )
})

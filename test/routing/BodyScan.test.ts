import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BodyScan, type Field } from "../../src/routing/BodyScan.ts"
import { runs } from "../propertyRuns.ts"
import { anyJson, cut, cuts, object } from "./bodies.ts"

const scanOf = (chunks: ReadonlyArray<Buffer>): BodyScan => {
  const scan = new BodyScan()
  for (const chunk of chunks) scan.push(chunk)
  return scan
}

const scanText = (text: string): BodyScan => scanOf([Buffer.from(text)])

const fieldOf = (key: string): Field | undefined => {
  if (key.toLowerCase() === "model" && key.length === 5) return "model"
  if (key === "instructions") return "system"
  if (key === "max_tokens" || key === "max_output_tokens") return "limit"
  return (["stream", "messages", "tools", "system", "prompt", "input"] as const).find((field) => field === key)
}

describe("the scan of a body", () => {
  it("finds what JSON.parse finds, wherever the chunks are cut", () => {
    fc.assert(
      fc.property(object, cuts, ({ members, text }, at) => {
        const bytes = Buffer.from(text)
        const scan = scanOf(cut(bytes, at))
        expect(JSON.parse(text)).toBeTypeOf("object")
        expect(scan.end()).toBe(true)
        const wanted = new Map<Field, unknown>()
        const models: Array<string> = []
        const exact: Array<string> = []
        for (const { key, value } of members) {
          const field = fieldOf(key)
          if (field === undefined) continue
          const parsed = JSON.parse(value) as unknown
          wanted.set(field, typeof parsed === "object" && parsed !== null ? BodyScan.nested : parsed)
          if (field === "model" && typeof parsed === "string") models.push(parsed)
          if (key === "model" && typeof parsed === "string") exact.push(parsed.trim())
        }
        expect(scan.found).toEqual(wanted)
        expect(scan.spans.map(([start, end]) => JSON.parse(bytes.subarray(start, end).toString()) as unknown)).toEqual(models)
        const isName = (name: unknown) => typeof name === "string" && name.trim() !== ""
        expect(scan.firstModel).toBe([...exact, ...models.map((model) => model.trim())].find(isName) ?? "")
        const own = members.findLast(({ key }) => key === "model")?.value
        const said = own === undefined ? undefined : (JSON.parse(own) as unknown)
        expect(scan.model).toEqual(isName(said) ? said : wanted.get("model"))
        const last = members.findLast((member) => member.key === "messages" && member.value.startsWith("["))
        const isText = ({ value }: { readonly value: string }) => /^["[{]/.test(value)
        const lastOf = (field: Field) => members.findLast(({ key }) => fieldOf(key) === field)
        const end = [lastOf("messages"), lastOf("prompt"), lastOf("input")].find((member) => member !== undefined && isText(member))
        const parts = [lastOf("tools"), lastOf("system"), end].filter((member) => member !== undefined && isText(member))
        expect(scan.prompt.map(([start, to]) => bytes.subarray(start, to).toString())).toEqual(parts.map((member) => member?.value))
        if (last === undefined) expect(scan.messagesAt).toBe(-1)
        else expect(bytes.subarray(scan.messagesAt, scan.messagesAt + Buffer.byteLength(last.value)).toString()).toBe(last.value)
      }),
      { numRuns: runs(4_000) }
    )
  })

  it("says the same of every cut, also of bytes that are no JSON", () => {
    const broken = fc.oneof(
      fc.tuple(object, fc.nat(), fc.string({ maxLength: 4 })).map(([{ text }, at, noise]) => {
        const n = at % (text.length + 1)
        return Buffer.from(text.slice(0, n) + noise + text.slice(n))
      }),
      fc.tuple(object, fc.nat()).map(([{ text }, at]) => Buffer.from(text).subarray(0, at % (text.length + 1))),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
    )
    const seen = (scan: BodyScan) => [scan.end(), scan.ok, scan.done, scan.firstModel, [...scan.found], scan.spans, scan.messagesAt]
    fc.assert(
      fc.property(broken, cuts, (bytes, at) => {
        expect(seen(scanOf(cut(bytes, at)))).toEqual(seen(scanOf(bytes.length === 0 ? [] : [bytes])))
      }),
      { numRuns: runs(4_000) }
    )
  })

  it("takes nothing else for an object", () => {
    fc.assert(
      fc.property(anyJson, (text) => {
        const parsed = JSON.parse(text) as unknown
        const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
        expect(scanText(text).end()).toBe(isObject)
      })
    )
  })

  it.each([
    ['{"model":"a", <broken>', "a"],
    ['{"model":"a"', "a"],
    ['{"model":"a"} trailing', "a"],
    ['{"x":{"model":"inner"},"model":"outer"', "outer"],
    ['{"model":"","Model":"b"', "b"],
    ['{"model":"unfinished', ""],
    ['[{"model":"a"}]', ""],
    ['"model":"a"', ""],
    ["", ""]
  ])("still finds the first model of %j: %j", (text, model) => {
    const scan = scanText(text)
    expect(scan.firstModel).toBe(model)
    expect(scan.end()).toBe(false)
  })

  it("keeps no more than the beginning of a value that is no name", () => {
    const scan = scanText(`{"model":"${"x".repeat(1_000_000)}","stream":true}`)
    expect(scan.end()).toBe(true)
    expect(scan.firstModel).toHaveLength(4096)
    expect(scan.found.get("stream")).toBe(true)
  })

  it("steps over a byte order mark at the very beginning, wherever the chunks are cut, and over nothing else", () => {
    const body = Buffer.from('\uFEFF {"model":"m"}')
    for (let at = 0; at <= body.length; at++) {
      const scan = new BodyScan()
      for (const chunk of [body.subarray(0, at), body.subarray(at)]) scan.push(chunk)
      expect([scan.end(), scan.model]).toEqual([true, "m"])
    }
    for (const wrong of [' \uFEFF{"model":"m"}', '\uFEFF\uFEFF{"model":"m"}', '{"model":"m"}\uFEFF']) {
      const scan = new BodyScan()
      scan.push(Buffer.from(wrong))
      expect(scan.end()).toBe(false)
    }
  })

  it("gives up on an object that repeats its wanted keys a thousand times", () => {
    const repeated = (times: number) => {
      const scan = new BodyScan()
      scan.push(Buffer.from(`{${'"model":"m",'.repeat(times)}"last":1}`))
      return { whole: scan.end(), places: scan.spans.length, first: scan.firstModel }
    }
    expect(repeated(1000)).toEqual({ whole: true, places: 1000, first: "m" })
    expect(repeated(1001)).toEqual({ whole: false, places: 1000, first: "m" })
  })

  it("counts the texts, keys, lists and objects of an object, wherever the chunks are cut", () => {
    const body = Buffer.from('{"model":"m","messages":[{"content":["a\\"b",{}]},1,null]}')
    for (let at = 0; at <= body.length; at++) {
      const scan = new BodyScan()
      for (const chunk of [body.subarray(0, at), body.subarray(at)]) scan.push(chunk)
      expect(scan.values).toBe(10)
    }
  })

  it.each([
    ['{"messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]}', true],
    ['{"messages":[{"content":[{"source":{"media_type":"image/png","data":"x"}}]}]}', true],
    ['{"messages":[{"content":[{"type":"image"}]}]}', true],
    ['{"messages":[{"images":["x"]}]}', true],
    ['{"input":[{"content":[{"type":"input_image","image_url":"x"}]}]}', true],
    ['{"messages":[{"content":"data:image/png;base64,x"}]}', true],
    ['{"messages":[{"content":"imagine data:images"}]}', false],
    ['{"messages":[{"content":"image of a cat"}]}', false],
    ['{"messages":[{"content":"dataset"}]}', false]
  ])("knows of %s whether an image is in it", (text, expected) => {
    expect(scanText(text).hasImage).toBe(expected)
  })
})

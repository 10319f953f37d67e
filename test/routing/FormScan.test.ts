import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { boundaryOf } from "../../src/routing/FormScan.ts"
import { inspect } from "../../src/routing/Inspecting.ts"
import { rewriteModel } from "../../src/routing/ModelRewrite.ts"
import { cut, cuts } from "./bodies.ts"

interface Part {
  readonly headers: ReadonlyArray<string>
  readonly content: Buffer
}

const part = (name: string, content: string | Buffer, more = ""): Part => ({
  headers: [`Content-Disposition: form-data; name="${name}"${more}`],
  content: Buffer.from(content)
})

const formOf = (boundary: string, parts: ReadonlyArray<Part>, preamble = "", eol = "\r\n"): Buffer =>
  Buffer.concat([
    Buffer.from(preamble),
    ...parts.flatMap(({ headers, content }) => [
      Buffer.from(`--${boundary}${eol}${headers.join(eol)}${eol}${eol}`),
      content,
      Buffer.from(eol)
    ]),
    Buffer.from(`--${boundary}--${eol}`)
  ])

const type = (boundary: string) => `multipart/form-data; boundary=${boundary}`
const seen = (parts: ReadonlyArray<Part>) => inspect(type("b"), [formOf("b", parts)], "/v1/audio/transcriptions")

describe("the boundary of a form", () => {
  it.each([
    ["multipart/form-data; boundary=abc", "abc"],
    ['Multipart/Form-Data; charset=utf-8; Boundary="a b;c"', "a b;c"],
    ["multipart/form-data;boundary=x; charset=utf-8", "x"],
    ["multipart/form-data", undefined],
    ["multipart/mixed; boundary=x", undefined],
    ["application/json", undefined]
  ])("of %s is %s", (contentType, boundary) => {
    expect(boundaryOf(contentType)).toBe(boundary)
  })
})

describe("the model of a form", () => {
  const file = part("file", Buffer.from([0, 1, 13, 10, 45, 45, 255]), '; filename="a.wav"')
  it("is its field, before or behind a file, in the spelling that was sent", () => {
    for (const parts of [
      [part("model", "Whisper"), file],
      [file, part("model", "Whisper")]
    ])
      expect(seen(parts)).toMatchObject({ model: "whisper", spelling: "Whisper", field: "form", stream: undefined })
  })
  it.each<[string, ReadonlyArray<Part>, string]>([
    ["the last of several that says anything", [part("model", "a"), part("model", "b"), part("model", " ")], "b"],
    ["no file of that name", [part("model", "a", '; filename="model"')], ""],
    ["no field of another spelling", [part("Model", "a"), part("model[]", "b")], ""],
    ["a name without quotes", [{ headers: ["content-disposition:form-data;name=model"], content: Buffer.from("a") }], "a"],
    [
      "beside other headers",
      [{ headers: ["Content-Type: text/plain", 'Content-Disposition: form-data; name="model"'], content: Buffer.from("a") }],
      "a"
    ],
    ["nothing in a file's text", [part("file", 'name="model"\r\n\r\nx', '; filename="x"')], ""],
    ["an empty form", [], ""]
  ])("is %s", (_, parts, model) => {
    expect(seen(parts).model).toBe(model)
  })
  it("comes with its stream field", () => {
    expect(seen([part("model", "m"), part("stream", "true")]).stream).toBe(true)
    expect(seen([part("model", "m"), part("stream", "False")]).stream).toBe(false)
  })
  it("is found where lines end in a bare line feed, and there a carriage return is the value's", () => {
    const form = formOf("b", [part("model", "m"), part("file", "\r", '; filename="x"')], "", "\n")
    expect(inspect(type("b"), [form], "")).toMatchObject({ model: "m", field: "form" })
  })
  it("is not looked for in a hundred fields of its name", () => {
    expect(seen(Array.from({ length: 200 }, (_, n) => part("model", `m${n}`)))).toMatchObject({ model: "m99" })
  })
  it("is none where the form breaks off in it, and the search for it is bounded", () => {
    const whole = formOf("b", [part("model", "mmmm")])
    expect(inspect(type("b"), [whole.subarray(0, whole.indexOf("mmmm") + 2)], "").model).toBe("")
    const long = [{ headers: [`X: ${"x".repeat(20_000)}`, 'Content-Disposition: form-data; name="model"'], content: Buffer.from("a") }]
    expect(seen(long).model).toBe("")
  })
})

const content = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom("", "\r\n", "\r\n-", "\r\n--", "\r\n--b", "--bound", "\r", "-".repeat(90)).map((text) => Buffer.from(text))
)

it("every model field of a form is found and replaced alone, however its bytes are cut", () => {
  const parts = fc.array(
    fc.oneof(
      fc.tuple(fc.constantFrom("model", "stream", "prompt"), fc.string({ maxLength: 20 })).map(([name, text]) => part(name, text)),
      content.map((bytes) => part("file", bytes, '; filename="f"'))
    ),
    { maxLength: 6 }
  )
  fc.assert(
    fc.property(
      parts,
      fc.constantFrom("", "preamble"),
      fc.constantFrom("\r\n", "\n"),
      cuts,
      fc.string({ minLength: 1, maxLength: 9 }),
      (given, words, eol, at, name) => {
        const preamble = words === "" ? "" : `${words}${eol}`
        const boundary = "bound--X"
        const form = formOf(boundary, given, preamble, eol)
        fc.pre(given.every((one) => !one.content.includes(`--${boundary}`)))
        const chunks = cut(form, at)
        const inspection = inspect(type(boundary), chunks, "")
        const models = given.filter((one) => one.headers[0]?.endsWith('name="model"')).map((one) => one.content.toString())
        expect(inspection.spelling).toBe(models.findLast((text) => text.trim() !== "") ?? "")
        if (inspection.model === "") return
        const replaced = given.map((one) => (one.headers[0]?.endsWith('name="model"') ? { ...one, content: Buffer.from(name) } : one))
        const rewritten = rewriteModel(chunks, inspection, name)
        expect(Buffer.concat([...rewritten]).equals(formOf(boundary, replaced, preamble, eol))).toBe(true)
      }
    ),
    { numRuns: 500 }
  )
})

it("a form's files are passed on in the memory that they came in", () => {
  const bytes = Buffer.alloc(300_000, 7)
  const form = formOf("b", [part("file", bytes, '; filename="f"'), part("model", "m")])
  const inspection = inspect(type("b"), [form], "")
  const [first] = rewriteModel([form], inspection, "other")
  expect(first?.buffer).toBe(form.buffer)
  expect(first?.length).toBeGreaterThan(300_000)
})

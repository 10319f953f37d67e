import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BodyInspector, inspect } from "../../src/routing/Inspecting.ts"
import type { Inspection } from "../../src/routing/Router.ts"
import { runs } from "../propertyRuns.ts"
import { cut, cuts, object } from "./bodies.ts"

const seen = (text: string, contentType = "application/json", path = "/v1/chat/completions"): Inspection => {
  const chunks = text === "" ? [] : [Buffer.from(text)]
  return inspect(contentType, chunks, path)
}

/** Large enough to be scanned and not parsed. */
const padded = (text: string): string => text.replace("{", `{"pad":"${"x".repeat(9_000)}",`)

describe("the model of a body", () => {
  it.each([
    ['{"model":"Qwen3:8B"}', "qwen3:8b", "Qwen3:8B", "model"],
    ['{"model":"  Spaced "}', "spaced", "  Spaced ", "model"],
    ['{"Model":"a"}', "a", "a", "model"],
    ['{"model":"a","model":"b"}', "b", "b", "model"],
    ['{"model":"a","MODEL":"b"}', "a", "a", "model"],
    ['{"model":5,"MODEL":"b"}', "b", "b", "model"],
    ['{"MODEL":"b","model":"a", <broken>', "a", "a", "model"],
    ['{"MODEL":"b","model":"a"}', "a", "a", "model"],
    ['{"model":"a","model":5}', "a", "a", "model"],
    ['{"model":"","Model":"b"}', "b", "b", "model"],
    ['{"mod\\u0065l":"\\u0061b"}', "ab", "ab", "model"],
    ['{"model":"a", <broken>', "a", "a", "model"],
    ['{"model":"a"} and more', "a", "a", "model"],
    ['{"messages":[{"model":"m"}]}', "m", "m", "messages"],
    ['{"model":"","messages":[{"model":"m"}]}', "m", "m", "messages"],
    ['{"model":null,"messages":[{"model":"M "}]}', "m", "M ", "messages"],
    ['{"messages":[{"role":"user"},{"model":"m"}]}', "", "", "none"],
    ['{"messages":[{"model":"m"}], <broken>', "", "", "none"],
    ['{"options":{"model":"m"}}', "", "", "none"],
    ['{"model":7}', "", "", "none"],
    ['{"model":["m"]}', "", "", "none"],
    ['{"model":"   "}', "", "", "none"],
    ['["model","m"]', "", "", "none"],
    ["null", "", "", "none"],
    ["model=m", "", "", "none"],
    ["", "", "", "none"]
  ])("of %s is %j, small or large", (text, model, spelling, field) => {
    for (const body of [text, padded(text)]) expect(seen(body)).toMatchObject({ model, spelling, field })
  })

  it.each([
    ["application/json", "m"],
    ["Application/JSON; charset=utf-8", "m"],
    ["application/vnd.api+json", "m"],
    ["application/cloudevents+json; charset=utf-8", "m"],
    ["", "m"],
    ["application/x-www-form-urlencoded", "m"],
    ["text/plain", "m"],
    ["text/json", "m"],
    ["application/octet-stream", "m"],
    ["multipart/form-data; boundary=x", ""],
    ["audio/wav", ""],
    ["image/png", ""]
  ])("with content type %j is %j", (contentType, model) => {
    expect(seen(' \n{"model":"m"}', contentType).model).toBe(model)
  })

  it("is not looked for in a form that begins otherwise", () => {
    expect(seen('x={"model":"m"}', "application/x-www-form-urlencoded").model).toBe("")
    expect(seen('[{"model":"m"}]', "").model).toBe("")
  })

  it.each(["application/json", "text/plain", ""])("is found behind a byte order mark, of type %o", (contentType) => {
    for (const padding of [0, 20_000])
      expect(inspect(contentType, [Buffer.from(`\uFEFF{"p":"${"x".repeat(padding)}","model":"M"}`)], "")).toMatchObject({ model: "m" })
  })

  it("is found anywhere in a large body, and behind its stream flag", () => {
    const text = `{"messages":[{"role":"user","content":"${'a\\"b '.repeat(700_000)}"}],"stream":false,"model":"Deep"}`
    expect(text.length).toBeGreaterThan(3_000_000)
    expect(seen(text)).toMatchObject({ model: "deep", stream: false })
  })

  it("is found in the first message of a body of any size", () => {
    const text = `{"messages":[ {"content":"${"x".repeat(1_200_000)}","model":"Deep"}],"stream":true}`
    expect(seen(text)).toMatchObject({ model: "deep", field: "messages", stream: true })
  })

  it("does not depend on the chunks in which a body comes", () => {
    fc.assert(
      fc.property(
        object,
        fc.boolean(),
        cuts,
        fc.constantFrom("", "application/json", "application/x-www-form-urlencoded"),
        ({ text }, large, at, type) => {
          const bytes = Buffer.from(large ? padded(text) : text)
          const inspector = new BodyInspector(type)
          const chunks = cut(bytes, at)
          for (const chunk of chunks) inspector.push(chunk)
          expect(inspector.end(chunks, "/v1/chat/completions")).toEqual(inspect(type, [bytes], "/v1/chat/completions"))
        }
      )
    )
  })

  it("is the same by parse and by scan", () => {
    fc.assert(
      fc.property(object, ({ text }) => {
        // A member with an empty name at the front makes the body long and changes nothing.
        const long = text.replace("{", () => (/^\s*\{\s*\}/.test(text) ? "{" : `{"":"${"x".repeat(9_000)}",`))
        // Places in the text are the scan's alone; of several limits by several names each takes another.
        const alike = (inspection: Inspection) => ({
          ...inspection,
          spans: undefined,
          conversation: undefined,
          prompt: undefined,
          mostTokens: undefined
        })
        expect(alike(seen(long))).toEqual(alike(seen(text)))
      }),
      { numRuns: runs(1_000) }
    )
  })
})

describe("the stream flag", () => {
  it.each([
    ['{"model":"m","stream":true}', true],
    ['{"model":"m","stream":false}', false],
    ['{"stream":true}', true],
    ['{"model":"m","stream":"true"}', undefined],
    ['{"model":"m"}', undefined]
  ])("of %s is %s", (text, stream) => {
    for (const body of [text, padded(text)]) expect(seen(body).stream).toBe(stream)
  })
})

const vision = "vision"
const needs = (text: string, path?: string) => seen(text, "application/json", path).capabilities.map((group) => group[0])

describe("what a request without a model needs", () => {
  it.each<[string, ReadonlyArray<string>]>([
    ['{"messages":[{"content":[{"type":"text","text":"x"},{"type":"image_url"}]}]}', [vision]],
    ['{"messages":[{"content":[{"type":"image"}]}]}', [vision]],
    ['{"messages":[{"content":[{"type":"text","text":"data:image/png;base64,xx"}]}]}', [vision]],
    ['{"messages":[{"content":{"type":"image"}}]}', [vision]],
    ['{"messages":[{"content":"data:image/png"}]}', []],
    ['{"messages":[{"role":"user","images":["aGk="]}]}', [vision]],
    ['{"prompt":"x","images":["aGk="]}', [vision]],
    ['{"images":[]}', []],
    ['{"tools":[]}', ["function-calling"]],
    ['{"tool_choice":"auto"}', ["function-calling"]],
    ['{"functions":null}', []],
    ['{"language":"go"}', ["code"]],
    ['{"code_model":true}', ["code"]],
    ['{"language":""}', []],
    // Responses API bodies have an input and are no embeddings, and a prompt about code needs no coder.
    ['{"input":"x"}', []],
    ['{"messages":[{"role":"system","content":"debug this code"}]}', []],
    ['{"tools":[1],"messages":[{"content":[{"type":"image"}]}],"language":"c"}', [vision, "function-calling", "code"]]
  ])("%s", (text, expected) => {
    for (const body of [text, padded(text)]) expect(needs(body)).toEqual(expected)
  })

  it.each(["/v1/embeddings", "/embedding", "/api/embed", "/api/embeddings", "/engines/v1/embeddings"])("is embeddings on %s", (path) => {
    expect(needs('{"input":"x"}', path)).toEqual(["embeddings"])
  })

  it("is nothing when a model is named: the model decides", () => {
    expect(needs('{"model":"m","tools":[1]}', "/v1/embeddings")).toEqual([])
  })

  it("is nothing beyond a mebibyte", () => {
    expect(needs(`{"tools":[1],"pad":"${"x".repeat(1024 * 1024)}"}`)).toEqual([])
  })
})

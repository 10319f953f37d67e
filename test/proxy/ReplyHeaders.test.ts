/** What a client gets of a backend's headers, and that one answer's are never another's. */
import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { pairsOfReply } from "../../src/proxy/HeaderLines.ts"
import { replyHead } from "../../src/proxy/ReplyHeaders.ts"
import { Scene } from "./carrying.ts"

const scene = new Scene()
const plain = scene.add("plain", {})
const setting = scene.add("setting", {
  headers: [
    ["Vary", "Op"],
    ["Via", "1.0 op"],
    ["X-Foo", "mine"]
  ]
})

interface Asked {
  readonly ours?: ReadonlyArray<string>
  readonly corsOn?: boolean
  readonly model?: string
  readonly stream?: boolean | undefined
}

/** Values of each header, by its lower-cased name. */
const got = (endpoint: Endpoint, raw: ReadonlyArray<string>, { ours = [], corsOn = false, model = "", stream }: Asked = {}) => {
  const { exchange } = scene.request({})
  exchange.model = model
  exchange.stream = stream
  const flat = pairsOfReply(replyHead(exchange, endpoint, raw, ours, corsOn))
  return (name: string) => flat.filter((_, i) => i % 2 === 1 && flat[i - 1]?.toLowerCase() === name)
}

const theirs = ["X-Foo", "theirs", "Via", "1.0 be", "Vary", "A", "vary", "B", "Access-Control-Allow-Origin", "*", "X-Kept", "1"]

describe("headers that an endpoint's configuration sets", () => {
  it("do not come back from its backend, and leave ours of the same name alone", () => {
    const of = got(setting, theirs, { ours: ["Vary", "Origin"], corsOn: true })
    expect([of("x-foo"), of("vary"), of("x-kept")]).toEqual([[], ["Origin"], ["1"]])
    expect(of("via")).toEqual([expect.stringMatching(/^1\.1 olla\/\S+$/)])
    expect(got(setting, theirs)("vary")).toEqual([])
  })
})

describe("headers that a backend's Connection names", () => {
  it("do not pass, whatever they are", () => {
    const of = got(plain, ["Connection", "X-Foo, vary", "Connection", "Date", "Date", "then", ...theirs], { ours: ["Vary", "Origin"] })
    expect([of("x-foo"), of("vary"), of("date"), of("x-kept")]).toEqual([[], ["Origin"], [], ["1"]])
  })
})

describe("an answer that somebody watches come", () => {
  const told = (raw: ReadonlyArray<string>, stream?: boolean) => got(plain, raw, { stream })("x-accel-buffering")

  it("tells proxies in front not to gather it", () => {
    expect(told(["Content-Type", "text/event-stream"])).toEqual(["no"])
    expect(told(["content-type", "application/x-ndjson"], false)).toEqual(["no"])
    expect(told(["Content-Type", "application/json"], true)).toEqual(["no"])
    expect(told(["Content-Type", "application/json", "Content-Length", "2"], true)).toEqual([])
    expect(told(["Content-Type", "application/json"])).toEqual([])
    expect(told([])).toEqual([])
  })

  it("leaves it to a backend that says so itself", () => {
    expect(told(["Content-Type", "text/event-stream", "X-ACCEL-Buffering", "yes"], true)).toEqual(["yes"])
  })
})

describe("one list of headers for several answers", () => {
  it("is judged anew for each endpoint, and with CORS on and off", () => {
    const origin = "access-control-allow-origin"
    for (let round = 0; round < 2; round++) {
      expect(got(plain, theirs)("x-foo")).toEqual(["theirs"])
      expect(got(setting, theirs)("x-foo")).toEqual([])
      expect(got(plain, theirs)(origin)).toEqual(["*"])
      expect(got(plain, theirs, { corsOn: true })(origin)).toEqual([])
      expect(got(plain, theirs, { corsOn: true, ours: ["Vary", "Origin"] })("vary")).toEqual(["A, B, Origin"])
      expect(got(plain, theirs)("vary")).toEqual(["A, B"])
    }
  })

  it("carries each answer's own model", () => {
    for (const model of ["one", "two", "", "one", "zwei\u00e4"])
      expect(got(plain, theirs, { model })("x-olla-model")).toEqual(model === "" ? [] : [Buffer.from(model).toString("latin1")])
  })
})

import { describe, expect, it } from "vitest"
import { readAction } from "../../src/http/ActionBody.ts"
import { actionOf, isActionPath } from "../../src/http/ActionPath.ts"

describe("the body of an action", () => {
  const plain = { time: undefined, force: false, reason: "" }
  it.each([
    ["", plain],
    ["  \n", plain],
    ["{}", plain],
    ['{"for":"10m"}', { ...plain, time: 600_000 }],
    ['{"for":"1h30m","force":true,"reason":"new driver"}', { time: 5_400_000, force: true, reason: "new driver" }],
    ['{"force":false}', plain]
  ])("%j is an order", (text, order) => expect(readAction("drain", text)).toEqual({ _tag: "Order", order }))

  it.each([
    ["drain", "x", "JSON"],
    ["drain", "[]", "object"],
    ["drain", "null", "object"],
    ["drain", '"10m"', "object"],
    ["drain", '{"for":600}', '"for"'],
    ["drain", '{"for":"0s"}', '"for"'],
    ["drain", '{"for":"-5m"}', '"for"'],
    ["drain", '{"for":"10 minutes"}', '"for"'],
    ["drain", '{"for":null}', '"for"'],
    ["resume", '{"for":"10m"}', "drain"],
    ["reload", '{"for":"10m"}', "drain"],
    ["drain", '{"force":"yes"}', '"force"'],
    ["drain", '{"reason":7}', '"reason"'],
    ["drain", '{"fore":true}', 'did you mean "for'],
    ["drain", '{"__proto__":1}', "__proto__"]
  ] as const)("of %s: %s is told with its field", (action, text, word) => {
    const read = readAction(action, text)
    expect(read._tag === "Problem" ? read.problem : "").toContain(word)
  })

  it("keeps two hundred characters of a reason, also of one that is refused", () => {
    const reason = "🦙".repeat(500)
    const kept = "🦙".repeat(200)
    expect(readAction("resume", JSON.stringify({ reason }))).toMatchObject({ order: { reason: kept } })
    expect(readAction("resume", JSON.stringify({ reason, force: 1 }))).toMatchObject({ _tag: "Problem", reason: kept })
  })
})

describe("the path of an action", () => {
  it.each([
    ["/internal/reload", "/internal/reload", { action: "reload" }],
    ["/internal/endpoints/gpu-1/drain", "/internal/endpoints/gpu-1/drain", { action: "drain", name: "gpu-1" }],
    ["/internal/endpoints/a b/resume", "/internal/endpoints/a%20b/resume", { action: "resume", name: "a b" }],
    ["/internal/endpoints/org/gpu/probe", "/internal/endpoints/org%2Fgpu/probe", { action: "probe", name: "org/gpu" }],
    ["/internal/endpoints/org/gpu/probe", "/internal/endpoints/org/gpu/probe", { action: "probe", name: "org/gpu" }],
    ["/internal/endpoints/drain/drain", "/internal/endpoints/drain/drain", { action: "drain", name: "drain" }],
    ["/internal/endpoints/50%/drain", "/internal/endpoints/50%25/drain", { action: "drain", name: "50%" }],
    ["/internal/endpoints/50%/drain", "/internal/endpoints/50%/drain", { action: "drain", name: "50%" }]
  ])("%s of %s", (path, raw, action) => {
    expect(actionOf(path, raw)).toEqual({ path, ...action })
    expect(isActionPath(path)).toBe(true)
  })

  it.each([
    "/internal/endpoints/gpu-1",
    "/internal/endpoints//drain",
    "/internal/endpoints/gpu-1/stop",
    "/internal/reload/",
    "/olla/internal/reload"
  ])("%s is none", (path) => {
    expect(actionOf(path, path)).toBeUndefined()
    expect(isActionPath(path)).toBe(false)
  })
})

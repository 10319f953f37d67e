import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { backendError, tellable } from "../../../src/telemetry/requests/BackendError.ts"

const said = (body: string, contentType = "application/json", headers: ReadonlyArray<string> = []) =>
  backendError({ head: undefined, tail: [Buffer.from(body)], headers, contentType })

describe("a backend's own words", () => {
  it.each([
    ['{"error":{"message":"CUDA out of memory","type":"server_error"}}', "CUDA out of memory"],
    ['{"error":"model is loading"}', "model is loading"],
    ['{"message":"no such route"}', "no such route"],
    ['{"detail":"Not Found"}', "Not Found"],
    ['{"detail":[{"loc":["body"],"msg":"field required"}]}', undefined],
    ['{"code":7}', undefined],
    ["<html>502</html>", undefined],
    ["{broken", undefined],
    ["", undefined]
  ])("%s", (body, words) => expect(said(body)).toBe(words))

  it("are the text of a plain answer, in one line", () => {
    expect(said("upstream\r\n\tconnect error\u0000\u202e", "text/plain; charset=utf-8")).toBe("upstream connect error")
  })

  it("are not read where they are compressed", () => {
    expect(said("{}", "application/json", ["Content-Encoding", "gzip"])).toBe(undefined)
  })

  it("come from the beginning, also where the answer is long", () => {
    const head = Buffer.from('{"error":"too long"}')
    expect(backendError({ head, tail: [Buffer.from("x".repeat(9_000))], headers: [], contentType: "application/json" })).toBe("too long")
  })

  it("tell neither secrets nor what a client wrote", () => {
    expect(tellable("Incorrect API key provided: sk-proj-abcdefghijkl")).toBe("Incorrect API key provided: [REDACTED]")
    expect(tellable("bad Authorization: Bearer abc123def456ghi7")).not.toContain("abc123")
    expect(tellable("GET http://u:p@gpu/?api_key=x failed")).toBe("GET http://gpu/?api_key=[REDACTED] failed")
    expect(tellable(`prompt "${"my secret diary ".repeat(5)}" is too long`)).toBe('prompt "…" is too long')
    expect(tellable('model "qwen3:8b" not found')).toBe('model "qwen3:8b" not found')
  })

  it("are one line of at most 200 characters without anything unseen, whatever was said", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0x10ffff)), (codes) => {
        const line = tellable(String.fromCodePoint(...codes))
        expect(line.length).toBeLessThanOrEqual(200)
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      })
    )
  })
})

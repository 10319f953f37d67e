import { describe, expect, it } from "vitest"
import { Attempt } from "../../src/exchange/Exchange.ts"
import { speedOf, tokenInterval } from "../../src/telemetry/MeasuredSpeed.ts"
import { newExchange } from "./exchanges.ts"

const answered = (contentType: string, firstByte: number, lastByte: number) => {
  const exchange = newExchange()
  exchange.kept.contentType = contentType
  const attempt = new Attempt(
    { endpoint: { url: "http://desk", name: "desk" }, endpointName: "desk", endpointType: "", profileName: "", model: "m" },
    1
  )
  Object.assign(attempt.timings, { firstByte, lastByte })
  exchange.attempts.push(attempt)
  return exchange
}

describe("the speed of an answer", () => {
  it("is the backend's figure where it tells one", () => {
    expect(speedOf(answered("text/event-stream", 100, 2_100), { outputTokens: 101, tokensPerSecond: 42 })).toBe(42)
  })

  it("is measured between the first and the last byte of a stream whose tokens are told", () => {
    for (const type of ["text/event-stream; charset=utf-8", "application/x-ndjson", "application/ndjson"]) {
      expect(speedOf(answered(type, 100, 2_100), { outputTokens: 101 })).toBe(50)
      expect(tokenInterval(answered(type, 100, 2_100), { outputTokens: 101 })).toBe(20)
    }
  })

  it("is none of a whole answer, of one token, and of a stream that came at once", () => {
    expect(speedOf(answered("application/json", 100, 2_100), { outputTokens: 101 })).toBe(undefined)
    expect(speedOf(answered("text/event-stream", 100, 2_100), { outputTokens: 1 })).toBe(undefined)
    expect(speedOf(answered("text/event-stream", 100, 2_100), {})).toBe(undefined)
    expect(speedOf(answered("text/event-stream", 100, 102), { outputTokens: 101 })).toBe(undefined)
    expect(speedOf(answered("text/event-stream", 0, 0), { outputTokens: 101 })).toBe(undefined)
  })
})

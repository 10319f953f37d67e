import { describe, expect, it } from "vitest"
import { Attempt, type Exchange, type Outcome } from "../../../src/exchange/Exchange.ts"
import { failure } from "../../../src/exchange/Failure.ts"
import { isTraceparent, newTraceId, randomnessOf, readTraceparent } from "../../../src/exchange/TraceContext.ts"
import { keptBy, makeSampling } from "../../../src/telemetry/tracing/Sampling.ts"
import { endpointOf, newExchange } from "../exchanges.ts"

const rules = { ratio: 1, followsClient: true, parent: "continue", keepErrors: true, keepSlow: 10_000 } as const
const trace = "0af7651916cd43dd8448eb211c80319c"
const client = (flags: string) => `00-${trace}-b7ad6b7169203331-${flags}`

const accepted = (traceparent: string, changes: Partial<Parameters<typeof makeSampling>[0]> = {}, random = 0.5): Exchange => {
  const exchange = newExchange()
  makeSampling({ ...rules, ...changes }, () => random).accepted(exchange, traceparent)
  return exchange
}

describe("a traceparent", () => {
  it.each([
    ["of version 00", client("01"), true],
    ["of a version to come, and longer", `01-${trace}-b7ad6b7169203331-01-more`, true],
    ["of version 00 and longer", `${client("01")}-more`, false],
    ["too short", client("1"), false],
    ["of version ff", client("01").replace("00-", "ff-"), false],
    ["with capitals", client("01").toUpperCase(), false],
    ["without a trace", `00-${"0".repeat(32)}-b7ad6b7169203331-01`, false],
    ["without a span", `00-${trace}-${"0".repeat(16)}-01`, false],
    ["given twice", "several", false],
    ["that is empty", "", false]
  ])("%s is valid or not", (_what, text, valid) => {
    expect(isTraceparent(text)).toBe(valid)
    expect(readTraceparent(text)?.traceId).toBe(valid ? trace : undefined)
  })

  it("of our own has what decided on its sampling in its low bits, so that others decide alike", () => {
    for (const randomness of [0, 0.1, 0.25, 0.999999]) {
      const id = newTraceId(randomness)
      expect(id).toMatch(/^[0-9a-f]{32}$/)
      expect(randomnessOf(id)).toBeCloseTo(randomness, 12)
    }
  })
})

describe("at its beginning a request is traced", () => {
  it.each<[string, string, Parameters<typeof accepted>[1], number, boolean, string]>([
    ["where the client's flag says so", client("01"), { ratio: 0 }, 0.5, true, trace],
    ["not where it says no", client("00"), {}, 0.5, false, trace],
    ["whatever it says, where the sampler does not follow it", client("00"), { followsClient: false }, 0.5, true, trace],
    ["not, where such a sampler says no", client("01"), { followsClient: false, ratio: 0 }, 0.5, false, trace],
    ["by chance where nobody said anything", "", { ratio: 0.4 }, 0.7, true, "own"],
    ["not by chance", "", { ratio: 0.4 }, 0.5, false, ""],
    ["always", "", {}, 0, true, "own"],
    ["never", "", { ratio: 0 }, 0.999999, false, ""],
    ["in a trace of its own where the client's is not valid", client("01").replace("b", "B"), {}, 0.5, true, "own"],
    ["in a trace of its own where the client's is only linked", client("00"), { parent: "link" }, 0.5, true, "own"]
  ])("%s", (_what, traceparent, changes, random, sampled, id) => {
    const exchange = accepted(traceparent, changes, random)
    expect(exchange.isSampled).toBe(sampled)
    if (id === "own") expect(exchange.traceId).toMatch(/^(?!0af7651916cd43dd8448eb211c80319c)[0-9a-f]{32}$/)
    else expect(exchange.traceId).toBe(id)
    expect(exchange.spanId !== "").toBe(sampled)
    expect(exchange.linked).toBe(changes?.parent === "link" ? traceparent : "")
  })
})

describe("at its end a trace is kept that was not sampled", () => {
  const ended = (outcome: Outcome, { first = 0, ends = 100, failed = false, status = 200 } = {}): Exchange => {
    const exchange = accepted("", { ratio: 0 })
    const target = { endpoint: endpointOf("a"), endpointName: "a", endpointType: "", profileName: "", model: "m" }
    if (failed) {
      const attempt = new Attempt(target, 1_000)
      attempt.failure = failure("closed", "")
      exchange.attempts.push(attempt)
    }
    const last = new Attempt(target, 1_000)
    last.status = status
    last.timings.firstByte = first === 0 ? 0 : 1_000 + first
    exchange.attempts.push(last)
    exchange.settle(outcome)
    exchange.timings.ended = 1_000 + ends
    return exchange
  }
  const completed: Outcome = { _tag: "completed", status: 200 }
  it.each<[string, Exchange, string | undefined]>([
    ["not where all was well", ended(completed), undefined],
    ["where it failed", ended({ _tag: "failed", status: 502, failure: failure("refused", ""), committed: false }), "error"],
    ["where a backend failed before another answered", ended(completed, { failed: true }), "error"],
    ["where a backend answered 500", ended({ _tag: "completed", status: 500 }, { status: 500 }), "error"],
    ["where Olla refused with 503", ended({ _tag: "rejected", status: 503, reason: "no_endpoints" }), "error"],
    ["not where it refused with 429", ended({ _tag: "rejected", status: 429, reason: "rate_limited_ip" }), undefined],
    ["not where its client left", ended({ _tag: "cancelled", status: 499, committed: false }), undefined],
    ["where the first byte was late", ended(completed, { first: 10_001, ends: 10_002 }), "slow"],
    ["not where only the last one was", ended(completed, { first: 10, ends: 60_000 }), undefined],
    ["where no byte came for so long", ended({ _tag: "cancelled", status: 499, committed: false }, { ends: 10_001 }), "slow"]
  ])("%s", (_what, exchange, kept) => expect(keptBy(exchange, rules)).toBe(kept))

  it("and only then has an id that its client may be told", () => {
    const { isSure } = makeSampling({ ...rules, ratio: 0 })
    const good = ended(completed)
    expect([isSure(good), good.traceId]).toEqual([false, ""])
    const bad = ended({ _tag: "failed", status: 502, failure: failure("refused", ""), committed: false })
    expect([isSure(bad), bad.traceId.length, bad.spanId.length]).toEqual([true, 32, 16])
    expect(makeSampling({ ...rules, ratio: 0, keepErrors: false }).isSure(bad)).toBe(false)
  })
})

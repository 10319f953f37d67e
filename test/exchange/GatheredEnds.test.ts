import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Exchange, Outcome } from "../../src/exchange/Exchange.ts"
import { GatheredEnds } from "../../src/exchange/GatheredEnds.ts"
import { newExchange } from "../telemetry/exchanges.ts"

const well: Outcome = { _tag: "completed", status: 200 }
const ended = (id: string, outcome: Outcome = well): Exchange => {
  const exchange = newExchange({ id })
  exchange.settle(outcome)
  return exchange
}

const gathering = (inOrder = false) => {
  const told: Array<string> = []
  const gathered = new GatheredEnds({ dispatched: () => {}, attemptEnded: () => {}, ended: ({ id }) => void told.push(id) }, () => inOrder)
  return { gathered, told }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe("requests that ended well", () => {
  it("are told of together, ten milliseconds after the first, each once and in their order", () => {
    const { gathered, told } = gathering()
    gathered.ended(ended("a"))
    vi.advanceTimersByTime(6)
    gathered.ended(ended("b"))
    expect(told).toEqual([])
    vi.advanceTimersByTime(4)
    expect(told).toEqual(["a", "b"])
    vi.advanceTimersByTime(100)
    expect(told).toEqual(["a", "b"])
  })

  it("are told of at once where 128 wait, so that memory is bounded", () => {
    const { gathered, told } = gathering()
    for (let n = 0; n < 127; n++) gathered.ended(ended(String(n)))
    expect(told).toEqual([])
    gathered.ended(ended("127"))
    expect(told).toHaveLength(128)
  })

  it("are told of when somebody asks, and at the end; what comes after the end waits for nobody", () => {
    const { gathered, told } = gathering()
    gathered.ended(ended("a"))
    gathered.settle()
    expect(told).toEqual(["a"])
    gathered.ended(ended("b"))
    gathered.close()
    gathered.ended(ended("c"))
    expect(told).toEqual(["a", "b", "c"])
  })

  it("are told of at once where the order of records matters", () => {
    const { gathered, told } = gathering(true)
    gathered.ended(ended("a"))
    expect(told).toEqual(["a"])
  })

  it("wait for the next timer as well after they were asked for", () => {
    const { gathered, told } = gathering()
    gathered.ended(ended("a"))
    gathered.settle()
    gathered.ended(ended("b"))
    vi.advanceTimersByTime(10)
    gathered.ended(ended("c"))
    vi.advanceTimersByTime(10)
    expect(told).toEqual(["a", "b", "c"])
  })
})

describe("others", () => {
  it.each<[string, Exchange]>([
    ["an answer of 400 and above", ended("x", { _tag: "completed", status: 500 })],
    ["a client that left", ended("x", { _tag: "cancelled", status: 499, committed: false })],
    ["a refusal", ended("x", { _tag: "rejected", status: 404, reason: "model_not_found" })],
    ["a client whose limits wait for it", Object.assign(ended("x"), { client: { name: "team" } })]
  ])("are told of at once, after those that wait: %s", (_what, exchange) => {
    const { gathered, told } = gathering()
    gathered.ended(ended("a"))
    gathered.ended(exchange)
    expect(told).toEqual(["a", "x"])
  })
})
